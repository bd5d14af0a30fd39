"""Ranking metrics, as pure functions of the ranks of the relevant items.

Conventions: `ranks` holds the ranks, from 1, of the relevant items of all queries, query after
query and ascending within each; `counts` how many each query has, at least 1. Functions give one
value per query, (Q,) float64. In the examples below two queries are worked by hand: the first finds
its two relevant items at ranks 1 and 3, the second its only one at rank 2.

MAP   mean of average precision: ((1/1 + 2/3) / 2 + 1/2) / 2 = 0.6667
MR1   mean rank of the first relevant item: (1 + 2) / 2 = 1.5
MRR   mean of its reciprocal: (1/1 + 1/2) / 2 = 0.75

Sources: Da-TACOS (Yesiler et al., ISMIR 2019) for MAP and MR1; MIREX' audio cover song
identification task for TOP10; Jarvelin & Kekalainen (2002) for CG, DCG and NDCG.
"""

import math

import numpy as np

__all__ = [
    "average_precision",
    "first_rank",
    "reciprocal_rank",
    "found_at",
    "precision_at",
    "hit_at",
    "recall_at",
    "dcg",
    "ndcg",
    "mean",
    "query_scores",
    "ranking_scores",
]


def average_precision(ranks, counts, k=None):
    """Average precision: mean over the relevant items of (relevant so far / rank).

    Args:
        ranks: See above.
        counts: See above.
        k: Only the first k of the ranking count, and the divisor is min(k, relevant items), as in
            the Siamese release's mAP@k. The whole ranking by default.

    Returns:
        (Q,) float64 in [0, 1].

    >>> average_precision([1, 3, 2], [2, 1])  # (1/1 + 2/3) / 2 and (1/2) / 1
    array([0.83333333, 0.5       ])
    >>> average_precision([1, 3, 2], [2, 1], k=2)  # (1/1) / 2 and (1/2) / 1
    array([0.5, 0.5])
    """
    ranks, counts = _arrays(ranks, counts)
    precisions = _places(counts) / ranks
    if k is None:
        return _sums(precisions, counts) / counts
    return _sums(np.where(ranks <= k, precisions, 0), counts) / np.minimum(counts, k)


def first_rank(ranks, counts):
    """Rank of the first relevant item.

    >>> first_rank([1, 3, 2], [2, 1])
    array([1., 2.])
    """
    ranks, counts = _arrays(ranks, counts)
    return ranks[np.cumsum(counts) - counts].astype(np.float64)


def reciprocal_rank(ranks, counts):
    """1 / rank of the first relevant item.

    >>> reciprocal_rank([1, 3, 2], [2, 1])
    array([1. , 0.5])
    """
    return 1 / first_rank(ranks, counts)


def found_at(ranks, counts, k=None):
    """Relevant items in the first k: cumulative gain (CG@k) with binary gains; TOP10 for k = 10.

    >>> found_at([1, 3, 2], [2, 1], k=2)
    array([1., 1.])
    >>> found_at([1, 3, 2], [2, 1])
    array([2., 1.])
    """
    ranks, counts = _arrays(ranks, counts)
    inside = np.ones(len(ranks)) if k is None else (ranks <= k).astype(np.float64)
    return _sums(inside, counts)


def precision_at(ranks, counts, k):
    """Relevant items in the first k, divided by k.

    >>> precision_at([1, 3, 2], [2, 1], k=5)  # 2 / 5 and 1 / 5
    array([0.4, 0.2])
    """
    return found_at(ranks, counts, k) / k


def hit_at(ranks, counts, k):
    """1 where a relevant item is in the first k, else 0.

    >>> hit_at([1, 3, 2], [2, 1], k=1)
    array([1., 0.])
    """
    return (first_rank(ranks, counts) <= k).astype(np.float64)


def recall_at(ranks, counts, k):
    """Relevant items in the first k, divided by all relevant items.

    >>> recall_at([1, 3, 2], [2, 1], k=2)  # 1 / 2 and 1 / 1
    array([0.5, 1. ])
    """
    return found_at(ranks, counts, k) / np.asarray(counts)


def dcg(ranks, counts, k=None):
    """Discounted cumulative gain: sum of 1 / log2(1 + rank) over the relevant items in the first k.

    >>> dcg([1, 3, 2], [2, 1])  # 1/log2(2) + 1/log2(4) and 1/log2(3)
    array([1.5       , 0.63092975])
    >>> dcg([1, 3, 2], [2, 1], k=2)
    array([1.        , 0.63092975])
    """
    ranks, counts = _arrays(ranks, counts)
    gains = 1 / np.log2(1.0 + ranks)
    return _sums(gains if k is None else np.where(ranks <= k, gains, 0), counts)


def ndcg(ranks, counts, k=None):
    """DCG divided by that of a ranking with all relevant items first.

    >>> ndcg([1, 3, 2], [2, 1])  # 1.5 / (1 + 0.63093) and 0.63093 / 1
    array([0.91972079, 0.63092975])
    """
    return dcg(ranks, counts, k) / dcg(_places(np.asarray(counts)), counts, k)


def mean(values):
    """Mean of the queries' values: the same to the last bit in every order.

    >>> mean([0.1, 0.2, 0.3]) == mean([0.3, 0.1, 0.2])
    True
    """
    return math.fsum(values) / len(values)


def query_scores(ranks, counts, ks=(1, 5, 10)):
    """All metrics that are means over queries, by query.

    Returns:
        dict of name to (Q,) float64: MAP, MR1, MRR, TOP10; NDCG, DCG, CG of the whole ranking;
        P@k, hit@k, recall@k, mAP@k, NDCG@k, DCG@k, CG@k for every cut-off k.
    """
    scores = {
        "MAP": average_precision(ranks, counts),
        "MR1": first_rank(ranks, counts),
        "MRR": reciprocal_rank(ranks, counts),
        "TOP10": found_at(ranks, counts, 10),
        "NDCG": ndcg(ranks, counts),
        "DCG": dcg(ranks, counts),
        "CG": found_at(ranks, counts),
    }
    at_k = {
        "P": precision_at,
        "hit": hit_at,
        "recall": recall_at,
        "mAP": average_precision,
        "NDCG": ndcg,
        "DCG": dcg,
        "CG": found_at,
    }
    for name, metric in at_k.items():
        scores.update({f"{name}@{k}": metric(ranks, counts, k) for k in ks})
    return scores


def ranking_scores(ranks, counts, ks=(1, 5, 10)):
    """All ranking metrics, averaged over the queries.

    Returns:
        dict of name to float: the means of `query_scores`, and TOP10_total (MIREX).

    >>> scores = ranking_scores([1, 3, 2], [2, 1])
    >>> [round(scores[name], 4) for name in ("MAP", "MR1", "MRR", "P@1", "hit@5", "TOP10")]
    [0.6667, 1.5, 0.75, 0.5, 1.0, 1.5]
    """
    scores = {name: mean(values) for name, values in query_scores(ranks, counts, ks).items()}
    scores["TOP10_total"] = math.fsum(found_at(ranks, counts, 10))
    return scores


def _arrays(ranks, counts):
    return np.asarray(ranks, dtype=np.int64), np.asarray(counts, dtype=np.int64)


def _places(counts):
    # 1, 2, ... within each query.
    ends = np.cumsum(counts)
    return np.arange(1, ends[-1] + 1) - np.repeat(ends - counts, counts)


def _sums(values, counts):
    return np.add.reduceat(values, np.cumsum(counts) - counts)
