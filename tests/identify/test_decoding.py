"""Paths over works and nothing, against all paths there are."""

import itertools

import numpy as np
import pytest

from mulkinet.identify.decoding import best_path


def worth(evidence, path, cost):
    own = sum(evidence[step, state] for step, state in enumerate(path))
    return own - cost * sum(a != b for a, b in zip(path, path[1:]))


@pytest.mark.parametrize("cost", [0.0, 0.7, 3.0])
def test_of_all_paths(rng, cost):
    for _ in range(5):
        evidence = rng.normal(size=(5, 4)) * 2
        evidence[:, 0] = 0
        paths = list(itertools.product(range(4), repeat=5))
        worths = np.array([worth(evidence, path, cost) for path in paths])
        found = best_path(evidence, cost)
        assert worth(evidence, found, cost) == pytest.approx(worths.max())


def test_a_change_has_to_be_worth_its_cost():
    # Two steps speak for 1, worth 3 together; there and back costs 2 changes.
    evidence = np.array([[0, -9], [0, 1.5], [0, 1.5], [0, -9.0]])
    assert best_path(evidence, 1.4).tolist() == [0, 1, 1, 0]
    assert best_path(evidence, 1.6).tolist() == [0, 0, 0, 0]


def test_a_work_without_evidence_is_nothing():
    evidence = np.array([[0, -1000.0], [0, 5.0]])
    assert best_path(evidence, 1.0).tolist() == [0, 1]
