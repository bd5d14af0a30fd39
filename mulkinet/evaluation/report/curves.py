"""What the report draws, as arrays: curves, groups and neighbours.

Conventions: `ranks` and `counts` are those of `metrics`, `pairs` is a thresholds.PairCounts.
"""

import numpy as np

from mulkinet.evaluation import metrics

__all__ = [
    "chance_curve",
    "first_cover_curve",
    "ranking_precision_recall",
    "pair_precision_recall",
    "error_curve",
    "precision_by_size",
    "principal_plane",
    "nearest",
]

# The time to find axes grows with the cube of the number of tracks or components, the lesser one.
_TRACKS_OF_AXES = 2000
_POINTS = 5000


def first_cover_curve(ranks, counts):
    """Share of queries whose first cover is within a rank.

    Returns:
        (ranks (n,) ascending, shares (n,) in (0, 1]).

    >>> first_cover_curve([1, 3, 2], [2, 1])
    (array([1., 2.]), array([0.5, 1. ]))
    """
    first, numbers = np.unique(metrics.first_rank(ranks, counts), return_counts=True)
    return first, np.cumsum(numbers) / len(counts)


def chance_curve(covers, candidates, n_ranks=60):
    """Share of queries whose first cover is within a rank, of orders drawn at random.

    Args:
        covers: (n_queries,) covers of each, at least 1.
        candidates: (n_queries,) candidates of each, as many or more.
        n_ranks: How many ranks, evenly spread on a logarithmic scale.

    Returns:
        (ranks (n,) ascending, shares (n,) in (0, 1]).

    >>> chance_curve([1, 2], [3, 3])
    (array([1, 2, 3]), array([0.5       , 0.83333333, 1.        ]))
    """
    from scipy.special import gammaln

    covers, candidates = np.asarray(covers), np.asarray(candidates)
    ranks = np.unique(np.geomspace(1, candidates.max(), n_ranks).round().astype(int))
    # All covers are among the `left` places after a rank; where they do not fit, one is before.
    left = candidates - np.minimum(ranks[:, None], candidates)
    fits = left >= covers
    missed = gammaln(left + 1) - gammaln(np.where(fits, left - covers, 0) + 1)
    missed += gammaln(candidates - covers + 1) - gammaln(candidates + 1)
    return ranks, 1 - np.where(fits, np.exp(missed), 0).mean(axis=1)


def ranking_precision_recall(ranks, counts, n_levels=101):
    """Interpolated precision at levels of recall, mean over queries.

    A query's precision at a recall level is the best at that recall or a higher one.

    Returns:
        (recall from 0 to 1 (n_levels,), precision (n_levels,)).

    >>> ranking_precision_recall([1, 3, 2], [2, 1], n_levels=3)
    (array([0. , 0.5, 1. ]), array([0.75      , 0.75      , 0.58333333]))
    """
    ranks, counts = np.asarray(ranks), np.asarray(counts)
    starts = np.cumsum(counts) - counts
    precisions = (np.arange(len(ranks)) - np.repeat(starts, counts) + 1) / ranks
    # Best from here to the end of the query, by running backwards over all queries at once: a step
    # added per query keeps one query's maxima out of the next.
    step = np.repeat(np.arange(len(counts))[::-1], counts) * 2.0
    best = np.maximum.accumulate((precisions + step)[::-1])[::-1] - step
    recall = np.linspace(0, 1, n_levels)
    # The first item that reaches the level.
    needed = np.maximum(np.ceil(recall[:, None] * counts - 1e-9), 1).astype(np.int64)
    return recall, best[starts + needed - 1].mean(axis=1)


def pair_precision_recall(pairs):
    """Precision and recall of accepting all pairs up to a distance, over distances.

    Returns:
        (recall (n,), precision (n,)).
    """
    found, accepted = np.cumsum(pairs.covers), np.cumsum(pairs.covers + pairs.others)
    return _thinned(found / found[-1], found / accepted)


def error_curve(pairs):
    """False accepts and false rejects over distances.

    Returns:
        (false accept rate (n,), false reject rate (n,)), from accepting nothing to everything.
    """
    accepts, rejects = _thinned(pairs.false_accepts, pairs.false_rejects)
    return np.concatenate([[0.0], accepts]), np.concatenate([[1.0], rejects])


def _thinned(x, y):
    # More points are more than can be seen, and a large file.
    chosen = np.unique(np.linspace(0, len(x) - 1, min(len(x), _POINTS)).astype(int))
    return x[chosen], y[chosen]


def precision_by_size(ranks, counts):
    """Mean average precision of the queries of each number of covers.

    Returns:
        (covers to be found (n,), MAP (n,), number of queries (n,)).

    >>> precision_by_size([1, 3, 2], [2, 1])
    (array([1, 2]), array([0.5       , 0.83333333]), array([1, 1]))
    """
    sizes, group, numbers = np.unique(counts, return_inverse=True, return_counts=True)
    sums = np.bincount(group, weights=metrics.average_precision(ranks, counts))
    return sizes, sums / numbers, numbers


def principal_plane(embeddings):
    """The two principal components of (N, embedding): points (N, 2), and the share of the variance of each (2,).

    Where there are more than 2000 tracks and more than 2000 numbers in each, the components are those
    of 2000 of the tracks.
    """
    centred = np.array(embeddings, dtype=np.float64)
    centred -= centred.mean(axis=0)
    axes = _principal_axes(centred)
    # The sign of an axis is arbitrary: its largest component is made positive.
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    points = np.zeros((len(centred), 2))
    points[:, : axes.shape[1]] = centred @ axes
    total = np.vdot(centred, centred)
    shares = np.square(points).sum(axis=0) / total if total > 0 else np.zeros(2)
    return points, shares


def _principal_axes(centred):
    """(embedding, up to 2) orthonormal axes of the largest variances."""
    if min(centred.shape) > _TRACKS_OF_AXES:
        # Evenly spread, so that they are the same tracks in every run.
        centred = centred[np.linspace(0, len(centred) - 1, _TRACKS_OF_AXES).astype(int)]
    if len(centred) >= centred.shape[1]:
        return np.linalg.eigh(centred.T @ centred)[1][:, :-3:-1]
    # The tracks' products are the smaller matrix then, and the axes are weighted sums of tracks.
    weights = np.linalg.eigh(centred @ centred.T)[1][:, :-3:-1]
    return np.linalg.qr(centred.T @ weights)[0]


def nearest(evaluation, query, n=10):
    """The first n candidates of a query (its position in the selection), as an Evaluation ranked them.

    Returns:
        (positions in the references (n,), distances (n,), whether each is a cover (n,)).
    """
    selection, keys = evaluation.selection, evaluation.keys
    row = np.empty((1, len(selection.references)))
    keys.fill(row, slice(query, query + 1))
    columns = np.arange(len(selection.references))
    columns = columns[columns != selection.own[query]]
    found = keys.tied(row[0, columns])
    is_cover = selection.reference_works[columns] == selection.query_works[query]
    order = np.lexsort((columns, is_cover, found))[:n]
    return columns[order], keys.distance(found[order]), is_cover[order]
