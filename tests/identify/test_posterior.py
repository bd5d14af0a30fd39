"""Which work, or none: worked by hand, by enumeration, and by the frequencies of what was drawn."""

import numpy as np
import pytest

from mulkinet.identify.calibration import calibrate
from mulkinet.identify.posterior import choose_rule, log_ratio, posterior

# Likelihood ratio e at distance 1, e^2 at 0.
PLAIN = {"intercept": 2.0, "slope": -1.0, "floor": 0.0, "known": 0.5}


def test_bayes_by_hand():
    # Two works of one track: prior 1/4 each, ratios e^2 and e; none has 1/2.
    found = posterior(PLAIN, [0.0, 1.0], ["a", "b"], {"a": 1, "b": 1})
    total = np.exp(2) / 4 + np.exp(1) / 4 + 0.5
    assert found.works["a"] == pytest.approx(np.exp(2) / 4 / total)
    assert found.works["b"] == pytest.approx(np.exp(1) / 4 / total)
    assert found.none == pytest.approx(0.5 / total)
    assert found.others == 0


def test_a_work_of_many_tracks_has_the_mean_of_their_ratios():
    found = posterior(PLAIN, [0.0, 1.0, 0.5], ["a", "a", "b"], {"a": 4, "b": 1})
    of_a, of_b = (np.exp(2) + np.exp(1)) / 4 / 4, np.exp(1.5) / 4
    assert found.works["a"] == pytest.approx(of_a / (of_a + of_b + 0.5))


def test_works_not_found_share_their_prior_times_the_covers_beyond():
    calibration = {**PLAIN, "cover_distances": [[0.5], [1.5, 3.0], [4.0]]}
    works = dict.fromkeys(map(str, range(10)), 1)
    found = posterior(calibration, [0.0, 2.0], ["3", "4"], works)
    masses = [np.exp(2) / 20, np.exp(0) / 20, 0.5 * 0.8 * 0.5, 0.5]
    assert found.others == pytest.approx(masses[2] / sum(masses))
    assert sum(found.works.values()) + found.none + found.others == pytest.approx(1)
    # An old calibration bounds it by the ratio of the farthest.
    old = posterior(PLAIN, [0.0, 3.0], ["3", "4"], works)
    masses = [np.exp(2) / 20, np.exp(-1) / 20, 0.5 * 0.8 * np.exp(-1), 0.5]
    assert old.others == pytest.approx(masses[2] / sum(masses))


def test_an_old_calibration_means_what_it_meant():
    old = {"intercept": 0.5, "slope": -2.0, "fitted_base_rate": 0.2, "known": 0.5}
    assert log_ratio(old, 1.0) == pytest.approx(-1.5 - np.log(0.2 / 0.8))


def test_nothing_overflows():
    found = posterior({**PLAIN, "slope": -1e5}, [-1.0, 50.0], ["a", "b"], {"a": 1, "b": 1})
    assert found.works["a"] == pytest.approx(1)
    found = posterior({**PLAIN, "slope": -1e5}, [50.0], ["b"], {"a": 1, "b": 1})
    assert found.none == pytest.approx(1)


def test_draws_give_intervals():
    draws = [[2.0 + shift, -1.0, 0.0] for shift in np.linspace(-1, 1, 41)]
    found = posterior({**PLAIN, "draws": draws}, [0.0], ["a"], {"a": 1})
    low, high = found.intervals["a"]
    assert low < found.works["a"] < high
    assert low == pytest.approx(1 / (1 + np.exp(-1.05)), abs=1e-3)


class TestRule:
    # Of 4 covers one is at ratio e^2, three at e^-1; of 1 work with prior 1/2 that is the odds.
    covers = [[0.0], [3.0], [3.0], [3.0]]

    def test_costs_by_hand(self):
        rule = choose_rule({**PLAIN, "cover_distances": self.covers}, 1)
        assert rule.threshold == 0.5
        assert rule.misses == pytest.approx(100 * 0.5 * 3 / 4)
        # One accepted with odds e^2: e^-2 false alarms beside it.
        assert rule.false_alarms == pytest.approx(100 * 0.5 * np.exp(-2) / 4)
        assert rule.at_most == 50

    def test_fewer_false_alarms_take_a_higher_threshold(self):
        rng = np.random.default_rng(0)
        calibration = {**PLAIN, "cover_distances": rng.uniform(-6, 3, (200, 1)).tolist()}
        rules = [choose_rule(calibration, 20, n) for n in (None, 5, 2, 1, 0.1)]
        thresholds = [rule.threshold for rule in rules]
        assert thresholds == sorted(thresholds)
        assert thresholds[-1] > thresholds[0] == 0.5
        for rule, n in zip(rules[1:], (5, 2, 1, 0.1)):
            assert rule.false_alarms <= n
        assert [rule.misses for rule in rules] == sorted(rule.misses for rule in rules)

    def test_never_a_yes_beside_a_small_probability(self):
        calibration = {**PLAIN, "cover_distances": self.covers}
        assert choose_rule(calibration, 20, 100).threshold == 0.5
        assert choose_rule(PLAIN, 20, 100).threshold == 0.5

    def test_an_old_calibration_is_bounded(self):
        rule = choose_rule(PLAIN, 20, 2)
        assert rule.threshold == pytest.approx(0.98)
        assert rule.false_alarms is None
        assert rule.at_most == pytest.approx(2)


@pytest.mark.parametrize("n_tracks", [1, 3])
def test_what_is_promised_comes_true(n_tracks):
    """Distances drawn as the model has them: probabilities, false alarms and misses beside their frequencies.

    Others are at N(10, 1); of a work's tracks one, whichever, is at N(6, 1) from a query, the rest as others are.
    """
    rng = np.random.default_rng(5)
    works = np.repeat([f"w{number}" for number in range(400)], 2)
    is_near = works[:, None] == works
    fitted = calibrate(
        10 + rng.standard_normal(is_near.shape) - 4 * is_near,
        works,
        np.arange(len(works)).astype(str),
        distance="precomputed",
        weights=None,
        false_accept_rate=None,
        known=0.5,
    )
    n_works, n_queries = 40, 4000
    rule = choose_rule(fitted, n_works)
    names = np.repeat(np.arange(n_works).astype(str), n_tracks)
    sizes = dict.fromkeys(names.tolist(), n_tracks)
    chances, truths, alarms, misses = [], [], 0, 0
    for number in range(n_queries):
        distances = 10 + rng.standard_normal(len(names))
        right = None
        if number % 2:
            track = rng.integers(len(names))
            distances[track] -= 4
            right = names[track]
        found = posterior({**fitted, "draws": []}, distances, names, sizes)
        best = max(found.works, key=found.works.get)
        is_yes = found.works[best] >= rule.threshold
        alarms += is_yes and best != right
        misses += right is not None and not (is_yes and best == right)
        chances += [*found.works.values(), found.none]
        truths += [name == right for name in found.works] + [right is None]
    chances, truths = np.array(chances), np.array(truths)
    for low, high in [(0, 0.01), (0.05, 0.4), (0.4, 0.7), (0.7, 1.01)]:
        inside = (chances >= low) & (chances < high)
        error = np.sqrt(chances[inside].mean() / inside.sum())
        assert chances[inside].mean() == pytest.approx(truths[inside].mean(), abs=0.02 + 3 * error)
    assert 100 * alarms / n_queries == pytest.approx(rule.false_alarms, abs=2)
    if n_tracks == 1:  # misses are stated for works of as many tracks as those of the calibration
        assert 100 * misses / n_queries == pytest.approx(rule.misses, abs=3)
    assert 0.5 < rule.false_alarms < 8
