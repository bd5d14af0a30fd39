"""Constant-Q magnitudes by librosa, as CQTNet and TPPNet take them.

Conventions: (84, n_frames), bin 0 is C1 (about 32.7 Hz), 12 bins an octave.
Paper: Yu et al., "Learning a representation for cover song identification using convolutional
neural network", ICASSP 2020.

Public names: `Extractor`, `SETTINGS`.
"""

import numpy as np

from mulkinet.features.provenance import SR, made_by

__all__ = ["Extractor", "SETTINGS"]

_SR = 22050
_HOP_LENGTH = 512
_N_BINS = 84
_MEAN_OF_FRAMES = 20

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


class Extractor:
    """librosa's `cqt` magnitude of 22.05 kHz audio, 7 octaves from C1, means of 20 frames.

    Attributes:
        settings: dict of everything the spectrum depends on; `hop_length` is that before the mean,
            `frame_rate` that after it.
    """

    def __init__(self):
        self.settings = {**made_by("librosa"), **SETTINGS}

    def __call__(self, y):
        """Extracts the spectrum.

        Args:
            y: (n_samples,) float32 at 44.1 kHz, at least 0.47 s.

        Returns:
            (84, n_frames) float32, 2.153 frames per second; frames that fill no mean are left out.
        """
        import librosa

        y = librosa.resample(y, orig_sr=SR, target_sr=_SR, res_type="soxr_hq")
        magnitudes = np.abs(librosa.cqt(y=y, sr=_SR, hop_length=_HOP_LENGTH, n_bins=_N_BINS))
        n_frames = magnitudes.shape[1] // _MEAN_OF_FRAMES
        groups = magnitudes[:, : n_frames * _MEAN_OF_FRAMES].reshape(_N_BINS, n_frames, -1)
        return np.ascontiguousarray(groups.mean(axis=2), dtype=np.float32)
