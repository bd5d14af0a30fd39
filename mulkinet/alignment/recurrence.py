"""The cross-recurrence plot of two tracks.

Paper: Serra, Serra & Andrzejak, "Cross recurrence quantification for cover song identification", New Journal of
Physics 11, 2009.
"""

from mulkinet.alignment.chroma import prepare
from mulkinet.alignment.transposition import ranked_transpositions

__all__ = ["cross_recurrence", "recurrence_in_key"]


def cross_recurrence(x, y):
    """Which stacks of 9 frames of x and of y are alike, y transposed to the key of x.

    A pair recurs where its distance is among the smallest 9.5 % of its row and of its column.

    Args:
        x: (12, n_x) chroma, frames of about half a second.
        y: (12, n_y) chroma of the same frame rate.

    Returns:
        (n_x - 9, n_y - 9) bool.

    Raises:
        MulkinetError: Other shapes, fewer than 12 frames, or values that are not finite.

    Examples:
        The same song two semitones up recurs all along the diagonal:

        >>> import numpy as np
        >>> song = np.random.default_rng(0).random((12, 40))
        >>> plot = cross_recurrence(song, np.roll(song, 2, axis=0))
        >>> plot.shape, bool(plot.diagonal().all())
        ((31, 31), True)
    """
    x, y = prepare(x, "x"), prepare(y, "y")
    return recurrence_in_key(x, y, ranked_transpositions(x, y)[0]).astype(bool)


def recurrence_in_key(x, y, transposition):
    """As `cross_recurrence`, uint8, of two Chromas, y transposed up by so many semitones."""
    from mulkinet.alignment import kernels

    y = y.transposed(transposition)
    return kernels.recurrence_of(kernels.stack_distances(x.frames, y.columns, x.norms, y.norms))
