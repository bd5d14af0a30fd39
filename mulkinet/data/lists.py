"""List files: which tracks of a store to train on, to validate with or to test.

One track a line, `<work_id> TAB <track_id>`, UTF-8, as SHS100K's lists. See meta/README.md.
"""

import collections
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mulkinet.data.ids import nearest, refuse_lookalikes
from mulkinet.errors import MulkinetError
from mulkinet.files.atomic import atomic_path

__all__ = [
    "Remaining",
    "describe_left_out",
    "drop_missing",
    "hold_out",
    "read_list",
    "select",
    "tracks_of_list",
    "write_list",
]

_ADVICE = "preprocess them, take them out of the list, or leave them out with --skip-missing"
_SHOWN = 3


def read_list(path):
    """Reads a list file.

    Args:
        path: Text file of `<work_id> TAB <track_id>` lines; empty lines are passed over.

    Returns:
        list of (work_id, track_id), in the order of the file.

    Raises:
        MulkinetError: The file cannot be read, is empty, has a malformed line, a track twice or works that look alike.
    """
    try:
        # Some editors begin a file with a byte order mark, which is no part of the first work.
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MulkinetError(
            f"expected a list file at {path}, found {reason}; "
            "a list has one <work> TAB <track> a line, see meta/README.md"
        ) from error
    first_line = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        fields = tuple(line.rstrip("\r").split("\t"))
        if len(fields) != 2 or not all(fields):
            raise MulkinetError(
                f"expected <work> TAB <track> in line {number} of {path}, found {line!r}"
            )
        if fields in first_line:
            raise MulkinetError(
                f"expected every track once in {path}, found work {fields[0]!r}, "
                f"track {fields[1]!r} in lines {first_line[fields]} and {number}; remove one"
            )
        first_line[fields] = number
    if not first_line:
        raise MulkinetError(f"expected <work> TAB <track> lines in {path}, found an empty list")
    refuse_lookalikes((work for work, _ in first_line), path)
    return list(first_line)


def write_list(path, pairs):
    """Writes a list file.

    Args:
        path: The file to make; an existing one is replaced when the new one is whole.
        pairs: (work_id, track_id) pairs.

    Raises:
        MulkinetError: An id holds a tab or a line end, or the file cannot be written.
    """
    lines = []
    for work_id, track_id in pairs:
        line = f"{work_id}\t{track_id}"
        if len(line.split("\t")) != 2 or len(line.splitlines()) != 1:
            raise MulkinetError(
                f"expected ids without tabs and line ends, found work {work_id!r}, "
                f"track {track_id!r}; rename the file"
            )
        lines.append(line + "\n")
    with atomic_path(path) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")


def select(store, pairs, source="the list", advice=_ADVICE):
    """Rows of a list's tracks in a store.

    Args:
        store: FeatureStore.
        pairs: (work_id, track_id) pairs.
        source: What to call the list in an error.
        advice: What to try then.

    Returns:
        (len(pairs),) int64.

    Raises:
        MulkinetError: Tracks are not in the store: how many, and the first few.
    """
    rows_by_key = store.rows_by_key
    rows = [rows_by_key.get(tuple(pair), -1) for pair in pairs]
    missing = [pair for pair, row in zip(pairs, rows) if row < 0]
    if missing:
        shown = ", ".join(f"{work}/{track}" for work, track in missing[:_SHOWN])
        more = ", ..." if len(missing) > _SHOWN else ""
        like = nearest(missing[0], rows_by_key)
        hint = f"; there is {ascii('/'.join(like))}, nearly the first of them" if like else ""
        raise MulkinetError(
            f"expected every track of {source} in {store.path}, found {len(missing)} of "
            f"{len(pairs)} missing ({shown}{more}){hint}; {advice}"
        )
    return np.asarray(rows, dtype=np.int64)


def hold_out(pairs, share, seed):
    """Sets aside whole works for validation, so that no work is on both sides.

    Only works with at least two tracks can be validated with; at least two are set aside.

    Args:
        pairs: (work_id, track_id) pairs.
        share: float in (0, 1) of those works to set aside.
        seed: int >= 0.

    Returns:
        (kept, held_out): lists of pairs, in the order of `pairs`.

    Raises:
        MulkinetError: There are fewer than four works with two tracks.
    """
    works, counts = np.unique([work for work, _ in pairs], return_counts=True)
    eligible = works[counts > 1]
    if len(eligible) < 4:
        raise MulkinetError(
            f"expected at least 4 works of 2 or more tracks to hold some out for validation, "
            f"found {len(eligible)}; bring more works or name a validation list with --val-ls"
        )
    n_held = max(2, round(share * len(eligible)))
    held = set(np.random.default_rng(seed).choice(eligible, n_held, replace=False).tolist())
    kept = [pair for pair in pairs if pair[0] not in held]
    return kept, [pair for pair in pairs if pair[0] in held]


class Remaining(NamedTuple):
    """What is left of a list in a store that lacks some of its tracks.

    Attributes:
        pairs: list of (work_id, track_id), in the order of the list.
        n_missing: Tracks of the list that the store lacks.
        n_dropped: Tracks that were left out besides, the last ones of their works.
    """

    pairs: list
    n_missing: int
    n_dropped: int

    def describe(self, path):
        """One line that says what was left out of the list at `path`; empty if nothing was."""
        if not self.n_missing + self.n_dropped:
            return ""
        return (
            f"{self.n_missing} tracks of {path} are missing, {self.n_dropped} more are the only ones "
            f"left of their works; {len(self.pairs)} remain"
        )


def tracks_of_list(store, path, *, skip_missing=False):
    """What a store has of a list.

    Args:
        store: FeatureStore.
        path: List file.
        skip_missing: Leave out what the store lacks, as `drop_missing` does.

    Returns:
        Remaining.

    Raises:
        MulkinetError: The list cannot be read, tracks are missing and not to be left out, or none
            is left.
    """
    pairs = read_list(path)
    if not skip_missing:
        select(store, pairs, path)
    return drop_missing(store, pairs)


def drop_missing(store, pairs, others=()):
    """Leaves out the tracks that a store lacks, and works that have one track left for that reason.

    Args:
        store: FeatureStore.
        pairs: (work_id, track_id) pairs.
        others: Pairs of tracks that those of the list are compared with: they count as tracks of
            their works too.

    Returns:
        Remaining. A work of which the list has a single track stays: it is there to be mistaken.

    Raises:
        MulkinetError: Nothing is left.
    """
    rows_by_key = store.rows_by_key
    there = [pair for pair in pairs if tuple(pair) in rows_by_key]
    together = {tuple(pair) for pair in (*pairs, *others)}
    listed = collections.Counter(work for work, _ in together)
    left = collections.Counter(work for work, _ in together & rows_by_key.keys())
    kept = [pair for pair in there if left[pair[0]] > 1 or listed[pair[0]] == 1]
    if not kept:
        raise MulkinetError(
            f"expected tracks of the list in {store.path}, found none of its {len(pairs)}; "
            "is it the list of another data set?"
        )
    return Remaining(kept, len(pairs) - len(there), len(there) - len(kept))


def describe_left_out(store):
    """One line that says what a FeatureStore lacks since it was made; empty if that is nothing."""
    counted = {
        "n_missing": "{} tracks of its lists were missing",
        "n_dropped": "{} more were the only ones left of their works",
        "n_skipped": "{} inputs could not be used",
    }
    found = [(store.attributes.get(name), text) for name, text in counted.items()]
    told = [text.format(n) for n, text in found if n]
    return f"when {store.path} was made, {', '.join(told)}" if told else ""
