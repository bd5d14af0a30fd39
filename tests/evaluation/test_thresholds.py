"""Thresholds over all pairs: hand-worked cases, pairs counted one by one and in bins."""

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


@pytest.fixture(params=["one by one", "in bins"])
def counting(request, monkeypatch):
    """Both ways of counting pairs, whatever their number: with 2000 kept, 1 in 20 is a sample."""
    if request.param == "in bins":
        monkeypatch.setattr(thresholds, "_COUNTED_ONE_BY_ONE", 2000)


@pytest.mark.usefixtures("counting")
@pytest.mark.parametrize(
    ("distance", "options"),
    [
        ("cosine", {}),
        ("euclidean", {}),
        ("sqeuclidean", {}),
        ("weighted_l1", {"weights": (np.full(6, 50.0), 1000.0)}),
        ("transposed_cosine", {}),
    ],
)
@pytest.mark.parametrize("noise", [0.2, 1.0, 5.0])
def test_eer_and_accuracy_equal_plain_loops(rng, distance, options, noise):
    works = rng.integers(0, 40, 200)
    embeddings = noise * rng.standard_normal((200, 6)) + rng.standard_normal((40, 6))[works]
    evaluation = run_evaluation(embeddings, works, distance=distance, **options)
    assert_close(evaluation)


@pytest.mark.usefixtures("counting")
@pytest.mark.parametrize("offset", [0.0, 1000.0, -1000.0])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_precomputed_distances_of_any_size(rng, offset, scale):
    works = np.repeat(np.arange(40), 4)
    shift = np.where(works[:, None] == works, 0.0, 1.0)
    matrix = scale * (rng.standard_normal((160, 160)) + shift + offset)
    # Some were not compared.
    matrix[rng.random((160, 160)) < 0.01] = scale * 1e9
    evaluation = run_evaluation(matrix, works, distance="precomputed")
    assert_close(evaluation)


@pytest.mark.usefixtures("counting")
def test_few_different_distances(rng):
    # Ties of covers and others, which bins must not divide.
    works = np.repeat(np.arange(30), 4)
    shift = np.where(works[:, None] == works, 0, 2)
    matrix = (rng.integers(0, 6, (120, 120)) + shift) / 8
    evaluation = run_evaluation(matrix, works, distance="precomputed", tau=3 / 8)
    expected = {**naive_thresholds(evaluation), **naive.at_tau(matrix, works, 3 / 8)}
    found = {name: evaluation.scores[name] for name in expected}
    assert found == pytest.approx(expected, abs=1e-12)


def assert_close(evaluation):
    """EER and accuracy are those of the oracle to 1e-4, and the threshold is near."""
    expected = naive_thresholds(evaluation)
    found = {name: evaluation.scores[name] for name in expected}
    deviation = np.std(evaluation.keys.distance(evaluation.ranking.keys))
    threshold = expected.pop("EER_threshold")
    assert found.pop("EER_threshold") == pytest.approx(threshold, abs=1e-3 * deviation)
    assert found == pytest.approx(expected, abs=1e-4)


def naive_thresholds(evaluation):
    """The oracle's scores of the distances that an evaluation compared."""
    selection = evaluation.selection
    keys = np.empty((len(selection.queries), len(selection.references)))
    evaluation.keys.fill(keys, slice(0, len(keys)))
    distances = evaluation.keys.distance(keys)
    is_cover = selection.query_works[:, None] == selection.reference_works
    is_own = selection.queries[:, None] == selection.references
    covers, others = np.sort(distances[is_cover & ~is_own]), np.sort(distances[~is_cover])
    tried = np.unique(np.concatenate([covers, others]))
    accepted = np.searchsorted(others, tried, side="right")
    rejected = len(covers) - np.searchsorted(covers, tried, side="right")
    points = [(0.0, 1.0), *zip(accepted / len(others), rejected / len(covers))]
    place, rate = naive._crossing(points)
    least = min((accepted + rejected).min(), len(covers))
    accuracy = 1 - least / (len(covers) + len(others))
    return {"EER": rate, "EER_threshold": tried[place], "accuracy": accuracy}


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
    matrix = rng.random((40, 40)) + offset
    pairs = run_evaluation(matrix, works, distance="precomputed").pairs
    found = thresholds.choose_tau(pairs, rate)
    others = matrix[works[:, None] != works]
    tried = matrix[~np.eye(40, dtype=bool)]
    within = [value for value in tried if (others <= value).mean() <= rate]
    assert found == max(within, default=pairs.nothing)
    assert (others <= found).mean() <= rate
    assert thresholds.choose_tau(pairs) == thresholds.equal_error(pairs)[1]


def test_false_accepts_at_0_are_left_out_where_they_are_too_many():
    # 0 is the distance of two of the eight pairs of non-covers, and of no cover.
    matrix = np.array([[0, 2, 0, 3], [2, 0, 5, 6], [0, 5, 0, 4], [3, 6, 4, 0.0]])
    options = {"work_ids": ["a", "a", "b", "b"], "distance": "precomputed"}
    pairs = run_evaluation(matrix, **options).pairs
    tau = thresholds.choose_tau(pairs, 0.2)
    assert tau < 0
    assert evaluate(matrix, tau=tau, **options)["accuracy@tau"] == pytest.approx(8 / 12)
    assert thresholds.choose_tau(pairs, 0.25) == 2


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
    assert (evaluation.keys.distance(evaluation.ranking.keys) == 0).all()


def test_what_is_near_0_is_no_tie():
    # The third is 1.6e-8 away from the first two, which are equal.
    angles = np.array([0, 0, 1.8e-4, 1.0])
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    scores = evaluate(points, ["a", "a", "b", "b"], tau=0.0)
    # The second of b is the last of three for its own.
    assert scores["P@1"] == 0.75
    assert (scores["precision@tau"], scores["recall@tau"]) == (1, 1 / 2)
