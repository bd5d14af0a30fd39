"""The constant matrices with which a circular convolution becomes products per frequency, in real arithmetic.

Conventions: a convolution as networks have it, y[p] = sum over h of k[h] x[p + h], multiplies the spectrum of x by the
complex conjugate of the kernel's. For X = a + ib and conj(K) = c + id, Gauss's products are m0 = a (d - c),
m1 = b (c + d), m2 = (a + b) c; then Re = m2 - m1 and Im = m2 + m0.

Public names: `tile_matrices`, `TileMatrices`, `row_matrices`, `RowMatrices`.
"""

import dataclasses
import functools

import numpy as np

__all__ = ["RowMatrices", "TileMatrices", "row_matrices", "tile_matrices"]


@dataclasses.dataclass(frozen=True)
class TileMatrices:
    """Of a `TileForm`, float32.

    Attributes:
        time: (2 * frequencies, size), a tile's frames to its spectrum along time.
        rows: (3 * n_rows, 2 * n_rows), that along rows, for Gauss's products.
        kernel_time: (2 * frequencies, width), as `time` for the kernel.
        kernel_rows: (3 * n_rows, 2 * height), as `rows` for the kernel.
        rows_back: (2 * n_rows, 3 * n_rows), products to a spectrum along time.
        time_back: (frames that a tile gives, 2 * frequencies).
    """

    time: np.ndarray
    rows: np.ndarray
    kernel_time: np.ndarray
    kernel_rows: np.ndarray
    rows_back: np.ndarray
    time_back: np.ndarray


@functools.cache
def tile_matrices(size, width, height, n_rows):
    """TileMatrices: along time real -> (re, im) of size // 2 + 1 frequencies; along rows complex -> Gauss's products.

    Args:
        size: Frames of a tile.
        width: Of the kernel, at most `size`.
        height: Of the kernel, at most `n_rows`.
        n_rows: Of the map.
    """
    frequencies = np.arange(size // 2 + 1)
    angles = 2 * np.pi * np.outer(frequencies, np.arange(size)) / size
    time = np.stack([np.cos(angles), -np.sin(angles)], axis=1)
    # Frequencies between 0 and half the size stand for their mirror images too.
    counted = np.where((frequencies == 0) | (2 * frequencies == size), 1, 2)[:, None, None]
    time_back = (time * counted / size)[:, :, : size - width + 1]

    turns = 2 * np.pi * np.outer(np.arange(n_rows), np.arange(n_rows)) / n_rows
    cos, sin = np.cos(turns), np.sin(turns)
    real, imaginary = np.hstack([cos, sin]), np.hstack([-sin, cos])
    one, zero = np.eye(n_rows), np.zeros((n_rows, n_rows))
    from_products = np.block([[zero, -one, one], [one, zero, one]])
    kernel_rows = _gauss_kernel(real, -imaginary).reshape(3 * n_rows, 2, n_rows)
    return TileMatrices(
        time=_constant(time.reshape(-1, size)),
        rows=_constant(_gauss_input(real, imaginary)),
        kernel_time=_constant(time[:, :, :width].reshape(-1, width)),
        kernel_rows=_constant(kernel_rows[:, :, :height].reshape(3 * n_rows, -1)),
        rows_back=_constant(np.block([[cos, -sin], [sin, cos]]) / n_rows @ from_products),
        time_back=_constant(time_back.reshape(len(time) * 2, -1).T),
    )


@dataclasses.dataclass(frozen=True)
class RowMatrices:
    """Of a `BlockForm`, float32; n_products is 17 for 12 rows.

    Attributes:
        rows: (n_products, n_rows), rows to their spectrum, for Gauss's products.
        kernel: (n_products, height), the same for the kernel.
        rows_back: (n_rows, n_products), products to rows.
    """

    rows: np.ndarray
    kernel: np.ndarray
    rows_back: np.ndarray


@functools.cache
def row_matrices(height, n_rows):
    """RowMatrices: 12 rows have 2 real frequencies and 5 complex ones, with three products each.

    Args:
        height: Of the kernel, at most `n_rows`.
        n_rows: Of the map; an even number.
    """
    row = np.arange(n_rows)
    plain = np.stack([np.ones(n_rows), (-1.0) ** row])
    turns = 2 * np.pi * np.outer(np.arange(1, n_rows // 2), row) / n_rows
    cos, sin = np.cos(turns), np.sin(turns)
    back = np.vstack([plain, -2 * sin, -2 * cos, 2 * (cos - sin)]).T / n_rows
    return RowMatrices(
        rows=_constant(np.vstack([plain, _gauss_input(cos, -sin)])),
        kernel=_constant(np.vstack([plain, _gauss_kernel(cos, sin)])[:, :height]),
        rows_back=_constant(back),
    )


def _gauss_input(real, imaginary):
    return np.vstack([real, imaginary, real + imaginary])


def _gauss_kernel(real, imaginary):
    return np.vstack([imaginary - real, real + imaginary, real])


def _constant(matrix):
    return np.ascontiguousarray(matrix, np.float32)
