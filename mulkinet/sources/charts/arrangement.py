"""What a band makes of a chart: its tempo, the order of the song's parts, and the chords that it plays.

These are the changes between covers that every feature hears, whichever a performer plays.
"""

from typing import NamedTuple

import numpy as np

from mulkinet.sources.charts.score_grid import CELLS_PER_BEAT

__all__ = ["Chords", "beats_played", "cells_played", "chords_played", "draw_tempo", "slow_noise"]

_UNIT = 16 * CELLS_PER_BEAT
_BPM = (62.0, 160.0)
_TEMPO_SPREAD, _HALF_OR_DOUBLE = 0.25, 0.05


class Chords(NamedTuple):
    """The chords of a song as a band plays them.

    Attributes:
        root: (n_chords,) int, 0 is C.
        third: (n_chords,) int semitones above the root; -1 for none. So are the next two.
        fifth: (n_chords,) int.
        seventh: (n_chords,) int.
        is_weak: (n_chords,) bool, the third is hardly played.
        is_full: (n_chords,) bool, what is written beside triad and seventh is played too.
        simple: bool, nothing but triads is played.
    """

    root: np.ndarray
    third: np.ndarray
    fifth: np.ndarray
    seventh: np.ndarray
    is_weak: np.ndarray
    is_full: np.ndarray
    simple: bool


def draw_tempo(rng, base=None):
    """A tempo in beats per minute.

    Args:
        rng: numpy Generator.
        base: Of another performance of the work, around which it is drawn, now and then half or double; None draws a
            work's own.

    Returns:
        float.
    """
    if base is None:
        return float(np.exp(rng.uniform(*np.log(_BPM))))
    bpm = base * np.exp(rng.normal(0, _TEMPO_SPREAD))
    if rng.random() < _HALF_OR_DOUBLE:
        bpm *= rng.choice([0.5, 2.0])
    return float(np.clip(bpm, 45, 220))


def beats_played(rng, n, rate, bpm):
    """Beats since the beginning, at a drifting tempo.

    Args:
        rng: numpy Generator.
        n: Samples.
        rate: Samples per second.
        bpm: Beats per minute on average.

    Returns:
        (n,) float, rising.
    """
    drift = slow_noise(rng, n, rate * 20, rng.choice([0.0, 0.01, 0.03]), 1)[:, 0]
    return np.cumsum(bpm / 60 / rate * np.exp(drift))


def cells_played(grid, rng, beats):
    """Cells of the song that are played: its units of 16 beats in a row, with jumps.

    Args:
        grid: Grid.
        rng: numpy Generator.
        beats: (n,) as `beats_played` gives them.

    Returns:
        (n,) int.
    """
    n_units = -(-grid.n_cells // _UNIT)
    needed = int(beats[-1] * CELLS_PER_BEAT / _UNIT) + 2
    jumps = rng.random(needed) < rng.choice([0.0, 0.1, 0.25])
    starts = rng.integers(n_units, size=needed)
    if rng.random() < 0.35:
        starts[0] = 0
    units = np.empty(needed, int)
    for i in range(needed):
        units[i] = starts[i] if i == 0 or jumps[i] else (units[i - 1] + 1) % n_units
    cells = (beats * CELLS_PER_BEAT).astype(int)
    return (units[cells // _UNIT] * _UNIT + cells % _UNIT) % grid.n_cells


def chords_played(grid, rng, most_related):
    """Simplifies, colours and replaces chords.

    Args:
        grid: Grid.
        rng: numpy Generator.
        most_related: The most of the major, and of the minor chords that are replaced by a related one: shares.

    Returns:
        Chords.
    """
    n = len(grid.root)
    drawn = rng.random((6, n))
    simplified, coloured = rng.choice([0.0, 0.3, 1.0]), rng.choice([0.0, 0.0, 0.15, 0.5])
    without_third = rng.choice([0.0, 0.0, 0.05, 0.3])
    root, third, fifth, seventh = (
        getattr(grid, name).copy() for name in ("root", "third", "fifth", "seventh")
    )
    seventh[drawn[0] < simplified] = -1
    added = (drawn[1] < coloured) & (seventh < 0)
    seventh[added] = np.where((third == 3) | (drawn[5] >= 0.5), 10, 11)[added]
    # The chord a third below or above: relative and counter-relative minor or major.
    is_major = third == 4
    related = drawn[2] < rng.random() * np.where(is_major, *most_related)
    below, above = np.where(is_major, 9, 8), np.where(is_major, 4, 3)
    moved = np.where(drawn[3] < np.where(is_major, 0.5, 0.2), below, above)
    root = np.where(related, root + moved, root) % 12
    third = np.where(related & (third > 0), 7 - third, third)
    fifth, seventh = np.where(related, 7, fifth), np.where(related, -1, seventh)
    weak = (drawn[4] < without_third) & (third >= 0)
    full = ~related & (drawn[5] < 0.5)
    return Chords(root, third, fifth, seventh, weak, full, simplified == 1)


def slow_noise(rng, n, period, deviation, channels=12):
    """Normal noise that is drawn anew every `period` samples, in straight lines between.

    Args:
        rng: numpy Generator.
        n: Samples.
        period: In samples; less than one counts as one.
        deviation: Standard deviation.
        channels: Of them.

    Returns:
        (n, channels) float32.
    """
    period = max(period, 1.0)
    knots = rng.standard_normal((int(n / period) + 3, channels)).astype(np.float32)
    places = np.arange(n) / period + rng.random()
    before = places.astype(int)
    part = (places - before)[:, None].astype(np.float32)
    # A line between two knots has on average two thirds of their variance.
    scale = np.float32(deviation * 1.5**0.5)
    return scale * (knots[before] * (1 - part) + knots[before + 1] * part)
