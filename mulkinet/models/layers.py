"""Keras layers of the networks: key-invariant convolution, its statistics, time summaries.

Conventions: feature maps are (batch, rows, n_frames, channels), with the 12 distinct rows of
`mulkinet.models.pitch_rows`. Where the published networks take a mean over all their rows, the layer is told how many
there were (`n_rows`) and counts the repeated ones twice, which gives the same numbers.

Attention has a module of its own.

Papers: Cao 2020 (ISSPIT), MulKINet; Xu, Chen, Lin 2018 (ICASSP), key-invariant convolution; McFee, Salamon, Bello 2018
(arXiv:1804.10070), autopool; Yesiler, Serra, Gomez 2020 (arXiv:1910.12551), the attention summaries.
"""

import contextlib

import tensorflow as tf

from mulkinet.models.bin_convolution import PlainForm, choose_bin_form
from mulkinet.models.dft_convolution import DirectForm, choose_form
from mulkinet.models.pitch_rows import found_in_rows, mean_over_rows, row_weights

__all__ = [
    "LEAKY_SLOPE",
    "SUMMARIES",
    "BinConv2D",
    "KeyInvariantConv2D",
    "L2Normalize",
    "PooledPReLU",
    "RowWeightedBatchNorm",
    "SeededDropout",
    "TimeSummary",
]

LEAKY_SLOPE = 0.3
SUMMARIES = ("max", "mean", "autopool", "attention", "adaptive-attention")

_register = tf.keras.utils.register_keras_serializable(package="mulkinet")


@_register
class KeyInvariantConv2D(tf.keras.layers.Conv2D):
    """Convolution that treats the 12 pitch classes as a circle: transposing the input rotates the output rows.

    Input (batch, 12, n_frames, channels) -> (batch, 12, n_frames - width + 1, filters), or 1 row with `key_pool`; or 1
    row in and out, with a kernel of height 1. The weights are those of an ordinary convolution over the written-out
    rows: `kernel` (height, width, channels, filters) and `bias` (filters,). How it is computed follows from the shape,
    on a CPU in float32; on a GPU, or in another precision, it is one ordinary convolution in the layer's own type.

    Attributes:
        form: A form of `mulkinet.models.dft_convolution`, once the layer is built.

    Args:
        filters: Output channels.
        kernel_size: (height, width), height at most 12. Along time there is no padding.
        key_pool: Whether to keep of each filter and frame the maximum over the rows only. Bias and activation come
            after it, which is the same as before it for an activation that does not fall.
        extremes: Whether what follows depends on the greatest and least row of each filter and frame only, as
            `PooledPReLU` does: inference with a kernel transformed earlier then gives these two.
        **kwargs: As for `tf.keras.layers.Conv2D`; padding and strides are not to be chosen.
    """

    def __init__(self, filters, kernel_size, key_pool=False, extremes=False, **kwargs):
        super().__init__(filters, kernel_size, padding="valid", **kwargs)
        self.key_pool = key_pool
        self.extremes = extremes
        self._transformed = None

    def build(self, input_shape):
        super().build(input_shape)
        _, n_rows, n_frames, _ = input_shape
        shape = (tuple(self.kernel.shape), n_rows)
        self.form = (
            choose_form(*shape, n_frames, self.dilation_rate[1])
            if self.compute_dtype == "float32" and not tf.config.get_visible_devices("GPU")
            else DirectForm(*shape, self.dilation_rate[1])
        )

    def transformed_kernel(self):
        """The kernel as its form takes it; for `using`."""
        if self.key_pool or self.extremes:
            return self.form.transform_for_extremes(self.kernel)
        return self.form.transform(self.kernel)

    @contextlib.contextmanager
    def using(self, transformed):
        """Within this context calls take a kernel transformed earlier."""
        self._transformed = transformed
        try:
            yield
        finally:
            self._transformed = None

    def call(self, inputs):
        shape = self.compute_output_shape(inputs.shape)
        if self._transformed is not None and (self.key_pool or self.extremes):
            outputs = self.form.extremes(inputs, self._transformed)
            outputs = outputs[:, :1] if self.key_pool else outputs
            shape = (shape[0], outputs.shape[1], *shape[2:])
        else:
            transformed = self._transformed
            if transformed is None:
                transformed = self.form.transform(self.kernel)
            convolve = self.form.greatest if self.key_pool else self.form.convolve
            outputs = convolve(inputs, transformed)
        outputs.set_shape(shape)
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, self.bias)
        return self.activation(outputs)

    def compute_output_shape(self, input_shape):
        batch, rows, n_frames, channels = input_shape
        n_rows = 1 if self.key_pool else rows
        written_out = (batch, n_rows + self.kernel_size[0] - 1, n_frames, channels)
        return super().compute_output_shape(written_out)

    def get_config(self):
        config = {**super().get_config(), "key_pool": self.key_pool, "extremes": self.extremes}
        del config["padding"]
        return config


@_register
class BinConv2D(tf.keras.layers.Conv2D):
    """Convolution over bins, which are no circle, and time, dilated along time only, without bias or padding.

    Input (batch, n_bins, n_frames, channels) -> (batch, n_bins - height + 1, frames left, filters). How it is computed
    follows from the shape, but on a GPU and in half precision, where it is an ordinary convolution.

    Attributes:
        form: A form of `mulkinet.models.bin_convolution`, once the layer is built.

    Args:
        filters: Output channels.
        kernel_size: (height, width).
        dilation: Of the kernel along time, >= 1.
        **kwargs: As for `tf.keras.layers.Conv2D`; padding, strides and bias are not to be chosen.
    """

    def __init__(self, filters, kernel_size, dilation=1, **kwargs):
        super().__init__(
            filters, kernel_size, dilation_rate=(1, dilation), use_bias=False, **kwargs
        )

    def build(self, input_shape):
        super().build(input_shape)
        shape = (tuple(self.kernel.shape), input_shape[1], self.dilation_rate[1])
        is_half = self.compute_dtype in ("float16", "bfloat16")
        is_plain = is_half or tf.config.get_visible_devices("GPU")
        self.form = PlainForm(*shape) if is_plain else choose_bin_form(*shape)

    def call(self, inputs):
        if isinstance(self.form, PlainForm):
            return super().call(inputs)
        outputs = self.form.convolve(inputs, self.form.transform(self.kernel))
        outputs.set_shape(self.compute_output_shape(inputs.shape))
        return outputs

    def get_config(self):
        config = {**super().get_config(), "dilation": self.dilation_rate[1]}
        for name in ("padding", "dilation_rate", "use_bias"):
            del config[name]
        return config


@_register
class PooledPReLU(tf.keras.layers.PReLU):
    """PReLU with one slope, then the maximum over rows: (batch, rows, n_frames, channels) -> (batch, 1, ...).

    A PReLU rises everywhere or, its slope below 0, falls and then rises. So its maximum is at the greatest or the
    least of the rows' values, and it need be computed of that one only.

    Args:
        **kwargs: As for `tf.keras.layers.PReLU`; the slope, `alpha` (1, 1, 1), is shared by all axes.
    """

    def __init__(self, **kwargs):
        super().__init__(shared_axes=[1, 2, 3], **kwargs)

    def call(self, inputs):
        x = tf.stop_gradient(inputs)
        greatest = tf.reduce_max(x, axis=1, keepdims=True)
        least = tf.reduce_min(x, axis=1, keepdims=True)
        rises = super().call(greatest) >= super().call(least)
        return super().call(found_in_rows(inputs, tf.where(rises, greatest, least)))

    def get_config(self):
        config = super().get_config()
        del config["shared_axes"]
        return config


def _normalization(mean, variance, n_rows, epsilon):
    """Normalisation of a map by its own batch moments, in half the time of the gradient that TensorFlow derives.

    A function of x (batch, 12, n_frames, channels), gamma and beta (channels,), all float32, by the mean and variance
    (channels,) of x with `row_weights(n_rows)`. The gradient is the usual one, with what a value counts in the moments
    in the place of one over their number. Its operations are plain: the fused kernel for it has no deterministic form
    on a GPU.
    """

    @tf.custom_gradient
    def normalize(x, gamma, beta):
        y = tf.raw_ops.FusedBatchNormV3(
            x=x,
            scale=gamma,
            offset=beta,
            mean=mean,
            variance=variance,
            epsilon=epsilon,
            is_training=False,
        ).y

        def gradient(upstream):
            inverse = tf.math.rsqrt(variance + epsilon)
            of_beta = _sum_over_all_but_channels(upstream)
            of_gamma = inverse * (_sum_over_all_but_channels(upstream * x) - mean * of_beta)
            n_per_row = tf.cast(tf.shape(x)[0] * tf.shape(x)[2], x.dtype)
            through_moments = row_weights(n_rows)[:, None, None] / n_per_row * gamma * inverse
            slope = through_moments * of_gamma * inverse
            shift = through_moments * of_beta - slope * mean
            return upstream * (gamma * inverse) - (x * slope + shift), of_gamma, of_beta

        return y, gradient

    return normalize


def _sum_over_all_but_channels(x):
    # One axis by itself first: over all three TensorFlow is three times slower.
    return tf.reduce_sum(tf.reduce_sum(x, axis=2), axis=[0, 1])


@_register
class RowWeightedBatchNorm(tf.keras.layers.BatchNormalization):
    """Batch normalisation over channels whose batch moments count repeated rows as often as they occur.

    Args:
        n_rows: Rows of the published network at this place, 13 to 23; None counts every row once.
        **kwargs: As for `tf.keras.layers.BatchNormalization`.
    """

    def __init__(self, n_rows=None, **kwargs):
        super().__init__(**kwargs)
        self.n_rows = n_rows

    def call(self, inputs, training=None):
        if self.n_rows is None or not training or not self.trainable:
            return super().call(inputs, training=training)
        x = tf.cast(inputs, self.moving_mean.dtype)
        mean, variance = self._weighted_moments(x)
        self._update(mean, variance, tf.shape(x))
        normalize = _normalization(mean, variance, self.n_rows, self.epsilon)
        gamma = self.gamma.value() if self.scale else tf.ones_like(mean)
        beta = self.beta.value() if self.center else tf.zeros_like(mean)
        return tf.cast(normalize(x, gamma, beta), inputs.dtype)

    def _weighted_moments(self, x):
        # Means over one axis at a time: over several that do not touch, TensorFlow is ten times slower.
        mean = tf.reduce_mean(mean_over_rows(tf.reduce_mean(x, axis=2), self.n_rows), axis=0)
        squares = tf.reduce_mean(tf.math.squared_difference(x, mean), axis=2)
        return mean, tf.reduce_mean(mean_over_rows(squares, self.n_rows), axis=0)

    def _update(self, mean, variance, shape):
        # Keras's fused kernel, which the published network used, keeps the unbiased variance (n / (n - 1)).
        count = tf.cast(shape[0] * self.n_rows * shape[2], variance.dtype)
        rate = 1.0 - self.momentum
        unbiased = variance * (count / (count - 1.0))
        self.moving_mean.assign_sub((self.moving_mean - mean) * rate)
        self.moving_variance.assign_sub((self.moving_variance - unbiased) * rate)

    def get_config(self):
        return {**super().get_config(), "n_rows": self.n_rows}


@_register
class TimeSummary(tf.keras.layers.Layer):
    """Forgets time: (batch, rows, n_frames, channels) -> (batch, rows, channels), or half of them with attention.

    Autopool and both attentions are means over time weighted by a softmax over time of scores:

    | method | values | scores |
    |---|---|---|
    | "autopool" | all channels | p times the same, p trained from 0 (a mean) on |
    | "attention" | first half of the channels | second half |
    | "adaptive-attention" | second half | p times the first half |

    Args:
        method: One of `SUMMARIES`.
        **kwargs: As for any Keras layer.
    """

    def __init__(self, method, **kwargs):
        super().__init__(**kwargs)
        self.method = method

    def build(self, input_shape):
        self.autopool_p = None
        if self.method in ("autopool", "adaptive-attention"):
            self.autopool_p = self.add_weight("autopool_p", (), initializer="zeros")
        super().build(input_shape)

    def call(self, inputs):
        if self.method == "max":
            return tf.reduce_max(inputs, axis=2)
        if self.method == "mean":
            return tf.reduce_mean(inputs, axis=2)
        values, scores = self._values_and_scores(inputs)
        return tf.reduce_sum(values * tf.nn.softmax(scores, axis=2), axis=2)

    def _values_and_scores(self, x):
        if self.method == "autopool":
            return x, self.autopool_p * x
        first, second = tf.split(x, 2, axis=3)
        if self.method == "attention":
            return first, second
        return second, self.autopool_p * first

    def get_config(self):
        return {**super().get_config(), "method": self.method}


@_register
class L2Normalize(tf.keras.layers.Layer):
    """Scales each vector to length 1, in float32 whatever the precision of the network: (batch, size) -> the same."""

    def call(self, inputs):
        return tf.math.l2_normalize(tf.cast(inputs, tf.float32), axis=-1)


@_register
class SeededDropout(tf.keras.layers.Layer):
    """Dropout whose random generator can be seeded again, so that a resumed run draws the same.

    Args:
        rate: Share of values set to 0 while training, 0 <= rate < 1; the others grow by 1 / (1 - rate).
        seed: int for the generator.
        **kwargs: As for any Keras layer.
    """

    def __init__(self, rate, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate
        self.seed = seed
        self._generator = tf.random.Generator.from_seed(seed)

    def reseed(self, seed):
        """Starts the generator anew from `seed`."""
        self._generator.reset_from_seed(seed)

    def call(self, inputs, training=None):
        if not training or not self.rate:
            return tf.identity(inputs)
        kept = self._generator.uniform(tf.shape(inputs)) >= self.rate
        return tf.where(kept, inputs / (1.0 - self.rate), tf.zeros_like(inputs))

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
