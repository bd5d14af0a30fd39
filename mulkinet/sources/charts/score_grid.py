"""A chart on a grid of quarter beats, as the performer plays it: the chord and the note of the melody in each cell."""

import dataclasses
import functools
from dataclasses import dataclass

import numpy as np

__all__ = ["CELLS_PER_BEAT", "Grid", "grid_of", "looped", "medley"]

CELLS_PER_BEAT = 4
_SECTION_BEATS = 16
# What each part of a chord counts for in a song's pitch-class histogram.
_ROOT, _THIRD, _FIFTH, _SEVENTH = 1.0, 0.8, 0.8, 0.4
_ROTATIONS = (np.arange(12)[:, None] + np.arange(12)) % 12


@dataclass(frozen=True)
class Grid:
    """A chart in cells of a quarter of a beat.

    Attributes:
        root: (n_chords,) int, 0 is C.
        third: (n_chords,) int semitones above the root, 3 or 4; -1 for none. So are the next two.
        fifth: (n_chords,) int, 6, 7 or 8.
        seventh: (n_chords,) int, 9, 10 or 11; -1 for none.
        relative: (n_chords, 12) bool, the chord's pitch classes counted from its root.
        chord: (n_cells,) int, which chord sounds.
        pitch: (n_cells,) int, the MIDI number of the melody's note; -1 where it rests.
        histogram: (12,) how much each pitch class is used, of sum 1.
    """

    root: np.ndarray
    third: np.ndarray
    fifth: np.ndarray
    seventh: np.ndarray
    relative: np.ndarray
    chord: np.ndarray
    pitch: np.ndarray
    histogram: np.ndarray

    @property
    def n_cells(self):
        """Length of the song."""
        return len(self.chord)

    @property
    def melody(self):
        """(n_cells,) int, the pitch class of the melody; -1 where it rests."""
        return np.where(self.pitch < 0, -1, self.pitch % 12)


def grid_of(chart):
    """Lays a chart out.

    Args:
        chart: Chart.

    Returns:
        Grid, from its first chord to the end of its last.
    """
    begin = chart.chords[0][0]
    n_cells = int(np.ceil((chart.chords[-1][0] + chart.chords[-1][1] - begin) * CELLS_PER_BEAT))
    onsets = np.array([onset for onset, *_ in chart.chords]) - begin
    places = np.arange(n_cells) / CELLS_PER_BEAT + 1e-6
    chord = np.searchsorted(onsets, places, side="right") - 1
    roots, relative = _rooted(chart.chords)
    third = np.where(relative[:, 4], 4, np.where(relative[:, 3], 3, -1))
    altered = np.where(relative[:, 6], 6, np.where(relative[:, 8], 8, 7))
    fifth = np.where(relative[:, 7], 7, altered)
    seventh = np.full(len(roots), -1)
    for interval in (9, 11, 10):
        seventh[relative[:, interval]] = interval
    pitch = _melody_cells(chart, begin, n_cells)
    histogram = _histogram(roots, (third, fifth, seventh), chord, pitch)
    return Grid(roots, third, fifth, seventh, relative, chord, pitch, histogram)


def medley(first, second, rng):
    """A new work of a section each of two others, the second brought to the key of the first.

    Args:
        first: Grid.
        second: Grid.
        rng: numpy Generator.

    Returns:
        Grid.
    """
    # The key in which the second uses the pitch classes that the first does.
    shift = -int(np.argmax(second.histogram[_ROTATIONS] @ first.histogram)) % 12
    n_cells = _SECTION_BEATS * CELLS_PER_BEAT * int(rng.choice([2, 4]))
    parts = [_section(song, n_cells, rng) for song in (first, second)]
    notes = second.pitch[parts[1]]
    moved = np.where(notes < 0, -1, notes + (shift + 6) % 12 - 6)
    joined = {
        name: np.concatenate([getattr(first, name), getattr(second, name)])
        for name in ("third", "fifth", "seventh", "relative")
    }
    return Grid(
        root=np.concatenate([first.root, (second.root + shift) % 12]),
        chord=np.concatenate([first.chord[parts[0]], second.chord[parts[1]] + len(first.root)]),
        pitch=np.concatenate([first.pitch[parts[0]], moved]),
        histogram=(first.histogram + np.roll(second.histogram, shift)) / 2,
        **joined,
    )


def looped(song, rng):
    """A new work in the way of many songs: each 16 beats of another one become a loop of four or eight.

    Args:
        song: Grid.
        rng: numpy Generator.

    Returns:
        Grid, whose melody goes round with the chords or, as often, goes on above them.
    """
    cells = np.arange(song.n_cells)
    unit = _SECTION_BEATS * CELLS_PER_BEAT
    loop = cells // unit * unit + cells % (CELLS_PER_BEAT * int(rng.choice([4, 8, 8])))
    pitch = song.pitch[loop] if rng.random() < 0.5 else song.pitch
    return dataclasses.replace(song, chord=song.chord[loop], pitch=pitch)


def _section(song, n_cells, rng):
    unit = _SECTION_BEATS * CELLS_PER_BEAT
    n_starts = max(1, (song.n_cells - n_cells) // unit + 1)
    start = int(rng.integers(n_starts)) * unit
    return slice(start, start + n_cells)


def _rooted(chords):
    """(roots, pitch classes counted from them); where a bass stands for the root, the root of a triad in the chord."""
    roots, relative = zip(*(_rooted_chord(root, classes) for _, _, root, classes in chords))
    return np.array(roots), np.array(relative)


@functools.lru_cache(maxsize=4096)
def _rooted_chord(root, classes):
    present = set(classes)
    if not _is_triad(present, root, fifths=(6, 7)):
        root = next((other for other in sorted(present) if _is_triad(present, other)), root)
    return root, tuple((root + interval) % 12 in present for interval in range(12))


def _is_triad(present, root, fifths=(7,)):
    """Whether a third and a fifth of the root are among the pitch classes."""
    has = [(root + interval) % 12 in present for interval in range(12)]
    return (has[3] or has[4]) and any(has[fifth] for fifth in fifths)


def _melody_cells(chart, begin, n_cells):
    cells = np.full(n_cells, -1)
    for onset, duration, pitch in chart.melody:
        first = round((onset - begin) * CELLS_PER_BEAT)
        end = max(first + 1, round((onset - begin + duration) * CELLS_PER_BEAT))
        if end > 0:
            cells[max(first, 0) : end] = pitch
    return cells


def _histogram(roots, intervals, chord, pitch):
    weights = np.zeros((len(roots), 12))
    rows = np.arange(len(roots))
    weights[rows, roots] = _ROOT
    for interval, weight in zip(intervals, (_THIRD, _FIFTH, _SEVENTH)):
        has = interval >= 0
        weights[rows[has], (roots + interval)[has] % 12] += weight
    histogram = weights[chord].mean(axis=0)
    notes = pitch[pitch >= 0]
    if len(notes):
        histogram += np.bincount(notes % 12, minlength=12) / len(notes)
    return histogram / histogram.sum()
