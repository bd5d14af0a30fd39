"""Scores of many pairs of tracks, on all cores.

The compiled loops let go of Python's lock, so that threads do: they share the tracks, hold one plot each, and are gone
when the process is.
"""

import collections
import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from mulkinet.alignment.scores import score_pair

__all__ = ["score_pairs"]

_PAIRS_A_TASK = 16


def score_pairs(pairs, measure="qmax", n_workers=1):
    """Scores pairs as they come.

    Args:
        pairs: Iterable of (Chroma, Chroma), made as they are needed.
        measure: "qmax" or "dmax".
        n_workers: Threads, 1 or more.

    Yields:
        (n,) float64 arrays of scores, in the order of the pairs.
    """
    pairs = iter(pairs)
    with ThreadPoolExecutor(n_workers) as pool:
        waiting = collections.deque()
        try:
            while True:
                while len(waiting) <= 2 * n_workers:
                    if not (task := list(itertools.islice(pairs, _PAIRS_A_TASK))):
                        break
                    waiting.append(pool.submit(_scores, task, measure))
                if not waiting:
                    return
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _scores(task, measure):
    return np.array([score_pair(x, y, measure) for x, y in task])
