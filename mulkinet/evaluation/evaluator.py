"""One evaluation, from embeddings and works to scores."""

from dataclasses import dataclass, field

import numpy as np

from mulkinet.errors import MulkinetError
from mulkinet.evaluation.bootstrap import intervals
from mulkinet.evaluation.conventions import Conventions
from mulkinet.evaluation.distances import compare
from mulkinet.evaluation.metrics import query_scores, ranking_scores
from mulkinet.evaluation.ranking import DEFAULT_MEMORY, Ranking, rank_relevant
from mulkinet.evaluation.selection import Selection, select_tracks
from mulkinet.evaluation.thresholds import PairCounter, PairCounts, score_pairs

__all__ = ["Evaluation", "run_evaluation"]


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        scores: dict of metric to number, and the numbers of tracks, works and queries.
        selection: Selection, who was compared with whom.
        ranking: Ranking, where the relevant items are.
        keys: Keys (see `distances.compare`) by which the pairs were ranked.
        pairs: PairCounts, or None without thresholds.
        intervals: dict of metric to (low, high), or None without ci.
        conventions: dict of published code to what it would print, or None without conventions.
        settings: dict of what else it was run with: distance, memory, and with ci the seed.
    """

    scores: dict
    selection: Selection
    ranking: Ranking
    keys: object
    pairs: PairCounts = None
    intervals: dict = None
    conventions: dict = None
    settings: dict = field(default_factory=dict)


def run_evaluation(
    embeddings,
    work_ids,
    *,
    track_ids=None,
    queries=None,
    references=None,
    distance="cosine",
    weights=None,
    ks=(1, 5, 10),
    thresholds=True,
    tau=None,
    ci=False,
    seed=0,
    conventions=False,
    memory=DEFAULT_MEMORY,
    progress=False,
):
    """Evaluates, and keeps what the scores were made from; the arguments are those of `evaluate`.

    Returns:
        Evaluation.
    """
    selection = select_tracks(work_ids, track_ids=track_ids, queries=queries, references=references)
    _check_arguments(embeddings, work_ids, distance, ks, tau)

    def prepare(chosen):
        return compare(embeddings, chosen, distance=distance, weights=weights)

    def rank(chosen, keys, visitors=()):
        return rank_relevant(keys, chosen, visitors, memory=memory, progress=progress)

    keys = prepare(selection)
    counter = PairCounter(keys, selection, tau) if thresholds or tau is not None else None
    published = Conventions(embeddings, selection, keys, distance) if conventions else None
    visitors = [visitor.visit for visitor in (counter, published) if visitor]
    ranking = rank(selection, keys, visitors)
    scores = ranking_scores(ranking.ranks, ranking.counts, ks)
    pairs = None
    if counter:
        pairs = counter.pairs(ranking.keys)
        scores.update(score_pairs(pairs, keys.distance(keys.tied(ranking.keys))))
        scores.update(counter.at_tau(ranking.keys, selection.n_pairs))
    scores.update(selection.numbers)
    bounds, run_with = None, {"distance": distance, "memory": memory}
    if ci:
        run_with["seed"] = seed
        values = query_scores(ranking.ranks, ranking.counts, ks)
        bounds = intervals(values, selection.query_works, seed)
    printed = None
    if published:
        printed = published.printed(ranking, lambda chosen: rank(chosen, prepare(chosen)))
    return Evaluation(scores, selection, ranking, keys, pairs, bounds, printed, run_with)


def _check_arguments(embeddings, work_ids, distance, ks, tau):
    has_rows = distance != "precomputed" and getattr(embeddings, "shape", None) != ()
    if has_rows and len(embeddings) != len(work_ids):
        raise MulkinetError(
            f"expected one embedding per work_id, found {len(embeddings)} for {len(work_ids)}"
        )
    if (
        np.ndim(ks) != 1
        or len(ks) == 0
        or any(not isinstance(k, (int, np.integer)) or k < 1 for k in ks)
    ):
        raise MulkinetError(f"expected cut-offs ks as whole numbers from 1, found {ks!r}")
    if tau is not None and not np.isfinite(tau):
        raise MulkinetError(f"expected tau as a finite distance, found {tau}")
