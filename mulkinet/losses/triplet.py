"""The triplet loss over mined triplets: the mean of max(0, d_pos - d_neg + margin).

The mean is over the mined triplets: for random and hard mining that is the anchors that have a
positive and a negative, for semihard and batch_all the (anchor, positive) pairs and the triplets. A
batch without a triplet has loss zero and gradient zero. A triplet with an embedding that
is not finite makes the loss NaN, never zero.

Statistics, each a float32 scalar, of which the last three do not depend on the mining and so
compare between runs:
    active_triplets: how many mined triplets have a loss above zero.
    mean_positive_distance, mean_negative_distance: over the batch's positive and negative pairs;
        zero without any. When the two become one, the network has collapsed.
    violating_anchors: share of anchors with a positive and a negative whose farthest positive is
        not nearer than the nearest negative by the margin.
"""

import tensorflow as tf

from mulkinet.errors import MulkinetError
from mulkinet.losses import MININGS, register_loss
from mulkinet.losses.distances import pairwise_distances
from mulkinet.losses.mining import masks, mine
from mulkinet.losses.objective import CliqueObjective
from mulkinet.losses.plans import CLIQUE_RULES

__all__ = ["TripletLoss", "TripletObjective", "triplet_loss", "triplet_loss_and_statistics"]


def triplet_loss(
    embeddings,
    works,
    *,
    margin=1.0,
    mining="hard",
    distance="sqeuclidean",
    tracks=None,
    seed=None,
):
    """Triplet loss of a batch, its triplets mined on the device.

    The defaults are MOVE's: margin 1, hard mining, squared Euclidean distance over the embedding
    size.

    Args:
        embeddings: (batch, embedding) floating point.
        works: (batch,) integers in any order, equal for performances of one work.
        margin: How much nearer than a negative a positive has to be, >= 0, in the distance's own
            unit.
        mining: One of `mulkinet.losses.MININGS`; see `mulkinet.losses.mining`.
        distance: "sqeuclidean" (over the embedding size), "euclidean" or "cosine".
        tracks: (batch,) integers, equal within a work for one and the same track: a duplicate is
            then no positive of itself. None lets duplicates count as each other's positives.
        seed: An integer, or two, such as (seed, step): needed where the mining draws at random.

    Returns:
        tf.Tensor: scalar >= 0, float32 (float64 for float64 embeddings).

    Raises:
        MulkinetError: A name is unknown, the margin is negative, shapes or types do not fit, or a
            seed is missing.

    Examples:
        Two works on a line. Anchor 0 has d_pos = 1, d_neg = 4, anchor 1 has 1 and 1, anchor 2 has 1
        and 1, anchor 3 has 1 and 4, so the hinges are 0, 1, 1, 0:

        >>> line = tf.constant([[0.0], [1.0], [2.0], [3.0]])
        >>> float(triplet_loss(line, tf.constant([7, 7, 5, 5]), margin=1.0, mining="hard"))
        0.5
    """
    return triplet_loss_and_statistics(
        embeddings,
        works,
        margin=margin,
        mining=mining,
        distance=distance,
        tracks=tracks,
        seed=seed,
    )[0]


def triplet_loss_and_statistics(
    embeddings,
    works,
    *,
    margin=1.0,
    mining="hard",
    distance="sqeuclidean",
    tracks=None,
    seed=None,
):
    """`triplet_loss`, and a dict of float32 scalars to be logged at every step; the module says what they mean.

    They are active_triplets, mean_positive_distance, mean_negative_distance and violating_anchors. Arguments and errors
    are those of `triplet_loss`.
    """
    embeddings, works, tracks = _checked(embeddings, works, tracks, margin)
    distances = pairwise_distances(embeddings, distance)
    triplets = mine(distances, works, mining=mining, tracks=tracks, seed=seed)
    statistics = _statistics(tf.stop_gradient(distances), *masks(works, tracks), margin)
    active = triplets.mask & (_hinge(triplets, margin) > 0)
    statistics["active_triplets"] = tf.reduce_sum(tf.cast(active, tf.float32))
    return _mean_hinge(triplets, margin), statistics


@tf.keras.utils.register_keras_serializable(package="mulkinet")
class TripletLoss(tf.keras.losses.Loss):
    """`triplet_loss` for `Model.compile`: `compile(optimizer, TripletLoss(margin=0.3))`.

    Targets are (batch,) or (batch, 1) works, or (batch, 2) works and tracks, integers. Minings that
    draw at random take their seed from TensorFlow's global generator, so that
    `tf.keras.utils.set_random_seed` fixes them.

    Args:
        margin: As for `triplet_loss`, like `mining` and `distance`.
        mining: The name of a mining.
        distance: The name of a distance.
        reduction: Keras's; the loss of a batch is one scalar already.
        name: The loss's name in logs.

    Examples:
        The works on a line of `triplet_loss`:

        >>> loss = TripletLoss(margin=1.0, mining="hard")
        >>> float(loss(tf.constant([7, 7, 5, 5]), tf.constant([[0.0], [1.0], [2.0], [3.0]])))
        0.5
    """

    def __init__(
        self,
        margin=1.0,
        mining="hard",
        distance="sqeuclidean",
        reduction=tf.keras.losses.Reduction.AUTO,
        name="triplet_loss",
    ):
        super().__init__(reduction=reduction, name=name)
        self.margin = margin
        self.mining = mining
        self.distance = distance

    def call(self, y_true, y_pred):
        """The loss of a batch, scalar."""
        y_true = tf.cast(y_true, tf.int64)
        columns = y_true[:, tf.newaxis] if y_true.shape.rank == 1 else y_true
        return triplet_loss(
            y_pred,
            columns[:, 0],
            margin=self.margin,
            mining=self.mining,
            distance=self.distance,
            tracks=columns[:, 1] if columns.shape[1] == 2 else None,
            seed=tf.random.uniform((2,), maxval=tf.int64.max, dtype=tf.int64),
        )

    def get_config(self):
        """The arguments that make this loss again."""
        return {
            **super().get_config(),
            "margin": self.margin,
            "mining": self.mining,
            "distance": self.distance,
        }


@register_loss("triplet")
class TripletObjective(CliqueObjective):
    """Triplets, mined on the device over the whole batch (MOVE; the residual network).

    Args:
        network, rows, work_ids: As for `Objective`.
        margin: How much nearer than another work's track a cover has to be. In the unit of the network's distance.
        mining: How triplets are chosen: random, semihard, hard, batch_all, easy_hard, random_hard, hard_random,
            easy_random, move_random or move_semihard.
        tracks_per_work: Tracks of each work in a batch.
        clique_rule: What an epoch has: move (works of many tracks come up to four times), works (every work once) or
            tracks (every track once beside others of its work).
        **run: As for `Objective`.
    """

    def __init__(
        self,
        network,
        rows,
        work_ids,
        *,
        margin=1.0,
        mining="hard",
        tracks_per_work=4,
        clique_rule="move",
        **run,
    ):
        self._margin = margin
        self._mining = mining
        of_cliques = {"tracks_per_work": tracks_per_work, "clique_rule": clique_rule}
        super().__init__(network, rows, work_ids, **of_cliques, **run)

    @classmethod
    def check(cls, network, options):
        """See `Objective`."""
        if options["mining"] not in MININGS:
            raise MulkinetError(
                f"expected --mining among {', '.join(MININGS)}, found {options['mining']!r}; "
                "try one of these names"
            )
        if options["clique_rule"] not in CLIQUE_RULES:
            raise MulkinetError(
                f"expected --clique-rule among {', '.join(CLIQUE_RULES)}, found {options['clique_rule']!r}; "
                "try one of these names"
            )
        if not options["margin"] >= 0:
            raise MulkinetError(
                f"expected --margin >= 0, found {options['margin']}; try 1.0, MOVE's"
            )
        super().check(network, options)

    def loss(self, x, targets, step):
        """Triplet loss and the statistics of the mining; see `Objective`."""
        embeddings, works, tracks, replicas = self.whole_batch(x, targets)
        loss, statistics = triplet_loss_and_statistics(
            embeddings,
            works,
            tracks=tracks,
            margin=self._margin,
            mining=self._mining,
            distance=self.network.distance,
            seed=tf.stack([tf.constant(self.seed, tf.int64), tf.cast(step, tf.int64)]),
        )
        return loss / replicas, {name: value / replicas for name, value in statistics.items()}


def _hinge(triplets, margin):
    hinge = triplets.positive_distances - triplets.negative_distances + margin
    # Not tf.nn.relu, which may turn NaN into zero.
    return tf.where(hinge <= 0, tf.zeros_like(hinge), hinge)


def _mean_hinge(triplets, margin):
    hinge = _hinge(triplets, margin)
    hinge = tf.where(triplets.mask, hinge, tf.zeros_like(hinge))
    return tf.cast(_mean(hinge, triplets.mask), hinge.dtype)


def _statistics(distances, positives, negatives, margin):
    zeros = tf.zeros_like(distances)
    infinity = tf.fill(tf.shape(distances), tf.constant(float("inf"), distances.dtype))
    farthest = tf.reduce_max(tf.where(positives, distances, -infinity), axis=-1)
    nearest = tf.reduce_min(tf.where(negatives, distances, infinity), axis=-1)
    usable = tf.reduce_any(positives, axis=-1) & tf.reduce_any(negatives, axis=-1)
    violating = usable & (farthest + margin > nearest)
    means = {
        "mean_positive_distance": _mean(tf.where(positives, distances, zeros), positives),
        "mean_negative_distance": _mean(tf.where(negatives, distances, zeros), negatives),
        "violating_anchors": _mean(violating, usable),
    }
    return {name: tf.cast(mean, tf.float32) for name, mean in means.items()}


def _mean(values, mask):
    """Mean of values that are zero outside the mask; zero for an empty mask."""
    # In float64, because batch_all sums many terms.
    count = tf.reduce_sum(tf.cast(mask, tf.float64))
    return tf.math.divide_no_nan(tf.reduce_sum(tf.cast(values, tf.float64)), count)


def _checked(embeddings, works, tracks, margin):
    """The arguments as tensors whose shapes and types fit."""
    if margin < 0:
        raise MulkinetError(f"expected a margin >= 0, found {margin}; try 1.0, MOVE's")
    embeddings = tf.convert_to_tensor(embeddings)
    rows = tf.TensorShape(embeddings.shape[:1])
    labels = {"works": works} if tracks is None else {"works": works, "tracks": tracks}
    labels = {name: tf.convert_to_tensor(value) for name, value in labels.items()}
    for name, value in labels.items():
        if not value.dtype.is_integer or not value.shape.is_compatible_with(rows):
            raise MulkinetError(
                f"expected integer {name} of shape {rows}, one per embedding; found "
                f"{value.dtype.name} of shape {value.shape}; try numbering the {name} with "
                "numpy.unique(..., return_inverse=True)"
            )
    return embeddings, labels["works"], labels.get("tracks")
