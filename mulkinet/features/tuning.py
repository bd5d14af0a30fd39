"""How far a recording is from 440 Hz, from the peaks of its spectrum.

Method: the circular mean of the peaks' deviations from semitones, weighted by their magnitudes (Dressler and Streich,
"Tuning frequency estimation using circular statistics", ISMIR 2007), of the peaks that librosa's `piptrack` finds. The
commonest deviation, librosa's `pitch_tuning`, may jump by 10 cents where a recording's pitches are spread.
"""

import numpy as np

from mulkinet.features.provenance import SR

__all__ = ["estimate_tuning"]

_FRAME_SIZE = 8192
_HOP_LENGTH = 4096
# The peaks of 10 s at a time, which take a tenth of the memory of a minute of them (100 MB).
_PIECE = 10 * SR


def estimate_tuning(y):
    """Semitones above 440 Hz, from -0.5 to 0.5, of (n_samples,) float32, mono at 44.1 kHz; 0 without a pitch."""
    import librosa

    total = 0j
    for start in range(0, len(y), _PIECE):
        piece = y[start : start + _PIECE]
        if len(piece) < _FRAME_SIZE:
            continue
        hz, magnitudes = librosa.piptrack(y=piece, sr=SR, n_fft=_FRAME_SIZE, hop_length=_HOP_LENGTH)
        found = hz > 0
        semitones = 12 * np.log2(hz[found] / 440)
        total += np.sum(magnitudes[found] * np.exp(2j * np.pi * semitones))
    return float(np.angle(total) / (2 * np.pi))
