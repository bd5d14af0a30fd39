"""What a network has to beat: rankings without training, on the same lists.

mean-chroma  the mean of each track's chroma, compared by cosine in the best of 12 transpositions
             (optimal transposition index, Serra, Gomez & Herrera 2008)
2dftm        magnitudes of the 2-D Fourier transform of patches of 75 frames, which do not change
             when a patch is transposed or shifted; their median over the track, compared by
             Euclidean distance (Bertin-Mahieux & Ellis, ISMIR 2012, without its beats and PCA)
qmax, dmax   the best path through the cross-recurrence plot, pair by pair (see `mulkinet.alignment`)

Public names: `BASELINES`, `BaselineResult`, `check_name`, `chroma_feature`, `run_baseline`,
`mean_chroma`, `fourier_magnitude`.
"""

from dataclasses import dataclass

import numpy as np

from mulkinet.alignment.chroma import coarsen
from mulkinet.alignment.scores import MEASURES
from mulkinet.errors import MulkinetError
from mulkinet.evaluation.aligned import alignment_distances

__all__ = [
    "BASELINES",
    "BaselineResult",
    "check_name",
    "chroma_feature",
    "run_baseline",
    "mean_chroma",
    "fourier_magnitude",
]

_N_BINS = 12
# Of the features that a store has: it finds most covers.
_PREFERRED = "crema"
# About a beat, which is what the 2-D Fourier transform was proposed for.
_BEAT_SECONDS = 0.5
_PATCH_FRAMES = 75
_CONTRAST = 1.96

BASELINES = ("mean-chroma", "2dftm", *MEASURES)


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


def mean_chroma(chroma):
    """Mean over time.

    Args:
        chroma: (n_bins, n_frames).

    Returns:
        (n_bins,) float64, to be compared by "transposed_cosine".
    """
    return np.mean(chroma, axis=1, dtype=np.float64)


def beats(chroma, frame_rate):
    """Chroma in frames about as long as a beat, means.

    Args:
        chroma: (12, n_frames).
        frame_rate: Its frames per second.

    Returns:
        (12, n) float32.
    """
    return coarsen(chroma, frame_rate, _BEAT_SECONDS, np.mean)[0]


def fourier_magnitude(chroma):
    """Median over all patches of the magnitude of their 2-D Fourier transform.

    Args:
        chroma: (12, n_frames), a frame about as long as a beat; repeated where it is shorter than
            a patch of 75 frames.

    Returns:
        (12 * 38,) float64 of length 1 (or all 0): the half of the transform that the other mirrors.
    """
    chroma = _with_contrast(np.asarray(chroma, dtype=np.float64))
    if chroma.shape[1] < _PATCH_FRAMES:
        chroma = np.tile(chroma, -(-_PATCH_FRAMES // chroma.shape[1]))[:, :_PATCH_FRAMES]
    patches = np.lib.stride_tricks.sliding_window_view(chroma, _PATCH_FRAMES, axis=1)
    spectra = np.abs(np.fft.rfft2(patches, axes=(0, 2)))
    median = np.median(spectra, axis=1).ravel()
    return median / (np.linalg.norm(median) or 1)


def check_name(name):
    """Raises MulkinetError unless `name` is one of `BASELINES`."""
    if name not in BASELINES:
        raise MulkinetError(f"expected a baseline of {', '.join(BASELINES)}, found {name!r}")


def run_baseline(name, tracks, *, feature=None, n_workers=-1, progress=False, report=None):
    """Runs a baseline.

    Args:
        name: One of `BASELINES`.
        tracks: inputs.Tracks.
        feature: The store's feature; by default crema, or its first of 12 bins.
        n_workers: Threads of qmax and dmax, which compare pair by pair; -1 for all processors.
        progress: Whether to show a progress bar.
        report: Called with a line to show to the user, such as how long it will take.

    Returns:
        BaselineResult.

    Raises:
        MulkinetError: No such baseline, no feature of 12 bins, or features that are not finite.
    """
    check_name(name)
    feature = chroma_feature(tracks.store, feature)
    tracks.store.check_finite(feature, tracks.rows)
    if name in MEASURES:
        embeddings = alignment_distances(
            tracks, feature, name, n_workers=n_workers, progress=progress, report=report
        )
        return BaselineResult(embeddings, "precomputed", feature)
    if name == "mean-chroma":
        embeddings = [mean_chroma(tracks.store.read(feature, row).T) for row in tracks.rows]
        return BaselineResult(np.stack(embeddings), "transposed_cosine", feature)
    rate = tracks.store.settings(feature)["frame_rate"]
    tracks_frames = (tracks.store.read(feature, row).T for row in tracks.rows)
    embeddings = [fourier_magnitude(beats(frames, rate)) for frames in tracks_frames]
    return BaselineResult(np.stack(embeddings), "euclidean", feature)


def _with_contrast(chroma):
    # Each frame raised to a power above 1, its length kept.
    lengths = np.linalg.norm(chroma, axis=0)
    powered = np.abs(chroma / np.where(lengths > 0, lengths, 1)) ** _CONTRAST
    return powered * (lengths / np.maximum(np.linalg.norm(powered, axis=0), np.finfo(float).tiny))


def chroma_feature(store, feature=None):
    """The named feature, or crema, or the first of 12 bins.

    Args:
        store: FeatureStore.
        feature: Its name, or None.

    Returns:
        str.

    Raises:
        MulkinetError: It has not 12 bins, or there is none.
    """
    candidates = [feature] if feature else sorted(store.features, key=_PREFERRED.__ne__)
    for name in candidates:
        if store.settings(name)["n_bins"] == _N_BINS:
            return name
    raise MulkinetError(
        f"expected a feature of {_N_BINS} bins in {store.path}, found {', '.join(candidates)}; "
        "make the store with -p crema, hpcp or chroma_cens"
    )
