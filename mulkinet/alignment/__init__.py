"""Alignment of two recordings by their chroma: in which key, how alike, and where.

    chroma         what is aligned: (12, n_frames), checked and laid out once per track
    transposition  the optimal transposition index
    recurrence     cross-recurrence of stacked frames
    scores         Qmax and Dmax, and distances made of them
    path           the best trace, and spans that match
    align          all of it at several tempos: key, tempo ratio, spans
    locate         the one place of a reference that a stretch of a long recording plays
    pairs          scores of many pairs, on all cores
    kernels        the compiled loops beneath

Chroma is (12, n_frames), of frames of about half a second; both sides of a pair have the same frame rate. numba is
loaded when a function is first called.
"""

from mulkinet.alignment.align import Alignment, align
from mulkinet.alignment.recurrence import cross_recurrence
from mulkinet.alignment.scores import dmax, qmax
from mulkinet.alignment.transposition import optimal_transposition

__all__ = ["Alignment", "align", "cross_recurrence", "dmax", "optimal_transposition", "qmax"]
