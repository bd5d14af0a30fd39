"""What the report draws, on values worked by hand."""

import numpy as np
import pytest

from mulkinet.evaluation.evaluator import run_evaluation
from mulkinet.evaluation.report import curves
from mulkinet.evaluation.thresholds import PairCounts

PAIRS = PairCounts(np.array([1.0, 2, 3]), np.array([2, 1, 1]), np.array([0, 3, 5]), 0.5)


def test_pair_precision_recall():
    recall, precision = curves.pair_precision_recall(PAIRS)
    assert recall.tolist() == [0.5, 0.75, 1]
    assert precision.tolist() == [1, 3 / 6, 4 / 12]


def test_error_curve_runs_from_nothing_to_everything():
    accepts, rejects = curves.error_curve(PAIRS)
    assert accepts.tolist() == [0, 0, 3 / 8, 1]
    assert rejects.tolist() == [1, 0.5, 0.25, 0]


def test_interpolated_precision_equals_a_loop(rng):
    counts = rng.integers(1, 6, 30)
    ranks = np.concatenate([np.sort(rng.choice(40, n, replace=False)) + 1 for n in counts])
    recall, precision = curves.ranking_precision_recall(ranks, counts, n_levels=21)
    queries = np.split(ranks, np.cumsum(counts)[:-1])
    for level, value in zip(recall, precision):
        best = [
            max(
                (n + 1) / rank
                for n, rank in enumerate(query)
                if (n + 1) / len(query) >= level - 1e-9
            )
            for query in queries
        ]
        assert value == pytest.approx(np.mean(best))


def test_principal_plane(rng):
    flat = rng.standard_normal((50, 2)) * [5, 2]
    basis = np.linalg.qr(rng.standard_normal((6, 6)))[0][:2]
    points, shares = curves.principal_plane(flat @ basis + 3)
    assert shares.sum() == pytest.approx(1)
    assert shares[0] > shares[1]
    # Distances are kept, because the points were in a plane.
    expected = np.linalg.norm(flat[:, None] - flat, axis=2)
    found = np.linalg.norm(points[:, None] - points, axis=2)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    points, shares = curves.principal_plane(np.ones((4, 1)))
    assert points.tolist() == [[0, 0]] * 4
    assert shares.tolist() == [0, 0]


@pytest.fixture
def sizes_of_eigh(monkeypatch):
    """A list that grows by the size of every matrix whose eigenvectors are asked for."""
    sizes, eigh = [], np.linalg.eigh
    monkeypatch.setattr(np.linalg, "eigh", lambda x: sizes.append(len(x)) or eigh(x))
    return sizes


@pytest.mark.parametrize("shape", [(30, 100), (100, 30), (12, 12), (2, 5)])
def test_principal_plane_is_that_of_the_covariance(rng, shape, sizes_of_eigh):
    embeddings = rng.standard_normal(shape) * np.linspace(2, 1, shape[1]) + 3
    points, shares = curves.principal_plane(embeddings)
    assert sizes_of_eigh == [min(shape)]
    variances, axes = np.linalg.eigh(np.cov(embeddings.T))
    axes = axes[:, [-1, -2]]
    axes *= np.sign(axes[np.abs(axes).argmax(axis=0), [0, 1]])
    expected = (embeddings - embeddings.mean(axis=0)) @ axes
    np.testing.assert_allclose(points, expected, atol=1e-9)
    np.testing.assert_allclose(shares, variances[[-1, -2]] / variances.sum(), atol=1e-12)


def test_principal_plane_of_many_large_embeddings_is_found_by_a_part(
    rng, monkeypatch, sizes_of_eigh
):
    monkeypatch.setattr(curves, "_TRACKS_OF_AXES", 10)
    flat = rng.standard_normal((50, 2)) * [5, 2]
    basis = np.linalg.qr(rng.standard_normal((20, 20)))[0][:2]
    points, shares = curves.principal_plane(flat @ basis + 3)
    assert sizes_of_eigh == [10]
    assert shares.sum() == pytest.approx(1)
    expected = np.linalg.norm(flat[:, None] - flat, axis=2)
    found = np.linalg.norm(points[:, None] - points, axis=2)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_nearest_is_in_the_order_of_the_ranking():
    matrix = np.array([[0, 2, 1, 1.0], [2, 0, 1, 3], [1, 1, 0, 2], [1, 3, 2, 0]])
    evaluation = run_evaluation(matrix, ["a", "b", "b", "a"], distance="precomputed")
    columns, distances, is_cover = curves.nearest(evaluation, 0)
    # The tie of 2 and 3 counts against the query: its cover, 3, comes after.
    assert columns.tolist() == [2, 3, 1]
    assert distances.tolist() == [1, 1, 2]
    assert is_cover.tolist() == [False, True, False]
