"""Pitch-class salience by the CREMA chord network, with the settings of Da-TACOS.

Conventions: (12, n_frames), bin 0 is C, each value the network's probability of that pitch class.
Paper: McFee and Bello, "Structured training for large-vocabulary chord recognition", ISMIR 2017.

Public names: `Extractor`, `SETTINGS`.
"""

import functools
import os

import numpy as np

from mulkinet.features.base import FeatureExtractor
from mulkinet.features.provenance import SR, quiet

__all__ = ["Extractor", "SETTINGS"]

_HOP_LENGTH = 512
_MODEL_HOP_LENGTH = 4096
_OUTPUT = "chord_pitch"

# What the profile depends on beside the extractor's version; data sets bring features made so.
SETTINGS = {
    "n_bins": 12,
    "bin0": "C",
    "sr": SR,
    "hop_length": _HOP_LENGTH,
    "frame_rate": SR / _HOP_LENGTH,
    "model_hop_length": _MODEL_HOP_LENGTH,
    "output": _OUTPUT,
    "resampling": "nearest",
}


class Extractor(FeatureExtractor):
    """crema's `chord_pitch` output, resampled to a hop of 512 samples by the nearest frame.

    The network is loaded at the first call.

    Attributes:
        settings: dict of everything the profile depends on.
    """

    def __init__(self, is_tuned=False):
        super().__init__("crema", SETTINGS, is_tuned)

    def _frames(self, y, tuning):
        model = _load_model()
        # The parts of crema's own `outputs`, which would print Keras' progress bar for each track.
        n_frames, ratio = len(y) // _HOP_LENGTH, 2 ** (tuning / 12)
        if tuning:
            # The network's front end takes no tuning: the recording is played slower by up to 3 %, or faster.
            import soxr

            y = soxr.resample(y, SR, SR * ratio)
        inputs = model.pump["cqt"].transform(y=y, sr=SR)
        network = model.model
        predicted = network.predict_on_batch([inputs[name] for name in network.input_names])
        salience = predicted[network.output_names.index(_OUTPUT)][0]
        return _nearest(salience.T, n_frames, ratio).astype(np.float32)


def _nearest(x, n_frames, ratio):
    """(n_bins, model frames) to (n_bins, n_frames): half-way frames take the earlier one.

    A frame of `x` is 1 / `ratio` as long as one of the network's.
    """
    n_each = _MODEL_HOP_LENGTH // _HOP_LENGTH
    index = ((np.arange(n_frames) * ratio + n_each // 2 - 1) // n_each).astype(int)
    return np.ascontiguousarray(x[:, np.minimum(index, x.shape[1] - 1)])


@functools.cache
def _load_model():
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with quiet():
        from crema.models.chord import ChordModel

        return ChordModel()
