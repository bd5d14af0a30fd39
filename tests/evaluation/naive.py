"""Evaluation as the definitions read, in plain loops: the oracle of the fast evaluator."""

import math


def rankings(distances, works):
    """For each query with covers the ranks of its covers; ties count against the query.

    Args:
        distances: (N, N) nested lists or array of all tracks against all.
        works: (N,) work of each track.

    Returns:
        list of lists of ranks.
    """
    found = []
    for query in range(len(works)):
        candidates = [other for other in range(len(works)) if other != query]
        candidates.sort(key=lambda o, q=query: (distances[q][o], works[o] == works[q]))
        ranks = [r for r, other in enumerate(candidates, 1) if works[other] == works[query]]
        if ranks:
            found.append(ranks)
    return found


def scores(distances, works):
    """MAP, MR1, MRR and the rest of the rankings, by name."""
    queries = rankings(distances, works)

    def mean(of_query):
        return math.fsum(of_query(ranks) for ranks in queries) / len(queries)

    found = {
        "MAP": mean(lambda r: sum((n + 1) / rank for n, rank in enumerate(r)) / len(r)),
        "MR1": mean(lambda r: r[0]),
        "MRR": mean(lambda r: 1 / r[0]),
        "TOP10": mean(lambda r: sum(rank <= 10 for rank in r)),
        "TOP10_total": sum(sum(rank <= 10 for rank in r) for r in queries),
        "queries": len(queries),
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


def thresholds(distances, works):
    """EER, best accuracy and numbers of pairs, by trying every distance as a threshold."""
    covers, others = [], []
    for query, work in enumerate(works):
        if list(works).count(work) < 2:
            continue
        for other, other_work in enumerate(works):
            if other != query:
                (covers if other_work == work else others).append(distances[query][other])
    points, accuracies = [(0.0, 1.0)], [len(others)]
    for threshold in sorted(set(covers + others)):
        accepted = sum(d <= threshold for d in others)
        rejected = sum(d > threshold for d in covers)
        points.append((accepted / max(len(others), 1), rejected / len(covers)))
        accuracies.append(len(others) - accepted + len(covers) - rejected)
    pairs = len(covers) + len(others)
    return {
        "EER": _crossing(points),
        "accuracy": max(accuracies) / pairs,
        "pairs": pairs,
        "cover_pairs": len(covers),
    }


def _crossing(points):
    for (accept_0, reject_0), (accept_1, reject_1) in zip(points, points[1:]):
        if accept_1 >= reject_1:
            share = (reject_0 - accept_0) / ((reject_0 - accept_0) + (accept_1 - reject_1))
            return accept_0 + share * (accept_1 - accept_0)
    raise AssertionError("accepting everything rejects nothing")


def _dcg(ranks, k):
    return sum(1 / math.log2(1 + rank) for rank in ranks if rank <= k)
