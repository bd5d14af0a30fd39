"""Local scaling: distances measured against how crowded it is around both tracks.

In a space of many dimensions some tracks, hubs, are near to everything: a song of the commonest chords, a recording
that the features show dimly. So a pair's cosine distance is lessened by the mean of both tracks' distances to their
neighbours: those in the nearest tenth of a cohort, at most 1000 tracks of the collection. A share, and not a number of
them, so that distances mean the same in collections of any size. 1 is added: at 1 a pair is as near as neighbours are.

Sources: cross-domain similarity local scaling, Conneau et al. (2018), whose neighbours are the 10 nearest; hubs in
collections of music, Flexer and Schnitzer (2012).
"""

import numpy as np

__all__ = ["cohort_of", "lean", "neighbourhoods", "to_nearest", "typical_neighbourhood"]

_COHORT = 1000
_NEAREST = 0.1
# Tracks at the overall mean that are counted in, so that a cohort of a few tracks says little.
_PRIOR_TRACKS = 5
# Nearer is no other recording.
_SAME = 1e-6
_ROWS_AT_A_TIME = 4096


def cohort_of(n_tracks):
    """(at most 1000,) int: rows of a collection that stand for all, evenly spread."""
    return np.unique(np.linspace(0, n_tracks - 1, min(n_tracks, _COHORT)).astype(int))


def neighbourhoods(units, cohort, typical=None):
    """The mean cosine distance of tracks to their neighbours.

    Args:
        units: (N, embedding) vectors of length 1.
        cohort: (M, embedding) vectors of length 1, M >= 1. Those that equal a track are taken for itself.
        typical: Mean to lean on where the cohort is small; by default that of these tracks.

    Returns:
        (N,) float64.
    """
    return lean(to_nearest(units, cohort), len(cohort), typical)


def to_nearest(units, cohort):
    """The mean cosine distance of tracks to the nearest tenth of a cohort; arguments as for `neighbourhoods`.

    (N,) float64; infinite where all of the cohort are the track itself.
    """
    parts = range(0, len(units), _ROWS_AT_A_TIME)
    return np.concatenate(
        [_to_nearest(units[start : start + _ROWS_AT_A_TIME], cohort) for start in parts]
    )


def lean(found, n_cohort, typical=None):
    """The neighbourhoods (N,) of tracks, by their `to_nearest`, which lean on the mean where the cohort is small."""
    is_known = np.isfinite(found)
    if typical is None:
        typical = found[is_known].mean() if is_known.any() else 0.0
    share = n_cohort / (n_cohort + _PRIOR_TRACKS)
    return np.where(is_known, share * found + (1 - share) * typical, typical)


def typical_neighbourhood(embeddings):
    """The mean over a collection of its tracks' distances to their neighbours: (N, embedding) -> float."""
    units = np.asarray(embeddings, np.float64)
    lengths = np.linalg.norm(units, axis=1, keepdims=True)
    units = units / np.where(lengths > 0, lengths, 1)
    return float(neighbourhoods(units, units[cohort_of(len(units))]).mean())


def _to_nearest(units, cohort):
    distances = 1 - units @ cohort.T
    distances[distances < _SAME] = np.inf
    n_near = max(1, round(_NEAREST * len(cohort)))
    nearest = np.partition(distances, n_near - 1, axis=1)[:, :n_near].astype(np.float64)
    is_other = np.isfinite(nearest)
    total = np.where(is_other, nearest, 0).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(is_other.any(axis=1), total / is_other.sum(axis=1), np.inf)
