"""What a network has to beat: rankings without training, on the same lists.

mean-chroma  the mean of each track's chroma, compared by cosine in the best of 12 transpositions
             (optimal transposition index, Serra, Gomez & Herrera 2008)
2dftm        magnitudes of the 2-D Fourier transform of patches of 75 frames, which do not change
             when a patch is transposed or shifted; their median over the track, compared by
             Euclidean distance (Bertin-Mahieux & Ellis, ISMIR 2012, without its beats and PCA)
qmax, dmax   the best path through the cross-recurrence plot, pair by pair (see `mulkinet.alignment`)
"""

import numpy as np

from mulkinet.alignment.chroma import coarsen
from mulkinet.alignment.scores import MEASURES
from mulkinet.embedding import embed
from mulkinet.errors import MulkinetError
from mulkinet.evaluation.aligned import alignment_distances

__all__ = [
    "BASELINES",
    "EMBEDDED",
    "Baseline",
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

# Those that give embeddings, which an index can hold.
EMBEDDED = ("mean-chroma", "2dftm")
BASELINES = (*EMBEDDED, *MEASURES)


class Baseline:
    """A baseline in the place of a network: answers what `embed` and an index ask of an `EmbeddingNetwork`.

    Attributes:
        network: Its name.
        distance: How its embeddings are compared.
        metadata: dict: feature and feature_settings.
        embedding_len: Size of an embedding.
        padded_frames: Frames that shorter tracks are repeated to.
        options, n_bins, n_frames, layers, distance_weights: As of a network of any length without weights.

    Args:
        name: One of `EMBEDDED`.
        feature: Its feature of 12 bins.
        settings: The feature's settings, as of `FeatureStore.settings`.
    """

    options, layers = {}, ()  # noqa: RUF012
    n_bins, n_frames, distance_weights = _N_BINS, None, None

    def __init__(self, name, feature, settings):
        self.network = name
        self.metadata = {"feature": feature, "feature_settings": settings}
        self._frame_rate = settings["frame_rate"]
        self.distance, self.embedding_len, self.padded_frames = "transposed_cosine", _N_BINS, 1
        if name == "2dftm":
            self.distance, self.embedding_len = "euclidean", _N_BINS * (_PATCH_FRAMES // 2 + 1)
            frames_of_a_beat = max(1, round(_BEAT_SECONDS * self._frame_rate))
            self.padded_frames = _PATCH_FRAMES * frames_of_a_beat

    def transformed_kernels(self):
        """(): there are no weights."""
        return ()

    def embed_batch(self, x, _kernels=()):
        """Embeddings of tracks of one length: (batch, 12, n_frames) -> (batch, embedding_len) float32."""
        if self.network == "mean-chroma":
            found = [mean_chroma(chroma) for chroma in x]
        else:
            found = [fourier_magnitude(beats(chroma, self._frame_rate)) for chroma in x]
        return np.stack(found).astype(np.float32)


def mean_chroma(chroma):
    """Mean over time, to be compared by "transposed_cosine": (n_bins, n_frames) -> (n_bins,) float64."""
    return np.mean(chroma, axis=1, dtype=np.float64)


def beats(chroma, frame_rate):
    """Chroma in frames about as long as a beat, means: (12, n_frames) -> (12, n) float32."""
    return coarsen(chroma, frame_rate, _BEAT_SECONDS, np.mean)[0]


def fourier_magnitude(chroma):
    """Median over all patches of the magnitude of their 2-D Fourier transform.

    (12, at least 75 frames about as long as a beat) -> (12 * 38,) float64 of length 1 (or all 0): the half of the
    transform that the other mirrors.
    """
    chroma = _with_contrast(np.asarray(chroma, dtype=np.float64))
    patches = np.lib.stride_tricks.sliding_window_view(chroma, _PATCH_FRAMES, axis=1)
    spectra = np.abs(np.fft.rfft2(patches, axes=(0, 2)))
    median = np.median(spectra, axis=1).ravel()
    return median / (np.linalg.norm(median) or 1)


def check_name(name):
    """Raises MulkinetError unless `name` is one of `BASELINES`."""
    if name not in BASELINES:
        raise MulkinetError(f"expected a baseline among {', '.join(BASELINES)}, found {name!r}")


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
        (embeddings, distance, feature): (N, embedding) float32, or (queries, references) distances; how to compare
        them; the feature they were made from.

    Raises:
        MulkinetError: No such baseline, no feature of 12 bins, or features that are not finite.
    """
    check_name(name)
    feature = chroma_feature(tracks.store, feature)
    if name in MEASURES:
        tracks.store.check_finite(feature, tracks.rows)
        embeddings = alignment_distances(
            tracks, feature, name, n_workers=n_workers, progress=progress, report=report
        )
        return embeddings, "precomputed", feature
    baseline = Baseline(name, feature, tracks.store.settings(feature))
    embeddings = embed(baseline, tracks.store, rows=tracks.rows, progress=progress)
    return embeddings, baseline.distance, feature


def _with_contrast(chroma):
    # Each frame raised to a power above 1, its length kept.
    lengths = np.linalg.norm(chroma, axis=0)
    powered = np.abs(chroma / np.where(lengths > 0, lengths, 1)) ** _CONTRAST
    return powered * (lengths / np.maximum(np.linalg.norm(powered, axis=0), np.finfo(float).tiny))


def chroma_feature(store, feature=None):
    """The name of the given feature of a FeatureStore, or crema, or its first of 12 bins.

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
