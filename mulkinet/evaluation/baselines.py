"""What a network has to beat: rankings without training, on the same lists.

mean-chroma  the mean of each track's chroma, compared by cosine in the best of 12 transpositions

Public names: `BASELINES`, `BaselineResult`, `run_baseline`.
"""

from dataclasses import dataclass

import numpy as np

from mulkinet.errors import MulkinetError

__all__ = ["BASELINES", "BaselineResult", "run_baseline"]

_N_BINS = 12


@dataclass(frozen=True)
class BaselineResult:
    """What a baseline gives to the evaluator.

    Attributes:
        embeddings: (N, embedding) float64, or (queries, references) distances.
        distance: How to compare them.
        feature: The feature it was made from.
    """

    embeddings: np.ndarray
    distance: str
    feature: str


def mean_chroma(tracks, feature):
    """Mean over time of each track's chroma.

    Args:
        tracks: inputs.Tracks.
        feature: A feature of 12 bins.

    Returns:
        (N, 12) float64, to be compared by "transposed_cosine".
    """
    return np.stack(
        [tracks.store.read(feature, row).mean(axis=0, dtype=np.float64) for row in tracks.rows]
    )


def _mean_chroma(tracks, feature, **_):
    return mean_chroma(tracks, feature), "transposed_cosine"


BASELINES = {"mean-chroma": _mean_chroma}


def run_baseline(name, tracks, *, feature=None, n_workers=-1, progress=False):
    """Runs a baseline.

    Args:
        name: One of `BASELINES`.
        tracks: inputs.Tracks.
        feature: The store's feature; by default its first of 12 bins.
        n_workers: Processes of a baseline that compares pair by pair; -1 for all processors.
        progress: Whether to show a progress bar.

    Returns:
        BaselineResult.

    Raises:
        MulkinetError: No such baseline, no feature of 12 bins, or features that are not finite.
    """
    if name not in BASELINES:
        raise MulkinetError(f"expected a baseline of {', '.join(BASELINES)}, found {name!r}")
    feature = _chroma_feature(tracks.store, feature)
    tracks.store.check_finite(feature, tracks.rows)
    embeddings, distance = BASELINES[name](tracks, feature, n_workers=n_workers, progress=progress)
    return BaselineResult(embeddings, distance, feature)


def _chroma_feature(store, feature):
    candidates = [feature] if feature else store.features
    for name in candidates:
        if store.settings(name)["n_bins"] == _N_BINS:
            return name
    raise MulkinetError(
        f"expected a feature of {_N_BINS} bins in {store.path}, found {', '.join(candidates)}; "
        "make the store with -p crema, hpcp or chroma_cens"
    )
