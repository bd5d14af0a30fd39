"""CLEWS against naive loops, and by hand."""

import math

import numpy as np
import pytest
import tensorflow as tf

from mulkinet.errors import MulkinetError
from mulkinet.losses.clews import _segments, best_pairs, clews_loss


def naive_best_pairs(matrix, n_pairs):
    left, taken = matrix.copy(), []
    for _ in range(min(n_pairs, *matrix.shape)):
        i, j = np.unravel_index(left.argmin(), left.shape)
        taken.append(matrix[i, j])
        left[i, :] = left[:, j] = np.inf
    return np.mean(taken)


def naive_loss(embeddings, works, tracks, gamma, epsilon, n_pairs):
    attraction, repulsion = [], []
    for i in range(len(works)):
        for j in range(len(works)):
            matrix = np.array(
                [[np.mean((a - b) ** 2) for b in embeddings[j]] for a in embeddings[i]]
            )
            if works[i] != works[j]:
                repulsion.append(math.exp(-gamma * matrix.min()))
            elif tracks[i] != tracks[j]:
                attraction.append(naive_best_pairs(matrix, n_pairs))
    return np.mean(attraction) + math.log(1 + np.mean(repulsion) / epsilon)


@pytest.mark.parametrize("n_pairs", [1, 2, 5])
def test_equal_to_a_naive_loop(rng, n_pairs):
    embeddings = rng.standard_normal((7, 4, 6))
    works, tracks = np.array([3, 1, 3, 2, 1, 3, 2]), np.array([0, 1, 2, 3, 4, 0, 6])
    options = {"gamma": 2.0, "epsilon": 1e-3, "n_pairs": n_pairs}
    loss = clews_loss(embeddings, works, tracks=tracks, **options)
    assert float(loss) == pytest.approx(naive_loss(embeddings, works, tracks, **options), rel=1e-9)


def test_the_papers_other_form(rng):
    """log(1 + m / eps) is log(m + eps) + 13.8155 for eps = 1e-6."""
    embeddings = rng.standard_normal((4, 2, 3))
    works = np.array([0, 0, 1, 1])
    loss = float(clews_loss(embeddings, works))
    apart = [
        math.exp(-5 * min(np.mean((a - b) ** 2) for a in embeddings[i] for b in embeddings[j]))
        for i in range(4)
        for j in range(4)
        if works[i] != works[j]
    ]
    attraction = loss - math.log1p(np.mean(apart) / 1e-6)
    assert loss == pytest.approx(attraction + math.log(np.mean(apart) + 1e-6) + 13.8155, abs=1e-4)


def test_best_pairs_by_hand():
    """1, then of what is left without its row and column 4: not 2 or 3, which are nearer."""
    matrix = tf.constant([[1.0, 2.0], [3.0, 4.0]])
    with tf.GradientTape() as tape:
        tape.watch(matrix)
        value = best_pairs(matrix, 5)
    assert float(value) == 2.5
    np.testing.assert_array_equal(tape.gradient(value, matrix), [[0.5, 0], [0, 0.5]])
    assert float(best_pairs(matrix, 1)) == 1
    assert float(best_pairs(tf.ones((2, 3)), 2)) == 1


def test_gradients_are_finite_and_point_together(rng):
    embeddings = tf.constant(rng.standard_normal((4, 3, 5)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(embeddings)
        loss = clews_loss(embeddings, [0, 0, 1, 1])
    step = embeddings - 1e-2 * tape.gradient(loss, embeddings)
    assert float(clews_loss(step, [0, 0, 1, 1])) < float(loss)


def test_one_work_alone_has_no_repulsion():
    x = np.array([[[0.0], [2.0]], [[1.0], [5.0]]])
    assert float(clews_loss(x, [1, 1], n_pairs=1)) == 1.0
    assert float(clews_loss(x[:1], [1])) == 0.0


def test_numbers_out_of_range():
    for wrong in ({"gamma": 0}, {"epsilon": 0.0}, {"n_pairs": 0}):
        with pytest.raises(MulkinetError, match="expected --gamma and --epsilon > 0"):
            clews_loss(np.zeros((2, 2, 2)), [0, 1], **wrong)


def test_segments_are_parts_of_a_crop():
    """Two tracks of two bins and seven frames in three parts: two frames each, the last frame left out."""
    x = np.arange(28.0).reshape(2, 2, 7)
    parts = _segments(tf.constant(x), 3)
    expected = [x[track, :, 2 * part : 2 * part + 2] for track in range(2) for part in range(3)]
    np.testing.assert_array_equal(parts, expected)
