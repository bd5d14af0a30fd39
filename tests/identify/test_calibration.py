"""tau and probabilities: against hand-worked rates, known odds and pairs never seen."""

import numpy as np
import pytest

from benchmarks.reliability import reliability
from mulkinet import MulkinetError
from mulkinet.identify.calibration import base_rate, calibrate, probability

OPTIONS = {"distance": "euclidean", "weights": None, "false_accept_rate": None, "known": 0.5}


def make_tracks(rng, n_works, n_tracks=4, spread=1.0):
    centres = rng.standard_normal((n_works, 1, 8))
    points = centres + spread * 0.4 * rng.standard_normal((n_works, n_tracks, 8))
    works = np.repeat([f"w{work}" for work in range(n_works)], n_tracks)
    tracks = np.tile([f"t{track}" for track in range(n_tracks)], n_works)
    return points.reshape(-1, 8), works, tracks


def test_equal_error_of_points_on_a_line():
    # Distances of covers 1 and 2, of others 2.5, 4.5, 1.5 and 3.5; every pair counts both ways.
    points = np.array([[0.0], [1.0], [2.5], [4.5]])
    found = calibrate(points, ["a", "a", "b", "b"], ["0", "1", "0", "1"], **OPTIONS)
    assert found["pairs"] == 12
    assert found["cover_pairs"] == 4
    assert found["fitted_base_rate"] == pytest.approx(1 / 3)
    # From 1.5 to just below 2 half of the covers are rejected; at 2 none is, and of the others 1.5 passes.
    assert found["tau"] == pytest.approx(2)
    assert found["false_accepts"] == 0.25
    assert found["false_rejects"] == 0


def test_rates_at_a_chosen_false_accept_rate_are_counted_pair_by_pair():
    # Distances of covers 1 and 3, of others 9, 6, 8 and 5: to accept a quarter of these, 5 must pass.
    points = np.array([[0.0], [1.0], [9.0], [6.0]])
    options = {**OPTIONS, "false_accept_rate": 0.3}
    found = calibrate(points, ["a", "a", "b", "b"], ["0", "1", "0", "1"], **options)
    assert 5 <= found["tau"] < 6
    assert found["false_accepts"] == 0.25
    assert found["false_rejects"] == 0


def test_rates_are_those_of_a_plain_count(rng):
    points, works, tracks = make_tracks(rng, 15)
    found = calibrate(points, works, tracks, **OPTIONS)
    off = ~np.eye(len(points), dtype=bool)
    accepted = np.linalg.norm(points[:, None] - points[None], axis=2)[off] <= found["tau"]
    is_cover = (works[:, None] == works[None])[off]
    # tau is itself a pair's distance, rounded to float32: that pair may lie on either side.
    assert found["false_accepts"] == pytest.approx(
        accepted[~is_cover].mean(), abs=2.1 / len(points) ** 2
    )
    assert found["false_rejects"] == pytest.approx(
        (~accepted)[is_cover].mean(), abs=2.1 / is_cover.sum()
    )
    # Equal error: as near as one pair of each kind allows.
    assert found["false_accepts"] == pytest.approx(found["false_rejects"], abs=2.1 / is_cover.sum())


@pytest.mark.parametrize("rate", [0.2, 0.05, 0.01])
def test_false_accepts_stay_within_the_chosen_rate(rng, rate):
    found = calibrate(*make_tracks(rng, 20), **{**OPTIONS, "false_accept_rate": rate})
    assert 0.7 * rate <= found["false_accepts"] <= rate


DISTANCES = {
    "cosine": lambda a, b: 1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b),
    "euclidean": lambda a, b: np.linalg.norm(a - b),
    "sqeuclidean": lambda a, b: np.mean((a - b) ** 2),
    "weighted_l1": lambda a, b: np.abs(a - b).sum() / 8 + 1000,
}


@pytest.mark.parametrize("rate", [0.0015, 0.01, 0.05, 0.5])
@pytest.mark.parametrize("distance", DISTANCES)
def test_as_many_false_accepts_as_the_rate_allows(rng, distance, rate):
    points, works, tracks = make_tracks(rng, 10)
    # All distances are in a few bins of the histogram with this bias.
    weights = (np.full(8, 1 / 8), 1000.0) if distance == "weighted_l1" else None
    options = {"distance": distance, "weights": weights, "known": 0.5}
    found = calibrate(points, works, tracks, false_accept_rate=rate, **options)
    table = np.float32([[DISTANCES[distance](a, b) for b in points] for a in points])
    others = table[works[:, None] != works]
    shares = [(others <= value).mean() for value in np.unique(others)]
    assert found["false_accepts"] == max([0, *(share for share in shares if share <= rate)])


def test_the_curve_is_that_of_the_pairs_it_was_fitted_on(rng):
    tracks = make_tracks(rng, 40)
    found = calibrate(*tracks, **OPTIONS)
    points, works, _ = tracks
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    is_cover = works[:, None] == works[None]
    off = ~np.eye(len(points), dtype=bool)
    # Maximum likelihood makes the mean of the probabilities the share of covers.
    same_odds = {**found, "known": found["fitted_base_rate"]}
    chances = probability(same_odds, distances[off], 1)
    assert chances.mean() == pytest.approx(is_cover[off].mean(), abs=2e-3)
    sure = chances > 0.9
    assert sure.sum() > 20
    assert is_cover[off][sure].mean() > 0.8


def test_probabilities_hold_on_works_that_calibration_never_saw(rng):
    found = calibrate(*make_tracks(rng, 40), **OPTIONS)
    points, works, _ = make_tracks(rng, 60)
    off = ~np.eye(len(points), dtype=bool)
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)[off]
    is_cover = (works[:, None] == works[None])[off]
    # All queries are of the index's works here.
    chances = probability({**found, "known": 1 - 1e-9}, distances, 60)
    for low, high in [(0, 0.05), (0.1, 0.4), (0.4, 0.7), (0.7, 1.01)]:
        inside = (chances >= low) & (chances < high)
        assert chances[inside].mean() == pytest.approx(is_cover[inside].mean(), abs=0.12)


def test_probability_never_grows_with_distance_and_stays_within_its_range(rng):
    found = calibrate(*make_tracks(rng, 10), **OPTIONS)
    chances = probability(found, [0, 0.1, 1, 5, 1e6], 1000)
    assert (np.diff(chances) <= 0).all()
    assert chances[0] <= 1
    assert chances[-1] >= 0


def test_the_odds_follow_the_number_of_works(rng):
    found = calibrate(*make_tracks(rng, 10), **OPTIONS)
    assert base_rate(found, 50) == 0.01
    few, many = (probability(found, [1.0], n)[0] for n in (10, 1000))
    odds = (few / (1 - few)) / (many / (1 - many))
    assert odds == pytest.approx((0.05 / 0.95) / (0.0005 / 0.9995))


def test_separable_pairs_give_finite_numbers(rng):
    found = calibrate(*make_tracks(rng, 10, spread=1e-3), **OPTIONS)
    assert np.isfinite([found["intercept"], found["slope"], found["tau"]]).all()
    assert probability(found, [0.001], 10)[0] > 0.9


def test_what_cannot_be_calibrated_on_is_refused(rng):
    points, works, tracks = make_tracks(rng, 4)
    with pytest.raises(MulkinetError, match="at least 1000000 pairs"):
        calibrate(points, works, tracks, **{**OPTIONS, "false_accept_rate": 1e-6})
    with pytest.raises(MulkinetError, match="several works"):
        calibrate(points[:4], works[:4], tracks[:4], **OPTIONS)
    far = np.array([[0.0], [9], [0.1], [9.1], [0.2], [9.2]])
    with pytest.raises(MulkinetError, match="covers to be nearer"):
        calibrate(far, list("aabbcc"), list("010101"), **OPTIONS)
    with pytest.raises(MulkinetError, match="another track of its work"):
        calibrate(points[:3], ["a", "b", "c"], ["0", "0", "0"], **OPTIONS)


def test_bins_of_reliability_hold_equal_shares_of_what_is_promised():
    # Together 1.5, so a third is 0.5: the three least, and each of the others.
    p = np.array([0.5, 0.125, 0.25, 0.5, 0.125])
    first, second, third = reliability(p, p > 0.2, n_bins=3)
    assert (first.low, first.high, first.n) == (0.125, 0.25, 3)
    assert first.promised == pytest.approx(0.5 / 3)
    assert first.observed == pytest.approx(1 / 3)
    assert (second.n, third.n, third.observed) == (1, 1, 1)
