"""Evaluation: embeddings -> ranking -> metrics -> report.

    selection    queries, references, relevant items
    distances    between queries and references, whole rows at a time; scaling corrects them for hubs
    ranking      ranks of the relevant items, by counting, in one pass over the rows
    thresholds   EER and accuracy over all pairs, counted in the same pass; the choice of tau
    metrics      MAP, MR1, MRR, P@k, TOP10, NDCG ... of ranks
    bootstrap    confidence intervals over works
    conventions  the same ranking as published code counts it
    evaluator    one evaluation, from embeddings to all of these

    inputs       what there is to evaluate: a network, a baseline; files has precomputed embeddings
    baselines    what a network has to beat; aligned has Qmax and Dmax
    reranking    a second stage: the nearest by embedding, aligned
    results      an evaluation as files; compare sets two side by side
    report       a page about it: curves, figures
    validation   the little that training asks after every epoch

The definitions are those of MIREX and Da-TACOS. A query is never compared with itself. A track with
no other of its work among the candidates is not a query, but a candidate for others. Among distances
that tie (see `distances`) the relevant items come last, so that a collapsed network, all distances
equal, scores no better than chance.
"""

from mulkinet.evaluation.evaluator import run_evaluation
from mulkinet.evaluation.ranking import DEFAULT_MEMORY
from mulkinet.evaluation.validation import validate

__all__ = ["evaluate", "validate"]


def evaluate(
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
    """Ranks the references for every query and scores the rankings.

    Args:
        embeddings: (N, embedding) array of finite numbers, from any system; or, with distance
            "precomputed", distances of shape (queries, references), which may be a memory map.
        work_ids: (N,) work of each track, in any order.
        track_ids: (N,) id of each track within its work. Needed to name queries by id, and where
            a recording has two rows, once as a query and once as a reference.
        queries: Rows (int), a mask ((N,) bool), track_ids (str) or (work_id, track_id) pairs; all
            tracks by default.
        references: The candidates, in the same ways; all tracks by default.
        distance: "cosine", "sqeuclidean" (over the embedding size), "euclidean", "weighted_l1"
            (the Siamese head's, before its sigmoid), "transposed_cosine" (the least over all circular
            shifts), "scaled_cosine" (cosine, corrected for hubs: see `scaling`) or "precomputed".
        weights: For "weighted_l1": ((embedding,) kernel, bias); ones and 0 by default.
        ks: Cut-offs of P@k, hit@k, recall@k, mAP@k, NDCG@k, DCG@k and CG@k.
        thresholds: Whether to score all pairs by thresholds too.
        tau: A distance chosen on other tracks, such as their `EER_threshold`, at which to report
            accuracy, precision and recall.
        ci: Whether to add 95 % confidence intervals, by bootstrap over works.
        seed: Random seed of the bootstrap.
        conventions: Whether to add the scores as published code counts them.
        memory: Size of the blocks of distances in MB; a row is held, however long. It changes the
            speed, not the scores.
        progress: Whether to show a progress bar.

    Returns:
        dict of name to number: the metrics of `metrics.ranking_scores`, and `tracks`, `works`,
        `queries`, `references`, `excluded_queries` (without a relevant candidate), `noise_works`.
        With thresholds EER, EER_threshold, accuracy, accuracy_threshold, pairs, cover_pairs; with
        tau accuracy@tau, precision@tau (0 where no pair is accepted) and recall@tau. With ci also
        `intervals`, a dict of metric to (low, high); with conventions also `conventions`, a dict
        of published code to what it prints.

    Raises:
        MulkinetError: Embeddings that are not finite, lengths that differ, unknown ids, an empty
            list, or no query with another track of its work among its candidates.

    Examples:
        Two works on a line; every track's nearest neighbour is its cover, except the second's.

        >>> from mulkinet.evaluation import evaluate
        >>> points = [[0.0], [1.0], [1.5], [3.5]]
        >>> scores = evaluate(points, ["a", "a", "b", "b"], distance="euclidean")
        >>> [round(scores[name], 4) for name in ("MAP", "MR1", "P@1", "queries")]
        [0.7083, 1.75, 0.5, 4]
    """
    evaluation = run_evaluation(**locals())
    found = {"intervals": evaluation.intervals, "conventions": evaluation.conventions}
    return {**evaluation.scores, **{name: part for name, part in found.items() if part}}
