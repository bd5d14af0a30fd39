"""Losses of a twin network, which sees pairs of performances.

Conventions: `different` is 0 for two performances of one work and 1 otherwise, as in the Siamese
release, so that a pair's output is a distance: small means cover. Shapes (batch,) and (batch, 1)
are both taken.

Sources: vignejs, cover-song-identification (2020), binary cross-entropy of |a - b| through one
sigmoid unit; Hadsell, Chopra, LeCun, "Dimensionality reduction by learning an invariant mapping"
(CVPR 2006), contrastive.

In `Model.compile` `twin_loss` is Keras's own "binary_crossentropy".
"""

import tensorflow as tf

from mulkinet.errors import MulkinetError
from mulkinet.losses import register_loss
from mulkinet.losses.distances import paired_distances
from mulkinet.losses.objective import Objective, share_of_batch, share_of_mean
from mulkinet.losses.plans import pair_plan

__all__ = [
    "ContrastiveLoss",
    "ContrastiveObjective",
    "TwinObjective",
    "contrastive_loss",
    "twin_loss",
]


def twin_loss(pair_outputs, different):
    """Mean binary cross-entropy of the pairs.

    Args:
        pair_outputs: (batch,) or (batch, 1) sigmoid outputs in [0, 1], near 0 for a cover.
        different: (batch,) or (batch, 1), 0 for two performances of one work, 1 otherwise.

    Returns:
        tf.Tensor: scalar float32 >= 0. Outputs are kept 1e-7 away from 0 and 1, as Keras does.

    Raises:
        MulkinetError: The shapes do not fit.

    Examples:
        >>> round(float(twin_loss(tf.constant([0.5, 0.5]), tf.constant([0, 1]))), 4)   # ln 2
        0.6931
    """
    pair_outputs, different = _columns(pair_outputs, different)
    return tf.reduce_mean(tf.keras.losses.binary_crossentropy(different, pair_outputs))


def contrastive_loss(distances, different, *, margin=1.0):
    """Contrastive loss, the mean of (1 - t) d^2 / 2 + t max(0, margin - d)^2 / 2.

    d is a pair's distance, t its `different`.

    Args:
        distances: (batch,) or (batch, 1) distances of the pairs, of
            `mulkinet.losses.paired_distances`; the paper's is "euclidean".
        different: (batch,) or (batch, 1), 0 for two performances of one work, 1 otherwise.
        margin: Distance beyond which a pair of two works costs nothing, > 0, in the distance's own
            unit.

    Returns:
        tf.Tensor: scalar float32 >= 0.

    Raises:
        MulkinetError: The shapes do not fit, or the margin is not positive.

    Examples:
        A cover at 2 costs 2^2 / 2, a pair of two works at 0.5 costs (1 - 0.5)^2 / 2:

        >>> float(contrastive_loss(tf.constant([2.0, 0.5]), tf.constant([0, 1]), margin=1.0))
        1.0625
    """
    if margin <= 0:
        raise MulkinetError(f"expected a margin > 0, found {margin}; try 1.0")
    distances, different = _columns(distances, different)
    missing = tf.maximum(margin - distances, 0.0)
    pairs = (1 - different) * tf.square(distances) + different * tf.square(missing)
    return tf.reduce_mean(pairs) / 2


@tf.keras.utils.register_keras_serializable(package="mulkinet")
class ContrastiveLoss(tf.keras.losses.Loss):
    """`contrastive_loss` for `Model.compile`.

    Targets are `different`, predictions the distances of the pairs.

    Args:
        margin: As for `contrastive_loss`.
        reduction: Keras's; the loss of a batch is one scalar already.
        name: The loss's name in logs.
    """

    def __init__(
        self,
        margin=1.0,
        reduction=tf.keras.losses.Reduction.AUTO,
        name="contrastive_loss",
    ):
        super().__init__(reduction=reduction, name=name)
        self.margin = margin

    def call(self, y_true, y_pred):
        """The loss of a batch, scalar."""
        return contrastive_loss(y_pred, y_true, margin=self.margin)

    def get_config(self):
        """The arguments that make this loss again."""
        return {**super().get_config(), "margin": self.margin}


class _PairObjective(Objective):
    def plan_steps(self, rows, labels, epoch):
        """See `Objective`."""
        return pair_plan(rows, labels, batch_size=self.batchsize, seed=self.seed, epoch=epoch)


@register_loss("twin")
class TwinObjective(_PairObjective):
    """Pairs through the Siamese twin: is this the same work or another?"""

    @classmethod
    def check(cls, network, options):
        """See `Objective`."""
        if not hasattr(network, "twin"):
            raise MulkinetError(
                "expected a network with a twin (siamese) for --loss twin, found "
                f"{network.network}; train it with softmax, triplet or contrastive"
            )

    def build(self):
        """The network's twin."""
        return self.network.twin()

    def loss(self, x, targets, step):
        """Binary cross-entropy and accuracy at an output of 0.5; see `Objective`."""
        outputs = self.model([x[:, 0], x[:, 1]], training=True)
        right = (outputs[:, 0] > 0.5) == (targets == 1)
        share = share_of_batch(targets)
        accuracy = tf.reduce_mean(tf.cast(right, outputs.dtype))
        return twin_loss(outputs, targets) * share, {"accuracy": accuracy * share}


@register_loss("contrastive")
class ContrastiveObjective(_PairObjective):
    """Pairs by their distance: covers together, others at least a margin apart.

    Args:
        network, rows, work_ids: As for `Objective`.
        margin: Distance beyond which a pair of two works costs nothing. In the unit of the network's distance.
        **run: As for `Objective`.
    """

    def __init__(self, network, rows, work_ids, *, margin=1.0, **run):
        self._margin = margin
        super().__init__(network, rows, work_ids, **run)

    @classmethod
    def check(cls, network, options):
        """See `Objective`."""
        # A margin of zero would let all embeddings be the same.
        if not options["margin"] > 0:
            raise MulkinetError(f"expected --margin > 0, found {options['margin']}; try 1.0")
        super().check(network, options)

    def loss(self, x, targets, step):
        """Contrastive loss and the mean distances of both kinds of pairs; see `Objective`."""
        first, second = (self.model(x[:, i], training=True) for i in range(2))
        distances = paired_distances(first, second, self.network.distance)
        loss = contrastive_loss(distances, targets, margin=self._margin)
        other = tf.cast(targets, distances.dtype)
        means = {
            "mean_positive_distance": share_of_mean(distances, 1 - other),
            "mean_negative_distance": share_of_mean(distances, other),
        }
        return loss * share_of_batch(targets), means


def _columns(values, different):
    """Both as float32 of shape (batch, 1)."""
    values, different = tf.convert_to_tensor(values), tf.convert_to_tensor(different)
    shapes = [
        value.shape if value.shape.rank == 2 else value.shape.concatenate(1)
        for value in (values, different)
    ]
    if not shapes[0].is_compatible_with(shapes[1]) or not shapes[0].is_compatible_with([None, 1]):
        raise MulkinetError(
            "expected one output and one target per pair, (batch,) or (batch, 1); found shapes "
            f"{values.shape} and {different.shape}; try the output of the twin network"
        )
    return tf.reshape(tf.cast(values, tf.float32), (-1, 1)), tf.reshape(
        tf.cast(different, tf.float32), (-1, 1)
    )
