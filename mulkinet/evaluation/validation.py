"""What training asks of the evaluator, and all that it needs of it."""

import numpy as np

from mulkinet.evaluation.distances import compare
from mulkinet.evaluation.evaluator import run_evaluation
from mulkinet.evaluation.selection import select_tracks

__all__ = ["validate"]

_SCORES = ("MAP", "TOP10", "MR1")
_SHOWN_TRACKS = 500


def validate(embeddings, work_ids, *, distance="cosine", weights=None):
    """Ranks every track against all others.

    Args:
        embeddings: (N, embedding) array of finite numbers.
        work_ids: (N,) work of each track.
        distance: As for `evaluate`.
        weights: As for `evaluate`.

    Returns:
        (scores, distances): dict of MAP, TOP10 and MR1 to float; and dict of "cover" and "other" to
        (n,) distances of such pairs among at most 500 tracks, whole works, those with covers first.

    Raises:
        MulkinetError: As `evaluate`.
    """
    options = {"distance": distance, "weights": weights}
    scores = run_evaluation(embeddings, work_ids, thresholds=False, **options).scores
    embeddings, work_ids = np.asarray(embeddings), np.asarray(work_ids)
    _, works, counts = np.unique(work_ids, return_inverse=True, return_counts=True)
    shown = np.lexsort((works, counts[works] == 1))[:_SHOWN_TRACKS]
    pairs = _distances(embeddings[shown], works[shown], options)
    return {name: scores[name] for name in _SCORES}, pairs


def _distances(embeddings, works, options):
    selection = select_tracks(works)
    keys = compare(embeddings, selection, **options)
    found = np.empty((len(selection.queries), len(selection.references)))
    keys.fill(found, slice(0, len(found)))
    found = keys.distance(found)
    is_cover = selection.query_works[:, None] == selection.reference_works
    once = selection.queries[:, None] < selection.references
    return {"cover": found[once & is_cover], "other": found[once & ~is_cover]}
