"""Who is compared with whom: queries, references, relevant items.

Conventions: rows are positions in the embeddings. A query's own track, recognised by its row or,
where track_ids are given, by its pair (work_id, track_id), is never a candidate. A track without a
relevant candidate (a noise work's) is not a query, and counted.
"""

import functools
from dataclasses import dataclass

import numpy as np

from mulkinet.data.ids import as_ids
from mulkinet.errors import MulkinetError

__all__ = ["Selection", "select_tracks"]

_SHOWN = 3


@dataclass(frozen=True)
class Selection:
    """Queries, references, and which reference is relevant to which query.

    Attributes:
        asked: (Q + E,) rows of the queries asked for.
        queries: (Q,) rows of those that have a relevant candidate.
        positions: (Q,) their positions in `asked`.
        references: (M,) rows of the references.
        own: (Q,) position of each query's own track in `references`, -1 where it is not there.
        counts: (Q,) number of relevant candidates of each query, at least 1.
        relevant: (sum of counts,) their positions in `references`, query after query.
        query_works: (Q,) work of each query, as a number.
        reference_works: (M,) work of each reference, as the same numbers.
        numbers: dict of `tracks` and `works` among queries and references, `queries`, `references`,
            `excluded_queries` (E) and `noise_works`, whose every query was excluded.
    """

    asked: np.ndarray
    queries: np.ndarray
    positions: np.ndarray
    references: np.ndarray
    own: np.ndarray
    counts: np.ndarray
    relevant: np.ndarray
    query_works: np.ndarray
    reference_works: np.ndarray
    numbers: dict

    @functools.cached_property
    def starts(self):
        """(Q + 1,) where each query's part of `relevant` begins, and where the last one's ends."""
        return np.concatenate([[0], np.cumsum(self.counts)])

    @functools.cached_property
    def owners(self):
        """(sum of counts,) position in `queries` of each relevant item's query."""
        return np.repeat(np.arange(len(self.queries)), self.counts)

    @property
    def places(self):
        """(sum of counts,) 1, 2, ... within each query."""
        return np.arange(1, len(self.relevant) + 1) - self.starts[self.owners]

    @property
    def n_pairs(self):
        """Number of pairs of a query and a candidate."""
        return len(self.queries) * len(self.references) - int((self.own >= 0).sum())

    def pairs_of(self, rows):
        """The slice of `relevant` that belongs to a slice of the queries."""
        return slice(int(self.starts[rows.start]), int(self.starts[rows.stop]))


def select_tracks(work_ids, *, track_ids=None, queries=None, references=None):
    """Finds the queries, the references and the relevant pairs.

    Args:
        work_ids: (N,) work of each track.
        track_ids: (N,) id of each track within its work; rows stand for tracks when absent.
        queries: The queries: rows (int), a mask ((N,) bool), track_ids (str), or (work_id, track_id)
            pairs. All tracks by default.
        references: The candidates, in the same ways. All tracks by default.

    Returns:
        Selection.

    Raises:
        MulkinetError: Lengths differ, an id is missing or looks like another, an unknown id or row, an
            empty list, a track twice in one list, or no query with a relevant candidate.
    """
    work_ids = as_ids(work_ids, "work_ids")
    ids = None if track_ids is None else as_ids(track_ids, "track_ids")
    tracks = _track_codes(work_ids, ids)
    query_rows = _rows(queries, "queries", work_ids, ids)
    reference_rows = _rows(references, "references", work_ids, ids)
    for name, rows in (("queries", query_rows), ("references", reference_rows)):
        _check_unique(name, rows, tracks, work_ids, ids)

    _, works = np.unique(work_ids, return_inverse=True)
    own = _positions(tracks[reference_rows], tracks[query_rows])
    counts, relevant = _relevant(works[query_rows], works[reference_rows], own)
    is_query = counts > 0
    both = np.union1d(query_rows, reference_rows)
    if not is_query.any():
        raise MulkinetError(
            f"expected at least one query with another track of its work among its candidates, "
            f"found none in {len(query_rows)} queries and {len(reference_rows)} references of "
            f"{len(np.unique(works[both]))} works; add covers or check the work ids"
        )
    asked = works[query_rows]
    return Selection(
        asked=query_rows,
        queries=query_rows[is_query],
        positions=np.flatnonzero(is_query),
        references=reference_rows,
        own=own[is_query],
        counts=counts[is_query],
        relevant=relevant,
        query_works=asked[is_query],
        reference_works=works[reference_rows],
        numbers={
            "tracks": len(np.unique(tracks[both])),
            "works": len(np.unique(works[both])),
            "queries": int(is_query.sum()),
            "references": len(reference_rows),
            "excluded_queries": int((~is_query).sum()),
            "noise_works": len(np.setdiff1d(asked[~is_query], asked[is_query])),
        },
    )


def _track_codes(work_ids, track_ids):
    if len(work_ids) == 0:
        raise MulkinetError("expected at least one track, found an empty list of works")
    if track_ids is None:
        return np.arange(len(work_ids))
    if len(track_ids) != len(work_ids):
        raise MulkinetError(
            f"expected one track_id per work_id, found {len(track_ids)} for {len(work_ids)}"
        )
    _, works = np.unique(work_ids, return_inverse=True)
    distinct, tracks = np.unique(np.asarray(track_ids), return_inverse=True)
    return works.astype(np.int64) * len(distinct) + tracks


def _rows(chosen, name, work_ids, track_ids):
    if chosen is None:
        return np.arange(len(work_ids))
    try:
        chosen = [chosen] if isinstance(chosen, str) else list(chosen)
    except TypeError as error:
        raise MulkinetError(f"expected {name} as a list, found {chosen!r}") from error
    if not chosen:
        raise MulkinetError(f"expected at least one track in {name}, found an empty list")
    if all(isinstance(item, (bool, np.bool_)) for item in chosen):
        chosen = _rows_of_mask(chosen, name, len(work_ids))
    if all(isinstance(item, (int, np.integer)) for item in chosen):
        rows = np.asarray(chosen, dtype=np.int64)
        outside = rows[(rows < 0) | (rows >= len(work_ids))]
        if len(outside):
            raise MulkinetError(
                f"expected {name} as rows from 0 to {len(work_ids) - 1}, found {outside[0]}"
            )
        return rows
    if track_ids is None:
        raise MulkinetError(f"expected track_ids to find {name} by id, found none; give rows")
    return _rows_of_ids(chosen, name, work_ids, track_ids)


def _rows_of_mask(mask, name, n_tracks):
    rows = np.flatnonzero(mask).tolist()
    if len(mask) != n_tracks or not rows:
        raise MulkinetError(
            f"expected {name} as a mask of {n_tracks} tracks, some of them chosen, found "
            f"{len(rows)} chosen of {len(mask)}"
        )
    return rows


def _rows_of_ids(chosen, name, work_ids, track_ids):
    by_id = {}
    for row, (work, track) in enumerate(zip(work_ids.tolist(), track_ids.tolist())):
        by_id.setdefault(track, []).append(row)
        by_id.setdefault((work, track), []).append(row)
    keys = [item if isinstance(item, str) else tuple(item) for item in chosen]
    unknown = [key for key in keys if key not in by_id]
    if unknown:
        shown = ", ".join(str(key) for key in unknown[:_SHOWN])
        more = ", ..." if len(unknown) > _SHOWN else ""
        raise MulkinetError(
            f"expected {name} among the tracks, found {len(unknown)} of {len(keys)} unknown "
            f"({shown}{more}); take them out of the list or add their embeddings"
        )
    ambiguous = next((key for key in keys if len(by_id[key]) > 1), None)
    if ambiguous is not None:
        raise MulkinetError(
            f"expected one track for {ambiguous!r} of {name}, found {len(by_id[ambiguous])}; "
            "name tracks as (work_id, track_id)"
        )
    return np.asarray([by_id[key][0] for key in keys], dtype=np.int64)


def _check_unique(name, rows, tracks, work_ids, track_ids):
    codes = tracks[rows]
    _, first, numbers = np.unique(codes, return_index=True, return_counts=True)
    if (numbers > 1).any():
        row = rows[first[np.argmax(numbers > 1)]]
        label = f"row {row}" if track_ids is None else f"track {track_ids[row]!r}"
        raise MulkinetError(
            f"expected every track once in {name}, found {label} of work {work_ids[row]!r} "
            f"{numbers.max()} times"
        )


def _positions(codes, wanted):
    # Position of each wanted code in codes, -1 where it is not.
    order = np.argsort(codes, kind="stable")
    found = np.searchsorted(codes[order], wanted)
    found = order[np.minimum(found, len(codes) - 1)]
    return np.where(codes[found] == wanted, found, -1)


def _relevant(query_works, reference_works, own):
    # References of the same work, without the query's own track, query after query.
    order = np.argsort(reference_works, kind="stable")
    ordered = reference_works[order]
    first = np.searchsorted(ordered, query_works, side="left")
    sizes = np.searchsorted(ordered, query_works, side="right") - first
    offsets = np.cumsum(sizes) - sizes
    flat = np.arange(sizes.sum()) - np.repeat(offsets - first, sizes)
    relevant = order[flat]
    is_other = relevant != np.repeat(own, sizes)
    relevant = relevant[is_other]
    own_counted = (own >= 0).astype(np.int64)
    return sizes - own_counted, relevant
