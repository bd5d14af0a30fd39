"""Plays a chart into harmonic pitch-class profiles: the peaks of a performed spectrum, whitened and folded.

As essentia's HPCP does it with a recording, but on semitones: a peak is a bin louder than both beside it, it is divided
by how loud its surroundings are, and each frame's maximum is 1. What recordings have beside their notes (peaks of
noise, notes out of tune) is added: leakage to the semitones beside, and chance. Both are set so that the statistics of
`benchmarks/performer.py` come near to those of recordings.

Conventions: a performance is (12, n_frames) float32 in [0, 1], bin 0 is A, and follows from the generator alone.
"""

import numpy as np
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from mulkinet.sources.charts.spectrum_performer import SUBFRAMES, played_spectrum

__all__ = ["perform_profile"]

_LOWEST = 12  # the bin of 65 Hz; below, whitening leaves little
_WHITENED_BINS = 25
_LEAKAGE, _CHANCE = 0.07, 0.08
_BIN_OF_C = 3


def perform_profile(grid, rng, n_frames, frame_rate, bpm):
    """Plays a chart once.

    Args:
        grid: Grid.
        rng: numpy Generator.
        n_frames: Length, at least 1; the song goes round until it is full.
        frame_rate: Frames per second.
        bpm: Beats per minute on average.

    Returns:
        (12, n_frames) float32 in [0, 1].
    """
    x = played_spectrum(grid, rng, n_frames * SUBFRAMES, frame_rate * SUBFRAMES, bpm)
    is_peak = x == maximum_filter1d(x, 3, axis=1)
    surroundings = uniform_filter1d(x, _WHITENED_BINS, axis=1, mode="constant")
    peaks = np.where(is_peak, x / (surroundings + 1e-9), 0)[:, _LOWEST:]
    profile = peaks.reshape(len(x), -1, 12).sum(axis=1)
    profile += _LEAKAGE * (np.roll(profile, 1, axis=1) + np.roll(profile, -1, axis=1))
    profile = _to_maximum(profile)
    profile = _to_maximum(profile + rng.exponential(_CHANCE, profile.shape))
    frames = profile.reshape(n_frames, SUBFRAMES, 12).mean(axis=1)
    return np.ascontiguousarray(np.roll(frames, _BIN_OF_C, axis=1).T, dtype=np.float32)


def _to_maximum(profile):
    return profile / (profile.max(axis=1, keepdims=True) + 1e-9)
