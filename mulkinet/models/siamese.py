"""The Siamese encoder, and the twin that is trained with it: a convolutional network and a weighted L1 distance.

Conventions: input (batch, 12, n_frames), cremaPCP of the first 180 s resized to `n_frames`; output
(batch, embedding_len) in (0, 1). The twin maps two inputs to one number that is small for two performances of a work.

Sources: vignejs, cover-song-identification (2020); Stamenovic 2020 (arXiv:2005.10294), "Towards Cover Song Detection
with Siamese Convolutional Neural Networks".
"""

import tensorflow as tf

from mulkinet.models import register_network
from mulkinet.models.base import EmbeddingNetwork, check_positive
from mulkinet.models.layers import KeyInvariantConv2D, SeededDropout
from mulkinet.models.pitch_rows import N_PITCH_CLASSES

__all__ = ["Siamese", "SiameseTwin", "WeightedL1"]

FIRST_FILTERS, FIRST_WIDTH = 32, 50
FILTERS = (32, 64)
WIDTH = 5
DILATIONS = (20, 13, 7)
LOST_FRAMES = FIRST_WIDTH - 1 + sum((WIDTH - 1) * (1 + dilation) for dilation in DILATIONS)
DROPOUT = 0.1


@register_network("siamese")
@tf.keras.utils.register_keras_serializable(package="mulkinet")
class Siamese(EmbeddingNetwork):
    """The Siamese release's encoder, with the head of its twin.

    The head is part of the network, because embeddings are compared by it; `twin()` gives the trained model.

    Args:
        n_frames: Frames of the input, fixed when the network is built.
        embedding_len: Size of the embedding.

    Attributes:
        head: `WeightedL1`, from two embeddings (batch, embedding_len) to a distance (batch, 1).
        dropout: The encoder's `SeededDropout`.

    Raises:
        MulkinetError: An option's value is not possible; the message says which are.
    """

    # Pairs of 180 s resized to 500 frames, one of the two augmented.
    recipes = {
        "siamese": {
            "loss": "twin",
            "n_frames": 500,
            "batchsize": 128,
            "max_epoch": 100,
            "optimizer": "lookahead-adam",
            "lr": 1e-4,
            "schedule": "warmup-decay",
            "augment": "siamese",
        }
    }
    distance = "weighted_l1"

    def __init__(self, *, n_frames=500, embedding_len=512):
        options = {"n_frames": n_frames, "embedding_len": embedding_len}
        check_positive("n_frames", n_frames, least=LOST_FRAMES + 1)
        check_positive("embedding_len", embedding_len)
        dropout = SeededDropout(DROPOUT, name="dropout")
        inputs = tf.keras.Input((N_PITCH_CLASSES, n_frames), name="pcp")
        x = tf.keras.layers.Flatten(name="flatten")(_convolutions(inputs))
        embedding = tf.keras.layers.Dense(
            embedding_len, activation="sigmoid", dtype="float32", name="dense", **_dense_start()
        )(dropout(x))
        super().__init__(inputs, embedding, options=options, n_frames=n_frames, min_frames=n_frames)
        self.dropout = dropout
        self.head = WeightedL1(dtype="float32", name="head", **_dense_start())
        self.head.build([(None, embedding_len)] * 2)

    @property
    def distance_weights(self):
        """((embedding_len,) kernel, bias) of the twin's head, as float32 array and float."""
        return self.head.kernel.numpy()[:, 0], float(self.head.bias.numpy()[0])

    def twin(self):
        """The model that is trained on pairs; it shares all weights with this network.

        Returns:
            SiameseTwin: two (batch, 12, n_frames) inputs -> (batch, 1), near 0 for a cover.
        """
        return SiameseTwin(self)


@tf.keras.utils.register_keras_serializable(package="mulkinet")
class WeightedL1(tf.keras.layers.Layer):
    """A trained distance in (0, 1): sigmoid(sum(kernel * |a - b|) + bias), small for two performances of one work.

    Input: two (batch, size) embeddings; output (batch, 1). Weights: `kernel` (size, 1), `bias` (1,).

    Args:
        kernel_initializer: For the kernel.
        bias_initializer: For the bias.
        **kwargs: As for any Keras layer.
    """

    def __init__(self, kernel_initializer="glorot_uniform", bias_initializer="zeros", **kwargs):
        super().__init__(**kwargs)
        self.kernel_initializer = tf.keras.initializers.get(kernel_initializer)
        self.bias_initializer = tf.keras.initializers.get(bias_initializer)

    def build(self, input_shape):
        size = input_shape[0][-1]
        self.kernel = self.add_weight("kernel", (size, 1), initializer=self.kernel_initializer)
        self.bias = self.add_weight("bias", (1,), initializer=self.bias_initializer)
        super().build(input_shape)

    def call(self, inputs):
        a, b = inputs
        return tf.sigmoid(tf.matmul(tf.abs(a - b), self.kernel) + self.bias)

    def get_config(self):
        return {
            **super().get_config(),
            "kernel_initializer": tf.keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": tf.keras.initializers.serialize(self.bias_initializer),
        }


@tf.keras.utils.register_keras_serializable(package="mulkinet")
class SiameseTwin(tf.keras.Model):
    """Two inputs, one encoder, and the distance of their embeddings.

    Args:
        encoder: `Siamese`, whose weights these are.

    Attributes:
        encoder: As given.
        dropout: The encoder's dropout layer, which has `reseed(seed)`.
    """

    def __init__(self, encoder):
        shape = (encoder.n_bins, encoder.n_frames)
        pair = [tf.keras.Input(shape, name=name) for name in ("pcp_a", "pcp_b")]
        distance = encoder.head([encoder(x) for x in pair])
        super().__init__(inputs=pair, outputs=distance, name="siamese_twin")
        self.encoder = encoder
        self.dropout = encoder.dropout

    def get_config(self):
        return dict(self.encoder.options)

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(Siamese(**config))


def _convolutions(inputs):
    """(batch, 12, n_frames) -> (batch, 1, n_frames - LOST_FRAMES, filters)."""
    x = tf.keras.layers.Reshape((N_PITCH_CLASSES, -1, 1), name="channel")(inputs)
    x = KeyInvariantConv2D(
        FIRST_FILTERS,
        (N_PITCH_CLASSES, FIRST_WIDTH),
        key_pool=True,
        name="conv0",
        **_convolution_start(),
    )(x)
    # The published order is ReLU, then maximum over keys: the same, with twelve times as many ReLUs.
    x = tf.keras.layers.ReLU(name="relu0")(x)
    x = tf.keras.layers.BatchNormalization(name="bn0")(x)
    for i, dilation in enumerate(DILATIONS, start=1):
        x = tf.keras.layers.Conv2D(
            FILTERS[0], (1, WIDTH), name=f"conv{i}_0", **_convolution_start()
        )(x)
        x = tf.keras.layers.Conv2D(
            FILTERS[1],
            (1, WIDTH),
            dilation_rate=(1, dilation),
            activation="relu",
            name=f"conv{i}_1",
            **_convolution_start(),
        )(x)
        x = tf.keras.layers.BatchNormalization(name=f"bn{i}")(x)
    return x


def _convolution_start():
    return {**_dense_start(), "kernel_initializer": tf.keras.initializers.RandomNormal(0.0, 0.01)}


def _dense_start():
    return {
        "kernel_initializer": tf.keras.initializers.RandomNormal(0.0, 0.2),
        "bias_initializer": tf.keras.initializers.RandomNormal(0.5, 0.01),
    }
