"""Chroma energy normalised statistics by librosa, with the settings of Da-TACOS: its defaults.

Conventions: (12, n_frames), bin 0 is C, each frame has Euclidean length 1.
Method: Mueller and Ewert, "Chroma Toolbox", ISMIR 2011.

Public names: `Extractor`, `SETTINGS`.
"""

import numpy as np

from mulkinet.features.provenance import SR, made_by

__all__ = ["Extractor", "SETTINGS"]

_HOP_LENGTH = 512

# What the profile depends on beside the extractor's version; data sets bring features made so.
SETTINGS = {
    "n_bins": 12,
    "bin0": "C",
    "sr": SR,
    "hop_length": _HOP_LENGTH,
    "frame_rate": SR / _HOP_LENGTH,
}


class Extractor:
    """librosa's `chroma_cens` at a hop of 512 samples.

    Attributes:
        settings: dict of everything the profile depends on.
    """

    def __init__(self):
        self.settings = {**made_by("librosa"), **SETTINGS}

    def __call__(self, y):
        """Extracts the profile.

        Args:
            y: (n_samples,) float32 at 44.1 kHz.

        Returns:
            (12, n_frames) float32 in [0, 1], 86.13 frames per second.
        """
        import librosa

        profile = librosa.feature.chroma_cens(y=y, sr=SR, hop_length=_HOP_LENGTH)
        return np.ascontiguousarray(profile, dtype=np.float32)
