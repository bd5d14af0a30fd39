"""Are these two covers? Scores over all (query, candidate) pairs at a distance threshold.

A pair is accepted when its distance does not exceed the threshold. False accepts are non-covers
accepted, over all non-covers; false rejects covers rejected, over all covers.

EER        the error where both are equal; between two thresholds, where the line through their
           two error pairs meets equality, so that equal distances everywhere give 0.5
accuracy   the share of pairs judged rightly, at the best threshold (`accuracy_threshold`: the
           distance of a cover, or below all distances), and at a threshold tau that was chosen
           on other tracks

Up to 262144 pairs are counted one by one. More are counted in bins, as wide as a 2048th of their distance
from the threshold of equal error that a sample of queries has: the finer, the nearer. Equal distances
fall into one bin, and EER and accuracy come out exact to 1e-4. At tau all pairs are counted.
"""

import threading
from dataclasses import dataclass

import numpy as np

from mulkinet.evaluation.ranking import take_relevant

__all__ = ["PairCounter", "PairCounts", "choose_tau", "equal_error", "score_pairs"]

_COUNTED_ONE_BY_ONE = 1 << 18
# Of a float32's 23 bits of fraction 11 are left: 2048 bins from a power of 2 to the next.
_DROPPED_BITS = 12
_MAGNITUDE = 0x7FFFFFFF
# Nearer to the origin than this share of the median, distances are equal to it.
_FLOOR = 1e-7
# Farther than a million times the sample's farthest, one bin holds all.
_CEILING = 1e6
_ENTRIES_AT_A_TIME = 1 << 20


@dataclass(frozen=True)
class PairCounts:
    """How many covers and non-covers there are at each distance.

    Attributes:
        distances: (n,) ascending; with each are counted the pairs above the one before, up to itself.
        covers: (n,) number of covers.
        others: (n,) number of non-covers.
        nothing: A distance below all pairs', at which none is accepted.
    """

    distances: np.ndarray
    covers: np.ndarray
    others: np.ndarray
    nothing: float

    @property
    def false_accepts(self):
        """(n,) share of non-covers accepted at each distance; 0 where there are none."""
        return np.cumsum(self.others) / max(self.others.sum(), 1)

    @property
    def false_rejects(self):
        """(n,) share of covers rejected at each distance."""
        n_covers = self.covers.sum()
        return (n_covers - np.cumsum(self.covers)) / n_covers


def choose_tau(pairs, false_accept_rate=None):
    """The threshold tau that a list of tracks gives for others: of equal error, or of a chosen rate.

    The best accuracy would not do: where one pair in a hundred is of covers it accepts next to none.

    Args:
        pairs: PairCounts of the list, some of them non-covers.
        false_accept_rate: The share of non-covers to accept, in [0, 1); None for equal error.

    Returns:
        float: the distance of equal error, or the largest of `pairs` at which no more than that share
        of non-covers is accepted.
    """
    if false_accept_rate is None:
        return equal_error(pairs)[1]
    excess = int(np.argmax(pairs.false_accepts > false_accept_rate))
    return float(pairs.distances[excess - 1]) if excess else pairs.nothing


def equal_error(pairs):
    """EER, in [0, 1], and its threshold, a distance, of PairCounts."""
    accepts, rejects = pairs.false_accepts, pairs.false_rejects
    after = int(np.argmax(accepts >= rejects))
    accepts_0, rejects_0 = (accepts[after - 1], rejects[after - 1]) if after else (0.0, 1.0)
    gap_0, gap_1 = rejects_0 - accepts_0, accepts[after] - rejects[after]
    rate = accepts_0 + gap_0 / (gap_0 + gap_1) * (accepts[after] - accepts_0)
    return float(rate), float(pairs.distances[after])


def score_pairs(pairs, cover_distances):
    """Scores PairCounts by thresholds: dict of EER, EER_threshold, accuracy, accuracy_threshold, pairs, cover_pairs.

    The distances of all covers place `accuracy_threshold` at one of them.
    """
    rate, threshold = equal_error(pairs)
    n_covers, n_pairs = int(pairs.covers.sum()), int(pairs.covers.sum() + pairs.others.sum())
    accepted = np.cumsum(pairs.covers)
    errors = n_covers - accepted + np.cumsum(pairs.others)
    best = int(np.argmin(errors))
    least, best_threshold = n_covers, pairs.nothing
    if errors[best] < n_covers:
        # No more is accepted up to the last of the covers there.
        least, best_threshold = errors[best], np.sort(cover_distances)[accepted[best] - 1]
    return {
        "EER": rate,
        "EER_threshold": threshold,
        "accuracy": float(1 - least / n_pairs),
        "accuracy_threshold": float(best_threshold),
        "pairs": n_pairs,
        "cover_pairs": n_covers,
    }


class PairCounter:
    """Counts the non-covers of all blocks of a ranking: a visitor of `ranking.rank_relevant`.

    Args:
        keys: What `distances.compare` gives for the selection.
        selection: Selection.
        tau: A distance chosen on other tracks, or None.
    """

    def __init__(self, keys, selection, tau=None):
        self._keys, self._tau = keys, tau
        few = selection.n_pairs <= _COUNTED_ONE_BY_ONE
        self._counts = _OneByOne(keys) if few else _Bins(keys, *_sample(keys, selection))
        if tau is not None:
            key = keys.key(tau)
            self._limit = key + keys.slack(key)
        self._accepted = []

    def visit(self, block, *_):
        """Counts a block's finite keys."""
        self._counts.add(block)
        if self._tau is not None:
            self._accepted.append(np.count_nonzero(block <= self._limit))

    def pairs(self, cover_keys):
        """PairCounts of what was visited and of the covers, whose keys are given."""
        return self._counts.counts(cover_keys)

    def at_tau(self, cover_keys, n_pairs):
        """Accuracy, precision (0 where nothing is accepted) and recall at tau: a dict with tau."""
        if self._tau is None:
            return {}
        found, wrong = int(np.count_nonzero(cover_keys <= self._limit)), sum(self._accepted)
        return {
            "tau": float(self._tau),
            "accuracy@tau": 1 - (wrong + len(cover_keys) - found) / n_pairs,
            "precision@tau": found / (found + wrong) if found + wrong else 0.0,
            "recall@tau": found / len(cover_keys),
        }


class _OneByOne:
    """Keeps all keys; those that tie are counted together."""

    def __init__(self, keys):
        self._keys, self._parts = keys, []

    def add(self, block):
        self._parts.append(block[block < np.inf])

    def counts(self, cover_keys):
        values = self._keys.tied(np.concatenate([cover_keys, *self._parts]))
        values, places = np.unique(values, return_inverse=True)
        covers, others = (
            np.bincount(part, minlength=len(values))
            for part in (places[: len(cover_keys)], places[len(cover_keys) :])
        )
        return _counted(self._keys, values, covers, others, values[0])


class _Bins:
    """Counts keys by the upper bits of their differences from an origin, as float32.

    Args:
        keys: What `distances.compare` gives.
        origin: The key near which bins are narrow.
        sample: (n,) some of the keys.
    """

    def __init__(self, keys, origin, sample):
        self._keys, self._origin = keys, origin
        far = np.abs(sample - origin)
        tiny = np.finfo(np.float32).tiny
        self._least = _upper_bits(max(_FLOOR * np.median(far), keys.tolerance, tiny))
        farthest = max(far.max(), abs(origin), keys.tolerance, tiny)
        largest = float(np.finfo(np.float32).max)
        self._n = _upper_bits(min(_CEILING * farthest, largest)) - self._least
        self._others, self._lock = np.zeros(2 * self._n + 1, dtype=np.int64), threading.Lock()

    def add(self, block):
        step = max(1, _ENTRIES_AT_A_TIME // block.shape[1])
        for part in (block[start : start + step] for start in range(0, len(block), step)):
            counts = np.bincount(self._bins(part).ravel(), minlength=2 * self._n + 1)
            # What is infinite, and no pair.
            counts[-1] -= np.count_nonzero(part == np.inf)
            with self._lock:
                self._others += counts

    def counts(self, cover_keys):
        covers = np.bincount(self._bins(cover_keys), minlength=2 * self._n + 1)
        used = np.flatnonzero(covers + self._others)
        ends = self._ends(used)
        return _counted(
            self._keys, ends, covers[used], self._others[used], self._ends(used[:1] - 1)[0]
        )

    def _bins(self, keys):
        # From -n to n by sign and magnitude, and n added.
        differences = np.empty(keys.shape, dtype=np.float32)
        with np.errstate(over="ignore"):
            np.subtract(keys, self._origin, out=differences, casting="same_kind")
        bits = differences.view(np.int32)
        sign = bits >> 31
        bits &= _MAGNITUDE
        bits >>= _DROPPED_BITS
        np.clip(bits, self._least, self._least + self._n, out=bits)
        bits -= self._least
        bits ^= sign
        bits -= sign
        bits += self._n
        return bits

    def _ends(self, bins):
        # The largest key of each bin; of the middle one the origin, which the others there equal.
        steps = bins - self._n
        bits = (np.abs(steps) + self._least) << _DROPPED_BITS
        bits[steps > 0] += (1 << _DROPPED_BITS) - 1
        magnitudes = bits.astype(np.int32).view(np.float32).astype(np.float64)
        return self._origin + np.sign(steps) * magnitudes


def _upper_bits(value):
    return int(np.float32(value).view(np.int32)) >> _DROPPED_BITS


def _sample(keys, selection):
    # Of some queries, evenly spread: the key of equal error, and all keys.
    n_rows = max(1, _COUNTED_ONE_BY_ONE // len(selection.references))
    counter, block = _OneByOne(keys), np.empty((1, len(selection.references)))
    covers, sample = [], []
    for row in np.unique(np.linspace(0, len(selection.queries) - 1, n_rows).astype(int)):
        rows = slice(row, row + 1)
        keys.fill(block, rows)
        covers.append(take_relevant(block, rows, selection))
        counter.add(block)
        sample += [covers[-1], block[block < np.inf]]
    threshold = equal_error(counter.counts(np.concatenate(covers)))[1]
    return keys.key(threshold), np.concatenate(sample)


def _counted(keys, values, covers, others, lowest):
    below = np.nextafter(lowest - 2 * keys.slack(lowest), -np.inf)
    return PairCounts(keys.distance(values), covers, others, float(keys.distance(below)))
