"""Is it the same recording? Signs of energy differences between neighbouring bands and frames.

Copies of one recording, coded, filtered or noisy, share most of these bits; two performances share half of them, as
chance would, also of the same notes in the same time.

Paper: Haitsma & Kalker, "A highly robust audio fingerprinting system", ISMIR 2002.
"""

import numpy as np

__all__ = ["bit_error"]

_SR = 44100
# 5.5 kHz: bands end at 2 kHz.
_DECIMATION = 8
_WINDOW, _HOP = 2048, 64
_BANDS_HZ = np.geomspace(300, 2000, 34)
# How far the alignment may be off, and the longest part that is compared.
_SEARCH_SEC, _LONGEST_SEC = 1.0, 60.0


def bit_error(a, b, start_a, start_b, seconds):
    """Share of bits in which two recordings differ where they are most alike.

    Args:
        a: (n_samples,) mono at 44.1 kHz.
        b: Likewise.
        start_a: Second of a at which a matching part begins.
        start_b: Second of b, within a second.
        seconds: Length of that part; at most its first minute is compared.

    Returns:
        float in [0, 1]: about 0.5 for other recordings, less than 0.35 for copies; 1 where nothing is left to compare.
    """
    seconds = min(seconds, _LONGEST_SEC)
    margin = _SEARCH_SEC
    bits_a = _bits(_part(a, start_a + margin, seconds - 2 * margin))
    bits_b = _bits(_part(b, start_b, seconds))
    n = len(bits_a)
    lags = range(len(bits_b) - n + 1)
    if n == 0 or not lags:
        return 1.0
    return float(min(np.mean(bits_a != bits_b[lag : lag + n]) for lag in lags))


def _part(y, start, seconds):
    first = max(0, round(start * _SR))
    return y[first : first + max(0, round(seconds * _SR))]


def _bits(y):
    """(n_frames - 1, 32) bool."""
    if len(y) < _WINDOW * _DECIMATION:
        return np.empty((0, len(_BANDS_HZ) - 2), dtype=bool)
    from scipy.signal import resample_poly

    low = resample_poly(y, 1, _DECIMATION)
    frames = np.lib.stride_tricks.sliding_window_view(low, _WINDOW)[::_HOP]
    window = np.hanning(_WINDOW)
    edges = np.round(_BANDS_HZ * _WINDOW / (_SR / _DECIMATION)).astype(int)
    energies = np.empty((len(frames), len(edges) - 1))
    for start in range(0, len(frames), 512):
        power = np.abs(np.fft.rfft(frames[start : start + 512] * window)) ** 2
        energies[start : start + 512] = np.add.reduceat(power[:, : edges[-1]], edges[:-1], axis=1)
    slopes = np.diff(energies, axis=1)
    return np.diff(slopes, axis=0) > 0
