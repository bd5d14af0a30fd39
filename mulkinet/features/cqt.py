"""Constant-Q magnitudes by librosa, as CQTNet, TPPNet and Discogs-VINet take them.

| feature | means of 20 frames | division by the track's maximum |
|---|---|---|
| `cqt` | whole ones only | none |
| `cqt_cqtnet` | whole ones only | here, before a crop |
| `cqt_vinet` | of a track under 93 s all, the last filled up with zeros; of float16 | by the network, after a crop |

Both systems' own features were made so, by the librosa of their time. CQTNet's was 0.6.3, which mirrors the signal at
its ends where today's takes zeros: over their maxima the two differ by up to 4 % (root mean square .5 %).

Conventions: (84, n_frames), bin 0 is C1 (about 32.7 Hz), 12 bins an octave.
Papers: Yu et al. 2020 (ICASSP, arXiv:1911.00334), "Learning a Representation for Cover Song Identification Using
Convolutional Neural Network"; Araz, Serra, Bogdanov 2024 (ISMIR, arXiv:2410.17400), Discogs-VINet.
"""

import numpy as np

from mulkinet.features.base import FeatureExtractor
from mulkinet.features.provenance import SR

__all__ = ["FRONT_ENDS", "SETTINGS", "Extractor", "front_end", "settings_of"]

_SR = 22050
_HOP_LENGTH = 512
_N_BINS = 84
_MEAN_OF_FRAMES = 20
_LEAST_MAXIMUM = 1e-6
_VINET_SHORTEST = 4000

# What the spectrum depends on beside the extractor's version; data sets bring features made so.
SETTINGS = {
    "n_bins": _N_BINS,
    "bin0": "C",
    "sr": _SR,
    "hop_length": _HOP_LENGTH,
    "frame_rate": _SR / (_HOP_LENGTH * _MEAN_OF_FRAMES),
    "mean_of_frames": _MEAN_OF_FRAMES,
    "resampling": "soxr_hq",
}
FRONT_ENDS = {"cqt": "plain", "cqt_cqtnet": "cqtnet", "cqt_vinet": "vinet"}


def settings_of(feature):
    """The settings of a feature of `FRONT_ENDS`; those of `cqt` are `SETTINGS`."""
    kind = FRONT_ENDS[feature]
    return SETTINGS if kind == "plain" else {**SETTINGS, "front_end": kind}


def front_end(magnitudes, kind):
    """Constant-Q magnitudes to what a network is shown; `kind` is a value of `FRONT_ENDS`.

    (84, n) >= 0, 43.07 frames a second -> (84, n_frames) float32, 2.153 frames a second.
    """
    if kind == "vinet":
        rounded = magnitudes.astype(np.float16).astype(np.float32)
        # Zeros up to the shortest length come before the means, so that a short track's last one is kept.
        n_more = -rounded.shape[1] % _MEAN_OF_FRAMES if rounded.shape[1] < _VINET_SHORTEST else 0
        return _means(np.pad(rounded, ((0, 0), (0, n_more))))
    means = _means(magnitudes)
    return _over_maximum(means) if kind == "cqtnet" else means


class Extractor(FeatureExtractor):
    """librosa's `cqt` magnitude of 22.05 kHz audio, 7 octaves from C1, means of 20 frames.

    Args:
        feature: A key of `FRONT_ENDS`.
        is_tuned: As of `FeatureExtractor`.

    Attributes:
        settings: dict of everything the spectrum depends on; `hop_length` is that before the mean,
            `frame_rate` that after it.
    """

    def __init__(self, feature="cqt", is_tuned=False):
        super().__init__("librosa", settings_of(feature), is_tuned)
        self._kind = FRONT_ENDS[feature]

    def _frames(self, y, tuning):
        import librosa

        y = librosa.resample(y, orig_sr=SR, target_sr=_SR, res_type="soxr_hq")
        spectrum = librosa.cqt(y=y, sr=_SR, hop_length=_HOP_LENGTH, n_bins=_N_BINS, tuning=tuning)
        magnitudes = np.abs(spectrum)
        return front_end(magnitudes, "plain" if self._kind == "cqtnet" else self._kind)

    def whole(self, x):
        """Divides by the track's maximum, where CQTNet's front end does; see `FeatureExtractor.whole`."""
        return _over_maximum(x) if self._kind == "cqtnet" else x


def _over_maximum(means):
    return means / (means.max(initial=0) + np.float32(_LEAST_MAXIMUM))


def _means(magnitudes):
    """Means of 20 frames; frames that fill none are left out."""
    n_frames = magnitudes.shape[1] // _MEAN_OF_FRAMES
    groups = magnitudes[:, : n_frames * _MEAN_OF_FRAMES].reshape(_N_BINS, n_frames, -1)
    return np.ascontiguousarray(groups.mean(axis=2), dtype=np.float32)
