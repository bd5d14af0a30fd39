"""CQTNet: ten convolutions over the constant-Q spectrum, dilated along time, and a maximum over all that is left.

Conventions: input (batch, 84, n_frames), magnitudes of any length from `min_frames` on, shorter tracks filled up to
200 frames; output (batch, embedding_len). The bins are no circle: they are convolved and lost as frames are. Layers
are conv0, norm0, conv1, ...

| system | width | embedding_len | bias | normalized | divide |
|---|---|---|---|---|---|
| CQTNet | 32 | 300 | True | False | False |
| Discogs-VINet | 32 | 512 | False | True | True |
| Discogs-VINet, MIREX 2024 | 40 | 512 | False | True | True |

Papers: Yu et al. 2020 (ICASSP, arXiv:1911.00334), "Learning a Representation for Cover Song Identification Using
Convolutional Neural Network"; Araz, Serra, Bogdanov 2024 (ISMIR, arXiv:2410.17400), "Discogs-VI: A Musical Version
Identification Dataset Based on Public Editorial Metadata".
"""

import tensorflow as tf

from mulkinet.models import register_network
from mulkinet.models.base import EmbeddingNetwork, check_flag, check_positive
from mulkinet.models.layers import BinConv2D, L2Normalize

__all__ = ["CQTNet", "DivideByMaximum", "HalveTime"]

N_BINS = 84
FIRST_PADDING = 6
# (bins, frames) of the kernels, their dilation along time, filters by width, and whether a maximum over time follows.
CONVOLUTIONS = (
    ((12, 3), 1, 1, False),
    ((13, 3), 2, 2, True),
    ((13, 3), 1, 2, False),
    ((3, 3), 2, 2, True),
    ((3, 3), 1, 4, False),
    ((3, 3), 2, 4, True),
    ((3, 3), 1, 8, False),
    ((3, 3), 2, 8, True),
    ((3, 3), 1, 16, False),
    ((3, 3), 2, 16, False),
)
MIN_FRAMES = 172
PADDED_FRAMES = 200
# PyTorch's layers start uniform within 1 / sqrt(fan in).
INITIALIZER = {"scale": 1 / 3, "mode": "fan_in", "distribution": "uniform"}
# What keeps the division of a silent track from being one by zero, as published.
LEAST_MAXIMUM = 1e-6


@tf.keras.utils.register_keras_serializable(package="mulkinet")
class DivideByMaximum(tf.keras.layers.Layer):
    """Each track over its own maximum (and 1e-6): (batch, bins, frames) -> the same, in float32."""

    def __init__(self, **kwargs):
        super().__init__(dtype="float32", **kwargs)

    def call(self, inputs):
        return inputs / (tf.reduce_max(inputs, axis=[1, 2], keepdims=True) + LEAST_MAXIMUM)

    def get_config(self):
        config = super().get_config()
        del config["dtype"]
        return config


@register_network("cqtnet")
@tf.keras.utils.register_keras_serializable(package="mulkinet")
class CQTNet(EmbeddingNetwork):
    """CQTNet (Yu et al. 2020) and the networks of Discogs-VINet (Araz et al. 2024).

    Args:
        width: Filters of the first convolution; the last has 16 times as many.
        embedding_len: Size of the embedding.
        bias: Bias of the linear layer that makes the embedding.
        normalized: Scale embeddings to length 1.
        divide: Division of the crop by its maximum. For features that are not divided already, as those of
            `cqt_cqtnet` are.

    Raises:
        MulkinetError: An option's value is not possible; the message says which are.
    """

    # As published. But for CQTNet's 8-bit rounding, which --augment cqtnet-8bit has; and MIREX's float16.
    recipes = {
        "cqtnet": {
            "loss": "softmax",
            "n_frames": 200,
            "longer_crops": "300,400",
            "batchsize": 32,
            "max_epoch": 100,
            "optimizer": "adam",
            "lr": 1e-3,
            "weight_decay": 1e-5,
            "schedule": "plateau",
            "augment": "cqtnet",
        },
        "discogs-vinet": {
            "loss": "triplet",
            "mining": "random_hard",
            "margin": 0.1,
            "n_frames": 400,
            "batchsize": 96,
            "tracks_per_work": 2,
            "clique_rule": "works",
            "max_epoch": 50,
            "optimizer": "adamw",
            "lr": 1e-3,
            "weight_decay": 0.01,
            "schedule": "exponential",
            "embedding_len": 512,
            "bias": False,
            "normalized": True,
            "divide": True,
        },
        "discogs-vinet-mirex": {
            "loss": "triplet",
            "mining": "random_hard",
            "margin": 0.3,
            "n_frames": 380,
            "batchsize": 168,
            "tracks_per_work": 4,
            "clique_rule": "tracks",
            "max_epoch": 40,
            "optimizer": "adam",
            "lr": 1e-2,
            "schedule": "warmup-cosine",
            "width": 40,
            "embedding_len": 512,
            "bias": False,
            "normalized": True,
            "divide": True,
        },
    }
    distance = "cosine"
    padded_frames = PADDED_FRAMES
    classifier_bias = True

    def __init__(self, *, width=32, embedding_len=300, bias=True, normalized=False, divide=False):
        options = {name: value for name, value in locals().items() if name in self.defaults()}
        for name in ("width", "embedding_len"):
            check_positive(name, options[name])
        for name in ("bias", "normalized", "divide"):
            check_flag(name, options[name])
        inputs = tf.keras.Input((N_BINS, None), name="cqt")
        x = DivideByMaximum(name="division")(inputs) if divide else inputs
        x = _convolutions(x, width)
        x = tf.keras.layers.GlobalMaxPooling2D(name="maximum")(x)
        x = tf.keras.layers.Dense(
            embedding_len, use_bias=bias, kernel_initializer=_start(), name="projection"
        )(x)
        # The embedding stays float32 under mixed precision.
        head = tf.keras.layers.Activation("linear", dtype="float32", name="embedding")(x)
        embedding = L2Normalize(name="unit")(head) if normalized else head
        super().__init__(inputs, embedding, options=options, min_frames=MIN_FRAMES)
        if normalized:
            # Of unit vectors the same order as by cosine, and the distance of Discogs-VINet's triplets.
            self.distance = "euclidean"

    def head_output(self):
        return self.get_layer("embedding").output

    def _compile(self):
        """Inference with every norm folded into its convolution, and each of these in the form with the least work."""
        convolutions = [self.get_layer(f"conv{i}") for i in range(len(CONVOLUTIONS))]
        norms = [self.get_layer(f"norm{i}") for i in range(len(CONVOLUTIONS))]
        forms = [layer.form for layer in convolutions]
        last = ("projection", "embedding", *(["unit"] if self.options["normalized"] else []))

        def fold():
            folded = [_folded(*unit) for unit in zip(convolutions, norms)]
            return [
                value
                for form, (kernel, shift) in zip(forms, folded)
                for value in (form.transform(kernel), shift)
            ]

        def embed(x, *folded):
            x = self.get_layer("division")(x) if self.options["divide"] else x
            x = self.get_layer("padding")(self.get_layer("channel")(x))
            for i, (form, kernel, shift) in enumerate(zip(forms, folded[::2], folded[1::2])):
                x = form.convolve(x, tf.cast(kernel, x.dtype))
                # Maxima first: what comes after them does not fall, and has half the frames or one value left.
                if CONVOLUTIONS[i][3]:
                    x = _halved(x)
                if i == len(forms) - 1:
                    x = tf.reduce_max(x, axis=[1, 2])
                x = tf.nn.relu(tf.nn.bias_add(x, tf.cast(shift, x.dtype)))
            for name in last:
                x = self.get_layer(name)(x)
            return x

        self._transform_kernels = tf.function(fold).get_concrete_function()
        self._embed_batch = tf.function(embed).get_concrete_function(
            tf.TensorSpec((None, N_BINS, None), tf.float32),
            *self._transform_kernels.structured_outputs,
        )


def _folded(convolution, norm):
    """(kernel, shift) of a convolution that its norm, by its moving statistics, is part of."""
    scale = norm.gamma * tf.math.rsqrt(norm.moving_variance + norm.epsilon)
    return convolution.kernel * scale, norm.beta - norm.moving_mean * scale


def _convolutions(x, width):
    """(batch, 84, n_frames) -> (batch, 47, frames, 16 * width)."""
    x = tf.keras.layers.Reshape((N_BINS, -1, 1), name="channel")(x)
    x = tf.keras.layers.ZeroPadding2D((FIRST_PADDING, 0), name="padding")(x)
    for i, (kernel, dilation, times, pooled) in enumerate(CONVOLUTIONS):
        x = BinConv2D(
            times * width, kernel, dilation, kernel_initializer=_start(), name=f"conv{i}"
        )(x)
        x = tf.keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"norm{i}")(x)
        x = tf.keras.layers.ReLU(name=f"relu{i}")(x)
        if pooled:
            x = HalveTime(name=f"pool{i}")(x)
    return x


@tf.keras.utils.register_keras_serializable(package="mulkinet")
class HalveTime(tf.keras.layers.Layer):
    """Maximum over two frames, every second frame: (batch, rows, n, channels) -> (batch, rows, n // 2 + 1, channels).

    As published, the first window begins a frame before the first one. What is not there is less than anything.
    """

    def call(self, inputs):
        return _halved(inputs)

    def compute_output_shape(self, input_shape):
        batch, rows, n_frames, channels = input_shape
        return batch, rows, None if n_frames is None else n_frames // 2 + 1, channels


def _halved(x):
    return tf.nn.max_pool2d(x, (1, 2), (1, 2), [[0, 0], [0, 0], [1, 1], [0, 0]])


def _start():
    return _ScalingInGraph(**INITIALIZER)


@tf.keras.utils.register_keras_serializable(package="mulkinet", name="ScalingInGraph")
class _ScalingInGraph(tf.keras.initializers.VarianceScaling):
    """Draws as its parent does, in a graph, which scales in place: op by op, a kernel would be there three times."""

    def __call__(self, shape, dtype=None, **kwargs):
        draw = tf.function(super().__call__)
        # Not called as it is: TensorFlow would warn of a function that is traced again for every kernel.
        return draw.get_concrete_function(shape, dtype=dtype, **kwargs)()
