"""What training asks of the evaluator."""

import numpy as np
import pytest

from mulkinet.evaluation import evaluate, validate, validation


@pytest.mark.parametrize("distance", ["cosine", "euclidean", "weighted_l1"])
def test_scores_are_those_of_evaluate(rng, distance):
    works = rng.integers(0, 15, 60)
    embeddings = rng.standard_normal((60, 5)).astype(np.float32)
    weights = (rng.random(5), -1.0) if distance == "weighted_l1" else None
    options = {"distance": distance, "weights": weights}
    expected = evaluate(embeddings, works, **options)
    scores, _ = validate(embeddings, works, **options)
    assert scores == {name: expected[name] for name in ("MAP", "TOP10", "MR1")}


def test_distances_of_covers_and_of_others():
    # Of a at 0 and 1, of b at 3 and 7; c, alone, at 20.
    points = np.array([[0.0], [3.0], [1.0], [7.0], [20.0]])
    _, distances = validate(points, ["a", "b", "a", "b", "c"], distance="euclidean")
    assert sorted(distances["cover"]) == pytest.approx([1, 4])
    # c has no cover and is no query: the pairs of it are those of the other four with it.
    assert sorted(distances["other"]) == pytest.approx([2, 3, 6, 7, 13, 17, 19, 20])


def test_distances_are_of_whole_works_with_covers_first(monkeypatch):
    monkeypatch.setattr(validation, "_SHOWN_TRACKS", 4)
    points = np.array([[0.0], [1.0], [3.0], [20.0], [7.0]])
    _, distances = validate(points, ["c", "a", "a", "b", "b"], distance="euclidean")
    assert sorted(distances["cover"]) == pytest.approx([2, 13])
    assert len(distances["other"]) == 4
