"""Triplet mining: which (anchor, positive, negative) of a batch make the loss.

An anchor's positives are the batch's other performances of its work, its negatives all performances
of other works. Works may come in any order, any number of times each. A track that is in the batch
twice is no positive of itself where `tracks` says which rows are the same track.

    random: per anchor one positive and one negative, each drawn at random.
    hard: per anchor its farthest positive and its nearest negative (MOVE).
    semihard: per anchor and positive the nearest negative with d_neg > d_pos. Where any negative
        has d_pos < d_neg < d_pos + margin (FaceNet's semi-hard), it is one of those; else it is the
        fallback, the hardest beyond the positive. With none beyond it the pair has no triplet.
    batch_all: every anchor with every positive and every negative.
    easy_hard: per anchor its nearest positive and its nearest negative (an option of Discogs-VINet).
    random_hard: per anchor one positive drawn at random, and its nearest negative (Discogs-VINet).
    hard_random, easy_random: per anchor its farthest, or nearest, positive and one negative drawn at
        random (options of Discogs-VINet).
    move_random: random as the MOVE code draws it, where duplicates of a track are its positives.
    move_semihard: semi-hard as the MOVE code draws it: a random positive, duplicates included, and
        a random negative with d_neg < d_pos (harder, so not semi-hard); any negative where there is
        none.

Of equal distances the lowest row of the batch is taken. Memory: semihard and batch_all hold a few
arrays of batch^3 float32.

Papers: Schroff, Kalenichenko, Philbin, "FaceNet" (CVPR 2015), semi-hard; Hermans, Beyer, Leibe, "In
Defense of the Triplet Loss" (arXiv:1703.07737), hard and batch-all; Yesiler, Serra, Gomez,
"Accurate and scalable version identification using musically-motivated embeddings" (ICASSP 2020),
MOVE; Araz, Serra, Bogdanov, "Discogs-VI" (ISMIR 2024, arXiv:2410.17400), Discogs-VINet.
"""

from typing import NamedTuple

import tensorflow as tf

from mulkinet.errors import MulkinetError
from mulkinet.losses import MININGS

__all__ = ["Triplets", "masks", "mine"]

_DRAWN = ("random", "random_hard", "hard_random", "easy_random", "move_random", "move_semihard")


class Triplets(NamedTuple):
    """Mined triplets, as arrays that broadcast against each other.

    Attributes:
        positive_distances: Distance from anchor to positive, float32.
        negative_distances: Distance from anchor to negative, float32.
        mask: Which entries are triplets, bool; the others hold values of no meaning.
    """

    positive_distances: tf.Tensor
    negative_distances: tf.Tensor
    mask: tf.Tensor


def masks(works, tracks=None):
    """Which row is a positive, which a negative of which: both (batch, batch) bool with anchors as rows.

    `works` are (batch,) integers, equal for performances of one work; `tracks` (batch,) integers, equal within a work
    for one and the same track, or None when every row counts as its own.
    """
    # int64, because TensorFlow compares int32 on the host even where a GPU is at hand.
    works = tf.cast(works, tf.int64)
    tracks = tf.range(tf.size(works, tf.int64)) if tracks is None else tf.cast(tracks, tf.int64)
    same_work = works[:, tf.newaxis] == works[tf.newaxis, :]
    other_track = tracks[:, tf.newaxis] != tracks[tf.newaxis, :]
    return same_work & other_track, ~same_work


def mine(distances, works, *, mining, tracks=None, seed=None):
    """Mines the triplets of a batch.

    Args:
        distances: (batch, batch) float distances, anchors as rows. Gradients flow through what is
            chosen.
        works: (batch,) integers.
        mining: One of `mulkinet.losses.MININGS`; the module says what each one does.
        tracks: (batch,) integers that tell duplicates of a track, or None. The two of the MOVE code
            do not look at them.
        seed: An integer, or two, such as the run's seed and the step: what the minings that draw at
            random draw by. The same seed gives the same draw, compiled or not.

    Returns:
        Triplets: (batch,) arrays for one triplet per anchor, (batch, batch) for semihard, all of
            (batch, batch, batch) for batch_all.

    Raises:
        MulkinetError: The mining is unknown, or draws at random and got no seed.
    """
    if mining not in MININGS:
        raise MulkinetError(
            f"expected a mining among {', '.join(MININGS)}, found {mining!r}; try one of these names"
        )
    if mining.startswith("move_"):
        tracks = None
    positives, negatives = masks(works, tracks)
    if mining in _DRAWN:
        scores = _draw(seed, tf.shape(distances), mining)
        first = {"hard_random": distances, "easy_random": -distances}.get(mining, scores[0])
        scores = (first, -distances if mining == "random_hard" else scores[1])
        return _drawn(distances, positives, negatives, scores, closer=mining == "move_semihard")
    return {
        "hard": _hard,
        "easy_hard": _easy_hard,
        "semihard": _semihard,
        "batch_all": _batch_all,
    }[mining](distances, positives, negatives)


def _draw(seed, shape, mining):
    """Two arrays of uniform scores: the candidate with the highest is a draw without preference."""
    if seed is None:
        raise MulkinetError(
            f"expected a seed, because {mining!r} mining draws at random; found none; "
            "try seed=(seed, step)"
        )
    seed = tf.cast(seed, tf.int64)
    if seed.shape.rank == 0:
        seed = tf.stack([seed, tf.zeros_like(seed)])
    # Whole integers by a named algorithm: XLA makes the same integers, but other fractions of them,
    # and the default algorithm depends on the device.
    bits = tf.random.stateless_uniform(
        tf.concat([[2], shape], axis=0), seed, None, None, tf.uint32, alg="philox"
    )
    return tf.cast(bits, tf.float64)


def _pick(distances, candidates, scores):
    """Distance of the candidate with the highest score along the last axis, the first of equals."""
    lowest = tf.fill(tf.shape(scores), tf.constant(float("-inf"), scores.dtype))
    best = tf.argmax(tf.where(candidates, scores, lowest), axis=-1)
    chosen = tf.one_hot(best, tf.shape(distances)[-1], dtype=distances.dtype)
    return tf.reduce_sum(distances * chosen, axis=-1)


def _per_anchor(positive_distances, negative_distances, positives, negatives):
    usable = tf.reduce_any(positives, axis=-1) & tf.reduce_any(negatives, axis=-1)
    return Triplets(positive_distances, negative_distances, usable)


def _hard(distances, positives, negatives):
    farthest = _pick(distances, positives, distances)
    nearest = _pick(distances, negatives, -distances)
    return _per_anchor(farthest, nearest, positives, negatives)


def _easy_hard(distances, positives, negatives):
    nearest = [_pick(distances, candidates, -distances) for candidates in (positives, negatives)]
    return _per_anchor(*nearest, positives, negatives)


def _drawn(distances, positives, negatives, scores, closer):
    positive_distances = _pick(distances, positives, scores[0])
    candidates = negatives
    if closer:
        nearer = negatives & (distances < positive_distances[:, tf.newaxis])
        candidates = tf.where(tf.reduce_any(nearer, axis=-1, keepdims=True), nearer, negatives)
    negative_distances = _pick(distances, candidates, scores[1])
    return _per_anchor(positive_distances, negative_distances, positives, negatives)


def _semihard(distances, positives, negatives):
    positive_distances = distances[:, :, tf.newaxis]
    negative_distances = distances[:, tf.newaxis, :]
    beyond = negatives[:, tf.newaxis, :] & (negative_distances > positive_distances)
    scores = tf.broadcast_to(-negative_distances, tf.shape(beyond))
    nearest = _pick(negative_distances, beyond, scores)
    return Triplets(distances, nearest, positives & tf.reduce_any(beyond, axis=-1))


def _batch_all(distances, positives, negatives):
    return Triplets(
        distances[:, :, tf.newaxis],
        distances[:, tf.newaxis, :],
        positives[:, :, tf.newaxis] & negatives[:, tf.newaxis, :],
    )
