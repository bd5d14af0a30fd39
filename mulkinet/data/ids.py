"""Ids that look alike, and ids that are none.

Two ids look alike where they differ only in blanks, or in how Unicode composes their letters ("é" as one character
on Linux, as two on a Mac). They are never merged in silence, nor told apart.
"""

import difflib
import unicodedata

import numpy as np

from mulkinet.errors import MulkinetError

__all__ = ["as_ids", "nearest", "refuse_lookalikes"]

_SHOWN = 3
# Among more candidates than this, spellings are not compared one by one.
_COMPARED = 20_000


def refuse_lookalikes(ids, source):
    """Raises MulkinetError where two of some ids, repeated or not, look alike; `source` is what to call them."""
    seen = {}
    for one in dict.fromkeys(ids):
        other = seen.setdefault(_look(one), one)
        if other != one:
            raise MulkinetError(
                f"expected ids that do not look alike in {source}, found {ascii(other)} and {ascii(one)}, which "
                "differ only in blanks or in the Unicode form of their letters; write them alike"
            )


def as_ids(values, name):
    """Ids as an array, none of them missing.

    Args:
        values: (N,) strings or numbers.
        name: What to call them in an error.

    Returns:
        (N,) array that can be sorted.

    Raises:
        MulkinetError: They are no list, some are None, NaN or of another kind than the others, or two look alike.
    """
    array = np.asarray(values)
    if array.ndim != 1:
        raise MulkinetError(f"expected {name} as a list of ids, found shape {array.shape}")
    # numpy makes "None" and "nan" of those among strings, so the values themselves are looked at.
    listed = array if array.dtype.kind in "fiub" else list(values)
    missing = [row for row, one in enumerate(listed) if one is None or one != one]
    if missing:
        raise MulkinetError(
            f"expected an id for every track in {name}, found {len(missing)} of {len(listed)} missing (None or NaN), "
            f"the first in row {missing[0]}; give each of these tracks an id of its own, or leave them out"
        )
    kinds = sorted({type(one).__name__ for one in listed if not isinstance(one, str)})
    if (
        array.dtype.kind == "O"
        and len(kinds) < 2
        and not (kinds and any(isinstance(one, str) for one in listed))
    ):
        array = np.asarray(list(listed), str if not kinds else None)
    elif kinds and array.dtype.kind in "OU":
        raise MulkinetError(
            f"expected {name} as strings, or all as numbers, found {', '.join(kinds)} among them"
        )
    if array.dtype.kind == "U":
        refuse_lookalikes(np.unique(array).tolist(), name)
    return array


def nearest(wanted, there):
    """The (work_id, track_id) `there` that is nearly the `wanted` one, which is not; None where nothing is near."""
    looks = {}
    for key in there:
        looks.setdefault("\t".join(map(_look, key)).casefold(), key)
    look = "\t".join(map(_look, wanted)).casefold()
    if look in looks:
        return looks[look]
    if len(looks) > _COMPARED:
        return None
    found = difflib.get_close_matches(look, looks, n=1, cutoff=0.8)
    return looks[found[0]] if found else None


def _look(one):
    return " ".join(unicodedata.normalize("NFC", one).split())
