"""Are these two covers? Scores over all (query, candidate) pairs at a distance threshold.

A pair is accepted when its distance does not exceed the threshold. False accepts are non-covers
accepted, over all non-covers; false rejects covers rejected, over all covers.

EER        the error where both are equal; between two thresholds, where the line through their
           two error pairs meets equality, so that equal distances everywhere give 0.5
accuracy   the share of pairs judged rightly, at the best threshold (`accuracy_threshold`: the
           distance of a cover, or below all distances), and at a threshold tau that was chosen
           on other tracks

A threshold may also be asked for by the share of non-covers it may accept (`accept_threshold`).

Exact over all pairs and without holding them: distances are rounded to float32 (a relative 6e-8,
the only tolerance there is), whose bits, in ascending order of value, are 32-bit codes. A first
pass counts pairs by the upper bits; which of these bins hold the thresholds sought is then known,
and another pass counts these few by the lower bits. The distances of covers are known already.

Public names: `CodeHistogram`, `PairScores`, `score_pairs`, `accept_threshold`.
"""

import threading
from dataclasses import dataclass

import numpy as np

__all__ = ["CodeHistogram", "PairScores", "score_pairs", "accept_threshold"]

_LOW_BITS = 14
_N_LOW = 1 << _LOW_BITS
_N_HIGH = 1 << (32 - _LOW_BITS)
_LAST_CODE = (1 << 32) - 1
# Bins refined in one pass: 64 * 2**14 counts of 8 bytes.
_BINS_A_PASS = 64
_ENTRIES_AT_A_TIME = 1 << 20


@dataclass(frozen=True)
class PairScores:
    """Scores of all pairs, and what curves are drawn from.

    Attributes:
        scores: dict: EER, EER_threshold, accuracy, accuracy_threshold, pairs, cover_pairs, and
            with a tau also tau, accuracy@tau, precision@tau, recall@tau.
        distances: (n,) ascending distances, upper ends of bins.
        covers: (n,) number of covers in each bin.
        others: (n,) number of non-covers in each bin.
    """

    scores: dict
    distances: np.ndarray
    covers: np.ndarray
    others: np.ndarray


class CodeHistogram:
    """Counts all pairs of a pass by the upper bits of their codes.

    Args:
        keys: What `distances.pair_keys` gives.
    """

    def __init__(self, keys):
        self._keys = keys
        self._lock = threading.Lock()
        self.counts = np.zeros(_N_HIGH, dtype=np.int64)

    def visit(self, block, _first_row, _first_column):
        """Counts a block; to be given to `Blocks.visit`."""
        for part in _parts(block):
            codes = _codes(self._keys, part)
            codes >>= _LOW_BITS
            counts = np.bincount(codes.ravel(), minlength=_N_HIGH)
            with self._lock:
                self.counts += counts


def score_pairs(blocks, ranking, histogram, tau=None):
    """Scores all pairs by thresholds.

    Args:
        blocks: Blocks over the same pairs.
        ranking: Ranking, which holds the keys of covers and of queries' own tracks.
        histogram: CodeHistogram that has seen every block.
        tau: A distance chosen on other tracks, or None.

    Returns:
        PairScores.
    """
    counter = _PairCounter(blocks, ranking, histogram.counts)
    tau_code = None if tau is None else _code_of_distance(blocks.keys, tau)
    crossing = counter.crossing_bin()
    wanted = [crossing] if tau is None else [crossing, tau_code >> _LOW_BITS]
    while True:
        promising = counter.promising_bins()
        wanted = [*wanted, *promising[: _BINS_A_PASS - len(wanted)]]
        if not wanted:
            break
        counter.refine(sorted(set(wanted)))
        wanted = []
    scores = {**counter.equal_error(crossing), **counter.best_accuracy()}
    scores.update(pairs=counter.n_others + counter.n_covers, cover_pairs=counter.n_covers)
    if tau is not None:
        scores.update(tau=float(tau), **counter.at(tau_code))
    used = np.flatnonzero(counter.covers_in + counter.others_in)
    ends = (used + 1) * _N_LOW - 1
    return PairScores(
        scores,
        np.array([_distance_of_code(blocks.keys, code) for code in ends]),
        counter.covers_in[used],
        counter.others_in[used],
    )


def accept_threshold(blocks, ranking, rate):
    """The largest distance at which no more than a share of the non-covers is accepted.

    Args:
        blocks: Blocks over all pairs.
        ranking: Ranking of the same pairs, some of them non-covers.
        rate: The share, in [0, 1).

    Returns:
        float; below all non-covers where the nearest of them are too many.
    """
    histogram = CodeHistogram(blocks.keys)
    blocks.visit(histogram.visit, "thresholds")
    return _PairCounter(blocks, ranking, histogram.counts).accepting(rate)


class _PairCounter:
    """Numbers of covers and non-covers up to any code that has been refined.

    Bins are those of the upper bits; `covers_in` and `others_in` are their counts.
    """

    def __init__(self, blocks, ranking, counts):
        self._blocks = blocks
        self._codes = np.sort(_codes(blocks.keys, ranking.keys)).astype(np.int64)
        self._own = _codes(blocks.keys, ranking.own_keys[~np.isnan(ranking.own_keys)])
        self.covers_in = _count_bins(self._codes)
        self.others_in = counts - self.covers_in - _count_bins(self._own)
        self.n_covers = len(self._codes)
        self.n_others = int(self.others_in.sum())
        # Covers above and non-covers up to the end of each bin.
        self._above = self.n_covers - np.cumsum(self.covers_in)
        self._below = np.cumsum(self.others_in)
        self._refined = {}
        self._best = self._best_at_bin_ends()

    def crossing_bin(self):
        """The bin in which the false accepts overtake the false rejects."""
        return int(np.argmax(self._accepts(self._below) >= self._rejects(self._above)))

    def promising_bins(self):
        """Bins that may hold a better threshold than the best known, the most promising first."""
        below_before = self._below - self.others_in
        least = self._above + below_before
        better = np.flatnonzero(least < self._best[0])
        better = better[np.argsort(least[better], kind="stable")]
        return [bin for bin in better.tolist() if bin not in self._refined]

    def refine(self, bins):
        """Counts the non-covers of some bins by code."""
        slots = np.full(_N_HIGH, -1, dtype=np.int16)
        slots[bins] = np.arange(len(bins))
        counts = np.zeros(len(bins) * _N_LOW, dtype=np.int64)
        keys, lock = self._blocks.keys, threading.Lock()
        # Most pairs are farther apart than the last of the bins.
        farthest = keys.key_above(_measure_of_code((max(bins) + 1) * _N_LOW - 1))

        def visit(block, _first_row, _first_column):
            # Faster than a boolean index where many remain.
            near = (part.take(np.flatnonzero(part <= farthest)) for part in _parts(block))
            found = [_slotted(slots, _codes(keys, part)) for part in near]
            here = np.bincount(np.concatenate(found), minlength=len(counts))
            with lock:
                counts[:] += here

        self._blocks.visit(visit, "thresholds")
        for known in (self._codes, self._own):
            counts -= np.bincount(_slotted(slots, known), minlength=len(counts))
        for bin, others in zip(bins, counts.reshape(len(bins), _N_LOW)):
            self._refined[bin] = others
            errors = self._above_codes(bin) + self._below_codes(bin)
            least = int(np.argmin(errors))
            self._best = min(self._best, (int(errors[least]), bin * _N_LOW + least))

    def equal_error(self, bin):
        """EER and its threshold, which lies in a refined bin."""
        accepts = self._accepts(self._below_codes(bin))
        rejects = self._rejects(self._above_codes(bin))
        after = int(np.argmax(accepts >= rejects))
        code = bin * _N_LOW + after
        accepts_0, rejects_0 = self._before(bin, after, accepts, rejects)
        gap_0, gap_1 = rejects_0 - accepts_0, accepts[after] - rejects[after]
        share = gap_0 / (gap_0 + gap_1) if gap_0 + gap_1 > 0 else 0.0
        rate = accepts_0 + share * (accepts[after] - accepts_0)
        threshold = _distance_of_code(self._blocks.keys, code)
        return {"EER": float(rate), "EER_threshold": threshold}

    def accepting(self, rate):
        """The largest threshold at which no more than this share of non-covers is accepted."""
        bin = int(np.argmax(self._accepts(self._below) > rate))
        self.refine([bin])
        excess = bin * _N_LOW + int(np.argmax(self._accepts(self._below_codes(bin)) > rate))
        keys = self._blocks.keys
        # The last code of a lesser distance, which need not be the one before: 0 has two codes.
        lesser = np.nextafter(_distance_of_code(keys, excess), -np.inf)
        return _distance_of_code(keys, _code_of_distance(keys, lesser))

    def best_accuracy(self):
        """The best accuracy and its threshold."""
        errors, code = self._best
        accepted = int(np.searchsorted(self._codes, code, side="right"))
        if accepted:
            # The end of a bin accepts no more than the last cover before it does.
            threshold = _distance_of_code(self._blocks.keys, self._codes[accepted - 1])
        else:
            first = np.argmax(self.covers_in + self.others_in > 0) * _N_LOW
            threshold = np.nextafter(_distance_of_code(self._blocks.keys, first), -np.inf)
        return {
            "accuracy": 1 - errors / (self.n_covers + self.n_others),
            "accuracy_threshold": float(threshold),
        }

    def at(self, code):
        """Accuracy, precision and recall at a code of a refined bin."""
        bin, low = divmod(code, _N_LOW)
        false_rejects = int(self._above_codes(bin)[low])
        false_accepts = int(self._below_codes(bin)[low])
        found = self.n_covers - false_rejects
        accepted = found + false_accepts
        return {
            "accuracy@tau": 1 - (false_accepts + false_rejects) / (self.n_covers + self.n_others),
            "precision@tau": found / accepted if accepted else 0.0,
            "recall@tau": found / self.n_covers,
        }

    def _best_at_bin_ends(self):
        # (errors, code); a threshold below all distances rejects every pair.
        errors = self._above + self._below
        used = np.flatnonzero(self.covers_in + self.others_in)
        least = used[np.argmin(errors[used])]
        nothing = int(used[0]) * _N_LOW - 1
        return min((int(errors[least]), (int(least) + 1) * _N_LOW - 1), (self.n_covers, nothing))

    def _below_codes(self, bin):
        # Non-covers up to each code of a refined bin.
        return self._below[bin] - self.others_in[bin] + np.cumsum(self._refined[bin])

    def _above_codes(self, bin):
        # Covers above each code of a bin.
        first = bin * _N_LOW
        start, end = np.searchsorted(self._codes, [first, first + _N_LOW])
        covers = np.bincount(self._codes[start:end] - first, minlength=_N_LOW)
        return self._above[bin] + self.covers_in[bin] - np.cumsum(covers)

    def _before(self, bin, after, accepts, rejects):
        if after > 0:
            return accepts[after - 1], rejects[after - 1]
        before = self._below[bin] - self.others_in[bin]
        return self._accepts(before), self._rejects(self._above[bin] + self.covers_in[bin])

    def _accepts(self, numbers):
        return numbers / max(self.n_others, 1)

    def _rejects(self, numbers):
        return numbers / self.n_covers


def _parts(block):
    step = max(1, _ENTRIES_AT_A_TIME // block.shape[1])
    return [block[start : start + step] for start in range(0, len(block), step)]


def _codes(keys, values):
    # The bits of a float32 as an unsigned number that grows with its value: a positive number gets
    # its sign bit set, a negative one all bits turned.
    bits = keys.measure(values).view(np.int32)
    turn = bits >> 31
    turn |= np.int32(-(1 << 31))
    turn ^= bits
    return turn.view(np.uint32)


def _count_bins(codes):
    return np.bincount(codes >> _LOW_BITS, minlength=_N_HIGH)


def _slotted(slots, codes):
    slot = slots[codes >> _LOW_BITS]
    inside = slot >= 0
    return slot[inside].astype(np.int64) * _N_LOW + (codes[inside] & (_N_LOW - 1))


def _measure_of_code(code):
    code = min(max(int(code), 0), _LAST_CODE)
    bits = code ^ (1 << 31) if code >> 31 else code ^ _LAST_CODE
    return float(np.array([bits], dtype=np.uint32).view(np.float32)[0])


def _distance_of_code(keys, code):
    return float(keys.distance_of_measure(np.array([_measure_of_code(code)]))[0])


def _code_of_distance(keys, distance):
    # The last code whose distance does not exceed this one, so that thresholds go there and back.
    low, high = 0, _LAST_CODE
    while low < high:
        middle = (low + high + 1) // 2
        value = _distance_of_code(keys, middle)
        is_above = value > distance or (np.isnan(value) and middle >> 31)
        low, high = (low, middle - 1) if is_above else (middle, high)
    return low
