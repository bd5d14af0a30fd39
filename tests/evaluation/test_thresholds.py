"""Thresholds over all pairs: hand-worked cases, and values that have to be refined."""

import numpy as np
import pytest

from mulkinet.evaluation import evaluate
from tests.evaluation import naive


def test_hand_worked_errors():
    # Pairs of covers: 1, 1, 4, 4 (two works); of non-covers: 2, 3, 5, 6 both ways.
    matrix = np.array([[0, 1, 2, 3], [1, 0, 5, 6], [2, 5, 0, 4], [3, 6, 4, 0.0]])
    scores = evaluate(matrix, ["a", "a", "b", "b"], distance="precomputed", tau=2.5)
    # Up to 2: false accepts 2 of 8, false rejects 2 of 4; up to 3: 4 of 8 and 2 of 4, equal.
    assert scores["EER"] == pytest.approx(0.5)
    assert scores["EER_threshold"] == 3
    # Up to 1: 10 of 12 right.
    assert scores["accuracy"] == pytest.approx(10 / 12)
    assert scores["accuracy_threshold"] == 1
    # Up to 2.5: covers 2 of 4 accepted, non-covers 2 of 8.
    assert scores["accuracy@tau"] == pytest.approx(8 / 12)
    assert scores["precision@tau"] == 0.5
    assert scores["recall@tau"] == 0.5
    assert (scores["pairs"], scores["cover_pairs"]) == (12, 4)


@pytest.mark.parametrize("distance", ["cosine", "euclidean", "sqeuclidean", "weighted_l1"])
def test_best_threshold_serves_as_tau(rng, distance):
    works = rng.integers(0, 12, 60)
    embeddings = rng.standard_normal((60, 6)) + rng.standard_normal((12, 6))[works]
    weights = (np.full(6, 0.05), 0.1) if distance == "weighted_l1" else None
    options = {"distance": distance, "weights": weights}
    scores = evaluate(embeddings, works, **options)
    at_best = evaluate(embeddings, works, tau=scores["accuracy_threshold"], **options)
    assert at_best["accuracy@tau"] == scores["accuracy"]


def test_nothing_accepted():
    # The nearest pair of each is no cover: rejecting all is best, and tau says so too.
    matrix = np.array([[0, 9, 0, 0], [9, 0, 0, 0], [0, 0, 0, 9], [0, 0, 9, 0.0]])
    scores = evaluate(matrix, ["a", "a", "b", "b"], distance="precomputed")
    assert scores["accuracy"] == pytest.approx(8 / 12)
    assert scores["accuracy_threshold"] < 0
    again = evaluate(
        matrix, ["a", "a", "b", "b"], distance="precomputed", tau=scores["accuracy_threshold"]
    )
    assert again["accuracy@tau"] == scores["accuracy"]
    assert (again["precision@tau"], again["recall@tau"]) == (0, 0)


def test_values_one_float32_apart_are_told_apart():
    # All distances fall into one bin of the first pass.
    values = 1 + np.arange(6) * np.finfo(np.float32).eps
    matrix = np.zeros((4, 4))
    matrix[np.triu_indices(4, 1)] = values[[0, 2, 3, 1, 5, 4]]
    matrix += matrix.T
    works = ["a", "a", "b", "b"]
    scores = evaluate(matrix, works, distance="precomputed")
    expected = naive.thresholds(matrix.tolist(), works)
    assert {name: scores[name] for name in expected} == pytest.approx(expected)
    assert scores["accuracy_threshold"] == values[0]


def test_many_bins_hold_good_thresholds(rng):
    # Errors stay nearly equal over a wide range of distances, so that many bins are refined.
    works = np.repeat(np.arange(16), 2)
    matrix = np.exp(rng.uniform(-60, 60, (32, 32)))
    scores = evaluate(matrix, works, distance="precomputed")
    expected = naive.thresholds(matrix.astype(np.float32).tolist(), works.tolist())
    assert {name: scores[name] for name in expected} == pytest.approx(expected)


def test_without_thresholds():
    scores = evaluate([[0.0], [1.0]], ["a", "a"], thresholds=False)
    assert "EER" not in scores
    assert scores["MAP"] == 1


def test_one_work_has_no_false_accepts():
    scores = evaluate([[0.0], [1.0], [3.0]], ["a", "a", "a"], distance="euclidean")
    assert (scores["EER"], scores["accuracy"]) == (0, 1)
    assert scores["accuracy_threshold"] == 3
