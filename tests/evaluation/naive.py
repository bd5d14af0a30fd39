"""Evaluation as the definitions read, in plain loops: the oracle of the fast evaluator.

In all functions `distances` are those of all tracks to all, (N, N) nested lists or array, and
`queries` and `references` rows; all by default.
"""

import math


def rankings(distances, works, queries=None, references=None):
    """For each query with covers the ranks of its covers; ties count against the query.

    Returns:
        list of lists of ranks.
    """
    found = []
    for query in _all_by_default(queries, works):
        candidates = [other for other in _all_by_default(references, works) if other != query]
        candidates.sort(key=lambda o, q=query: (distances[q][o], works[o] == works[q]))
        ranks = [r for r, other in enumerate(candidates, 1) if works[other] == works[query]]
        if ranks:
            found.append(ranks)
    return found


def scores(distances, works, queries=None, references=None):
    """MAP, MR1, MRR and the rest of the rankings, by name."""
    ranked = rankings(distances, works, queries, references)

    def mean(of_query):
        return math.fsum(of_query(ranks) for ranks in ranked) / len(ranked)

    found = {
        "MAP": mean(lambda r: sum((n + 1) / rank for n, rank in enumerate(r)) / len(r)),
        "MR1": mean(lambda r: r[0]),
        "MRR": mean(lambda r: 1 / r[0]),
        "TOP10": mean(lambda r: sum(rank <= 10 for rank in r)),
        "TOP10_total": sum(sum(rank <= 10 for rank in r) for r in ranked),
        "CG": mean(len),
        "DCG": mean(lambda r: _dcg(r, math.inf)),
        "NDCG": mean(lambda r: _dcg(r, math.inf) / _dcg(range(1, len(r) + 1), math.inf)),
        "queries": len(ranked),
    }
    for k in (1, 5, 10):
        found[f"P@{k}"] = mean(lambda r, k=k: sum(rank <= k for rank in r) / k)
        found[f"hit@{k}"] = mean(lambda r, k=k: any(rank <= k for rank in r))
        found[f"recall@{k}"] = mean(lambda r, k=k: sum(rank <= k for rank in r) / len(r))
        found[f"mAP@{k}"] = mean(
            lambda r, k=k: (
                sum((n + 1) / rank for n, rank in enumerate(r) if rank <= k) / min(k, len(r))
            )
        )
        found[f"CG@{k}"] = mean(lambda r, k=k: sum(rank <= k for rank in r))
        found[f"DCG@{k}"] = mean(lambda r, k=k: _dcg(r, k))
        found[f"NDCG@{k}"] = mean(lambda r, k=k: _dcg(r, k) / _dcg(range(1, len(r) + 1), k))
    return found


def thresholds(distances, works, queries=None, references=None):
    """EER and its threshold, best accuracy and numbers of pairs, by trying every distance."""
    covers, others = _pairs(distances, works, queries, references)
    points, accuracies, tried = [(0.0, 1.0)], [len(others)], sorted(set(covers + others))
    for threshold in tried:
        accepted = sum(d <= threshold for d in others)
        rejected = sum(d > threshold for d in covers)
        points.append((accepted / max(len(others), 1), rejected / len(covers)))
        accuracies.append(len(others) - accepted + len(covers) - rejected)
    pairs = len(covers) + len(others)
    place, rate = _crossing(points)
    return {
        "EER": rate,
        "EER_threshold": tried[place],
        "accuracy": max(accuracies) / pairs,
        "pairs": pairs,
        "cover_pairs": len(covers),
    }


def at_tau(distances, works, tau, queries=None, references=None):
    """Accuracy, precision and recall when distances up to tau are taken for covers'."""
    covers, others = _pairs(distances, works, queries, references)
    found, wrong = sum(d <= tau for d in covers), sum(d <= tau for d in others)
    return {
        "accuracy@tau": (found + len(others) - wrong) / (len(covers) + len(others)),
        "precision@tau": found / (found + wrong) if found + wrong else 0.0,
        "recall@tau": found / len(covers),
    }


def _all_by_default(rows, works):
    return range(len(works)) if rows is None else rows


def _pairs(distances, works, queries, references):
    covers, others = [], []
    for query in _all_by_default(queries, works):
        candidates = [other for other in _all_by_default(references, works) if other != query]
        if any(works[other] == works[query] for other in candidates):
            for other in candidates:
                same = works[other] == works[query]
                (covers if same else others).append(distances[query][other])
    return covers, others


def _crossing(points):
    for place, ((accept_0, reject_0), (accept_1, reject_1)) in enumerate(zip(points, points[1:])):
        if accept_1 >= reject_1:
            share = (reject_0 - accept_0) / ((reject_0 - accept_0) + (accept_1 - reject_1))
            return place, accept_0 + share * (accept_1 - accept_0)
    raise AssertionError("accepting everything rejects nothing")


def _dcg(ranks, k):
    return sum(1 / math.log2(1 + rank) for rank in ranks if rank <= k)
