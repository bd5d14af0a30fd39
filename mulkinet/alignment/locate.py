"""The part of a reference that a stretch of a long recording plays, and where in the stretch: the path of Qmax.

As `align`, for thousands of pairs: fewer keys and tempos, and one path.
"""

import itertools
from typing import NamedTuple

import numpy as np

from mulkinet.alignment.align import at_tempo
from mulkinet.alignment.chroma import STACKED
from mulkinet.alignment.path import best_path
from mulkinet.alignment.recurrence import recurrence_in_key
from mulkinet.alignment.transposition import ranked_transpositions

__all__ = ["Place", "locate"]

_TEMPOS = (2.0**-0.25, 1.0, 2.0**0.25)
_KEYS = 2
# Of the cells of a path that leads through other music.
_SHARE_BY_CHANCE = 0.4
# Stacks of a trace; from music around the path to the path's own, how far the share of them that recur has to come.
# Half of a trace may be beyond a border: so many stacks are given back.
_TRACE, _NEARER, _GIVEN_BACK = 32, 0.6, 4


class Place(NamedTuple):
    """Where y plays x, in frames.

    Attributes:
        score: Qmax, about the frames that they share.
        start_x: First frame of x.
        end_x: Frame after the last.
        start_y: First frame of y, a float because y may run at another tempo.
        end_y: Frame after the last.
    """

    score: float
    start_x: int
    end_x: int
    start_y: float
    end_y: float


def locate(x, y, core=None):
    """Finds the longest trace of y in x, and how far around it any of y is heard.

    The longest ends where y goes on otherwise than x does, after a chorus that is sung once more, say.

    Args:
        x: Chroma of a stretch.
        y: Chroma of a reference of the same frame rate.
        core: Chroma of the part of x that y is believed to be in, whose key is compared with that of y; x by default.

    Returns:
        Place, or None where nothing recurs.
    """
    from mulkinet.alignment.kernels import best_qmax

    keys = ranked_transpositions(x if core is None else core, y)[:_KEYS]
    plots = {}
    for tempo, key in itertools.product(_TEMPOS, keys):
        plot = recurrence_in_key(x, at_tempo(y, tempo), key)
        plots[best_qmax(plot) / np.sqrt(np.mean(plot.shape)), tempo] = plot
    (_, tempo), plot = max(plots.items(), key=lambda item: item[0])
    path, score = best_path(plot)
    if not len(path):
        return None
    (top, left), (bottom, right) = _trimmed(path, plot)
    # The part of y goes on with x, at the same tempo.
    first, last = _extent(_traces(plot), top, bottom)
    left, right = max(0, left + first - top), right + last - bottom
    return Place(
        score,
        first,
        last + STACKED,
        float(left / tempo),
        float(min(len(y), (right + STACKED) / tempo)),
    )


def _trimmed(path, plot):
    """First and last cell of the part of a path where more cells recur than half-way from chance to its mean.

    Qmax goes on through music that has nothing to do with y, of whose cells two of five recur by chance.
    """
    recurs = plot[path[:, 0], path[:, 1]].astype(float)
    sums = np.concatenate([[0.0], np.cumsum(recurs - (_SHARE_BY_CHANCE + recurs.mean()) / 2)])
    gains = sums - np.minimum.accumulate(sums)
    end = int(np.argmax(gains))
    start = int(np.argmin(sums[: end + 1]))
    return path[start], path[max(end - 1, start)]


def _traces(plot):
    """Of each row the largest share of cells on a diagonal around it that recur, or whose neighbour in the row does."""
    n_rows, n_columns = plot.shape
    near = np.pad(plot, ((0, 0), (1, 1))).astype(bool)
    near = near[:, :-2] | near[:, 1:-1] | near[:, 2:]
    # Read as rows that are longer by one, row i begins i cells further left: a diagonal is a column.
    cells = np.pad(np.pad(near, ((0, 0), (n_rows, 0))).ravel(), (0, n_rows))
    skewed = cells.reshape(n_rows, n_rows + n_columns + 1)
    sums = np.pad(np.cumsum(skewed, axis=0, dtype=np.int32), ((1, 0), (0, 0)))
    rows = np.arange(n_rows)
    first, end = np.maximum(rows - _TRACE // 2, 0), np.minimum(rows + _TRACE // 2, n_rows)
    return (sums[end] - sums[first]).max(axis=1) / (end - first)


def _extent(shares, top, bottom):
    """First and last row of where the shares are nearer to those of rows `top` to `bottom` than to those of the rest.

    The middle third is always within.
    """
    inside = np.zeros(len(shares), bool)
    inside[top : bottom + 1] = True
    if inside.all():
        return int(top), int(bottom)
    around, own = np.median(shares[~inside]), np.median(shares[inside])
    sums = np.concatenate([[0.0], np.cumsum(shares - around - _NEARER * (own - around))])
    third = (bottom + 1 - top) // 3
    first = int(np.argmin(sums[: top + third + 1]))
    last = bottom - third + int(np.argmax(sums[bottom + 1 - third :]))
    return max(0, first - _GIVEN_BACK), min(len(shares) - 1, int(last) + _GIVEN_BACK)
