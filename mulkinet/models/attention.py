"""Attention of MulKINet: gates for channels or frames, computed from what the rest of a feature map does.

Conventions: as `mulkinet.models.layers`: feature maps are (batch, rows, n_frames, channels), and `n_rows` says how many
rows the published network has where only the 12 distinct ones are carried.

Papers: Cao 2020 (ISSPIT), MulKINet; Woo et al. 2018 (arXiv:1807.06521), the form of the attention.
"""

import numpy as np
import tensorflow as tf

from mulkinet.models.layers import LEAKY_SLOPE
from mulkinet.models.pitch_rows import mean_over_rows, row_weights

__all__ = ["ChannelAttention", "TemporalAttention", "mean_and_maximum"]

_register = tf.keras.utils.register_keras_serializable(package="mulkinet")


def mean_and_maximum(x, axis, n_rows):
    """Mean and maximum over the rows and one more axis of a map.

    TensorFlow's own gradient of a maximum takes five passes over the map; here mean and maximum share one.

    Args:
        x: (batch, rows, n_frames, channels).
        axis: 2 for all frames, 3 for all channels.
        n_rows: Rows that the mean counts, as for `row_weights`; None counts each of x's once.

    Returns:
        Two of (batch, channels), or of (batch, n_frames). Of equal maxima the first in time or among
        the channels takes all of the gradient, and there the first row.
    """

    @tf.custom_gradient
    def summaries(x):
        over_rows = tf.reduce_max(x, axis=1)
        maximum = tf.reduce_max(over_rows, axis=axis - 1)

        def gradient(of_mean, of_maximum):
            n_all_rows, n_places = x.shape[1], tf.shape(x)[axis]
            weights = row_weights(n_rows) if n_rows else np.full(n_all_rows, 1 / n_all_rows)
            weights = tf.cast(weights[:, None], x.dtype) / tf.cast(n_places, x.dtype)
            everywhere = weights * of_mean[:, None]
            place = tf.argmax(over_rows, axis=axis - 1)
            row = tf.argmax(_rows_at(x, place, axis), axis=1)
            of_row = tf.one_hot(row, n_all_rows, axis=1, dtype=x.dtype) * of_maximum[:, None]
            here = tf.one_hot(place, n_places, True, False, axis=axis - 1)
            return tf.where(
                tf.expand_dims(here, 1),
                tf.expand_dims(everywhere + of_row, axis),
                tf.expand_dims(everywhere, axis),
            )

        return (mean_over_rows(tf.reduce_mean(x, axis=axis), n_rows), maximum), gradient

    return summaries(x)


def _rows_at(x, place, axis):
    """What a map (batch, rows, n_frames, channels) has in every row at certain places.

    (batch, channels) frames with axis 2 -> (batch, rows, channels), or (batch, n_frames) channels with axis 3 ->
    (batch, rows, n_frames).
    """
    n_tracks, n_rows, n_frames, channels = tf.unstack(tf.shape(x, out_type=tf.int64))
    begin_of_row = tf.reshape(
        tf.range(n_tracks * n_rows) * n_frames * channels, [n_tracks, n_rows, 1]
    )
    frame = place if axis == 2 else tf.range(n_frames)
    channel = place if axis == 3 else tf.range(channels)
    in_row = frame * channels + channel
    return tf.gather(tf.reshape(x, [-1]), begin_of_row + in_row[:, None])


class _Gate(tf.keras.layers.Layer):
    """Scales one axis by a gate in (0, 1), computed from the mean and the maximum over the other two.

    Both summaries pass the same perceptron, size -> size // ratio -> size without bias; the sum is squashed.
    """

    def __init__(self, ratio=4, n_rows=None, kernel_regularizer=None, **kwargs):
        super().__init__(**kwargs)
        self.ratio = ratio
        self.n_rows = n_rows
        self.kernel_regularizer = tf.keras.regularizers.get(kernel_regularizer)

    def build(self, input_shape):
        size = input_shape[self.axis]
        hidden = size // self.ratio
        kernel = {"initializer": "glorot_uniform", "regularizer": self.kernel_regularizer}
        self.layer1 = self.add_weight("layer1", (size, hidden), **kernel)
        self.layer2 = self.add_weight("layer2", (hidden, size), **kernel)
        super().build(input_shape)

    def call(self, inputs):
        hidden = [
            tf.nn.leaky_relu(tf.matmul(summary, self.layer1), LEAKY_SLOPE)
            for summary in mean_and_maximum(inputs, 5 - self.axis, self.n_rows)
        ]
        # The second layer is linear, so the two results may be added before it.
        gate = tf.sigmoid(tf.matmul(tf.add_n(hidden), self.layer2))
        shape = [-1, 1, 1, 1]
        shape[self.axis] = gate.shape[-1]
        return inputs * tf.reshape(gate, shape)

    def get_config(self):
        return {
            **super().get_config(),
            "ratio": self.ratio,
            "n_rows": self.n_rows,
            "kernel_regularizer": tf.keras.regularizers.serialize(self.kernel_regularizer),
        }


@_register
class ChannelAttention(_Gate):
    """Weighs channels by what they do over all rows and frames: (batch, rows, n_frames, channels) -> the same.

    Args:
        ratio: Channels per hidden unit of the perceptron.
        n_rows: Rows of the published network at this place, 13 to 23; None counts every row once in the mean.
        kernel_regularizer: For both kernels, `layer1` (channels, channels // ratio) and `layer2`.
        **kwargs: As for any Keras layer.
    """

    axis = 3


@_register
class TemporalAttention(_Gate):
    """Weighs frames by what all rows and channels do in them: (batch, rows, n_frames, channels) -> the same.

    The perceptron spans the time axis, so the number of frames is fixed when the layer is built.

    Args:
        ratio: Frames per hidden unit of the perceptron.
        n_rows: Rows of the published network at this place, 13 to 23; None counts every row once in the mean.
        kernel_regularizer: For both kernels, `layer1` (n_frames, n_frames // ratio) and `layer2`.
        **kwargs: As for any Keras layer.
    """

    axis = 2
