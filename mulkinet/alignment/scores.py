"""Qmax and Dmax: how long two tracks can be followed along each other.

Both are the largest score of a local path through the recurrence plot (Smith & Waterman, "Identification of common
molecular subsequences", Journal of Molecular Biology 147, 1981): a cell that recurs adds 1, one that does not takes
0.5. Qmax steps by (1, 1), (2, 1) and (1, 2); Dmax also by (3, 1) and (1, 3), and its steps add what they pass.

Papers: Serra, Serra & Andrzejak, "Cross recurrence quantification for cover song identification", New Journal of
Physics 11, 2009 (Qmax). Chen, Li & Xiao, "Fusing similarity functions for cover song identification", Multimedia
Tools and Applications 77, 2017 (Dmax).
"""

import numpy as np

from mulkinet.alignment.chroma import STACKED, prepare
from mulkinet.alignment.recurrence import recurrence_in_key
from mulkinet.alignment.transposition import ranked_transpositions

__all__ = ["MEASURES", "dmax", "qmax", "score_distance", "score_pair"]

MEASURES = ("qmax", "dmax")
# Where nothing recurs the score is 0: farther than any pair with a trace, whose score is at least 1.
_SCORE_OF_NOTHING = 0.5


def qmax(x, y):
    """Qmax of two tracks, y transposed to the key of x.

    Args:
        x: (12, n_x) chroma, frames of about half a second.
        y: (12, n_y) chroma of the same frame rate.

    Returns:
        float >= 0, a multiple of 0.5: about the frames that they share.

    Raises:
        MulkinetError: Other shapes, fewer than 12 frames, or values that are not finite.

    Examples:
        The same song two semitones up; nearly all of its 31 stacks of frames recur in order:

        >>> song = np.random.default_rng(0).random((12, 40))
        >>> qmax(song, np.roll(song, 2, axis=0))
        29.0
    """
    return score_pair(prepare(x, "x"), prepare(y, "y"), "qmax")


def dmax(x, y):
    """Dmax of two tracks; see `qmax`.

    Args:
        x: (12, n_x) chroma, frames of about half a second.
        y: (12, n_y) chroma of the same frame rate.

    Returns:
        float >= 0, a multiple of 0.5.

    Raises:
        MulkinetError: As `qmax`.

    Examples:
        >>> song = np.random.default_rng(0).random((12, 40))
        >>> dmax(song, np.roll(song, 2, axis=0))
        28.0
    """
    return score_pair(prepare(x, "x"), prepare(y, "y"), "dmax")


def score_pair(x, y, measure):
    """Qmax or Dmax, by the measure, of two Chromas."""
    from mulkinet.alignment import kernels

    best = {"qmax": kernels.best_qmax, "dmax": kernels.best_dmax}[measure]
    return best(recurrence_in_key(x, y, ranked_transpositions(x, y)[0])) / 2


def score_distance(scores, n_frames):
    """The "asymmetric" distance, as essentia's: sqrt(stacks of the reference) / score.

    Arrays of scores and of the references' frames -> float64 array > 0.
    """
    scores = np.asarray(scores, dtype=np.float64)
    stacks = np.asarray(n_frames) - STACKED
    return np.sqrt(stacks) / np.where(scores > 0, scores, _SCORE_OF_NOTHING)
