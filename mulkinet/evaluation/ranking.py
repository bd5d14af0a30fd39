"""Ranks of the relevant items of every query, by counting, without holding the distance matrix.

Distances are made in blocks of whole rows, so that a query's are compared only with one another. The
rank of a relevant item is its place among the relevant ones + the number of others that are not
farther: no sorting. Others that tie with it count as nearer, so that a collapsed network, all
distances equal, scores no better than chance.
"""

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from mulkinet.errors import MulkinetError

__all__ = ["DEFAULT_MEMORY", "Ranking", "rank_relevant", "take_relevant"]

DEFAULT_MEMORY = 64.0
# A piece of a row stays in the processor's cache while all of a query's relevant keys are compared.
_CACHED = 16384
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
    """

    counts: np.ndarray
    ranks: np.ndarray
    keys: np.ndarray
    items: np.ndarray


def rank_relevant(keys, selection, visitors=(), *, memory=DEFAULT_MEMORY, progress=False):
    """Ranks the relevant items of every query among its candidates.

    Args:
        keys: What `distances.compare` gives for the selection.
        selection: Selection.
        visitors: Functions that are shown every block in the same pass, from several threads: of the
            block, (rows, references) float64 in which all but the non-covers is infinite; the slice of
            its queries; and up to where the keys of their relevant items reach, in the order of the
            ranking. They must not keep the block.
        memory: Size of the blocks in MB; a row is held, however long.
        progress: Whether to show a progress bar.

    Returns:
        Ranking.

    Raises:
        MulkinetError: A precomputed distance is NaN or infinite.
    """
    if not 0 < memory < math.inf:
        raise MulkinetError(f"expected memory as a number of MB above 0, found {memory}")
    n_queries, n_references = len(selection.queries), len(selection.references)
    ranking = Ranking(
        selection.counts,
        selection.places,
        np.empty(len(selection.relevant)),
        np.empty(len(selection.relevant), dtype=np.int64),
    )

    def rank(block, rows):
        part = selection.pairs_of(rows)
        found = take_relevant(block, rows, selection)
        owner, items = selection.owners[part], selection.relevant[part]
        # The position as a last resort makes the order of equal items the same in every run.
        order = np.lexsort((items, found, owner))
        ranking.keys[part], ranking.items[part] = found[order], items[order]
        reach = ranking.keys[part] + keys.slack(ranking.keys[part])
        starts = selection.starts[rows.start : rows.stop + 1] - part.start
        ranks = ranking.ranks[part]
        for row, start, stop in zip(block, starts[:-1], starts[1:]):
            _count_others(row, reach[start:stop], ranks[start:stop])
        for visit in visitors:
            visit(block, rows, reach)

    entries = int(memory * _MEGABYTE / 8) // keys.blocks_held
    n_rows = max(1, min(n_queries, entries // n_references))
    buffer = np.empty((n_rows, n_references))
    workers = os.cpu_count() or 1
    with (
        ThreadPoolExecutor(workers) as pool,
        tqdm(
            total=n_queries,
            desc="ranking",
            unit="query",
            disable=None if progress else True,  # no bar where nobody looks
            leave=False,
        ) as bar,
    ):
        for start in range(0, n_queries, n_rows):
            rows = slice(start, min(start + n_rows, n_queries))
            _visit(pool, workers, keys, buffer[: rows.stop - start], rows, rank)
            bar.update(rows.stop - start)
    return ranking


def take_relevant(block, rows, selection):
    """Takes the keys of a block's relevant items out of it.

    Args:
        block: (rows, references) keys; those of relevant items and of own tracks become infinite.
        rows: Slice of the selection's queries.
        selection: Selection.

    Returns:
        (relevant items of these queries,) float64, in the order of the selection.
    """
    part = selection.pairs_of(rows)
    places = selection.owners[part] - rows.start, selection.relevant[part]
    found = block[places]
    block[places] = np.inf
    own = selection.own[rows]
    has_own = np.flatnonzero(own >= 0)
    block[has_own, own[has_own]] = np.inf
    return found


def _visit(pool, workers, keys, block, rows, visit):
    if keys.uses_blas:
        # BLAS has threads of its own, so the product is not divided among ours.
        keys.fill(block, rows)

    def visit_part(start, stop):
        part = slice(rows.start + start, rows.start + stop)
        if not keys.uses_blas:
            keys.fill(block[start:stop], part)
        visit(block[start:stop], part)

    bounds = np.linspace(0, len(block), min(workers, len(block)) + 1).astype(int)
    for future in [pool.submit(visit_part, *bound) for bound in zip(bounds[:-1], bounds[1:])]:
        future.result()


def _count_others(row, reach, ranks):
    # Adds to `ranks` how many of the row do not exceed each key's reach.
    mask = np.empty(min(len(row), _CACHED), dtype=bool)
    for start in range(0, len(row), _CACHED):
        _count_piece(row[start : start + _CACHED], reach, ranks, mask)


def _count_piece(row, reach, ranks, mask):
    # From the farthest key on, so that what exceeds one need not be compared with the others; the few
    # that are left are sorted.
    for place in range(len(reach) - 1, -1, -1):
        if len(row) <= _SORTED_PER_KEY * (place + 1):
            ranks[: place + 1] += np.searchsorted(np.sort(row), reach[: place + 1], side="right")
            return
        is_nearer = np.less_equal(row, reach[place], out=mask[: len(row)])
        number = np.count_nonzero(is_nearer)
        ranks[place] += number
        if number * _WORTH_A_COPY <= len(row):
            row = row[is_nearer]
