"""Local scaling: distances less how crowded it is around both tracks, against plain loops and by hand."""

import numpy as np
import pytest

from mulkinet import MulkinetError, evaluate
from mulkinet.evaluation import scaling
from mulkinet.evaluation.distances import compare, pair_distances
from mulkinet.evaluation.scaling import cohort_of, neighbourhoods, typical_neighbourhood
from mulkinet.evaluation.selection import select_tracks


def units_of(rng, n, size=6):
    x = rng.standard_normal((n, size)) + 0.5
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def naive_neighbourhoods(units, cohort):
    found = []
    for x in units:
        others = sorted(d for d in (1 - x @ y for y in cohort) if d > 1e-6)
        found.append(np.mean(others[: max(1, round(len(cohort) / 10))]))
    share = len(cohort) / (len(cohort) + 5)
    return share * np.array(found) + (1 - share) * np.mean(found)


def naive_scaled(embeddings):
    units = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    around = naive_neighbourhoods(units, units)
    return np.array(
        [[2 - x @ y - (a + b) / 2 for y, b in zip(units, around)] for x, a in zip(units, around)]
    )


def test_by_hand():
    # In the plane at 0, 60, 90 and 180 degrees: the nearest of four is 1 - cos 60 = 0.5 away, and so on.
    angles = np.radians([0, 60, 90, 180])
    units = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    near = np.array([0.5, 1 - np.cos(np.radians(30)), 1 - np.cos(np.radians(30)), 1.0])
    np.testing.assert_allclose(neighbourhoods(units, units), 4 / 9 * near + 5 / 9 * near.mean())
    np.testing.assert_allclose(neighbourhoods(units, units, 0.0), 4 / 9 * near)
    assert typical_neighbourhood(3 * units) == pytest.approx(near.mean())


def test_distances_are_those_of_a_plain_loop(rng):
    embeddings = 3 * units_of(rng, 47)
    selection = select_tracks(np.arange(47) // 2)
    keys = compare(embeddings, selection, distance="scaled_cosine")
    rows = np.empty((len(selection.queries), 47))
    keys.fill(rows, slice(0, len(rows)))
    expected = naive_scaled(embeddings)[selection.queries]
    np.testing.assert_allclose(keys.distance(rows), expected, atol=1e-12)


def test_a_large_collection_is_seen_through_a_cohort(rng, monkeypatch):
    monkeypatch.setattr(scaling, "_COHORT", 20)
    monkeypatch.setattr(scaling, "_ROWS_AT_A_TIME", 7)
    units = units_of(rng, 95)
    cohort = cohort_of(95)
    assert len(cohort) == 20
    assert cohort[[0, -1]].tolist() == [0, 94]
    assert set(np.diff(cohort)) <= {4, 5}
    found = neighbourhoods(units, units[cohort])
    np.testing.assert_allclose(found, naive_neighbourhoods(units, units[cohort]))


def test_a_track_that_is_near_to_everything_no_longer_comes_first(rng):
    # Works are directions; the hub lies between all of them, nearer to each track than its cover is.
    works = np.repeat(np.arange(12), 2)
    tracks = np.eye(12)[works] + 0.35 * rng.standard_normal((24, 12)) + 0.3
    hub = np.ones((1, 12))
    x, labels = np.concatenate([tracks, hub]), np.append(works, 99)
    plain, scaled = (evaluate(x, labels, distance=d) for d in ("cosine", "scaled_cosine"))
    assert scaled["MAP"] > plain["MAP"] + 0.05
    assert scaled["EER"] <= plain["EER"]


def test_copies_are_the_track_itself_and_a_collapsed_network_scores_like_chance(rng):
    units = units_of(rng, 30)
    doubled = np.concatenate([units, units[:1], units[:1]])
    alone = neighbourhoods(units[:1], units, 0.0)[0] / (30 / 35)
    # 3 of 32 are itself: left out, not counted as near.
    copied = neighbourhoods(doubled[-1:], doubled, 0.0)[0] / (32 / 37)
    assert copied == pytest.approx(alone)
    same = np.tile(units[:1], (20, 1))
    assert (neighbourhoods(same, same) == 0).all()
    works = np.arange(20) // 4
    scores = [evaluate(same, works, distance=d)["MAP"] for d in ("cosine", "scaled_cosine")]
    assert scores[0] == scores[1]


@pytest.mark.parametrize("distance", ["scaled_cosine", "precomputed"])
def test_a_pair_alone_has_no_such_distance(rng, distance):
    with pytest.raises(MulkinetError, match=f"found {distance}, which takes a collection"):
        pair_distances(units_of(rng, 2), units_of(rng, 2), distance=distance)
