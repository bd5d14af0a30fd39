"""Audio to pitch-class profiles and constant-Q spectra: one module per extractor.

Conventions: an extractor takes mono audio, (n_samples,) float32 at 44.1 kHz in [-1, 1], and returns
(n_bins, n_frames) float32. Bin 0 of a pitch-class profile is A for hpcp (440 Hz reference) and C
for all others, as `settings["bin0"]` says; semitones go up from there.

Features: `crema`, `hpcp` and `chroma_cens` with the settings of Da-TACOS (Yesiler et al., ISMIR
2019); `cqt` as TPPNet and CQTNet take it, `cqt_cqtnet` and `cqt_vinet` to the last detail as CQTNet
(Yu et al., ICASSP 2020) and Discogs-VINet (Araz et al., ISMIR 2024) do.
"""

import functools
import importlib
import importlib.util
import os
from pathlib import Path

from mulkinet.errors import MulkinetError
from mulkinet.files.cache import cache_folder, is_writable

__all__ = ["FEATURES", "TUNABLE", "extractor"]

# The front ends of `mulkinet.features.cqt`, named here too: that module needs numpy, which help does not.
_CQTS = ("cqt", "cqt_cqtnet", "cqt_vinet")
FEATURES = ("crema", "hpcp", "chroma_cens", *_CQTS)
# The front ends of CQTNet and Discogs-VINet are what their authors made them.
TUNABLE = ("crema", "hpcp", "chroma_cens", "cqt")


def extractor(feature, is_tuned=False):
    """The extractor of a feature; one object per process, so that a model is loaded once.

    Args:
        feature: One of `FEATURES`.
        is_tuned: Whether to correct the recording's tuning, for one of `TUNABLE`; the data sets' do not.

    Returns:
        `mulkinet.features.base.FeatureExtractor`, whose `settings` are a dict of everything the result depends on
        (n_bins, bin0, sr in Hz, hop_length in samples, frame_rate in frames per second, extractor,
        extractor_version, ...).

    Raises:
        MulkinetError: There is no such feature, or what extracts it is not installed.

    Examples:
        >>> settings = extractor("hpcp").settings
        >>> settings["n_bins"], settings["sr"], settings["frame_rate"]
        (12, 44100, 86.1328125)
    """
    if feature not in FEATURES:
        raise MulkinetError(
            f"expected a feature ({', '.join(FEATURES)}), found {feature!r}; name one with -p"
        )
    return _extractor(feature, is_tuned and feature in TUNABLE)


@functools.cache
def _extractor(feature, is_tuned):
    _let_numba_write()
    if feature in _CQTS:
        from mulkinet.features.cqt import Extractor

        return Extractor(feature, is_tuned)
    return importlib.import_module(f"mulkinet.features.{feature}").Extractor(is_tuned)


def _let_numba_write():
    """Gives numba, which librosa comes with, a place for compiled loops where its own cannot be written to."""
    librosa = importlib.util.find_spec("librosa")
    if librosa and not is_writable(Path(librosa.origin).parent):
        os.environ.setdefault("NUMBA_CACHE_DIR", str(cache_folder("numba")))
