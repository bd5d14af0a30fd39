"""One evaluation, from embeddings and works to scores.

Public names: `Evaluation`, `run_evaluation`.
"""

from dataclasses import dataclass

import numpy as np

from mulkinet.errors import MulkinetError
from mulkinet.evaluation.distances import pair_keys
from mulkinet.evaluation.metrics import ranking_scores
from mulkinet.evaluation.ranking import DEFAULT_MEMORY, Blocks, Ranking, rank_relevant
from mulkinet.evaluation.selection import Selection, select_tracks

__all__ = ["Evaluation", "run_evaluation"]


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        scores: dict of metric to number, and the numbers of tracks, works and queries.
        selection: Selection, who was compared with whom.
        ranking: Ranking, where the relevant items are.
        blocks: Blocks, for further passes over the same pairs.
    """

    scores: dict
    selection: Selection
    ranking: Ranking
    blocks: Blocks


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
    memory=DEFAULT_MEMORY,
    progress=False,
):
    """Evaluates, and keeps what the scores were made from; the arguments are those of `evaluate`.

    Returns:
        Evaluation.
    """
    selection = select_tracks(work_ids, track_ids=track_ids, queries=queries, references=references)
    if distance != "precomputed" and len(embeddings) != len(work_ids):
        raise MulkinetError(
            f"expected one embedding per work_id, found {len(embeddings)} for {len(work_ids)}"
        )
    if not ks or any(not isinstance(k, (int, np.integer)) or k < 1 for k in ks):
        raise MulkinetError(f"expected cut-offs ks as whole numbers from 1, found {ks!r}")
    keys = pair_keys(embeddings, selection, distance=distance, weights=weights)
    blocks = Blocks(
        keys,
        len(selection.queries),
        len(selection.references),
        memory=memory,
        progress=progress,
    )
    ranking = rank_relevant(blocks, selection)
    scores = ranking_scores(ranking.ranks, ranking.counts, ks)
    scores.update(
        tracks=selection.tracks,
        works=selection.works,
        queries=len(selection.queries),
        references=len(selection.references),
        excluded_queries=len(selection.excluded),
        noise_works=selection.noise_works,
    )
    return Evaluation(scores, selection, ranking, blocks)
