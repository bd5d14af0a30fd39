"""The same ranking as each published code would have printed it.

Published code differs in what it does with the query's own track, with queries that have nothing to
find, and in divisors, so that one ranking gives different tables. These are what their code
computes, found by reading it; our own definitions are in `metrics`.

MOVE, Re-MOVE  a query without covers counts as found at rank 1 in MR1 and MRR, not in MAP;
               Top1 and Top10 are totals
acoss          such queries are dropped, but MRR is divided by all tracks; Top-k are numbers of
               queries whose first cover is in the first k
CQTNet         (and TPPNet) such queries have AP 0 and rank 0, both averaged
CoverHunter    as CQTNet, AP over the first 10000; candidates at a float32 cosine distance below 0,
               as exact duplicates may be, are dropped
MulKINet       the query's own track stays, at a cosine distance of 1; a cover is a track of the same
               run of equal works in the list; a query without covers makes MAP NaN

Where published code leaves equal distances to its sorting routine, ties count against the query.

Public names: `CONVENTIONS`, `as_published`.
"""

import math

import numpy as np

from mulkinet.errors import MulkinetError
from mulkinet.evaluation import metrics
from mulkinet.evaluation.ranking import tie_ends
from mulkinet.evaluation.selection import select_tracks

__all__ = ["CONVENTIONS", "as_published"]

CONVENTIONS = ("MOVE", "acoss", "CQTNet", "CoverHunter", "MulKINet")

_COVERHUNTER_DEPTH = 10000
# The float32 product of unit vectors errs by less: only nearer candidates can come out negative.
_NEAR = 1e-5


def as_published(selection, ranking, blocks, rerank, distance):
    """Scores a ranking by the conventions of published code.

    Args:
        selection: Selection.
        ranking: Ranking of it.
        blocks: Blocks over the same pairs.
        rerank: Function of a Selection that gives (Ranking, Blocks) for the same embeddings;
            called when MulKINet would have taken other tracks for covers.
        distance: Name of the distance.

    Returns:
        dict of convention to dict of what its code prints to float (NaN where that prints NaN).
        MulKINet's is there only where a list was ranked against itself, as it does, and by cosine or
        precomputed distances (taken to be cosine's): among others its 1 would mean nothing.
    """
    n_asked = len(selection.asked)
    published = {
        "MOVE": _move(ranking, n_asked),
        "acoss": _acoss(ranking, n_asked),
        "CQTNet": _cqtnet(ranking, n_asked),
        "CoverHunter": _coverhunter(selection, ranking, blocks),
    }
    has_unit = distance in ("cosine", "precomputed")
    if has_unit and np.array_equal(np.sort(selection.asked), np.sort(selection.references)):
        published["MulKINet"] = _mulkinet(selection, ranking, blocks, rerank)
    return published


def _move(ranking, n_asked):
    ranks, counts = ranking.ranks, ranking.counts
    n_empty = n_asked - len(counts)
    first = metrics.first_rank(ranks, counts)
    return {
        "mAP": metrics.mean(metrics.average_precision(ranks, counts)),
        "MRR": (_total(1 / first) + n_empty) / n_asked,
        "MR": (_total(first) + n_empty) / n_asked,
        "Top1": _total(metrics.found_at(ranks, counts, 1)),
        "Top10": _total(metrics.found_at(ranks, counts, 10)),
    }


def _acoss(ranking, n_asked):
    first = metrics.first_rank(ranking.ranks, ranking.counts)
    return {
        "MR": metrics.mean(first),
        "MRR": _total(1 / first) / n_asked,
        "MDR": float(np.median(first)),
        "MAP": metrics.mean(metrics.average_precision(ranking.ranks, ranking.counts)),
        **{f"Top-{k}": _total(first <= k) for k in (1, 10, 100, 1000)},
    }


def _cqtnet(ranking, n_asked):
    ranks, counts = ranking.ranks, ranking.counts
    return {
        "MAP": _total(metrics.average_precision(ranks, counts)) / n_asked,
        "top10": _total(metrics.precision_at(ranks, counts, 10)) / n_asked,
        "rank1": _total(metrics.first_rank(ranks, counts)) / n_asked,
    }


def _coverhunter(selection, ranking, blocks):
    ranks, counts = _without_negatives(selection, ranking, blocks)
    if not len(counts):
        return {"mean_ap": 0.0, "top10": 0.0, "rank1": 0.0, "hit_rate": 0.0}
    is_shallow = ranks <= _COVERHUNTER_DEPTH
    found = np.add.reduceat(is_shallow.astype(np.int64), np.cumsum(counts) - counts)
    precisions = []
    if found.any():
        precisions = metrics.average_precision(ranks[is_shallow], found[found > 0])
    n_asked = len(selection.asked)
    return {
        "mean_ap": _total(precisions) / n_asked,
        "top10": _total(metrics.precision_at(ranks, counts, 10)) / n_asked,
        "rank1": _total(metrics.first_rank(ranks, counts)) / n_asked,
        "hit_rate": _total(metrics.hit_at(ranks, counts, 1)) / n_asked,
    }


def _without_negatives(selection, ranking, blocks):
    # Ranks and counts when candidates of a negative float32 distance are taken out.
    owner = selection.query_of_pair
    is_dropped = blocks.keys.single_precision_distance(owner, ranking.items) < 0
    gone = np.cumsum(is_dropped)
    gone_before_query = (gone - is_dropped)[ranking.starts][owner]
    covers_before = gone - is_dropped - gone_before_query
    covers_not_above = gone[tie_ends(ranking.keys, owner)] - gone_before_query
    others_not_above = _negatives_not_above(selection, ranking, blocks) - covers_not_above
    ranks = ranking.ranks - others_not_above - covers_before
    counts = ranking.counts - np.add.reduceat(is_dropped.astype(np.int64), ranking.starts)
    return ranks[~is_dropped], counts[counts > 0]


def _negatives_not_above(selection, ranking, blocks):
    # How many candidates of a negative float32 distance do not exceed each cover's key.
    not_above = np.zeros(len(ranking.keys), dtype=np.int64)
    starts = np.append(ranking.starts, len(ranking.keys))

    def visit(block, first_row, first_column):
        near = blocks.keys.measure(block) < _NEAR
        for offset in np.flatnonzero(near.any(axis=1)):
            row = first_row + offset
            columns = np.flatnonzero(near[offset])
            columns = columns[columns + first_column != selection.own[row]]
            rows = np.full(len(columns), row)
            single = blocks.keys.single_precision_distance(rows, columns + first_column)
            negative = np.sort(block[offset, columns[single < 0]])
            start, stop = starts[row : row + 2]
            found = np.searchsorted(negative, ranking.keys[start:stop], side="right")
            not_above[start:stop] += found

    blocks.visit(visit, "duplicates")
    return not_above


def _mulkinet(selection, ranking, blocks, rerank):
    runs = _runs(selection)
    if runs is not None:
        try:
            selection = select_tracks(
                runs, queries=selection.asked, references=selection.references
            )
        except MulkinetError:  # No run has two tracks, so nothing can be found.
            return {"mAP": np.nan, "P@10": 0.0, "MR1": np.nan}
        ranking, blocks = rerank(selection)
    # The own track's distance of 1 counts as any other's.
    ranks = ranking.ranks + (blocks.keys.distance(ranking.keys) >= 1)
    precisions = metrics.average_precision(ranks, ranking.counts)
    found = _total(metrics.precision_at(ranks, ranking.counts, 10))
    return {
        "mAP": np.nan if len(selection.excluded) else metrics.mean(precisions),
        "P@10": found / len(selection.asked),
        "MR1": metrics.mean(metrics.first_rank(ranks, ranking.counts)),
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


def _total(values):
    return math.fsum(values)
