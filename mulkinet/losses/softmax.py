"""Softmax: classification, one class per work (MulKINet; the residual network before its triplets).

Paper: Cao 2020, "MulKINet".
"""

import tensorflow as tf

from mulkinet.losses import register_loss
from mulkinet.losses.objective import Objective, share_of_batch
from mulkinet.losses.plans import class_plan

__all__ = ["SoftmaxObjective"]


@register_loss("softmax")
class SoftmaxObjective(Objective):
    """Cross-entropy of the works, by a head that the embedding does without afterwards."""

    def build(self):
        """The network's classifier."""
        return self.network.classifier(len(self.classes), seed=self.seed)

    def plan_steps(self, rows, labels, epoch):
        """See `Objective`."""
        return class_plan(rows, labels, batch_size=self.batchsize, seed=self.seed, epoch=epoch)

    def loss(self, x, targets, step):
        """Cross-entropy and accuracy; see `Objective`."""
        logits = self.model(x, training=True)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
        hits = tf.argmax(logits, axis=1, output_type=targets.dtype) == targets
        share = share_of_batch(targets)
        accuracy = tf.reduce_mean(tf.cast(hits, losses.dtype))
        return tf.reduce_mean(losses) * share, {"accuracy": accuracy * share}
