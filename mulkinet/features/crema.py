"""Pitch-class salience by the CREMA chord network, with the settings of Da-TACOS.

Conventions: (12, n_frames), bin 0 is C, each value the network's probability of that pitch class.
Paper: McFee and Bello, "Structured training for large-vocabulary chord recognition", ISMIR 2017.
"""

import atexit
import contextlib
import ctypes
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
    """

    def __init__(self, is_tuned=False):
        super().__init__("crema", SETTINGS, is_tuned)

    def _frames(self, y, tuning):
        spectrum, network = _load_model()
        n_frames, ratio = len(y) // _HOP_LENGTH, 2 ** (tuning / 12)
        if tuning:
            # The network's front end takes no tuning: the recording is played slower by up to 3 %, or faster.
            import soxr

            y = soxr.resample(y, SR, SR * ratio)
        [inputs] = spectrum.transform(y=y, sr=SR).values()
        _give_memory_back()
        salience = network(inputs).numpy()[0]
        _give_memory_back()
        return _nearest(salience.T, n_frames, ratio).astype(np.float32)


def _nearest(x, n_frames, ratio):
    """(n_bins, model frames) to (n_bins, n_frames): half-way frames take the earlier one.

    A frame of `x` is 1 / `ratio` as long as one of the network's.
    """
    n_each = _MODEL_HOP_LENGTH // _HOP_LENGTH
    index = ((np.arange(n_frames) * ratio + n_each // 2 - 1) // n_each).astype(int)
    return np.ascontiguousarray(x[:, np.minimum(index, x.shape[1] - 1)])


def _give_memory_back():
    """Hands what is free to the system: glibc keeps it, and the network's threads have heaps of their own."""
    with contextlib.suppress(AttributeError, OSError, TypeError):  # no glibc
        ctypes.CDLL(None).malloc_trim(0)


@functools.cache
def _load_model():
    """The spectrum that crema's network sees, and the network from that to pitch classes.

    The parts of crema's own `outputs`, which computes all outputs, and prints Keras' progress bar for each track.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # TensorFlow complains of what it deletes later than that.
    atexit.register(_load_model.cache_clear)
    with quiet():
        import tensorflow as tf
        from crema.models.chord import ChordModel

        model = ChordModel()
        network = tf.keras.Model(model.model.inputs, model.model.get_layer(_OUTPUT).output)
        signature = [tf.TensorSpec((1, *network.input_shape[1:]))]
        # With one signature the graph is traced once, and takes 40 MB less than Keras' own.
        return model.pump["cqt"], tf.function(network, input_signature=signature)
