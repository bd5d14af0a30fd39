"""ResCNN: a residual network on the log constant-Q spectrum, after Deep Speaker.

The MIREX 2020 note gives the scheme (spectrogram -> convolutional network -> embedding of fixed length, softmax first,
then triplets by Euclidean distance) and leaves the network to Deep Speaker, whose filter banks are replaced by
constant-Q bins here.

Conventions: input (batch, n_bins, n_frames) of any length, the magnitudes that `mulkinet.features.cqt` gives: the
logarithm is the network's own affair. Output (batch, embedding_len), of length 1.

Sources: NetEase's submission to MIREX 2020 Audio Cover Song Identification; Li et al. 2017 (arXiv:1705.02304), "Deep
Speaker: an End-to-End Neural Speaker Embedding System".
"""

import tensorflow as tf

from mulkinet.models import register_network
from mulkinet.models.base import EmbeddingNetwork, check_positive
from mulkinet.models.layers import L2Normalize, TimeSummary

__all__ = ["LogMagnitude", "ResCNN"]

N_GROUPS = 4
CLIP = 20.0
# Constant-Q magnitudes of music at full scale lie between 0.01 and 5 (a full-scale sine reaches about 15): times 100
# they are above 1, where log1p is a logarithm, and what is quieter than that fades to 0.
MAGNITUDE_SCALE = 100.0


@tf.keras.utils.register_keras_serializable(package="mulkinet")
class LogMagnitude(tf.keras.layers.Layer):
    """log(1 + scale * x) of magnitudes >= 0, of any shape, in float32; silence and zero padding stay 0.

    Args:
        scale: What magnitudes are multiplied by; they are compressed above 1 / scale and left linear below.
        **kwargs: As for any Keras layer.
    """

    def __init__(self, scale=MAGNITUDE_SCALE, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.scale = scale

    def call(self, inputs):
        return tf.math.log1p(self.scale * inputs)

    def get_config(self):
        config = {**super().get_config(), "scale": self.scale}
        del config["dtype"]
        return config


@register_network("rescnn")
@tf.keras.utils.register_keras_serializable(package="mulkinet")
class ResCNN(EmbeddingNetwork):
    """Residual network with clipped ReLUs (Li et al. 2017).

    Args:
        width: Filters of the first group. Each of the four groups has twice those of the one before.
        depth: Residual blocks in each group. A block has two convolutions.
        embedding_len: Size of the embedding.
        n_bins: Bins of the constant-Q spectrum.

    Raises:
        MulkinetError: An option's value is not possible; the message says which are.
    """

    # Softmax first, then triplets by Euclidean distance. The note gives no numbers: batch, margin, rate, epochs and
    # length of the crops are ours.
    recipes = {
        "rescnn": {
            "loss": "triplet",
            "mining": "hard",
            "margin": 0.3,
            "n_frames": 400,
            "batchsize": 32,
            "tracks_per_work": 4,
            "pretrain_epochs": 30,
            "max_epoch": 70,
            "optimizer": "adam",
            "lr": 1e-3,
            "schedule": "cosine",
        }
    }
    distance = "euclidean"

    def __init__(self, *, width=64, depth=3, embedding_len=512, n_bins=84):
        options = {name: value for name, value in locals().items() if name in self.defaults()}
        for name, value in options.items():
            check_positive(name, value)
        inputs = tf.keras.Input((n_bins, None), name="cqt")
        x = LogMagnitude(name="log")(inputs)
        x = tf.keras.layers.Reshape((n_bins, -1, 1), name="channel")(x)
        for group in range(N_GROUPS):
            filters = width * 2**group
            x = _unit(x, filters, 5, f"group{group}", strides=2)
            for block in range(depth):
                x = _residual_block(x, filters, f"group{group}_block{block}")
        x = TimeSummary("mean", name="mean_over_time")(x)
        x = tf.keras.layers.Flatten(name="flatten")(x)
        x = tf.keras.layers.Dense(embedding_len, name="affine")(x)
        super().__init__(inputs, L2Normalize(name="embedding")(x), options=options)

    def head_output(self):
        return self.get_layer("affine").output


def _unit(x, filters, size, name, strides=1):
    x = _normalised_convolution(x, filters, size, name, strides)
    return tf.keras.layers.ReLU(CLIP, name=f"{name}_relu")(x)


def _residual_block(x, filters, name):
    y = _unit(x, filters, 3, f"{name}_conv0")
    y = _normalised_convolution(y, filters, 3, f"{name}_conv1")
    y = tf.keras.layers.Add(name=f"{name}_add")([x, y])
    return tf.keras.layers.ReLU(CLIP, name=f"{name}_relu")(y)


def _normalised_convolution(x, filters, size, name, strides=1):
    x = tf.keras.layers.Conv2D(
        filters, size, strides=strides, padding="same", use_bias=False, name=name
    )(x)
    return tf.keras.layers.BatchNormalization(name=f"{name}_bn")(x)
