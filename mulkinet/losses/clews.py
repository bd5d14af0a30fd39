"""CLEWS: contrast of tracks by the best matches among their segments.

D(i, j) are the distances of all segments of track i to all of track j. Two performances of a work cost the mean of
their best pairs, D+: the smallest entry, its row and column struck out, the smallest of the rest, and so on, some
times. Tracks of two works repel by their smallest entry, D-. The loss is

    mean over pairs of one work of D+  +  log(1 + mean over pairs of two works of exp(-gamma D-) / epsilon),

both means over the ordered pairs of the whole batch, not per anchor. Of equal entries the first is taken.

Paper: Serra, Araz, Bogdanov, Mitsufuji, "Supervised contrastive learning from weakly-labeled audio segments for musical
version matching" (ICML 2025, arXiv:2502.16936).
"""

import tensorflow as tf

from mulkinet.errors import MulkinetError
from mulkinet.losses import register_loss
from mulkinet.losses.distances import pairwise_distances
from mulkinet.losses.mining import masks
from mulkinet.losses.objective import CliqueObjective

__all__ = ["ClewsObjective", "best_pairs", "clews_loss"]


def best_pairs(distances, n_pairs):
    """Mean of the smallest entries of matrices, no two of them of one row or column.

    Args:
        distances: (..., n, m) floating point, n and m known.
        n_pairs: Entries to take, >= 1; at most n and m are.

    Returns:
        (...) of the same type; gradients flow through the entries taken.
    """
    n, m = distances.shape[-2:]
    n_pairs = min(n_pairs, n, m)
    free = tf.ones_like(distances, tf.bool)
    total = tf.zeros_like(distances[..., 0, 0])
    for _ in range(n_pairs):
        open_ = tf.where(free, tf.stop_gradient(distances), distances.dtype.max)
        flat = tf.reshape(open_, [-1, n * m])
        chosen = tf.one_hot(tf.argmin(flat, axis=-1), n * m, on_value=True, off_value=False)
        chosen = tf.reshape(chosen, tf.shape(distances))
        total += tf.reduce_sum(tf.where(chosen, distances, 0), axis=[-2, -1])
        struck = tf.reduce_any(chosen, axis=-1, keepdims=True)
        struck |= tf.reduce_any(chosen, axis=-2, keepdims=True)
        free &= ~struck
    return total / n_pairs


def clews_loss(
    embeddings, works, *, gamma=5.0, epsilon=1e-6, n_pairs=5, distance="sqeuclidean", tracks=None
):
    """The loss of a batch.

    Args:
        embeddings: (batch, segments, embedding) floating point.
        works: (batch,) integers.
        gamma: How fast the repulsion of two works falls with their distance, > 0.
        epsilon: Mean repulsion below which there is little to gain, > 0.
        n_pairs: Best pairs of segments that the distance of two performances is the mean of, >= 1.
        distance: The name of a distance of segments; the paper's is the squared Euclidean over the embedding's size.
        tracks: (batch,) integers that tell tracks apart, or None. A track that is in the batch twice is no cover of
            itself.

    Returns:
        tf.Tensor: scalar >= 0, float32 (float64 for float64 embeddings).

    Raises:
        MulkinetError: A number is out of its range.

    Examples:
        Two performances of each of two works, of two segments each; covers are equal, works far apart:

        >>> x = tf.constant([[[0.0], [1.0]], [[1.0], [0.0]], [[8.0], [9.0]], [[9.0], [8.0]]])
        >>> round(float(clews_loss(x, tf.constant([7, 7, 5, 5]), n_pairs=2)), 4)
        0.0
    """
    _check(gamma, epsilon, n_pairs)
    batch, n_segments = tf.shape(embeddings)[0], embeddings.shape[1]
    segments = tf.reshape(embeddings, [-1, embeddings.shape[2]])
    matrices = tf.reshape(
        pairwise_distances(segments, distance), [batch, n_segments, batch, n_segments]
    )
    matrices = tf.transpose(matrices, [0, 2, 1, 3])
    covers, others = (tf.cast(mask, matrices.dtype) for mask in masks(works, tracks))
    attraction = _mean(best_pairs(matrices, n_pairs), covers)
    repulsion = _mean(tf.exp(-gamma * tf.reduce_min(matrices, axis=[2, 3])), others)
    return attraction + tf.math.log1p(repulsion / epsilon)


def _mean(values, weights):
    return tf.math.divide_no_nan(tf.reduce_sum(values * weights), tf.reduce_sum(weights))


def _check(gamma, epsilon, n_pairs):
    if not (gamma > 0 and epsilon > 0 and n_pairs >= 1):
        raise MulkinetError(
            f"expected --gamma and --epsilon > 0 and --n-pairs >= 1, found {gamma}, {epsilon}, {n_pairs}; "
            "try 5, 1e-6 and 5, the paper's"
        )


@register_loss("clews")
class ClewsObjective(CliqueObjective):
    """CLEWS on the parts of each crop as the segments of a track.

    Args:
        network, rows, work_ids: As for `Objective`.
        gamma: How fast the repulsion of two works falls with their distance.
        epsilon: Mean repulsion below which there is little to gain.
        n_pairs: Best pairs of segments in the distance of two performances.
        n_segments: Parts of each crop; frames left over at its end are dropped.
        tracks_per_work: Tracks of each work in a batch.
        **run: As for `Objective`.
    """

    def __init__(
        self,
        network,
        rows,
        work_ids,
        *,
        gamma=5.0,
        epsilon=1e-6,
        n_pairs=5,
        n_segments=4,
        tracks_per_work=4,
        **run,
    ):
        self._options = {"gamma": gamma, "epsilon": epsilon, "n_pairs": n_pairs}
        self._n_segments = n_segments
        super().__init__(network, rows, work_ids, tracks_per_work=tracks_per_work, **run)

    @classmethod
    def check(cls, network, options):
        """See `Objective`."""
        _check(options["gamma"], options["epsilon"], options["n_pairs"])
        if options["n_segments"] < 1:
            raise MulkinetError(
                f"expected --n-segments of at least 1, found {options['n_segments']}; try 4"
            )
        super().check(network, options)

    @classmethod
    def frames_at_once(cls, n_frames, options):
        """See `Objective`."""
        return n_frames // options["n_segments"]

    def loss(self, x, targets, step):
        """The loss of the whole batch; see `Objective`."""
        n = self._n_segments
        embeddings, works, tracks, replicas = self.whole_batch(
            _segments(x, n), tf.repeat(targets, n, axis=0)
        )
        loss = clews_loss(
            tf.reshape(embeddings, [-1, n, embeddings.shape[-1]]),
            works[::n],
            tracks=tracks[::n],
            distance=self.network.distance,
            **self._options,
        )
        return loss / replicas, {}


def _segments(x, n):
    """(batch, n_bins, n_frames) -> (batch * n, n_bins, n_frames // n), a track's parts one after another."""
    n_bins, n_frames = x.shape[1], x.shape[2] // n
    parts = tf.reshape(x[:, :, : n * n_frames], [-1, n_bins, n, n_frames])
    return tf.reshape(tf.transpose(parts, [0, 2, 1, 3]), [-1, n_bins, n_frames])
