"""The best path through a recurrence plot, and the spans that match.

A path is found by going back from the largest score by the steps that made it (Smith & Waterman 1981). Further spans
are looked for among the stacks that no earlier one used (after Waterman & Eggert, "A new algorithm for best
subsequence alignments", Journal of Molecular Biology 197, 1987), so that each part of a recording matches at most one
part of the other.
"""

import numpy as np

__all__ = ["best_path", "matching_paths"]

_GAP = 9


def best_path(recurrence):
    """The path of Qmax through (n_x, n_y) cells, uint8 or bool.

    Returns:
        ((n, 2) int array of (row, column) in ascending order, from the first cell that recurs to the last; Qmax). The
        path is empty where nothing recurs.
    """
    from mulkinet.alignment.kernels import qmax_scores

    scores = qmax_scores(np.ascontiguousarray(recurrence, dtype=np.uint8))
    i, j = np.unravel_index(np.argmax(scores), scores.shape)
    best = scores[i, j]
    path = []
    while scores[i, j] > 0:
        path.append((i, j))
        if i < 2 or j < 2:
            break
        before = ((i - 1, j - 1), (i - 2, j - 1), (i - 1, j - 2))
        i, j = max(before, key=lambda cell: scores[cell])
    return np.array(path[::-1], dtype=np.int64).reshape(-1, 2), best / 2


def matching_paths(recurrence, least, most=12):
    """The best path, then the best one of what is left, and so on.

    Args:
        recurrence: (n_x, n_y) uint8.
        least: Score, and cells, below which a path is no match.
        most: Paths to look for.

    Returns:
        list of paths as of `best_path`, those of the best score first.
    """
    left = recurrence.copy()
    found = []
    while len(found) < most:
        path, score = best_path(left)
        if len(path) == 0 or score < least:
            break
        pieces = [piece for piece in _pieces(path, left) if len(piece) >= least] or [path]
        found += pieces
        for piece in pieces:
            (top, start), (bottom, end) = piece[0], piece[-1]
            left[top : bottom + 1] = 0
            left[:, start : end + 1] = 0
    return found


def _pieces(path, recurrence):
    """The path without stretches of more than `_GAP` stacks that do not recur: it went on there, the music did not."""
    recurs = np.flatnonzero(recurrence[path[:, 0], path[:, 1]])
    breaks = np.flatnonzero(np.diff(path[recurs], axis=0).max(axis=1) > _GAP) + 1
    return [path[part[0] : part[-1] + 1] for part in np.split(recurs, breaks)]
