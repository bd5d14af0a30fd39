"""The optimal transposition index: in which key one track is most like another.

Paper: Serra, Gomez & Herrera, "Transposing chroma representations to a common key", IEEE Conference on The Use of
Symbols to Represent Music and Multimedia Objects, 2008.
"""

import numpy as np

from mulkinet.alignment.chroma import prepare

__all__ = ["optimal_transposition", "ranked_transpositions"]

_KEYS = 12
# Row k: the bins of a profile that has been transposed up by k semitones.
_TRANSPOSED = (np.arange(_KEYS) - np.arange(_KEYS)[:, None]) % _KEYS


def optimal_transposition(x, y):
    """Semitones that y has to be transposed up to be most like x as a whole.

    Args:
        x: (12, n_x) chroma.
        y: (12, n_y) chroma.

    Returns:
        int from 0 to 11; of equally good ones the smallest.

    Raises:
        MulkinetError: Other shapes, fewer than 12 frames, or values that are not finite.

    Examples:
        >>> x = np.zeros((12, 20)); x[7] = 1
        >>> y = np.zeros((12, 20)); y[4] = 1
        >>> optimal_transposition(x, y)
        3
    """
    return int(ranked_transpositions(prepare(x, "x"), prepare(y, "y"))[0])


def ranked_transpositions(x, y):
    """All 12 transpositions of y, the best first, of two Chromas: (12,) int."""
    return np.argsort(-(y.profile[_TRANSPOSED] * x.profile).sum(axis=1), kind="stable")
