"""Thresholds over all pairs: hand-worked cases, and values that have to be refined."""

import numpy as np
import pytest

from mulkinet.evaluation import evaluate, thresholds
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
    # So large that the sigmoid of all of them is 1.
    weights = (np.full(6, 50.0), 10.0) if distance == "weighted_l1" else None
    options = {"distance": distance, "weights": weights}
    scores = evaluate(embeddings, works, **options)
    at_best = evaluate(embeddings, works, tau=scores["accuracy_threshold"], **options)
    assert at_best["accuracy@tau"] == scores["accuracy"] > 0.9
    assert scores["EER"] < 0.3


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


def test_many_bins_may_hold_the_best_threshold(monkeypatch):
    # In every bin (2**k and a little more) two others come before two covers, so that each bin's end
    # has as many errors as any other, and only counting by code shows that its middle has no fewer;
    # but in a late bin the covers come first.
    n_works = 80
    works = np.repeat(np.arange(n_works), 2)
    bins, is_late = 2.0 ** (np.arange(n_works) - 40), np.arange(n_works) == 70
    matrix = np.full((2 * n_works, 2 * n_works), 2.0**100)
    for tracks in (2 * np.arange(n_works), 2 * np.arange(n_works) + 1):
        matrix[tracks, tracks ^ 1] = bins * np.where(is_late, 1, 1 + 1e-5)
        matrix[tracks, (tracks + 2) % (2 * n_works)] = bins * np.where(is_late, 1 + 1e-5, 1)
    refined, refine = [], thresholds._PairCounter.refine

    def watched(counter, bins):
        refined.append(len(bins))
        refine(counter, bins)

    monkeypatch.setattr(thresholds._PairCounter, "refine", watched)
    scores = evaluate(matrix, works, distance="precomputed")
    rounded = matrix.astype(np.float32).astype(float)
    expected = naive.thresholds(rounded.tolist(), works.tolist())
    assert {name: scores[name] for name in expected} == pytest.approx(expected)
    assert scores["accuracy_threshold"] == bins[70]
    assert refined == [64, n_works - 64]


def test_distances_over_many_orders_of_magnitude(rng):
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
