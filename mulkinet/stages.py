"""What a network is trained to do: the stages of training.

A stage holds the trained model (network and head), says what an epoch shows (a Plan) and what a
batch costs. The loop in `training.py` knows nothing else of it.

Public names: `SoftmaxStage`.
"""

import numpy as np
import tensorflow as tf

from mulkinet.plans import class_plan, labels_of

__all__ = ["SoftmaxStage"]


class SoftmaxStage:
    """Classification, one class per work (MulKINet; pre-training of the residual network).

    Attributes:
        name: "softmax".
        model: tf.keras.Model from (batch, n_bins, n_frames) to (batch, works) logits.
        classes: (works,) str, the work_id of each class.

    Args:
        network: EmbeddingNetwork.
        rows: (N,) int64 rows of the training tracks.
        work_ids: (N,) str their works.
        batch_size: int >= 1.
        seed: int >= 0.
    """

    name = "softmax"

    def __init__(self, network, rows, work_ids, *, batch_size, seed):
        self.classes, self._labels = labels_of(work_ids)
        self._rows = np.asarray(rows)
        self._batch_size = batch_size
        self._seed = seed
        self.model = network.classifier(len(self.classes), seed=seed)
        inside = {id(variable) for variable in network.variables}
        self._head = [v for v in self.model.variables if id(v) not in inside]

    def plan(self, epoch):
        """The Plan of an epoch; also re-seeds what the model draws while training."""
        seed = np.random.default_rng((self._seed, epoch, 1)).integers(1 << 31)
        self.model.dropout.reseed(int(seed))
        return class_plan(
            self._rows, self._labels, batch_size=self._batch_size, seed=self._seed, epoch=epoch
        )

    def loss(self, x, targets):
        """This replica's share of the batch's mean cross-entropy, and of what to log.

        Args:
            x: (batch, n_bins, n_frames) float32.
            targets: (batch,) int32 classes.

        Returns:
            (loss, {"accuracy": ...}): scalars; their sums over replicas are those of the batch.
        """
        logits = self.model(x, training=True)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
        hits = tf.argmax(logits, axis=1, output_type=targets.dtype) == targets
        here = tf.cast(tf.size(targets), losses.dtype)
        whole = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, here)
        accuracy = tf.reduce_sum(tf.cast(hits, losses.dtype)) / whole
        return tf.reduce_sum(losses) / whole, {"accuracy": accuracy}

    def state(self):
        """Weights of the head, which the network does not hold: list of arrays."""
        return [variable.numpy() for variable in self._head]

    def restore(self, state):
        """Sets what `state` gave."""
        for variable, value in zip(self._head, state):
            variable.assign(value)
