"""Harmonic pitch-class profiles by essentia, with the settings of Da-TACOS.

Conventions: (12, n_frames), bin 0 is A, each frame's maximum is 1; a silent frame is all zero.
Method: Gomez, "Tonal description of music audio signals", PhD thesis, 2006.
"""

import numpy as np

from mulkinet.features.base import FeatureExtractor
from mulkinet.features.provenance import SR

__all__ = ["Extractor", "SETTINGS"]

_HOP_LENGTH = 512
_FRAME_SIZE = 4096
_WINDOW = "blackmanharris62"
_PEAKS = {
    "minFrequency": 100,
    "maxFrequency": 3500,
    "maxPeaks": 100,
    "magnitudeThreshold": 0,
    "orderBy": "frequency",
}
_WHITENING_MAX_HZ = 3500
_PROFILE = {"size": 12, "harmonics": 8, "referenceFrequency": 440, "nonLinear": False}

# What the profile depends on beside the extractor's version; data sets bring features made so.
SETTINGS = {
    "n_bins": 12,
    "bin0": "A",
    "sr": SR,
    "hop_length": _HOP_LENGTH,
    "frame_rate": SR / _HOP_LENGTH,
    "frame_size": _FRAME_SIZE,
    "window": _WINDOW,
    "peaks": _PEAKS,
    "whitening_max_hz": _WHITENING_MAX_HZ,
    "profile": _PROFILE,
}


class Extractor(FeatureExtractor):
    """essentia's HPCP of Blackman-Harris frames of 4096 samples, whitened spectral peaks."""

    def __init__(self, is_tuned=False):
        super().__init__("essentia", SETTINGS, is_tuned)
        self._algorithms = None

    def _frames(self, y, tuning):
        if self._algorithms is None:
            self._algorithms = _load_algorithms()
        frames, *algorithms = self._algorithms
        algorithms.append(_profile_of(tuning))
        # What calling an algorithm comes to, but for finding out anew for each frame what its arguments are: a third of
        # the time.
        window, spectrum, peaks, whitening, profile = (one.__compute__ for one in algorithms)
        profiles = []
        for frame in frames(y, frameSize=_FRAME_SIZE, hopSize=_HOP_LENGTH):
            magnitudes = spectrum(window(frame))
            hz, heights = peaks(magnitudes)
            profiles.append(profile(hz, whitening(magnitudes, hz, heights)))
        return np.ascontiguousarray(np.array(profiles, dtype=np.float32).T)


def _load_algorithms():
    import essentia

    # essentia tells about optional models it was built without when it is imported.
    essentia.log.infoActive = False
    from essentia import standard

    return (
        standard.FrameGenerator,
        standard.Windowing(type=_WINDOW),
        standard.Spectrum(size=_FRAME_SIZE),
        standard.SpectralPeaks(sampleRate=SR, **_PEAKS),
        standard.SpectralWhitening(sampleRate=SR, maxFrequency=_WHITENING_MAX_HZ),
    )


def _profile_of(tuning):
    from essentia import standard

    hz = _PROFILE["referenceFrequency"] * 2 ** (tuning / 12)
    return standard.HPCP(sampleRate=SR, **{**_PROFILE, "referenceFrequency": hz})
