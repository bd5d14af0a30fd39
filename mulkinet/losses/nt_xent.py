"""In-batch contrastive loss: every other track of the batch is a negative, but for an anchor's covers.

The similarity s of two embeddings is their cosine over the temperature. An anchor i with covers P(i) in the batch costs

    -1 / |P(i)| * sum over p in P(i) of (s_ip - log(sum over a of exp(s_ia))),

where a runs over all tracks of the batch but i itself; `decoupled` leaves P(i) out of that sum too, so that an easy
positive does not make the gradients of the negatives small. The loss is the mean over the anchors that have covers.
With two performances of each work it is the normalised temperature-scaled cross-entropy, with more the supervised one.

Papers: Chen et al., "A simple framework for contrastive learning of visual representations" (ICML 2020), NT-Xent;
Khosla et al., "Supervised contrastive learning" (NeurIPS 2020), its L_out; Yeh et al., "Decoupled contrastive learning"
(ECCV 2022).

Statistics, scalars for logging: `accuracy`, the share of anchors with a cover whose nearest track is one;
`mean_positive_similarity`, `mean_negative_similarity`, cosines over all pairs.
"""

import tensorflow as tf

from mulkinet.errors import MulkinetError
from mulkinet.losses import register_loss
from mulkinet.losses.mining import masks
from mulkinet.losses.objective import CliqueObjective

__all__ = ["NTXentLoss", "NTXentObjective", "nt_xent_loss", "nt_xent_loss_and_statistics"]


def nt_xent_loss(embeddings, works, *, temperature=0.1, decoupled=False, tracks=None):
    """The loss of a batch.

    Args:
        embeddings: (batch, embedding) floating point, of any length: their cosines count.
        works: (batch,) integers.
        temperature: > 0; a smaller one looks at the nearest negatives alone.
        decoupled: Leave the covers out of the sum.
        tracks: (batch,) integers that tell tracks apart, or None. A track that is in the batch twice is neither a
            cover of itself nor a negative.

    Returns:
        tf.Tensor: scalar float32 (float64 for float64 embeddings); 0 where no track has a cover, or, decoupled, no
        negative.

    Raises:
        MulkinetError: The temperature is not positive.

    Examples:
        Two works in opposite directions, a cosine of 1 within and -1 between: ln(e + 2 / e) - 1:

        >>> x = tf.constant([[1.0], [2.0], [-1.0], [-3.0]])
        >>> round(float(nt_xent_loss(x, tf.constant([7, 7, 5, 5]), temperature=1.0)), 4)
        0.2395
    """
    return nt_xent_loss_and_statistics(
        embeddings, works, temperature=temperature, decoupled=decoupled, tracks=tracks
    )[0]


def nt_xent_loss_and_statistics(
    embeddings, works, *, temperature=0.1, decoupled=False, tracks=None
):
    """`nt_xent_loss`, and a dict of float32 scalars to be logged at every step; the module says what they mean.

    Args and errors are those of `nt_xent_loss`.
    """
    _check_temperature(temperature)
    positives, negatives = masks(works, tracks)
    directions = tf.math.l2_normalize(tf.convert_to_tensor(embeddings), axis=-1)
    cosines = tf.linalg.matmul(directions, directions, transpose_b=True)
    similarities = cosines / temperature
    summed = negatives if decoupled else negatives | positives
    is_anchor = tf.reduce_any(positives, axis=-1) & tf.reduce_any(summed, axis=-1)
    # Not -inf, whose gradient is NaN where a row has nothing to sum; a float32 cosine is far above it.
    least = tf.constant(-1e9, similarities.dtype)
    sums = tf.reduce_logsumexp(tf.where(summed, similarities, least), axis=-1)
    covers = tf.cast(positives, similarities.dtype)
    of_anchors = sums - _row_means(similarities, covers)
    anchors = tf.cast(is_anchor, similarities.dtype)
    loss = tf.math.divide_no_nan(
        tf.reduce_sum(tf.where(is_anchor, of_anchors, tf.zeros_like(of_anchors))),
        tf.reduce_sum(anchors),
    )
    return loss, _statistics(tf.stop_gradient(cosines), positives, negatives)


@tf.keras.utils.register_keras_serializable(package="mulkinet")
class NTXentLoss(tf.keras.losses.Loss):
    """`nt_xent_loss` for `Model.compile`.

    Targets are (batch,) or (batch, 1) works, integers.

    Args:
        temperature: As for `nt_xent_loss`, like `decoupled`.
        decoupled: bool.
        reduction: Keras's; the loss of a batch is one scalar already.
        name: The loss's name in logs.
    """

    def __init__(
        self,
        temperature=0.1,
        decoupled=False,
        reduction=tf.keras.losses.Reduction.AUTO,
        name="nt_xent_loss",
    ):
        super().__init__(reduction=reduction, name=name)
        self.temperature = temperature
        self.decoupled = decoupled

    def call(self, y_true, y_pred):
        """The loss of a batch, scalar."""
        works = tf.reshape(tf.cast(y_true, tf.int64), (-1,))
        return nt_xent_loss(y_pred, works, temperature=self.temperature, decoupled=self.decoupled)

    def get_config(self):
        """The arguments that make this loss again."""
        return {
            **super().get_config(),
            "temperature": self.temperature,
            "decoupled": self.decoupled,
        }


@register_loss("nt-xent")
class NTXentObjective(CliqueObjective):
    """Some performances each of several works, every other work a negative.

    Args:
        network, rows, work_ids: As for `Objective`.
        temperature: What cosines are divided by. A smaller one looks at the nearest negatives alone.
        decoupled: Leave covers out of the sum over the batch.
        tracks_per_work: Tracks of each work in a batch.
        **run: As for `Objective`.
    """

    def __init__(
        self,
        network,
        rows,
        work_ids,
        *,
        temperature=0.07,
        decoupled=False,
        tracks_per_work=2,
        **run,
    ):
        self._temperature = temperature
        self._decoupled = decoupled
        super().__init__(network, rows, work_ids, tracks_per_work=tracks_per_work, **run)

    @classmethod
    def check(cls, network, options):
        """See `Objective`."""
        _check_temperature(options["temperature"])
        super().check(network, options)

    def loss(self, x, targets, step):
        """The loss of the whole batch and its statistics; see `Objective`."""
        embeddings, works, tracks, replicas = self.whole_batch(x, targets)
        loss, statistics = nt_xent_loss_and_statistics(
            embeddings,
            works,
            tracks=tracks,
            temperature=self._temperature,
            decoupled=self._decoupled,
        )
        return loss / replicas, {name: value / replicas for name, value in statistics.items()}


def _check_temperature(temperature):
    if not temperature > 0:
        raise MulkinetError(f"expected --temperature > 0, found {temperature}; try 0.07")


def _row_means(values, weights):
    return tf.math.divide_no_nan(
        tf.reduce_sum(values * weights, axis=-1), tf.reduce_sum(weights, axis=-1)
    )


def _statistics(cosines, positives, negatives):
    least = tf.constant(-2, cosines.dtype)
    best_cover, best_other = (
        tf.reduce_max(tf.where(mask, cosines, least), axis=-1) for mask in (positives, negatives)
    )
    has_cover = tf.reduce_any(positives, axis=-1)
    values = {
        "accuracy": (best_cover > best_other, has_cover),
        "mean_positive_similarity": (cosines, positives),
        "mean_negative_similarity": (cosines, negatives),
    }
    return {name: _mean(*value) for name, value in values.items()}


def _mean(values, mask):
    mask = tf.cast(mask, tf.float32)
    total = tf.reduce_sum(tf.cast(values, tf.float32) * mask)
    return tf.math.divide_no_nan(total, tf.reduce_sum(mask))
