"""Convolution over bins and time without padding, in fewer multiplications than its definition.

Only the bins are transformed. Of a kernel three bins high, tiles of six bins give four bins of output by six products
per channel and filter where the definition takes twelve (Toom and Cook's points 0, 1, -1, 2, -2 and infinity). Of a
higher one, the Fourier transform of all bins makes of each frequency three real products, and leaves out what went
round the circle. Either way the transforms are products with constant matrices, and at every point the rest is a
product of matrices, (tiles and frames, kernel's frames and channels) by (the same, filters). Everything is in the
type of the map: of float32, results are within some 1e-6 of the definition's.

Conventions: maps are (batch, n_bins, n_frames, channels), kernels (height, width, channels, filters), as for
`tf.nn.conv2d`. Both forms have `transform(kernel)`, which is worth keeping while the kernel stays the same, and
`convolve(x, transformed)`, with gradients. A few tracks at a time are convolved, and once more for their gradient,
since what lies between the products is larger than the maps.

Public names: `choose_bin_form`, `BinForm`, `PlainForm`.

Sources: Winograd 1978 ("On computing the discrete Fourier transform"); Lavin, Gray 2016 (CVPR, arXiv:1509.09308) for
the matrices of tiles.
"""

import dataclasses
import functools
import math

import numpy as np
import tensorflow as tf

from mulkinet.models.dft_matrices import row_matrices

__all__ = ["BinForm", "PlainForm", "choose_bin_form"]

# Values that the product of a few tracks takes, about. Much more would no longer stay in memory that is at hand.
VALUES_AT_ONCE = 5_000_000
_TILE_HEIGHT, _TILE_OUT = 3, 4
_TILE_BINS = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)
_TILE_KERNEL = (
    np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24
)
_TILE_BACK = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]])  # fmt: skip


@dataclasses.dataclass(frozen=True)
class _Matrices:
    """Of a BinForm; points go before tiles.

    Attributes:
        bins: (points * tiles, n_bins).
        kernel: (points, height).
        back: (n_bins - height + 1, points * tiles).
    """

    bins: np.ndarray
    kernel: np.ndarray
    back: np.ndarray


@functools.cache
def _matrices(n_bins, height):
    n_out = n_bins - height + 1
    if height != _TILE_HEIGHT:
        circle = row_matrices(height, n_bins + n_bins % 2)
        return _Matrices(circle.rows[:, :n_bins], circle.kernel, circle.rows_back[:n_out])
    n_points, n_tiles = len(_TILE_BINS), -(-n_out // _TILE_OUT)
    bins = np.zeros((n_points, n_tiles, n_tiles * _TILE_OUT + height - 1))
    back = np.zeros((n_tiles, _TILE_OUT, n_points, n_tiles))
    for tile in range(n_tiles):
        bins[:, tile, tile * _TILE_OUT :][:, :n_points] = _TILE_BINS
        back[tile, :, :, tile] = _TILE_BACK
    return _Matrices(
        bins[:, :, :n_bins].reshape(-1, n_bins),
        _TILE_KERNEL,
        back.reshape(n_tiles * _TILE_OUT, -1)[:n_out],
    )


@dataclasses.dataclass(frozen=True)
class _Form:
    """What both forms know.

    Attributes:
        kernel_shape: (height, width, channels, filters).
        n_bins: Of the input, at least the kernel's height.
        dilation: Of the kernel along time.
    """

    kernel_shape: tuple
    n_bins: int
    dilation: int

    @property
    def _n_bins_out(self):
        return self.n_bins - self.kernel_shape[0] + 1

    def _n_out(self, n_frames):
        return n_frames - (self.kernel_shape[1] - 1) * self.dilation


class PlainForm(_Form):
    """The definition, for inference: TensorFlow has no gradient of a dilated convolution on a CPU."""

    def multiplications(self, n_frames):
        """(products, input's and output's transforms, kernel's transform) for an input of `n_frames`."""
        return self._n_bins_out * self._n_out(n_frames) * math.prod(self.kernel_shape), 0, 0

    def transform(self, kernel):
        """The kernel itself."""
        return kernel

    def convolve(self, x, transformed):
        """(batch, n_bins, n_frames, channels) -> (batch, n_bins - height + 1, frames left, filters)."""
        return tf.nn.conv2d(x, transformed, 1, "VALID", dilations=(1, self.dilation))


class BinForm(_Form):
    """Products per point of the transformed bins."""

    def multiplications(self, n_frames):
        """(products, input's and output's transforms, kernel's transform) for an input of `n_frames`."""
        height, width, channels, filters = self.kernel_shape
        n_products, n_out = len(self._bins), self._n_out(n_frames)
        n_points = len(_matrices(self.n_bins, height).kernel)
        values = n_frames * channels * self.n_bins + n_out * filters * self._n_bins_out
        return (
            n_products * n_out * width * channels * filters,
            n_products * values,
            n_points * math.prod(self.kernel_shape),
        )

    @property
    def _bins(self):
        return _matrices(self.n_bins, self.kernel_shape[0]).bins

    def transform(self, kernel):
        """(height, width, channels, filters) -> (points, width * channels, filters)."""
        height, width, channels, filters = self.kernel_shape
        matrix = tf.cast(_matrices(self.n_bins, height).kernel, kernel.dtype)
        points = tf.matmul(matrix, tf.reshape(kernel, [height, -1]))
        return tf.reshape(points, [-1, width * channels, filters])

    def convolve(self, x, transformed):
        """(batch, n_bins, n_frames, channels) -> (batch, n_bins - height + 1, frames left, filters)."""

        @tf.custom_gradient
        def function(x, transformed):
            outputs, _ = self._over_parts(
                x, lambda part: (self._convolve(part(x), transformed), ()), ()
            )
            return outputs, lambda upstream: self._gradients(x, transformed, upstream)

        return function(x, transformed)

    def _gradients(self, x, transformed, upstream):
        """Of the map and of the transformed kernel."""

        def gradients(part):
            with tf.GradientTape() as tape:
                inputs = [part(x), transformed]
                tape.watch(inputs)
                outputs = self._convolve(*inputs)
            return tape.gradient(outputs, inputs, part(upstream))

        return self._over_parts(x, gradients, tf.zeros_like(transformed))

    def _over_parts(self, x, function, zero):
        """(outputs of all tracks, sum of what comes with them) of a function of some tracks at a time."""
        n_products, (_, width, channels, _) = len(self._bins), self.kernel_shape
        values = n_products * tf.shape(x)[2] * width * channels
        n = tf.maximum(1, VALUES_AT_ONCE // values)
        n_parts = -(-tf.shape(x)[0] // n)

        def step(i, outputs, total):
            output, more = function(lambda maps: maps[i * n : (i + 1) * n])
            return i + 1, outputs.write(i, output), tf.nest.map_structure(tf.add, total, more)

        outputs = tf.TensorArray(x.dtype, n_parts, infer_shape=False)
        _, outputs, total = tf.while_loop(
            lambda i, *_: i < n_parts, step, (0, outputs, zero), parallel_iterations=1
        )
        return outputs.concat(), total

    def _convolve(self, x, transformed):
        height, width, channels, filters = self.kernel_shape
        matrices = _matrices(self.n_bins, height)
        batch, n_frames = tf.shape(x)[0], tf.shape(x)[2]
        n_points, n_products = len(matrices.kernel), len(matrices.bins)
        n_tiles, n_out = n_products // n_points, self._n_out(n_frames)

        y = tf.matmul(tf.cast(matrices.bins, x.dtype), tf.reshape(x, [batch, self.n_bins, -1]))
        y = tf.reshape(y, [batch, n_points, n_tiles, n_frames, channels])
        size = [batch, n_points, n_tiles, n_out, channels]
        # tf.slice and not an index: its gradient is a padding, much faster.
        shifted = [tf.slice(y, [0, 0, 0, i * self.dilation, 0], size) for i in range(width)]
        y = tf.reshape(tf.concat(shifted, axis=4), [batch, n_points, -1, width * channels])
        y = tf.reshape(tf.matmul(y, transformed), [batch, n_products, -1])
        y = tf.matmul(tf.cast(matrices.back, x.dtype), y)
        return tf.reshape(y, [batch, self._n_bins_out, n_out, filters])


def choose_bin_form(kernel_shape, n_bins, dilation=1):
    """The form with fewer multiplications.

    Args:
        kernel_shape: (height, width, channels, filters).
        n_bins: Of the input, at least the kernel's height.
        dilation: Of the kernel along time, >= 1.

    Returns:
        PlainForm or BinForm.
    """
    forms = [form(tuple(kernel_shape), n_bins, dilation) for form in (PlainForm, BinForm)]
    return min(forms, key=lambda form: sum(form.multiplications(1000)[:2]))
