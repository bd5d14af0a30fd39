"""Distances between embeddings: precise for near duplicates, differentiable everywhere.

Names, as the networks' own `distance`: `sqeuclidean` is the squared Euclidean distance divided by
the embedding size (MOVE), `euclidean` the plain one, `cosine` one minus the cosine similarity.
Distances come out as float32, or as float64 for float64 embeddings.

Precision: all pairs at once are |x|^2 + |y|^2 - 2 x.y, one matrix product instead of batch * batch
* embedding differences, and that cancels: in float32 two near duplicates, or the whole of a
collapsing batch, would be at a distance of rounding noise. So the product is made in float64, of
embeddings from which the batch's first one has been taken away (distances do not change, and that
subtraction is exact for float32 values of like size). What is then closer than float32 can tell
apart counts as equal. A 64 x 16000 batch costs 0.13 GFLOP, nothing beside a network.

Gradients: finite everywhere. Where a distance has none (Euclidean at zero distance, cosine at a
zero embedding) it is zero.
"""

import tensorflow as tf

from mulkinet.errors import MulkinetError
from mulkinet.losses import DISTANCES

__all__ = ["paired_distances", "pairwise_distances"]

# A squared distance below this share of the two squared norms is under float32's spacing, and near
# the rounding of the float64 matrix product.
_SAME_POINT = 1e-14


def pairwise_distances(embeddings, distance="sqeuclidean"):
    """Distances between all embeddings of a batch.

    Args:
        embeddings: (batch, embedding) floating point.
        distance: "sqeuclidean" (over the embedding size), "euclidean" or "cosine".

    Returns:
        tf.Tensor: (batch, batch) distances >= 0, float32 (float64 for float64 embeddings), zero on
        the diagonal (but a zero embedding is at cosine distance 1 from everything, itself
        included).

    Raises:
        MulkinetError: The distance is unknown, or the embeddings are not a floating-point matrix.

    Examples:
        >>> pairwise_distances(tf.constant([[0.0, 0.0], [3.0, 4.0]]), "euclidean").numpy().tolist()
        [[0.0, 5.0], [5.0, 0.0]]
    """
    points, dtype = _checked(embeddings, distance)
    if distance == "cosine":
        directions, present = _directions(points)
        result = _cosine(_all_squared(directions), present[:, tf.newaxis], present[tf.newaxis, :])
    else:
        result = _euclidean(_all_squared(points), points, distance)
    return tf.cast(result, dtype)


def paired_distances(first, second, distance="sqeuclidean"):
    """Distances between the embeddings of pairs, row by row.

    Args:
        first: (batch, embedding) floating point.
        second: (batch, embedding) floating point.
        distance: As for `pairwise_distances`.

    Returns:
        tf.Tensor: (batch,) distances >= 0.

    Raises:
        MulkinetError: The distance is unknown, or the embeddings are not two floating-point
            matrices of one shape.

    Examples:
        >>> paired_distances(tf.constant([[0.0, 0.0]]), tf.constant([[3.0, 4.0]])).numpy().tolist()
        [12.5]
    """
    first, dtype = _checked(first, distance)
    second, _ = _checked(second, distance)
    if not first.shape.is_compatible_with(second.shape):
        raise MulkinetError(
            "expected as many embeddings on both sides of the pairs, and of one size; found "
            f"{first.shape} and {second.shape}; try giving the two members of every pair in the "
            "same row"
        )
    if distance == "cosine":
        first, first_present = _directions(first)
        second, second_present = _directions(second)
        squared = tf.reduce_sum(tf.square(first - second), axis=-1)
        return tf.cast(_cosine(squared, first_present, second_present), dtype)
    squared = tf.reduce_sum(tf.square(first - second), axis=-1)
    return tf.cast(_euclidean(squared, first, distance), dtype)


def _checked(embeddings, distance):
    """The embeddings as float64, and the type that distances are wanted in."""
    if distance not in DISTANCES:
        raise MulkinetError(
            f"expected a distance among {', '.join(DISTANCES)}, found {distance!r}; "
            "try one of these names"
        )
    embeddings = tf.convert_to_tensor(embeddings)
    if embeddings.shape.rank != 2 or not embeddings.dtype.is_floating:
        raise MulkinetError(
            "expected floating-point embeddings of shape (batch, embedding), found "
            f"{embeddings.dtype.name} of shape {embeddings.shape}; try the output of a network"
        )
    dtype = tf.float64 if embeddings.dtype == tf.float64 else tf.float32
    return tf.cast(embeddings, tf.float64), dtype


def _all_squared(points):
    """Squared distances (batch, batch) between float64 points (batch, embedding)."""
    points -= tf.stop_gradient(points[:1])
    norms = tf.reduce_sum(tf.square(points), axis=-1)
    norms = norms[:, tf.newaxis] + norms[tf.newaxis, :]
    squared = norms - 2 * tf.linalg.matmul(points, points, transpose_b=True)
    # Written so that NaN compares false and stays NaN: a loss must show it.
    return tf.where(squared <= _SAME_POINT * norms, tf.zeros_like(squared), squared)


def _euclidean(squared, points, distance):
    """What `distance` makes of squared distances."""
    if distance == "sqeuclidean":
        return squared / tf.cast(tf.shape(points)[-1], squared.dtype)
    return _root(squared)


def _root(squared):
    """The square root, with gradient zero at zero."""
    zero = squared <= 0
    # The inner choice keeps an infinite derivative, times zero, out of the gradient.
    root = tf.sqrt(tf.where(zero, tf.ones_like(squared), squared))
    return tf.where(zero, tf.zeros_like(squared), root)


def _directions(points):
    """Points scaled to length 1, zero where a point is zero, and (batch,) 1.0 where it is not."""
    length = _root(tf.reduce_sum(tf.square(points), axis=-1))
    present = tf.cast(length != 0, points.dtype)
    return points * (present / (length + (1 - present)))[:, tf.newaxis], present


def _cosine(squared, first_present, second_present):
    """1 - cosine similarity, which for unit vectors is half of the squared distance."""
    return squared / 2 + (1 - (first_present + second_present) / 2)
