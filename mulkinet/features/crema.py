"""Pitch-class salience by the CREMA chord network, with the settings of Da-TACOS.

Conventions: (12, n_frames), bin 0 is C, each value the network's probability of that pitch class.
Paper: McFee and Bello, "Structured training for large-vocabulary chord recognition", ISMIR 2017.

Public names: `Extractor`, `SETTINGS`.
"""

import os

import numpy as np

from mulkinet.features.provenance import SR, made_by, quiet

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


class Extractor:
    """crema's `chord_pitch` output, resampled to a hop of 512 samples by the nearest frame.

    The network is loaded at the first call.

    Attributes:
        settings: dict of everything the profile depends on.
    """

    def __init__(self):
        self.settings = {**made_by("crema"), **SETTINGS}
        self._model = None

    def __call__(self, y):
        """Extracts the profile.

        Args:
            y: (n_samples,) float32 at 44.1 kHz, at least 512 samples.

        Returns:
            (12, n_samples // 512) float32 in [0, 1], 86.13 frames per second.
        """
        if self._model is None:
            self._model = _load_model()
        # The parts of crema's own `outputs`, which would print Keras' progress bar for each track.
        inputs = self._model.pump["cqt"].transform(y=y, sr=SR)
        network = self._model.model
        predicted = network.predict_on_batch([inputs[name] for name in network.input_names])
        salience = predicted[network.output_names.index(_OUTPUT)][0]
        return _nearest(salience.T, len(y) // _HOP_LENGTH).astype(np.float32)


def _nearest(x, n_frames):
    """(n_bins, model frames) to (n_bins, n_frames): half-way frames take the earlier one."""
    ratio = _MODEL_HOP_LENGTH // _HOP_LENGTH
    index = (np.arange(n_frames) + ratio // 2 - 1) // ratio
    return np.ascontiguousarray(x[:, np.minimum(index, x.shape[1] - 1)])


def _load_model():
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with quiet():
        from crema.models.chord import ChordModel

        return ChordModel()
