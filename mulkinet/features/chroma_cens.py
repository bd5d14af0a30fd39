"""Chroma energy normalised statistics by librosa, with the settings of Da-TACOS: its defaults.

Conventions: (12, n_frames), bin 0 is C, each frame has Euclidean length 1.
Method: Mueller and Ewert, "Chroma Toolbox", ISMIR 2011.
"""

import numpy as np

from mulkinet.features.base import FeatureExtractor
from mulkinet.features.provenance import SR

__all__ = ["Extractor", "SETTINGS"]

_HOP_LENGTH = 512
_BINS_PER_SEMITONE = 3

# What the profile depends on beside the extractor's version; data sets bring features made so.
SETTINGS = {
    "n_bins": 12,
    "bin0": "C",
    "sr": SR,
    "hop_length": _HOP_LENGTH,
    "frame_rate": SR / _HOP_LENGTH,
}


class Extractor(FeatureExtractor):
    """librosa's `chroma_cens` at a hop of 512 samples."""

    def __init__(self, is_tuned=False):
        super().__init__("librosa", SETTINGS, is_tuned)

    def _frames(self, y, tuning):
        import librosa

        # Told nothing, librosa estimates the tuning, but in thirds of a semitone.
        told = {"tuning": tuning * _BINS_PER_SEMITONE} if self.is_tuned else {}
        profile = librosa.feature.chroma_cens(y=y, sr=SR, hop_length=_HOP_LENGTH, **told)
        return np.ascontiguousarray(profile, dtype=np.float32)
