"""MOVE: musically motivated version embeddings, a shallow convolutional network with an attentive summary over time.

Conventions: input (batch, 12, n_frames), cremaPCP of any length from `min_frames` on; output (batch, embedding_len).
Embeddings are compared by squared Euclidean distance over their size, re-MOVE's by their cosine. Layers carry the
names of the published PyTorch weights.

Paper: Yesiler, Serra, Gomez 2020 (ICASSP, arXiv:1910.12551), "Accurate and Scalable Version Identification Using
Musically-Motivated Embeddings".
"""

import functools

import tensorflow as tf

from mulkinet.models import register_network
from mulkinet.models.base import EmbeddingNetwork, check_choice, check_flag, check_positive
from mulkinet.models.layers import SUMMARIES, KeyInvariantConv2D, PooledPReLU, TimeSummary
from mulkinet.models.pitch_rows import N_PITCH_CLASSES

__all__ = ["MOVE"]

DISTANCES = ("sqeuclidean", "cosine")
ACTIVATIONS = ("none", "sigmoid", "tanh", "batch-norm")
FIRST_WIDTH = 180
WIDTH = 5
DILATIONS = (1, 20, 1, 13)
MIN_FRAMES = FIRST_WIDTH + sum((WIDTH - 1) * dilation for dilation in DILATIONS)
PRELU_START = 0.01
# PyTorch's linear layer starts uniform within 1 / sqrt(fan in).
LINEAR_INITIALIZER = {"scale": 1 / 3, "mode": "fan_in", "distribution": "uniform"}


@register_network("move")
@tf.keras.utils.register_keras_serializable(package="mulkinet")
class MOVE(EmbeddingNetwork):
    """MOVE (Yesiler, Serra, Gomez 2020).

    Args:
        sum_method: Summary over time: max, mean, autopool, attention or adaptive-attention. The attentions are
            multi-channel; the paper's is the adaptive one.
        final_activation: Activation of the embedding: none, sigmoid, tanh or batch-norm. The paper's is batch norm
            without scale or shift.
        embedding_len: Size of the embedding. The paper's are 16000 and 4000.
        n_filters: Filters of each convolution. Attention doubles the last one's.
        invariance: Key invariance (the paper's ablation). With it, the first convolution slides over all 12
            transpositions and the maximum is kept; without it, the 12 rows are seen as they are.
        distance: How embeddings are compared: sqeuclidean (the paper's) or cosine (re-MOVE's).

    Raises:
        MulkinetError: An option's value is not possible; the message says which are.
    """

    # 16 works of 4 tracks, crops of 1800 frames of cremaPCP.
    recipes = {
        "move": {
            "loss": "triplet",
            "mining": "hard",
            "margin": 1.0,
            "n_frames": 1800,
            "batchsize": 64,
            "tracks_per_work": 4,
            "max_epoch": 120,
            "optimizer": "sgd",
            "lr": 0.1,
            "schedule": "steps",
            "augment": "move",
        }
    }

    def __init__(
        self,
        *,
        sum_method="adaptive-attention",
        final_activation="batch-norm",
        embedding_len=16000,
        n_filters=256,
        invariance=True,
        distance="sqeuclidean",
    ):
        options = {name: value for name, value in locals().items() if name in self.defaults()}
        check_choice("sum_method", sum_method, SUMMARIES)
        check_choice("final_activation", final_activation, ACTIVATIONS)
        check_positive("embedding_len", embedding_len)
        check_positive("n_filters", n_filters)
        check_flag("invariance", invariance)
        check_choice("distance", distance, DISTANCES)
        inputs = tf.keras.Input((N_PITCH_CLASSES, None), name="pcp")
        x = _convolutions(inputs, n_filters, invariance, doubled=sum_method.endswith("attention"))
        x = TimeSummary(sum_method, name="summary")(x)
        x = tf.keras.layers.Dense(
            embedding_len,
            use_bias=final_activation != "batch-norm",
            kernel_initializer=tf.keras.initializers.VarianceScaling(**LINEAR_INITIALIZER),
            name="lin1",
        )(x)
        embedding = _activate(x, final_activation)
        super().__init__(inputs, embedding, options=options, min_frames=MIN_FRAMES)
        self.distance = distance


def _convolutions(inputs, n_filters, invariance, doubled):
    """(batch, 12, n_frames) -> (batch, 1, n_frames - MIN_FRAMES + 1, filters)."""
    x = tf.keras.layers.Reshape((N_PITCH_CLASSES, -1, 1), name="channel")(inputs)
    first = (
        functools.partial(KeyInvariantConv2D, extremes=True)
        if invariance
        else tf.keras.layers.Conv2D
    )
    x = _convolution(first, x, 1, n_filters, (N_PITCH_CLASSES, FIRST_WIDTH))
    if invariance:
        x = PooledPReLU(**_prelu(1))(x)
    else:
        x = tf.keras.layers.PReLU(shared_axes=[1, 2, 3], **_prelu(1))(x)
    for i, dilation in enumerate(DILATIONS, start=2):
        is_last = i == len(DILATIONS) + 1
        filters = 2 * n_filters if is_last and doubled else n_filters
        x = _convolution(KeyInvariantConv2D, x, i, filters, (1, WIDTH), dilation)
        x = tf.keras.layers.PReLU(shared_axes=[1, 2, 3], **_prelu(i))(x)
    return x


def _convolution(layer, x, i, filters, kernel, dilation=1):
    return layer(
        filters,
        kernel,
        dilation_rate=(1, dilation),
        # He's normal for the slope that the PReLUs start with.
        kernel_initializer=tf.keras.initializers.VarianceScaling(
            2 / (1 + PRELU_START**2), "fan_in", "untruncated_normal"
        ),
        name=f"conv{i}",
    )(x)


def _prelu(i):
    start = tf.keras.initializers.Constant(PRELU_START)
    return {"alpha_initializer": start, "name": f"prelu{i}"}


def _activate(x, final_activation):
    """(batch, 1, embedding_len) -> (batch, embedding_len)."""
    size = x.shape[-1]
    if final_activation == "batch-norm":
        # As a map of one row and one frame: there Keras keeps the unbiased variance, as PyTorch does.
        x = tf.keras.layers.Reshape((1, 1, size), name="map")(x)
        x = tf.keras.layers.BatchNormalization(
            momentum=0.9, epsilon=1e-5, center=False, scale=False, name="lin_bn"
        )(x)
    elif final_activation != "none":
        x = tf.keras.layers.Activation(final_activation, name="activation")(x)
    x = tf.keras.layers.Reshape((size,), name="vector")(x)
    # The embedding stays float32 under mixed precision.
    return tf.keras.layers.Activation("linear", dtype="float32", name="embedding")(x)
