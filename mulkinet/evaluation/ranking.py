"""Ranks of the relevant items of every query, by counting, without holding the distance matrix.

The rank of a relevant item is 1 + the number of candidates before it, so it is enough to count,
for each relevant distance, how many distances do not exceed it: no sorting, and blocks of any
shape can be counted one after another. The query's own track and its other relevant items are
taken off by arithmetic.

Ties count against the query: among candidates of equal distance the relevant ones come last.

Public names: `Ranking`, `rank_relevant`, `tie_ends`, `Blocks`.
"""

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from mulkinet.errors import MulkinetError

__all__ = ["Ranking", "rank_relevant", "tie_ends", "Blocks"]

DEFAULT_MEMORY = 64.0
# A chunk of a row stays in the processor's cache while all thresholds are compared with it.
_CACHE_COLUMNS = 16384
# Sorting so many numbers takes as long as comparing them with one key.
_SORTED_PER_KEY = 64
# A copy of what is left pays when it is this many times shorter.
_WORTH_A_COPY = 4
_MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Ranking:
    """Where the relevant items of each query are.

    Attributes:
        counts: (Q,) relevant items of each query.
        ranks: (sum of counts,) ranks from 1, query after query, ascending within each.
        keys: (sum of counts,) float64 keys of the same items, ascending within each query.
        items: (sum of counts,) positions of the same items among the references.
        own_keys: (Q,) key of each query's own track, NaN where that is no reference.
        n_candidates: (Q,) candidates of each query: the references without its own track.
    """

    counts: np.ndarray
    ranks: np.ndarray
    keys: np.ndarray
    items: np.ndarray
    own_keys: np.ndarray
    n_candidates: np.ndarray

    @property
    def starts(self):
        """(Q,) where each query's items begin."""
        return np.cumsum(self.counts) - self.counts


class Blocks:
    """Walks over all pairs of queries and references, a block of keys at a time.

    Args:
        keys: What `distances.pair_keys` gives.
        n_queries: Number of rows.
        n_references: Number of columns.
        memory: Bound of the blocks' size in MB.
        workers: Threads; as many as processors by default.
        progress: Whether to show a progress bar.
    """

    def __init__(
        self, keys, n_queries, n_references, *, memory=DEFAULT_MEMORY, workers=None, progress=False
    ):
        if not 0 < memory < math.inf:
            raise MulkinetError(f"expected memory as a number of MB above 0, found {memory}")
        self.keys = keys
        self.n_queries = n_queries
        self.n_references = n_references
        self._workers = workers or os.cpu_count() or 1
        self._progress = progress
        self._entries = int(memory * _MEGABYTE / 8)
        entries = self._entries // keys.blocks_held
        self.columns = max(1, min(n_references, _CACHE_COLUMNS, entries))
        self.rows = max(1, min(n_queries, entries // self.columns))

    def visit(self, visitor, description):
        """Calls `visitor(block, first_row, first_column)` for parts of blocks, from several threads.

        Rows are never given to two threads at once, so a visitor may add to what belongs to a row.

        Args:
            visitor: Takes a (rows, columns) float64 block, which it must not keep.
            description: Words for the progress bar.
        """
        buffer = np.empty(self.rows * self.columns)
        pairs = self.n_queries * self.n_references
        with (
            ThreadPoolExecutor(self._workers) as pool,
            tqdm(
                total=pairs,
                desc=description,
                unit="pair",
                unit_scale=True,
                disable=None if self._progress else True,  # no bar where nobody looks
                leave=False,
            ) as bar,
        ):
            for first_row in range(0, self.n_queries, self.rows):
                rows = slice(first_row, min(first_row + self.rows, self.n_queries))
                for first_column in range(0, self.n_references, self.columns):
                    columns = slice(
                        first_column, min(first_column + self.columns, self.n_references)
                    )
                    shape = rows.stop - rows.start, columns.stop - columns.start
                    block = buffer[: shape[0] * shape[1]].reshape(shape)
                    self._visit_block(pool, visitor, block, rows, columns)
                    bar.update(block.size)

    def _visit_block(self, pool, visitor, block, rows, columns):
        if self.keys.uses_blas:
            # BLAS has threads of its own, so the product is not divided among ours.
            self.keys.fill(block, rows, columns)

        def part(start, stop):
            here = slice(rows.start + start, rows.start + stop)
            if not self.keys.uses_blas:
                self.keys.fill(block[start:stop], here, columns)
            visitor(block[start:stop], here.start, columns.start)

        bounds = np.linspace(0, len(block), min(self._workers, len(block)) + 1).astype(int)
        for future in [pool.submit(part, *bound) for bound in zip(bounds[:-1], bounds[1:])]:
            future.result()

    def pair_keys(self, rows, columns):
        """(n,) keys of the pairs (rows[i], columns[i]); as many as there may be."""
        step = max(1, self._entries // self.keys.entries_a_pair)
        parts = [
            self.keys.pairs(rows[start : start + step], columns[start : start + step])
            for start in range(0, len(rows), step)
        ]
        return np.concatenate(parts) if parts else np.empty(0)


def rank_relevant(blocks, selection, observers=()):
    """Ranks the relevant items of every query among its candidates.

    Args:
        blocks: Blocks over the selection's queries and references.
        selection: Selection.
        observers: More visitors (see `Blocks.visit`) to be shown every block in the same pass.

    Returns:
        Ranking.

    Raises:
        MulkinetError: A precomputed distance is NaN or infinite.
    """
    keys, items = _sorted_relevant(blocks, selection)
    own_keys = np.full(len(selection.queries), np.nan)
    has_own = np.flatnonzero(selection.own >= 0)
    own_keys[has_own] = blocks.pair_keys(has_own, selection.own[has_own])
    not_above = _count_not_above(blocks, selection, keys, observers)

    owner = selection.query_of_pair
    first = selection.starts[owner]
    relevant = tie_ends(keys, owner) - first + 1
    # NaN, for no own track, compares as False.
    others = not_above - (own_keys[owner] <= keys) - relevant
    place = np.arange(len(keys)) - first + 1
    return Ranking(
        counts=selection.counts,
        ranks=others + place,
        keys=keys,
        items=items,
        own_keys=own_keys,
        n_candidates=len(selection.references) - (selection.own >= 0),
    )


def _sorted_relevant(blocks, selection):
    owner = selection.query_of_pair
    keys = blocks.pair_keys(owner, selection.relevant)
    # The position as a last resort makes the order of tied items the same in every run.
    order = np.lexsort((selection.relevant, keys, owner))
    return keys[order], selection.relevant[order]


def tie_ends(keys, owner):
    """Where each key's run of equal keys ends.

    Args:
        keys: (n,) keys, query after query and ascending within each.
        owner: (n,) query of each.

    Returns:
        (n,) position of the last of the keys that are equal to each, in the same query.
    """
    is_last = np.ones(len(keys), dtype=bool)
    is_last[:-1] = (keys[1:] != keys[:-1]) | (owner[1:] != owner[:-1])
    ends = np.flatnonzero(is_last)
    return ends[np.searchsorted(ends, np.arange(len(keys)))]


def _count_not_above(blocks, selection, keys, observers):
    # For every relevant key: how many of all its query's references do not exceed it.
    not_above = np.zeros(len(keys), dtype=np.int64)
    starts = np.append(selection.starts, len(keys))

    def count(block, first_row, first_column):
        for observer in observers:
            observer(block, first_row, first_column)
        mask = np.empty(block.shape[1], dtype=bool)
        for row, start, stop in zip(block, starts[first_row:], starts[first_row + 1 :]):
            _count_row(row, keys[start:stop], not_above[start:stop], mask)

    blocks.visit(count, "ranking")
    return not_above


def _count_row(row, keys, counts, mask):
    # Adds to `counts` how many of the row do not exceed each key. From the farthest key on, so that
    # what exceeds one need not be compared with the others; the few that are left are sorted.
    for place in range(len(keys) - 1, -1, -1):
        if len(row) <= _SORTED_PER_KEY * (place + 1):
            near = keys[: place + 1]
            counts[: place + 1] += np.searchsorted(np.sort(row), near, side="right")
            return
        is_not_above = np.less_equal(row, keys[place], out=mask[: len(row)])
        number = np.count_nonzero(is_not_above)
        counts[place] += number
        if number * _WORTH_A_COPY <= len(row):
            row = row[is_not_above]
