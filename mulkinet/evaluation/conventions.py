"""The same ranking as each published code counts it.

Published code differs in what it does with the query's own track, with queries that have nothing to
find, and in divisors, so that one ranking gives different tables. These are what their code
computes, found by reading it; our own definitions are in `metrics`.

MOVE, Re-MOVE  a query without covers counts as found at rank 1 in MR1 and MRR, not in MAP;
               Top1 and Top10 are totals
acoss          such queries are dropped, but MRR is divided by all tracks; Top-k are numbers of
               queries whose first cover is in the first k
CQTNet         (and TPPNet) such queries have AP 0 and rank 0, both averaged
CoverHunter    as CQTNet, AP over the first 10000; candidates at a float32 distance below 0, as the
               cosine of exact duplicates may give, are dropped
MulKINet       the query's own track stays, at a cosine distance of 1; a cover is a track of the same
               run of equal works in the list; a query without covers makes MAP NaN

Where published code leaves equal distances to its sorting routine, ties count against the query.
"""

import math

import numpy as np

from mulkinet.errors import MulkinetError
from mulkinet.evaluation import metrics
from mulkinet.evaluation.selection import select_tracks

__all__ = ["CONVENTIONS", "Conventions"]

CONVENTIONS = ("MOVE", "acoss", "CQTNet", "CoverHunter", "MulKINet")

_COVERHUNTER_DEPTH = 10000
# The float32 product of unit vectors errs by less: only nearer candidates can come out negative.
_NEAR = 1e-5


class Conventions:
    """Scores a ranking by the conventions of published code.

    Args:
        embeddings: (N, embedding) array, or distances.
        selection: Selection.
        keys: What `distances.compare` gives for it.
        distance: Name of the distance.
    """

    def __init__(self, embeddings, selection, keys, distance):
        self._embeddings = embeddings
        self._selection = selection
        self._keys = keys
        self._distance = distance
        # For each cover, how many candidates before it are negative and no covers.
        self._negative = np.zeros(len(selection.relevant), dtype=np.int64)

    def visit(self, block, rows, reach):
        """Counts candidates of a negative float32 distance: a visitor of `ranking.rank_relevant`."""
        first = self._selection.starts[rows.start]
        near = block < self._keys.key(_NEAR)
        for place in np.flatnonzero(near.any(axis=1)):
            row, columns = rows.start + place, np.flatnonzero(near[place])
            found = block[place, columns]
            found = found[self._is_negative(np.full(len(columns), row), columns, found)]
            part = self._selection.pairs_of(slice(row, row + 1))
            reached = reach[part.start - first : part.stop - first]
            self._negative[part] = np.searchsorted(np.sort(found), reached, side="right")

    def printed(self, ranking, rerank):
        """The scores as published code counts them.

        Args:
            ranking: Ranking of the selection.
            rerank: Function of a Selection that gives its Ranking by the same embeddings; called when
                MulKINet would have taken other tracks for covers.

        Returns:
            dict of convention to dict of what its code prints to float (NaN where that prints NaN).
            MulKINet's is there only where a list was ranked against itself, as it does, and by cosine
            or precomputed distances (taken to be cosine's): among others its 1 would mean nothing.
        """
        selection, n_asked = self._selection, len(self._selection.asked)
        found = {
            "MOVE": _move(ranking, n_asked),
            "acoss": _acoss(ranking, n_asked),
            "CQTNet": _cqtnet(ranking, n_asked),
            "CoverHunter": _coverhunter(*self._without_negative(ranking), n_asked),
        }
        has_unit = self._distance in ("cosine", "precomputed")
        if has_unit and np.array_equal(np.sort(selection.asked), np.sort(selection.references)):
            found["MulKINet"] = self._mulkinet(ranking, rerank)
        return found

    def _is_negative(self, rows, columns, keys):
        """(n,) whether float32 arithmetic puts the pairs (rows[i], columns[i]) below 0."""
        if self._distance == "precomputed":
            return keys.astype(np.float32) < 0
        if self._distance != "cosine":
            return np.zeros(len(rows), dtype=bool)
        left = self._single_units(self._selection.queries[rows])
        right = self._single_units(self._selection.references[columns])
        return 1 - np.einsum("ij,ij->i", left, right) < 0

    def _single_units(self, rows):
        vectors = np.asarray(self._embeddings)[rows].astype(np.float32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.where(lengths > 0, lengths, 1)

    def _without_negative(self, ranking):
        """Ranks and counts when candidates of a negative float32 distance are taken out."""
        starts, owners = self._selection.starts, self._selection.owners
        is_dropped = np.zeros(len(ranking.keys), dtype=bool)
        near = np.flatnonzero(ranking.keys < self._keys.key(_NEAR))
        is_dropped[near] = self._is_negative(owners[near], ranking.items[near], ranking.keys[near])
        gone = np.concatenate([[0], np.cumsum(is_dropped)])
        ranks = ranking.ranks - self._negative - (gone[:-1] - gone[starts[owners]])
        counts = ranking.counts - np.diff(gone[starts])
        return ranks[~is_dropped], counts[counts > 0]

    def _mulkinet(self, ranking, rerank):
        selection, runs = self._selection, _runs(self._selection)
        if runs is not None:
            try:
                selection = select_tracks(
                    runs, queries=selection.asked, references=selection.references
                )
            except MulkinetError:  # No run has two tracks, so nothing can be found.
                return {"mAP": np.nan, "P@10": 0.0, "MR1": np.nan}
            ranking = rerank(selection)
        # The own track's distance of 1 counts as any other's.
        reach = ranking.keys + self._keys.slack(ranking.keys)
        ranks = ranking.ranks + (reach >= self._keys.key(1.0))
        precisions = metrics.average_precision(ranks, ranking.counts)
        found = math.fsum(metrics.precision_at(ranks, ranking.counts, 10))
        return {
            "mAP": np.nan if selection.numbers["excluded_queries"] else metrics.mean(precisions),
            "P@10": found / len(selection.asked),
            "MR1": metrics.mean(metrics.first_rank(ranks, ranking.counts)),
        }


def _move(ranking, n_asked):
    ranks, counts = ranking.ranks, ranking.counts
    n_empty = n_asked - len(counts)
    first = metrics.first_rank(ranks, counts)
    return {
        "mAP": metrics.mean(metrics.average_precision(ranks, counts)),
        "MRR": (math.fsum(1 / first) + n_empty) / n_asked,
        "MR": (math.fsum(first) + n_empty) / n_asked,
        "Top1": math.fsum(metrics.found_at(ranks, counts, 1)),
        "Top10": math.fsum(metrics.found_at(ranks, counts, 10)),
    }


def _acoss(ranking, n_asked):
    first = metrics.first_rank(ranking.ranks, ranking.counts)
    return {
        "MR": metrics.mean(first),
        "MRR": math.fsum(1 / first) / n_asked,
        "MDR": float(np.median(first)),
        "MAP": metrics.mean(metrics.average_precision(ranking.ranks, ranking.counts)),
        **{f"Top-{k}": math.fsum(first <= k) for k in (1, 10, 100, 1000)},
    }


def _cqtnet(ranking, n_asked):
    ranks, counts = ranking.ranks, ranking.counts
    return {
        "MAP": math.fsum(metrics.average_precision(ranks, counts)) / n_asked,
        "top10": math.fsum(metrics.precision_at(ranks, counts, 10)) / n_asked,
        "rank1": math.fsum(metrics.first_rank(ranks, counts)) / n_asked,
    }


def _coverhunter(ranks, counts, n_asked):
    if not len(counts):
        return {"mean_ap": 0.0, "top10": 0.0, "rank1": 0.0, "hit_rate": 0.0}
    is_shallow = ranks <= _COVERHUNTER_DEPTH
    found = np.add.reduceat(is_shallow.astype(np.int64), np.cumsum(counts) - counts)
    precisions = []
    if found.any():
        precisions = metrics.average_precision(ranks[is_shallow], found[found > 0])
    return {
        "mean_ap": math.fsum(precisions) / n_asked,
        "top10": math.fsum(metrics.precision_at(ranks, counts, 10)) / n_asked,
        "rank1": math.fsum(metrics.first_rank(ranks, counts)) / n_asked,
        "hit_rate": math.fsum(metrics.hit_at(ranks, counts, 1)) / n_asked,
    }


def _runs(selection):
    # The number of each row's run of equal works in the list; None where runs and works agree.
    works = selection.reference_works
    begins = np.concatenate([[True], works[1:] != works[:-1]])
    if begins.sum() == len(np.unique(works)):
        return None
    runs = np.full(selection.references.max() + 1, -1)
    runs[selection.references] = np.cumsum(begins)
    return runs
