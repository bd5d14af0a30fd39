"""The best path through a recurrence plot, and the spans that match.

A path is found by going back from the largest score by the steps that made it (Smith & Waterman 1981). Further spans
are looked for among the stacks that no earlier one used (after Waterman & Eggert, "A new algorithm for best
subsequence alignments", Journal of Molecular Biology 197, 1987), so that each part of a recording matches at most one
part of the other.

Public names: `best_path`, `matching_paths`.
"""

import numpy as np

__all__ = ["best_path", "matching_paths"]


def best_path(recurrence):
    """The path of Qmax.

    Args:
        recurrence: (n_x, n_y) uint8 or bool.

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
        least: Score below which a path is no match.
        most: Paths to look for.

    Returns:
        list of (path, score) as of `best_path`, best first.
    """
    left = recurrence.copy()
    found = []
    while len(found) < most:
        path, score = best_path(left)
        if len(path) == 0 or score < least:
            break
        found.append((path, score))
        left[path[0, 0] : path[-1, 0] + 1] = 0
        left[:, path[0, 1] : path[-1, 1] + 1] = 0
    return found
