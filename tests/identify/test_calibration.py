"""tau and likelihood ratios: against hand-worked rates, another optimizer and plain loops."""

import json

import numpy as np
import pytest

from benchmarks.reliability import reliability
from mulkinet import MulkinetError
from mulkinet.identify import calibration
from mulkinet.identify.calibration import _fit, calibrate
from mulkinet.identify.posterior import log_ratio

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


def ratios(found, distances):
    return np.exp(log_ratio(found, distances))


def test_the_curve_is_that_of_the_pairs_it_was_fitted_on(rng):
    points, works, tracks = make_tracks(rng, 40)
    found = calibrate(points, works, tracks, **OPTIONS)
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    off = ~np.eye(len(points), dtype=bool)
    is_cover = (works[:, None] == works[None])[off]
    odds = ratios(found, distances[off]) * is_cover.sum() / (~is_cover).sum()
    chances = odds / (1 + odds)
    # Maximum likelihood makes the mean of the probabilities the share of covers.
    assert chances.mean() == pytest.approx(is_cover.mean(), abs=2e-3)
    sure = chances > 0.9
    assert sure.sum() > 20
    assert is_cover[sure].mean() > 0.8


def test_the_fit_is_the_most_likely_curve(rng):
    optimize = pytest.importorskip("scipy.optimize")
    distances = np.linspace(0, 4, 60)
    covers = rng.poisson(30 * np.exp(-3 * distances) + 1)
    others = rng.poisson(40 * distances) + (distances > 3)
    curve = _fit(distances, covers[None], others[None])[0]

    def loss(parameters):
        intercept, slope, log_floor = parameters
        odds = np.logaddexp(intercept + slope * distances, log_floor)
        odds = odds + np.log(covers.sum() / others.sum())
        positive, negative = (covers.sum() + 1) / (covers.sum() + 2), 1 / (others.sum() + 2)
        as_covers = covers * positive + others * negative
        return (covers + others) @ np.logaddexp(0, odds) - as_covers @ odds

    options = {"maxiter": 4000, "maxfev": 4000, "xatol": 1e-9, "fatol": 1e-12}
    start = [curve[0] + 0.3, curve[1] - 0.3, np.log(curve[2]) + 0.2]
    expected = optimize.minimize(loss, start, method="Nelder-Mead", options=options)
    assert loss([*curve[:2], np.log(curve[2])]) == pytest.approx(expected.fun, rel=1e-9)
    np.testing.assert_allclose([*curve[:2], np.log(curve[2])], expected.x, rtol=1e-3)


def test_covers_that_are_not_recognised_raise_the_floor_alone(rng):
    tracks = make_tracks(rng, 40)
    points, works, ids = tracks
    lost = points.copy()
    # The last track of every work is like one of no work.
    lost[3::4] = rng.standard_normal(lost[3::4].shape)
    found, of_lost = (calibrate(x, works, ids, **OPTIONS) for x in (points, lost))
    # Half of the pairs of covers hold such a track.
    assert of_lost["floor"] == pytest.approx(0.5, abs=0.15)
    assert found["floor"] < 0.1
    assert of_lost["slope"] == pytest.approx(found["slope"], rel=0.35)


def test_ratios_never_grow_with_distance(rng):
    found = calibrate(*make_tracks(rng, 10), **OPTIONS)
    values = log_ratio(found, [0, 0.1, 1, 5, 1e6])
    assert (np.diff(values) <= 0).all()
    assert np.isfinite(values).all()


def test_the_draws_surround_the_curve_and_are_wider_where_there_is_less(rng):
    def spread(n_works):
        found = calibrate(*make_tracks(np.random.default_rng(1), n_works), **OPTIONS)
        at = [_log_at(one, 0.8) for one in found["draws"]]
        assert len(at) == 100
        assert np.quantile(at, 0.1) < log_ratio(found, 0.8) < np.quantile(at, 0.9)
        return np.std(at)

    assert spread(8) > 1.5 * spread(80)


def _log_at(curve, distance):
    intercept, slope, floor = curve
    return np.logaddexp(intercept + slope * distance, np.log(floor))


def test_draws_of_a_sample_surround_the_curve_of_all(rng, monkeypatch):
    tracks = make_tracks(rng, 60)
    whole = calibrate(*tracks, **OPTIONS)
    monkeypatch.setattr(calibration, "_SAMPLED_TRACKS", 80)
    sampled = calibrate(*tracks, **OPTIONS)
    assert [sampled[name] for name in ("intercept", "slope")] == [
        whole[name] for name in ("intercept", "slope")
    ]
    at = [_log_at(one, 0.8) for one in sampled["draws"]]
    assert np.quantile(at, 0.05) < log_ratio(whole, 0.8) < np.quantile(at, 0.95)
    assert len(sampled["cover_distances"]) == 80


def test_cover_distances_are_those_of_a_plain_loop(rng):
    points, works, tracks = make_tracks(rng, 5, n_tracks=3)
    found = calibrate(points, works, tracks, **OPTIONS)
    for row, distances in enumerate(found["cover_distances"]):
        others = [i for i in range(len(points)) if works[i] == works[row] and i != row]
        expected = [np.linalg.norm(points[row] - points[i]) for i in others]
        np.testing.assert_allclose(distances, expected, rtol=1e-5)


def test_separable_pairs_give_finite_numbers(rng):
    found = calibrate(*make_tracks(rng, 10, spread=1e-3), **OPTIONS)
    assert np.isfinite([found["intercept"], found["slope"], found["floor"], found["tau"]]).all()
    assert ratios(found, 0.001) > 20
    json.dumps(found)


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
