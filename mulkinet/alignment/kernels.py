"""The loops of alignment, compiled by numba; the only module that imports it.

Numbers come out as essentia's do, bit by bit: products of bins are rounded to float32 and summed in float64, the sum
is rounded to float32, and so on. Compiled code may not be reordered for that (no fastmath); it still uses the
processor's vectors, since rows of the plot depend on earlier rows only.

Chroma is (n_frames, 12) or (12, n_frames) float32, C order, as each function says. A stack is `STACKED` frames, and
n frames make n - `STACKED` stacks: essentia leaves the last one out.
"""

import numba
import numpy as np

from mulkinet.alignment.chroma import STACKED

__all__ = [
    "best_dmax",
    "best_qmax",
    "dmax_scores",
    "qmax_scores",
    "recurrence_of",
    "stack_distances",
    "stack_norms",
]

_BINS = 12
# Share of the cells of a row or column that may recur (kappa of the paper).
_SHARE = np.float32(0.095)
# Columns that are copied at a time to be searched as rows.
_BLOCK = 32
# The bits of float32 infinity: above those of any distance.
_INFINITY = 0x7F800000


def _compiled(function):
    # Kept on disk beside the source or in the user's cache, and in memory where neither can be written.
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:
        return numba.njit(nogil=True)(function)


@_compiled
def stack_norms(columns):
    """Squared lengths of the stacks: (12, n_frames) float32 -> (n_frames - 9,) float32."""
    n_frames = columns.shape[1]
    sums = np.zeros(n_frames)
    for b in range(_BINS):
        for j in range(n_frames):
            sums[j] += columns[b, j] * columns[b, j]
    norms = np.empty(n_frames - STACKED, dtype=np.float32)
    for j in range(len(norms)):
        total = 0.0
        for f in range(STACKED):
            total += sums[j + f]
        norms[j] = total
    return norms


@_compiled
def _frame_products(frame, columns, products):
    # products[j]: one frame of x times frame j of y. Written out, so that a sum stays in a register.
    x0, x1, x2, x3, x4, x5 = frame[0], frame[1], frame[2], frame[3], frame[4], frame[5]
    x6, x7, x8, x9, x10, x11 = frame[6], frame[7], frame[8], frame[9], frame[10], frame[11]
    for j in range(columns.shape[1]):
        total = np.float64(x0 * columns[0, j]) + np.float64(x1 * columns[1, j])
        total += np.float64(x2 * columns[2, j])
        total += np.float64(x3 * columns[3, j])
        total += np.float64(x4 * columns[4, j])
        total += np.float64(x5 * columns[5, j])
        total += np.float64(x6 * columns[6, j])
        total += np.float64(x7 * columns[7, j])
        total += np.float64(x8 * columns[8, j])
        total += np.float64(x9 * columns[9, j])
        total += np.float64(x10 * columns[10, j])
        total += np.float64(x11 * columns[11, j])
        products[j] = total


@_compiled
def stack_distances(frames, columns, x_norms, y_norms):
    """Euclidean distances of all stacks of x to all of y: (n_x - 9, n_y - 9) float32.

    Sums of 9 products along the diagonals are made of three sums of 3, each of which serves three times. It takes the
    frames of x, (n_x, 12), the columns of y in the key of x, (12, n_y), both float32, and the `stack_norms` of both.
    """
    n_x, n_y = len(x_norms), len(y_norms)
    distances = np.empty((n_x, n_y), dtype=np.float32)
    products = np.empty((3, n_y + STACKED))
    threes = np.empty((7, n_y + STACKED))
    two, zero = np.float32(2), np.float32(0)
    for i in range(n_x + STACKED - 1):
        _frame_products(frames[i], columns, products[i % 3])
        if i < 2:
            continue
        first, second, third = products[(i - 2) % 3], products[(i - 1) % 3][1:], products[i % 3][2:]
        three = threes[i % 7]
        for j in range(n_y + STACKED - 2):
            three[j] = first[j] + second[j] + third[j]
        if i < STACKED - 1:
            continue
        row = i - STACKED + 1
        begin, middle, end = threes[(i - 6) % 7], threes[(i - 3) % 7][3:], three[6:]
        x_norm, out = x_norms[row], distances[row]
        for j in range(n_y):
            product = np.float32(begin[j] + middle[j] + end[j])
            square = x_norm - two * product + y_norms[j]
            out[j] = np.sqrt(max(square, zero))
    return distances


@_compiled
def _neighbours(bits, wanted, guess, found):
    """The element of rank `wanted` (from 1) of a row of distances, and the next one.

    Distances are given as the bits of their float32, which sort alike. Bisection for a number that exactly `wanted`
    elements do not exceed: a step is a count, which is faster than a partial sort. It begins around `guess`.

    Returns:
        int32, where to begin with a row that is like this one; the two elements are written into `found`.
    """
    low, high, step, middle = -1, _INFINITY, 1 << 16, guess
    while high - low > 1:
        count = np.int32(0)
        for j in range(len(bits)):
            count += np.int32(bits[j] <= middle)
        if count == wanted:
            below, above = np.int32(-1), np.int32(_INFINITY)
            for j in range(len(bits)):
                is_below = bits[j] <= middle
                below = max(below, bits[j] if is_below else np.int32(-1))
                above = min(above, np.int32(_INFINITY) if is_below else bits[j])
            found[0], found[1] = below, above
            return middle
        if count < wanted:
            low = middle
        else:
            high = middle
        if low < 0:
            middle, step = np.int32(max(high - step, 0)), 4 * step
        elif high == _INFINITY:
            middle, step = np.int32(min(low + step, _INFINITY - 1)), 4 * step
        else:
            middle = np.int32(low + (high - low) // 2)
    # Equal elements: `high` is both.
    found[0] = found[1] = high
    return np.int32(high)


@_compiled
def _thresholds(distances, by_column):
    """The quantile `_SHARE` of each row, or of each column, interpolated in float32.

    Where its rank is a whole number it is that element; essentia's is 0 there (201 stacks, 401, ...), and nothing
    would recur.
    """
    n_rows, n = distances.shape
    if by_column:
        n_rows, n = n, n_rows
    rank = np.float32(np.float32(n - 1) * _SHARE)
    wanted = int(rank) + 1
    found = np.empty((n_rows, 2), dtype=np.int32)
    block = np.empty((_BLOCK, n), dtype=np.float32)
    guess = np.int32(1 << 30)
    for start in range(0, n_rows, _BLOCK):
        end = min(start + _BLOCK, n_rows)
        if by_column:
            for i in range(n):
                for j in range(start, end):
                    block[j - start, i] = distances[i, j]
        for row in range(start, end):
            line = block[row - start] if by_column else distances[row]
            guess = _neighbours(line.view(np.int32), wanted, guess, found[row])
    elements = found.view(np.float32)
    thresholds = np.empty(n_rows, dtype=np.float32)
    upper = np.float32(rank - np.float32(wanted - 1))
    lower = np.float32(np.float32(wanted) - rank)
    for row in range(n_rows):
        thresholds[row] = elements[row, 0] * lower
        if upper > 0:
            thresholds[row] += elements[row, 1] * upper
    return thresholds


@_compiled
def recurrence_of(distances):
    """Where a stack of x is among the nearest of a stack of y, and the other way round.

    (n_x, n_y) float32 distances -> (n_x, n_y) uint8 of 0 and 1.
    """
    of_rows = _thresholds(distances, False)
    of_columns = _thresholds(distances, True)
    recurrence = np.empty(distances.shape, dtype=np.uint8)
    for i in range(distances.shape[0]):
        threshold, line, cells = of_rows[i], distances[i], recurrence[i]
        for j in range(len(line)):
            cells[j] = np.uint8(line[j] <= threshold) & np.uint8(line[j] <= of_columns[j])
    return recurrence


@_compiled
def _qmax_row(cells, last, before, row):
    # Slices, so that the loop counts from 0 for all of them and is made of vector operations.
    straight, above, aside, cells, row = last[1:], before[1:], last, cells[2:], row[2:]
    for j in range(len(row)):
        best = max(straight[j], max(above[j], aside[j]))
        row[j] = best + 2 if cells[j] else max(best - 1, 0)


@_compiled
def _dmax_row(cells, above, above2, last, before, first, row):
    # As Qmax; steps of two and three collect the recurrences that they pass.
    cells1, cells2, here = cells[2:], cells[1:], cells[3:]
    up, up2, row = above[3:], above2[3:], row[3:]
    straight, aside, aside2 = last[2:], last[1:], last
    before, first = before[2:], first[2:]
    for j in range(len(row)):
        passed, left = 2 * np.int32(up[j]), 2 * np.int32(cells1[j])
        best = max(straight[j], max(before[j] + passed, aside[j] + left))
        passed += 2 * np.int32(up2[j])
        left += 2 * np.int32(cells2[j])
        best = max(best, max(first[j] + passed, aside2[j] + left))
        row[j] = best + 2 if here[j] else max(best - 1, 0)


@_compiled
def qmax_scores(recurrence):
    """Scores of the best trace that ends in each cell; in halves, so that they are whole numbers.

    (n_x, n_y) uint8 of 0 and 1 -> (n_x, n_y) int32: 2 x Q.
    """
    scores = np.zeros(recurrence.shape, dtype=np.int32)
    for i in range(2, len(scores)):
        _qmax_row(recurrence[i], scores[i - 1], scores[i - 2], scores[i])
    return scores


@_compiled
def dmax_scores(recurrence):
    """As `qmax_scores`, of Dmax."""
    cells = recurrence
    scores = np.zeros(cells.shape, dtype=np.int32)
    for i in range(3, len(scores)):
        above = scores[i - 1], scores[i - 2], scores[i - 3]
        _dmax_row(cells[i], cells[i - 1], cells[i - 2], above[0], above[1], above[2], scores[i])
    return scores


@_compiled
def best_qmax(recurrence):
    """The largest of `qmax_scores`, which are not kept."""
    rows = np.zeros((3, recurrence.shape[1]), dtype=np.int32)
    best = np.int32(0)
    for i in range(2, len(recurrence)):
        row = rows[i % 3]
        _qmax_row(recurrence[i], rows[(i - 1) % 3], rows[(i - 2) % 3], row)
        for j in range(len(row)):
            best = max(best, row[j])
    return best


@_compiled
def best_dmax(recurrence):
    """The largest of `dmax_scores`, which are not kept."""
    cells = recurrence
    rows = np.zeros((4, cells.shape[1]), dtype=np.int32)
    best = np.int32(0)
    for i in range(3, len(cells)):
        row, first = rows[i % 4], rows[(i - 3) % 4]
        last, before = rows[(i - 1) % 4], rows[(i - 2) % 4]
        _dmax_row(cells[i], cells[i - 1], cells[i - 2], last, before, first, row)
        for j in range(len(row)):
            best = max(best, row[j])
    return best
