"""The Siamese encoder, and the twin that is trained with it: a convolutional network and a weighted L1 distance.

Conventions: input (batch, 12, n_frames), cremaPCP of the first 180 s resized to `n_frames`; output
(batch, embedding_len) in (0, 1). The twin maps two inputs to one number that is small for two performances of a work.

Public names: `Siamese`.

Sources: vignejs, cover-song-identification (2020); Stamenovic 2020 (arXiv:2005.10294), "Towards Cover Song Detection
with Siamese Convolutional Neural Networks".
"""

import tensorflow as tf

from mulkinet.layers import N_PITCH_CLASSES, KeyInvariantConv2D, SeededDropout, WeightedL1
from mulkinet.models.base import EmbeddingNetwork, check_positive

__all__ = ["Siamese"]

FIRST_FILTERS, FIRST_WIDTH = 32, 50
FILTERS = (32, 64)
WIDTH = 5
DILATIONS = (20, 13, 7)
LOST_FRAMES = FIRST_WIDTH - 1 + sum((WIDTH - 1) * (1 + dilation) for dilation in DILATIONS)
DROPOUT = 0.1


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

    network = "siamese"
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
            tf.keras.Model: two (batch, 12, n_frames) inputs -> (batch, 1), near 0 for a cover. Its `dropout`
            attribute is the encoder's dropout layer, which has `reseed(seed)`.
        """
        pair = [
            tf.keras.Input((self.n_bins, self.n_frames), name=name) for name in ("pcp_a", "pcp_b")
        ]
        distance = self.head([self(x) for x in pair])
        model = tf.keras.Model(pair, distance, name="siamese_twin")
        model.dropout = self.dropout
        return model


def _convolutions(inputs):
    """(batch, 12, n_frames) -> (batch, 1, n_frames - LOST_FRAMES, filters)."""
    x = tf.keras.layers.Reshape((N_PITCH_CLASSES, -1, 1), name="channel")(inputs)
    x = KeyInvariantConv2D(
        FIRST_FILTERS,
        (N_PITCH_CLASSES, FIRST_WIDTH),
        name="conv0",
        **_convolution_start(),
    )(x)
    # The published order is ReLU, then maximum: the same, with twelve times as many ReLUs.
    x = tf.keras.layers.MaxPooling2D((N_PITCH_CLASSES, 1), name="key_pool")(x)
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
