"""Long recordings and medleys: windows, and the spans that neighbouring windows agree on.

A window is answered with its nearest work. One that disagrees with two neighbours who agree on a
work is outvoted by them. Between windows of different works the border is put midway between their centres:
a window is of what fills most of it.
"""

import itertools
from typing import NamedTuple

from mulkinet.errors import MulkinetError

__all__ = ["Window", "windows", "agreements"]


class Window(NamedTuple):
    """A part of a recording, in seconds from its beginning."""

    start_sec: float
    end_sec: float


def windows(seconds, segment_sec, hop_sec=None):
    """Cuts a recording into windows of equal length; the last one ends where the recording does.

    Args:
        seconds: Length of the recording.
        segment_sec: Length of a window, above 0.
        hop_sec: From one window to the next, above 0 and up to `segment_sec`; a quarter of it by
            default.

    Returns:
        list of Window; one, as long as the recording, where that is shorter than a window.

    Raises:
        MulkinetError: A length is out of range.
    """
    hop_sec = segment_sec / 4 if hop_sec is None else hop_sec
    if not segment_sec > 0 or not 0 < hop_sec <= segment_sec:
        raise MulkinetError(
            "expected segments longer than 0 s and a hop up to their length, found "
            f"{segment_sec:g} s and {hop_sec:g} s"
        )
    last = max(0.0, seconds - segment_sec)
    starts, number = [], 0
    while number * hop_sec < last:
        starts.append(number * hop_sec)
        number += 1
    return [Window(start, min(start + segment_sec, seconds)) for start in [*starts, last]]


def agreements(parts, works):
    """Merges neighbouring windows (list of Window, in order of time) that agree on the nearest work, or None.

    Returns:
        list of (Window, work, members): the span, its work, and the positions of the windows that
        agree on it. Spans of None are left out.
    """
    works = _outvoted(works)
    by_work = itertools.groupby(range(len(works)), lambda position: works[position])
    groups = [list(group) for _, group in by_work]
    spans = []
    for before, group, after in zip([None, *groups], groups, [*groups[1:], None]):
        start = parts[0].start_sec if before is None else _border(parts, before[-1], group[0])
        end = parts[-1].end_sec if after is None else _border(parts, group[-1], after[0])
        if works[group[0]] is not None:
            spans.append((Window(start, end), works[group[0]], group))
    return spans


def _outvoted(works):
    heard = list(works)
    for i in range(1, len(heard) - 1):
        # The one before may have been outvoted itself: so every span begins with a window of its own.
        if heard[i - 1] is not None and heard[i - 1] == heard[i + 1]:
            heard[i] = heard[i - 1]
    return heard


def _border(parts, left, right):
    return sum(parts[left] + parts[right]) / 4
