"""Which work, or none: probabilities of one query's answers, and the rule by which one of them is a yes.

A calibration gives the likelihood ratio of a distance d (`calibration`): how many times likelier it is between covers
than between others. Before anything is heard the query's
work is in the index with probability `known`, each of W works equally likely. Each track of a work being equally likely
the one that the query is nearest to, the likelihood ratio of a work of n tracks is the mean of theirs; the mean over
others being 1 whatever n is, a work of many tracks has no better chance to be named wrongly. By Bayes the answers, the
works and "none of these", have probabilities that sum to 1. Works of which no track was among those found share the
prior of the index, times the share of covers that are farther than all that was found.

What the rule costs follows from the same numbers: covers that are accepted with probability p stand beside (1 - p) / p
wrong answers accepted likewise. Uncertainty is that of curves fitted to draws of the calibration's works (bootstrap).
"""

from dataclasses import dataclass
from typing import Optional

import numpy as np

__all__ = ["Posterior", "Rule", "choose_rule", "log_ratio", "posterior"]

_DECISIVE = 0.5
_INTERVAL = (0.025, 0.975)


@dataclass(frozen=True)
class Posterior:
    """Probabilities of the answers to one query; `works`, `none` and `others` sum to 1.

    Attributes:
        works: dict of work to probability, of all works found.
        intervals: dict of work to (low, high), 95 % over draws of the calibration's works; empty without draws.
        none: That the index holds no cover of the query.
        others: That it is of a work of which no track was found.
    """

    works: dict
    intervals: dict
    none: float
    others: float


@dataclass(frozen=True)
class Rule:
    """When an answer is a yes, and what that costs.

    Attributes:
        threshold: Least probability of a yes, 0.5 or more.
        false_alarms: Yeses to a work that is not the query's, expected of 100 queries; None where the calibration does
            not tell (an old one), and then `at_most` bounds them.
        misses: Queries of a work of the index that get no yes, expected of 100 queries, where works have as many tracks
            as those of the calibration; None likewise.
        false_alarms_interval, misses_interval: 95 % over draws of the calibration's works, or None.
        at_most: False alarms of 100 queries that the threshold allows if all were accepted at it.
        known: Prior: share of queries whose work is in the index.
    """

    threshold: float
    false_alarms: Optional[float]
    misses: Optional[float]
    false_alarms_interval: Optional[tuple]
    misses_interval: Optional[tuple]
    at_most: float
    known: float


def log_ratio(calibration, distances):
    """Log of how many times likelier distances (...) are between covers than between others: (...) float64.

    The calibration (dict) may be of any version.
    """
    return _log_ratios(np.array([_curve(calibration)]), np.asarray(distances, float))[0]


def posterior(calibration, distances, works, n_tracks):
    """Probabilities (Posterior) of the answers to one query.

    Args:
        calibration: dict of `calibration.calibrate`.
        distances: (k,) of the tracks found, the nearest of the index.
        works: (k,) str, their works.
        n_tracks: Mapping of each work of the index to its number of tracks.
    """
    distances, known = np.asarray(distances, float), calibration["known"]
    names, of_track = np.unique(np.asarray(works, str), return_inverse=True)
    sizes, n_works = np.array([n_tracks[name] for name in names.tolist()], float), len(n_tracks)
    curves = _curves(calibration)
    log_ratios = _log_ratios(curves, distances)
    # Nothing overflows if the greatest is taken out.
    top = np.maximum(log_ratios.max(axis=1, keepdims=True), 0)
    summed = np.zeros((len(curves), len(names)))
    np.add.at(summed.T, of_track, np.exp(log_ratios - top).T)
    masses = summed / sizes * (known / n_works)
    none = (1 - known) * np.exp(-top[:, 0])
    unfound = known * (n_works - len(names)) / n_works
    others = unfound * _share_beyond(calibration, distances.max()) * np.exp(-top[:, 0])
    total = masses.sum(axis=1) + none + others
    shares = masses / total[:, None]
    intervals = {}
    if len(curves) > 1:
        low, high = np.quantile(shares[1:], _INTERVAL, axis=0)
        intervals = dict(zip(names.tolist(), zip(low.tolist(), high.tolist())))
    return Posterior(
        dict(zip(names.tolist(), shares[0].tolist())),
        intervals,
        float(none[0] / total[0]),
        float(others[0] / total[0]),
    )


def choose_rule(calibration, n_works, false_alarms=None):
    """The least probability of a yes, as a Rule; it is never below 0.5.

    Args:
        calibration: dict of `calibration.calibrate`.
        n_works: Works of the index.
        false_alarms: False alarms to keep within, of 100 queries, above 0; None for a threshold of 0.5.
    """
    known, covers = calibration["known"], _cover_distances(calibration)
    bound = _DECISIVE if false_alarms is None else max(_DECISIVE, 1 - false_alarms / 100)
    if covers is None:
        return Rule(bound, None, None, None, None, 100 * (1 - bound), known)
    chances = _of_covers(_curves(calibration), covers, known / n_works)

    def wrong(threshold):
        costs = np.where(chances >= threshold, (1 - chances) / chances, 0)
        return 100 * known * costs.mean(axis=1)

    threshold = _DECISIVE
    if false_alarms is not None:
        ascending = np.sort(chances[0][chances[0] > _DECISIVE])
        fitting = (t for t in (_DECISIVE, *ascending) if wrong(t)[0] <= false_alarms)
        threshold = min(next(fitting, bound), bound)
    missed = 100 * known * (chances < threshold).mean(axis=1)
    return Rule(
        float(threshold),
        float(wrong(threshold)[0]),
        float(missed[0]),
        _interval(wrong(threshold)[1:]),
        _interval(missed[1:]),
        100 * (1 - threshold),
        known,
    )


def _of_covers(curves, covers, prior):
    """(1 + n_draws, n) probabilities of the right work at covers' distances, the others being as others are."""
    log_ratios = _log_ratios(curves, covers)
    top = np.nanmax(log_ratios, axis=2, keepdims=True)
    means = top[..., 0] + np.log(np.nanmean(np.exp(log_ratios - top), axis=2))
    log_odds = means + np.log(prior) - np.log1p(-prior)
    # tanh does not overflow; 0 would have no odds.
    return np.maximum(0.5 + 0.5 * np.tanh(0.5 * log_odds), 1e-12)


def _share_beyond(calibration, farthest):
    """Share of covers farther than a distance; of an old calibration what it may be at the most."""
    covers = _cover_distances(calibration)
    if covers is None:
        return float(np.exp(min(0.0, log_ratio(calibration, farthest))))
    return float(np.mean(covers[np.isfinite(covers)] > farthest))


def _cover_distances(calibration):
    """(n, most covers of one) of queries to their covers, filled up with NaN; None of an old calibration."""
    rows = calibration.get("cover_distances")
    if rows is None:
        return None
    table = np.full((len(rows), max(map(len, rows))), np.nan)
    for place, row in enumerate(rows):
        table[place, : len(row)] = row
    return table


def _log_ratios(curves, distances):
    """(n_curves, *distances.shape) logs of floor + exp(intercept + slope d)."""
    intercept, slope, floor = curves.T.reshape(3, -1, *[1] * distances.ndim)
    with np.errstate(
        divide="ignore", invalid="ignore"
    ):  # floors of 0, distances that are not there
        return np.logaddexp(intercept + slope * distances, np.log(floor))


def _curve(calibration):
    """(intercept, slope, floor) of a calibration of any version."""
    rate = calibration.get("fitted_base_rate")
    if rate is None:
        return calibration["intercept"], calibration["slope"], calibration["floor"]
    # Before there were floors: log-odds at the base rate of the list.
    return calibration["intercept"] - np.log(rate / (1 - rate)), calibration["slope"], 0.0


def _curves(calibration):
    """(1 + n_draws, 3) curves: the fitted one first."""
    return np.array([_curve(calibration), *calibration.get("draws", ())], float)


def _interval(values):
    return tuple(np.quantile(values, _INTERVAL).tolist()) if len(values) else None
