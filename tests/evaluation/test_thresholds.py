"""Thresholds over all pairs: hand-worked cases, and values that have to be refined."""

import numpy as np
import pytest

from mulkinet.evaluation import evaluate, thresholds
from mulkinet.evaluation.evaluator import run_evaluation
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


@pytest.mark.parametrize("offset", [0.0, 1000.0, -1000.0])
@pytest.mark.parametrize("rate", [0, 0.001, 0.01, 0.2, 0.999])
def test_the_largest_threshold_within_a_share_of_false_accepts(rng, offset, rate):
    works = np.repeat(np.arange(20), 2)
    matrix = (rng.random((40, 40)) + offset).astype(np.float32)
    evaluation = run_evaluation(matrix, works, distance="precomputed")
    found = thresholds.accept_threshold(evaluation.blocks, evaluation.ranking, rate)
    others = matrix[works[:, None] != works]
    tried = np.concatenate([others, np.nextafter(others, np.float32(-np.inf))])
    assert found == max(value for value in tried if (others <= value).mean() <= rate)


def test_false_accepts_at_0_are_left_out_where_they_are_too_many():
    # 0 is the distance of two of the eight pairs of non-covers, and of no cover.
    matrix = np.array([[0, 2, 0, 3], [2, 0, 5, 6], [0, 5, 0, 4], [3, 6, 4, 0.0]])
    options = {"work_ids": ["a", "a", "b", "b"], "distance": "precomputed"}
    evaluation = run_evaluation(matrix, **options)
    tau = thresholds.accept_threshold(evaluation.blocks, evaluation.ranking, 0.2)
    assert tau < 0
    assert evaluate(matrix, tau=tau, **options)["accuracy@tau"] == pytest.approx(8 / 12)
    tau = thresholds.accept_threshold(evaluation.blocks, evaluation.ranking, 0.25)
    assert 2 <= tau < 3


@pytest.mark.parametrize("distance", ["cosine", "transposed_cosine"])
def test_copies_are_at_distance_0(rng, distance):
    # Without care 1 - cos of equal vectors comes out on either side of 0.
    works = np.repeat(np.arange(30), 2)
    embeddings = np.repeat(rng.standard_normal((30, 12)), 2, axis=0)
    # Another batch of a network gives the same but for float32 rounding.
    embeddings[::2] *= 1 + 1e-6 * rng.standard_normal((30, 12))
    scores = evaluate(embeddings, works, distance=distance, tau=0.0)
    assert (scores["precision@tau"], scores["recall@tau"]) == (1, 1)
    assert scores["accuracy_threshold"] == 0
    evaluation = run_evaluation(embeddings, works, distance=distance)
    assert (evaluation.blocks.keys.distance(evaluation.ranking.keys) == 0).all()


def test_what_is_0_but_for_rounding_keeps_its_rank():
    # The third is 1.6e-8 away from the first two, which are equal: nothing to a threshold.
    angles = np.array([0, 0, 1.8e-4, 1.0])
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    scores = evaluate(points, ["a", "a", "b", "b"], tau=0.0)
    # The second of b is the last of three for its own.
    assert scores["P@1"] == 0.75
    assert scores["precision@tau"] == 2 / 6
