"""Arrays on their way between machines, compressed without loss."""

import zlib

import numpy as np

__all__ = ["pack", "unpack"]

_LEVEL = 1  # a tenth of level 6's time, and nearly its size


def pack(x):
    """A float32 array as (shape, bytes).

    The bytes of equal weight stand together: exponents resemble each other, mantissas do not.
    """
    x = np.ascontiguousarray(x, np.float32)
    return x.shape, zlib.compress(x.reshape(-1).view(np.uint8).reshape(-1, 4).T.tobytes(), _LEVEL)


def unpack(parcel):
    """The array that `pack` was given."""
    shape, content = parcel
    flat = np.frombuffer(zlib.decompress(content), np.uint8).reshape(4, -1)
    return np.ascontiguousarray(flat.T).view(np.float32).reshape(shape)
