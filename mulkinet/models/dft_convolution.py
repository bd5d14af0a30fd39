"""Convolution over a circle of rows and along time, by discrete Fourier transforms where that is less work.

A convolution over a circle is a product in the Fourier basis, whatever the kernel's height. `choose_form` picks, by
shape, the cheapest of three ways to the same numbers:

- `DirectForm`: the rows written out, one ordinary convolution.
- `TileForm`: time is cut into overlapping tiles, and each 12 x `size` tile transformed along both axes. At every
  frequency the convolution is then a product of matrices, (tiles, channels) by (channels, filters).
- `BlockForm`, for few channels, where transforming along time costs more than it saves: only the rows are
  transformed, and each row frequency's convolution along time is a product of (blocks, frames of a block) with a
  Toeplitz matrix.

Everything is real arithmetic: a complex product is three real ones (Gauss), its sums and differences are part of the
transforms, and the transforms are products with small constant matrices, in float32. The work of each way is counted
as a CPU does it; the layer takes the direct form on a GPU, where nothing was measured, and in half precision.

Conventions: maps are (batch, rows, n_frames, channels), rows a circle of 12, or 1 row and a kernel of height 1; there
is no padding along time. Kernels are (height, width, channels, filters), as for `tf.nn.conv2d`. Each form has
`transform(kernel)`, which is worth keeping while the kernel stays the same, and `convolve(x, transformed)`.

Public names: `choose_form`, `DirectForm`, `TileForm`, `BlockForm`.

Sources: Winograd 1978 ("On computing the discrete Fourier transform") for products of circular polynomials; Mathieu,
Henaff, LeCun 2013 (arXiv:1312.5851) for convolutional layers as matrix products per frequency.
"""

import dataclasses
import math

import tensorflow as tf

from mulkinet.models.dft_matrices import row_matrices, tile_matrices
from mulkinet.models.pitch_rows import found_in_rows

__all__ = ["BlockForm", "DirectForm", "TileForm", "choose_form"]

# A multiplication of a transform costs as much time as this many of a large matrix product (measured on a CPU), as
# transforms wait for memory. Kernels are transformed once for about this many tracks.
TRANSFORM_COST = 3.5
TYPICAL_BATCH = 32
LARGEST_TILE = 64
BLOCK_FRAMES = 8
# A BlockForm's products are larger than its output, and so are their gradients. Taken of a quarter of the tracks at a
# time, gradients need no more memory than an ordinary convolution's.
GRADIENT_PARTS = 4


def choose_form(kernel_shape, n_rows, n_frames=None, dilation=1):
    """The form with the least work for a shape.

    Args:
        kernel_shape: (height, width, channels, filters).
        n_rows: 12, or 1 with a kernel of height 1.
        n_frames: Frames of the input; None when they vary.
        dilation: Of the kernel along time, >= 1.

    Returns:
        DirectForm, TileForm or BlockForm.
    """
    n_frames = n_frames or 1000 + (kernel_shape[1] - 1) * dilation
    shape = (tuple(kernel_shape), n_rows, dilation)
    forms = [DirectForm(*shape), *_tile_forms(shape, n_frames)]
    if n_rows > 1 and dilation == 1:
        forms.append(BlockForm(*shape))
    return min(forms, key=lambda form: _cost(form, n_frames))


def _cost(form, n_frames):
    products, transforms, kernel = form.multiplications(n_frames)
    return products + TRANSFORM_COST * (transforms + kernel / TYPICAL_BATCH)


def _tile_forms(shape, n_frames):
    (_, width, _, _), _, dilation = shape
    n_out = -(-n_frames // dilation) - width + 1
    # Of the tiles that give so many hops, the smallest: a larger one would only add frames nobody asked for.
    sizes = {-(-n_out // n_tiles) + width - 1 for n_tiles in range(1, n_out + 1)}
    return [TileForm(*shape, size) for size in sizes if size <= LARGEST_TILE]


@dataclasses.dataclass(frozen=True)
class _Form:
    """What all forms know.

    Attributes:
        kernel_shape: (height, width, channels, filters).
        n_rows: Rows of the maps.
        dilation: Of the kernel along time.
    """

    kernel_shape: tuple
    n_rows: int
    dilation: int

    def lost_frames(self):
        """How many frames shorter the output is than the input."""
        return (self.kernel_shape[1] - 1) * self.dilation

    def greatest(self, x, transformed):
        """(batch, rows, n_frames, channels) -> (batch, 1, n_frames - lost_frames(), filters), maxima over rows."""
        y = self.convolve(x, transformed)
        return found_in_rows(y, tf.reduce_max(tf.stop_gradient(y), axis=1, keepdims=True))

    def transform_for_extremes(self, kernel):
        """The kernel as `extremes` takes it."""
        return self.transform(kernel)

    def extremes(self, x, transformed):
        """(batch, rows, n_frames, channels) -> (batch, 2, n_frames - lost_frames(), filters), for inference.

        The greatest and the least over the rows of each filter and frame.
        """
        return _extremes(self.convolve(x, transformed), axis=1)


class DirectForm(_Form):
    """The rows written out and one ordinary convolution."""

    def multiplications(self, n_frames):
        """(products, 0, 0) for an input of `n_frames`."""
        return self.n_rows * (n_frames - self.lost_frames()) * math.prod(self.kernel_shape), 0, 0

    def transform(self, kernel):
        """The kernel as it is."""
        return kernel

    def convolve(self, x, transformed):
        """(batch, rows, n_frames, channels) -> (batch, rows, n_frames - lost_frames(), filters)."""
        n_extra = self.kernel_shape[0] - 1
        rows = tf.concat([x, x[:, :n_extra]], axis=1) if n_extra else x
        kernel = tf.cast(transformed, x.dtype)
        # Not tf.nn.conv2d, whose gradients on a CPU know no dilation.
        return tf.nn.convolution(rows, kernel, padding="VALID", dilations=(1, self.dilation))


@dataclasses.dataclass(frozen=True)
class TileForm(_Form):
    """Tiles of time, transformed along rows and time.

    Attributes:
        size: Frames of a tile, at least the kernel's width. A tile gives size - width + 1 frames of output.
    """

    size: int

    @property
    def _hop(self):
        return self.size - self.kernel_shape[1] + 1

    @property
    def _n_frequencies(self):
        return self.size // 2 + 1

    @property
    def _n_products(self):
        return 3 * self.n_rows * self._n_frequencies

    def multiplications(self, n_frames):
        """(products, input's and output's transforms, kernel's transform) for an input of `n_frames`."""
        height, width, channels, filters = self.kernel_shape
        n_tiles = self._n_tiles(n_frames) * self.dilation
        # Along time for each row, then along rows for each frequency, real and imaginary.
        along_rows = 2 * self._n_frequencies * self.n_rows * 3 * self.n_rows
        into = 2 * self._n_frequencies * self.n_rows * self.size + along_rows
        back = 2 * self._n_frequencies * self.n_rows * self._hop + along_rows
        kernel = 2 * self._n_frequencies * height * (width + 3 * self.n_rows)
        return (
            self._n_products * n_tiles * channels * filters,
            n_tiles * (channels * into + filters * back),
            kernel * channels * filters,
        )

    def transform(self, kernel):
        """(height, width, channels, filters) -> its spectrum (frequencies, channels, filters)."""
        height, width, channels, filters = self.kernel_shape
        matrices = tile_matrices(self.size, width, height, self.n_rows)
        x = tf.transpose(kernel, [1, 0, 2, 3])
        x = tf.matmul(matrices.kernel_time, tf.reshape(x, [width, -1]))
        x = tf.reshape(x, [self._n_frequencies, 2 * height, channels * filters])
        x = tf.matmul(matrices.kernel_rows, x)
        return tf.reshape(x, [self._n_products, channels, filters])

    def convolve(self, x, transformed):
        """(batch, rows, n_frames, channels) -> (batch, rows, n_frames - lost_frames(), filters)."""
        height, width, channels, filters = self.kernel_shape
        matrices = tile_matrices(self.size, width, height, self.n_rows)
        n_frequencies, rows = self._n_frequencies, self.n_rows
        batch, n_frames = tf.shape(x)[0], x.shape[2] or tf.shape(x)[2]
        n_tiles = self._n_tiles(n_frames)

        y = _fold_time(x, self.dilation)
        y = _frames(y, self.size, self._hop, n_tiles)
        y = tf.matmul(matrices.time, tf.reshape(y, [self.size, -1]))
        y = tf.matmul(matrices.rows, tf.reshape(y, [n_frequencies, 2 * rows, -1]))
        y = tf.matmul(tf.reshape(y, [self._n_products, -1, channels]), transformed)
        y = tf.matmul(matrices.rows_back, tf.reshape(y, [n_frequencies, 3 * rows, -1]))
        y = tf.matmul(matrices.time_back, tf.reshape(y, [2 * n_frequencies, -1]))

        folded = self.dilation * filters
        y = tf.transpose(tf.reshape(y, [self._hop, rows, batch, n_tiles, folded]), [2, 1, 3, 0, 4])
        y = tf.reshape(y, [batch, rows, n_tiles * self._hop * self.dilation, filters])
        # tf.slice and not an index: its gradient is a padding, much faster.
        return tf.slice(y, [0, 0, 0, 0], [batch, rows, n_frames - self.lost_frames(), filters])

    def _n_tiles(self, n_frames):
        n_out = -(-n_frames // self.dilation) - self.kernel_shape[1] + 1
        return -(-n_out // self._hop)


class BlockForm(_Form):
    """Rows transformed; along time a product of blocks of frames with Toeplitz matrices. Without dilation."""

    @property
    def _read(self):
        """Frames that a block of BLOCK_FRAMES frames of output depends on."""
        return BLOCK_FRAMES + self.kernel_shape[1] - 1

    def multiplications(self, n_frames):
        """(products, input's and output's transforms, kernel's transform) for an input of `n_frames`."""
        height, width, channels, filters = self.kernel_shape
        n_out = -(-(n_frames - self.lost_frames()) // BLOCK_FRAMES) * BLOCK_FRAMES
        n_products = len(row_matrices(height, self.n_rows).rows)
        return (
            n_products * n_out * self._read * channels * filters,
            n_products * self.n_rows * (n_frames * channels + n_out * filters),
            n_products * height * width * channels * filters,
        )

    def transform(self, kernel):
        """(height, width, channels, filters) -> Toeplitz matrices (17, read * channels, BLOCK_FRAMES * filters)."""
        height, width, channels, filters = self.kernel_shape
        matrix = row_matrices(height, self.n_rows).kernel
        x = tf.matmul(matrix, tf.reshape(kernel, [height, -1]))
        x = tf.reshape(x, [-1, width, channels * filters])
        # Laid end to end with BLOCK_FRAMES zeros between, and cut into pieces one frame shorter than that period,
        # each copy begins one frame later in its piece than the one before: the columns of a Toeplitz matrix.
        x = tf.tile(tf.pad(x, [[0, 0], [0, BLOCK_FRAMES], [0, 0]]), [1, BLOCK_FRAMES, 1])
        x = tf.slice(x, [0, 0, 0], [-1, BLOCK_FRAMES * self._read, -1])
        x = tf.reshape(x, [-1, BLOCK_FRAMES, self._read * channels, filters])
        x = tf.transpose(x, [0, 2, 1, 3])
        return tf.reshape(x, [-1, self._read * channels, BLOCK_FRAMES * filters])

    def convolve(self, x, transformed):
        """(batch, rows, n_frames, channels) -> (batch, rows, n_frames - lost_frames(), filters)."""
        y = _with_gradient_in_parts(self._rows_first, x, transformed)
        return self._cut(tf.transpose(y, [1, 0, 2, 3]), x)

    def greatest(self, x, transformed):
        """(batch, rows, n_frames, channels) -> (batch, 1, n_frames - lost_frames(), filters), maxima over rows."""
        y = _with_gradient_in_parts(self._rows_first, x, transformed)
        greatest = tf.reduce_max(tf.stop_gradient(y), axis=0, keepdims=True)
        y = found_in_rows(y, greatest, axis=0)
        return self._cut(tf.transpose(y, [1, 0, 2, 3]), x)

    def transform_for_extremes(self, kernel):
        """(height, width, channels, filters) -> (17, width * channels, filters)."""
        height, _, _, filters = self.kernel_shape
        matrix = row_matrices(height, self.n_rows).kernel
        x = tf.matmul(matrix, tf.reshape(kernel, [height, -1]))
        return tf.reshape(x, [len(matrix), -1, filters])

    def extremes(self, x, transformed):
        """See `_Form`. One frame of every block at a time, so that its rows are still in the cache when compared."""
        _, width, channels, filters = self.kernel_shape
        matrices = row_matrices(self.kernel_shape[0], self.n_rows)
        y = self._blocks(x, matrices)
        found = []
        for i in range(BLOCK_FRAMES):
            read = y[:, :, i * channels : (i + width) * channels]
            rows = tf.matmul(
                matrices.rows_back,
                tf.reshape(tf.matmul(read, transformed), [len(matrices.rows), -1]),
            )
            found.append(tf.reshape(_extremes(rows, axis=0), [2, tf.shape(x)[0], -1, 1, filters]))
        y = tf.reshape(tf.concat(found, axis=3), [2, tf.shape(x)[0], -1, filters])
        return self._cut(tf.transpose(y, [1, 0, 2, 3]), x)

    def _blocks(self, x, matrices):
        """(batch, rows, n_frames, channels) -> (17, batch * blocks, frames that a block reads * channels)."""
        batch, n_frames, channels = tf.shape(x)[0], x.shape[2] or tf.shape(x)[2], x.shape[3]
        n_blocks = -(-(n_frames - self.lost_frames()) // BLOCK_FRAMES)
        n_products = len(matrices.rows)
        y = tf.matmul(matrices.rows, tf.reshape(x, [batch, self.n_rows, -1]))
        y = tf.reshape(y, [batch, n_products, -1, channels])
        y = tf.transpose(_frames(y, self._read, BLOCK_FRAMES, n_blocks), [1, 2, 3, 0, 4])
        return tf.reshape(y, [n_products, -1, self._read * channels])

    def _rows_first(self, x, transformed):
        """(batch, rows, n_frames, channels) -> (rows, batch, frames of whole blocks, filters)."""
        matrices = row_matrices(self.kernel_shape[0], self.n_rows)
        y = tf.matmul(self._blocks(x, matrices), transformed)
        y = tf.matmul(matrices.rows_back, tf.reshape(y, [len(matrices.rows), -1]))
        return tf.reshape(y, [self.n_rows, tf.shape(x)[0], -1, self.kernel_shape[3]])

    def _cut(self, y, x):
        """Takes from (batch, rows, frames of whole blocks, filters) the frames that depend on x alone."""
        batch, n_frames = tf.shape(x)[0], x.shape[2] or tf.shape(x)[2]
        return tf.slice(y, [0, 0, 0, 0], [batch, -1, n_frames - self.lost_frames(), -1])


def _extremes(y, axis):
    """The greatest and the least along an axis, one after the other there."""
    return tf.concat(
        [reduce(y, axis, keepdims=True) for reduce in (tf.reduce_max, tf.reduce_min)], axis
    )


def _with_gradient_in_parts(convolve, x, transformed):
    """`convolve(x, transformed)`, linear in both, with the gradient of a share of the tracks after another's.

    Args:
        convolve: From (batch, ...) and the transformed kernel to (rows, batch, ...), each track by itself.
        x: (batch, ...).
        transformed: Kernel, in float32.

    Returns:
        (rows, batch, ...), as from `convolve`.
    """

    @tf.custom_gradient
    def function(x, transformed):
        def gradient(upstream):
            batch = tf.shape(x)[0]
            of_x, of_kernel = [], tf.zeros_like(transformed)
            for i in range(GRADIENT_PARTS):
                part = slice(batch * i // GRADIENT_PARTS, batch * (i + 1) // GRADIENT_PARTS)
                # Without an order the executor may hold all parts at once.
                with tf.control_dependencies([of_kernel]), tf.GradientTape() as tape:
                    inputs = [x[part], transformed]
                    tape.watch(inputs)
                    # A gradient asks for no value of this: a compiled graph leaves the products out.
                    outputs = convolve(*inputs)
                    gradients = tape.gradient(outputs, inputs, upstream[:, part])
                of_x.append(gradients[0])
                of_kernel += gradients[1]
            return tf.concat(of_x, axis=0), of_kernel

        return convolve(x, transformed), gradient

    return function(x, transformed)


def _fold_time(x, dilation):
    """Makes frames `dilation` apart neighbours, and those between channels: a dilated kernel becomes a plain one."""
    if dilation == 1:
        return x
    batch, rows, n_frames, channels = tf.shape(x)[0], x.shape[1], tf.shape(x)[2], x.shape[3]
    x = tf.pad(x, [[0, 0], [0, 0], [0, -n_frames % dilation], [0, 0]])
    return tf.reshape(x, [batch, rows, -1, dilation * channels])


def _frames(x, size, hop, n):
    """Cuts `n` overlapping pieces out of time, zeros after its end.

    Args:
        x: (batch, rows, n_frames, channels).
        size: Frames of a piece.
        hop: Frames from one piece to the next.
        n: int or int tensor; n * hop is at least n_frames - size + 1.

    Returns:
        (size, rows, batch, n, channels).
    """
    batch, rows, n_frames, channels = tf.shape(x)[0], x.shape[1], tf.shape(x)[2], x.shape[3]
    n_shifts = -(-size // hop)
    length = (n + n_shifts - 1) * hop
    x = tf.pad(x, [[0, 0], [0, 0], [0, length - n_frames], [0, 0]])
    x = tf.transpose(tf.reshape(x, [batch, rows, -1, hop, channels]), [3, 1, 0, 2, 4])
    parts = [
        tf.slice(x, [0, 0, 0, i, 0], [min(hop, size - i * hop), rows, batch, n, channels])
        for i in range(n_shifts)
    ]
    return tf.concat(parts, axis=0)
