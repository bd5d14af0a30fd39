"""KeyConv: one key-invariant convolution, its maximum over the keys, and from there on a small network over time.

The first layer sees the twelve pitch classes over eight pairs of frames, as MulKINet's and MOVE's do over single
ones, and keeps for every filter and moment the best of the twelve transpositions. All that follows is a series without
pitch, so that it costs little.

Conventions: input (batch, 12, n_frames) of any length, output (batch, members x embedding_len) of length 1, compared by
cosine.

Sources: the key-invariant convolution of Cao (2020), MulKINet, and its maximum over keys as in MOVE (Yesiler, Serra,
Gomez 2020); the rest is this package's own.
"""

import tensorflow as tf

from mulkinet.errors import MulkinetError
from mulkinet.models import register_network
from mulkinet.models.base import EmbeddingNetwork, check_positive
from mulkinet.models.layers import KeyInvariantConv2D, L2Normalize

__all__ = ["Fold", "KeyConv"]

_FOLD = 2
_FIRST_WIDTH, _WIDTH = 8, 5
_DILATIONS = (1, 2)
_L2 = 1e-5
_SLOPE = 0.01
_MOMENTUM = 0.98


@tf.keras.utils.register_keras_serializable(package="mulkinet")
class Fold(tf.keras.layers.Layer):
    """Neighbouring frames as channels: (batch, rows, n_frames, 1) -> (batch, rows, n_frames // n, n).

    Args:
        n: Frames that become one; what is left over at the end is dropped.
        **kwargs: As for any Keras layer.
    """

    def __init__(self, n, **kwargs):
        super().__init__(**kwargs)
        self.n = n

    def call(self, inputs):
        rows, n_frames = inputs.shape[1], tf.shape(inputs)[2] // self.n
        return tf.reshape(inputs[:, :, : n_frames * self.n], (-1, rows, n_frames, self.n))

    def compute_output_shape(self, input_shape):
        batch, rows, n_frames, _ = input_shape
        return (batch, rows, n_frames and n_frames // self.n, self.n)

    def get_config(self):
        return {**super().get_config(), "n": self.n}


@register_network("keyconv")
@tf.keras.utils.register_keras_serializable(package="mulkinet")
class KeyConv(EmbeddingNetwork):
    """The network of the package's model `covers`.

    Args:
        n_filters: Filters of the convolutions; the last, of single frames, has four times as many.
        embedding_len: Size of the embedding of each member.
        members: Networks side by side, whose embeddings are joined.

    Raises:
        MulkinetError: An option's value is not possible; the message says which are.
    """

    # Charts performed anew at every step: a file of them is the data.
    recipes = {
        "covers": {
            "loss": "nt-xent",
            "temperature": 0.07,
            "tracks_per_work": 2,
            "n_frames": 250,
            "pad": "wrap",
            "batchsize": 128,
            "max_epoch": 120,
            "optimizer": "adam",
            "lr": 2e-3,
            "schedule": "cosine",
            "clip_norm": 5.0,
            "weight_average": 0.998,
        },
    }
    distance = "cosine"
    kernel_l2 = _L2

    def __init__(self, *, n_filters=128, embedding_len=256, members=1):
        options = {"n_filters": n_filters, "embedding_len": embedding_len, "members": members}
        for name, value in options.items():
            check_positive(name, value)
        layers = tf.keras.layers
        inputs = tf.keras.Input((12, None), name="pitch_classes")
        x = layers.Reshape((12, -1, 1), name="channel")(inputs)
        x = Fold(_FOLD, name="fold")(x)
        x = layers.ZeroPadding2D(((0, 0), (_FIRST_WIDTH // 2, _FIRST_WIDTH // 2 - 1)), name="pad")(
            x
        )
        heads = [
            _member(x, n_filters, embedding_len, f"_{number}" if number else "")
            for number in range(members)
        ]
        outputs = heads[0]
        if members > 1:
            units = [L2Normalize(name=f"unit_{n}")(head) for n, head in enumerate(heads)]
            outputs = layers.Concatenate(name="members")(units)
        super().__init__(
            inputs, L2Normalize(name="embedding")(outputs), options=options, min_frames=_FOLD
        )

    def head_output(self):
        return self.get_layer("embedding").input

    @classmethod
    def joined(cls, models):
        """One network of several: its embeddings are theirs side by side, so that similarities are averaged.

        Args:
            models: list of KeyConv of one size, each of one member.

        Returns:
            KeyConv with the metadata of the first.

        Raises:
            MulkinetError: They are of several sizes.
        """
        first = models[0]
        network = cls(**{**first.options, "members": len(models)})
        for number, model in enumerate(models):
            if model.options != first.options:
                raise MulkinetError(
                    f"expected networks of the options {first.options}, found {model.options}"
                )
            suffix = f"_{number}" if number else ""
            for layer in model.layers:
                if layer.weights:
                    network.get_layer(layer.name + suffix).set_weights(layer.get_weights())
        network.metadata = dict(first.metadata)
        return network


def _member(x, n_filters, embedding_len, suffix):
    """From padded pairs of frames to the numbers of an embedding, by layers of its own."""
    layers = tf.keras.layers
    x = KeyInvariantConv2D(
        n_filters,
        (12, _FIRST_WIDTH),
        use_bias=False,
        key_pool=True,
        kernel_regularizer=tf.keras.regularizers.L2(_L2),
        name=f"keys{suffix}",
    )(x)
    x = _normalised(x, "keys", suffix)
    x = layers.Reshape((-1, n_filters), name=f"time{suffix}")(x)
    for number, dilation in enumerate(_DILATIONS):
        x = _convolution(x, n_filters, _WIDTH, f"time{number}", suffix, dilation)
        if number == 0:
            x = layers.MaxPooling1D(3, 2, padding="same", name=f"pool{suffix}")(x)
    x = _convolution(x, 4 * n_filters, 1, "wide", suffix)
    mean = layers.GlobalAveragePooling1D(name=f"mean{suffix}")(x)
    greatest = layers.GlobalMaxPooling1D(name=f"greatest{suffix}")(x)
    x = layers.Concatenate(name=f"summary{suffix}")([mean, greatest])
    x = layers.Dense(embedding_len, use_bias=False, name=f"affine{suffix}")(x)
    return layers.BatchNormalization(momentum=_MOMENTUM, name=f"affine_bn{suffix}")(x)


def _convolution(x, filters, width, name, suffix, dilation=1):
    x = tf.keras.layers.Conv1D(
        filters,
        width,
        dilation_rate=dilation,
        padding="same",
        use_bias=False,
        kernel_regularizer=tf.keras.regularizers.L2(_L2),
        name=f"{name}{suffix}",
    )(x)
    return _normalised(x, name, suffix)


def _normalised(x, name, suffix):
    x = tf.keras.layers.BatchNormalization(momentum=_MOMENTUM, name=f"{name}_bn{suffix}")(x)
    return tf.keras.layers.LeakyReLU(_SLOPE, name=f"{name}_relu{suffix}")(x)
