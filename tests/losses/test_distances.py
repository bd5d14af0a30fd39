"""Distances: hand-derived values, a naive oracle, precision and finite gradients."""

import numpy as np
import pytest
import tensorflow as tf

from mulkinet.errors import MulkinetError
from mulkinet.losses import DISTANCES, paired_distances, pairwise_distances
from tests.losses import oracle


@pytest.mark.parametrize(
    ("distance", "expected"), [("sqeuclidean", 12.5), ("euclidean", 5.0), ("cosine", 0.04)]
)
def test_by_hand(distance, expected):
    x = tf.constant([[3.0, 4.0], [6.0, 8.0], [0.0, 0.0], [4.0, 3.0]])
    found = pairwise_distances(x, distance).numpy()
    # 3-4-5: from the origin 5, squared 25, over two dimensions 12.5; cos((3,4), (4,3)) = 24 / 25.
    row = 3 if distance == "cosine" else 2
    assert found[0, row] == pytest.approx(expected, abs=1e-6)
    assert found.dtype == np.float32
    if distance == "cosine":
        assert found[0, 1] == 0
        np.testing.assert_array_equal(found[2], 1)
    else:
        np.testing.assert_array_equal(np.diag(found), 0)


@pytest.mark.parametrize("distance", DISTANCES)
def test_equal_to_a_loop(distance, rng):
    x = rng.normal(size=(9, 5)).astype(np.float32)
    x[4] = x[2]
    expected = oracle.distance_matrix(x, distance)
    np.testing.assert_allclose(pairwise_distances(x, distance), expected, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(
        paired_distances(x[:5], x[4:], distance),
        [expected[i, i + 4] for i in range(5)],
        rtol=1e-6,
        atol=1e-7,
    )


@pytest.mark.parametrize("distance", DISTANCES)
def test_near_duplicates_are_not_rounding_noise(distance, rng):
    """A batch on one spot, far from the origin, as of a network that collapses."""
    x = (100 + rng.normal(size=64) + 1e-4 * rng.normal(size=(8, 64))).astype(np.float32)
    expected = oracle.distance_matrix(x, distance)
    np.testing.assert_allclose(pairwise_distances(x, distance), expected, rtol=1e-5)
    plain = tf.reduce_sum(x * x, 1)[:, None] + tf.reduce_sum(x * x, 1) - 2 * x @ x.T
    assert np.abs(plain / 64 - oracle.distance_matrix(x, "sqeuclidean")).max() > 1e-5


@pytest.mark.parametrize("distance", DISTANCES)
def test_equal_rows_are_at_zero_at_any_size(distance, rng):
    x = rng.normal(size=(4, 16000)).astype(np.float32) * 1e3
    x = np.concatenate([x, x])
    found = pairwise_distances(x, distance).numpy()
    np.testing.assert_array_equal(found[np.arange(8), np.roll(np.arange(8), 4)], 0)


@pytest.mark.parametrize("distance", DISTANCES)
def test_gradients_are_finite_and_right(distance, rng):
    x = rng.normal(size=(6, 4)).astype(np.float32)
    x[3] = x[1]
    x[5] = 0
    weights = rng.normal(size=(6, 6))
    variable = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(variable)
        total = tf.reduce_sum(weights * tf.cast(pairwise_distances(variable, distance), tf.float64))
    expected = np.zeros((6, 4))
    for i in range(6):
        for j in range(6):
            _, first, second = oracle.distance(x[i], x[j], distance)
            expected[i] += weights[i, j] * first
            expected[j] += weights[i, j] * second
    np.testing.assert_allclose(tape.gradient(total, variable), expected, atol=1e-6)


@pytest.mark.parametrize("distance", DISTANCES)
def test_pairs_have_finite_gradients_at_zero(distance):
    x = tf.constant([[1.0, 2.0], [0.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(paired_distances(x, x + 0, distance))
    np.testing.assert_array_equal(tape.gradient(total, x), 0)


def test_half_precision_embeddings_give_float32():
    x = tf.constant([[0.0, 0.0], [3.0, 4.0]], tf.float16)
    assert pairwise_distances(x, "euclidean").dtype == tf.float32
    assert pairwise_distances(tf.cast(x, tf.float64), "euclidean").dtype == tf.float64


def test_nan_stays_nan():
    x = tf.constant([[0.0], [float("nan")], [float("inf")], [1.0]])
    for distance in DISTANCES:
        found = pairwise_distances(x, distance).numpy()
        assert np.isnan(found[3, 1])
        assert not np.isfinite(found[3, 2])


def test_errors_name_what_was_found():
    with pytest.raises(MulkinetError, match="expected a distance among .*'manhattan'"):
        pairwise_distances(tf.zeros((2, 2)), "manhattan")
    with pytest.raises(MulkinetError, match=r"float32 of shape \(2, 2, 2\)"):
        pairwise_distances(tf.zeros((2, 2, 2)))
    with pytest.raises(MulkinetError, match="int32"):
        pairwise_distances(tf.zeros((2, 2), tf.int32))
    with pytest.raises(MulkinetError, match=r"\(2, 2\) and \(3, 2\)"):
        paired_distances(tf.zeros((2, 2)), tf.zeros((3, 2)))
