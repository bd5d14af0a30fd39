"""Plays a chart straight into a crema-like feature: the probability of each pitch class, frame by frame.

What changes between two performances is what changes between covers: the key, the tempo and its drift, where it begins
and in which order its 16-beat units follow, how chords are held, simplified, coloured and replaced, how strongly the
melody is heard; and what an extractor makes of it: logits with slow noise, unsure passages, smoothing, detuning, holes.
The numbers are logits of crema's output, set so that the statistics of `benchmarks/performer.py` come near to those of
recordings.

Conventions: a performance is (12, n_frames) float32 in [0, 1], bin 0 is C, and follows from the generator alone.

Public names: `perform`, `draw_tempo`.
"""

import numpy as np

from mulkinet.sources.charts.score_grid import CELLS_PER_BEAT

__all__ = ["draw_tempo", "perform"]

_SUBFRAMES = 4
_UNIT = 16 * CELLS_PER_BEAT
_BPM = (62.0, 160.0)
_TEMPO_SPREAD, _HALF_OR_DOUBLE = 0.25, 0.05
# Most major and minor chords that are replaced by a related one: a minor chord with a seventh is often heard as major.
_RELATED_MAJOR, _RELATED_MINOR = 0.1, 0.7
_HELD_BEATS = (1, 1, 2, 4)  # chords change on these beats only
_FLOOR = (-8.5, -5.5)
_SCALE = (3.0, 7.0)  # how far the song's usual pitch classes are above those it does without
_CLARITY = (1.0, 1.6)
_HEARD_MELODY = 0.9  # share of performances in which the melody is heard
# Logits above the floor of the root, third, fifth and seventh, and how they differ between performances.
_STRENGTHS, _STRENGTH_SPREADS = (7.9, 6.9, 6.9, 5.0), (0.6, 0.8, 0.6, 1.0)
_CHORD_SPREAD = 0.7  # and from chord to chord
_TENSION = 3.5


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


def perform(grid, rng, n_frames, frame_rate, bpm):
    """Plays a chart once.

    Args:
        grid: Grid.
        rng: numpy Generator.
        n_frames: Length, at least 1; the song goes round until it is full.
        frame_rate: Frames per second.
        bpm: Beats per minute on average.

    Returns:
        (12, n_frames) float32 in [0, 1].
    """
    n, rate = n_frames * _SUBFRAMES, frame_rate * _SUBFRAMES
    cells = _order(grid, rng, _beats(rng, n, rate, bpm))
    floor = rng.uniform(*_FLOOR)
    held = int(rng.choice(_HELD_BEATS)) * CELLS_PER_BEAT
    logits = _chord_logits(grid, rng)[grid.chord[cells // held * held]] + floor
    # Notes of the song's scale are never as far away as foreign ones.
    usual = grid.histogram / grid.histogram.max()
    logits += rng.uniform(*_SCALE) * usual.astype(np.float32)
    _add_melody(logits, grid.melody[cells], rng)
    _replace_passages(logits, grid, rng, rate, floor)
    logits = _blur(logits, rng, rate)
    x = (1 / (1 + np.exp(-logits))).reshape(n_frames, _SUBFRAMES, 12).mean(axis=1)
    return np.ascontiguousarray(_record(x, rng, frame_rate).T, dtype=np.float32)


def _beats(rng, n, rate, bpm):
    """(n,) beats since the beginning, at a drifting tempo."""
    drift = _slow_noise(rng, n, rate * 20, rng.choice([0.0, 0.01, 0.03]), 1)[:, 0]
    return np.cumsum(bpm / 60 / rate * np.exp(drift))


def _order(grid, rng, beats):
    """(n,) cells of the song that are played: its units of 16 beats in a row, with jumps."""
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


def _chord_logits(grid, rng):
    """(n_chords, 12) float32: how far each pitch class is above the floor, as this band plays the chords."""
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
    related = drawn[2] < rng.random() * np.where(is_major, _RELATED_MAJOR, _RELATED_MINOR)
    below, above = np.where(is_major, 9, 8), np.where(is_major, 4, 3)
    root = (
        np.where(
            related, root + np.where(drawn[3] < np.where(is_major, 0.5, 0.2), below, above), root
        )
        % 12
    )
    third = np.where(related & (third > 0), 7 - third, third)
    fifth, seventh = np.where(related, 7, fifth), np.where(related, -1, seventh)
    strengths = rng.normal(_STRENGTHS, _STRENGTH_SPREADS)
    spread = rng.normal(0, _CHORD_SPREAD, (4, n))
    weak = (drawn[4] < without_third) & (third >= 0)
    out = np.zeros((n, 12), np.float32)
    rows = np.arange(n)
    parts = (np.zeros_like(third), third, fifth, seventh)
    for number, (interval, scale) in enumerate(zip(parts, (1, 1, 1, 1.5))):
        has = interval >= 0
        strength = strengths[number]
        if number == 1:
            strength = np.where(weak, rng.uniform(0, 3), strength)[has]
        heard = strength + scale * spread[number][has]
        out[rows[has], (root + interval)[has] % 12] = heard
    return out if simplified == 1 else np.maximum(out, _tensions(grid, root, related, drawn[5]))


def _tensions(grid, root, related, drawn):
    """(n_chords, 12) logits of what chords have beside triad and seventh."""
    out = np.zeros((len(root), 12), np.float32)
    for interval in (2, 5, 9):
        has = np.flatnonzero(grid.relative[:, interval] & ~related & (drawn < 0.5))
        out[has, (root[has] + interval) % 12] = _TENSION
    return out


def _add_melody(logits, melody, rng):
    """Lifts the melody's notes in place, those that chords have already by less."""
    sounding = np.flatnonzero(melody >= 0)
    if len(sounding) and rng.random() < _HEARD_MELODY:
        at = sounding, melody[sounding]
        logits[at] += rng.uniform(0.3, 4.0) * (1 - 0.6 * (logits[at] > 0))


def _replace_passages(logits, grid, rng, rate, floor):
    """Intros and solos in place: a vamp on a few of the song's chords, unclear pitches, or none."""
    n = len(logits)
    for _ in range(rng.choice([0, 0, 1, 2])):
        length = int(n * rng.uniform(0.03, 0.12))
        start = int(rng.integers(n - length)) if rng.random() < 0.6 else 0
        passage, kind = slice(start, start + length), rng.random()
        if kind < 0.5:
            chords = rng.integers(len(grid.root), size=rng.integers(1, 4))
            each = max(1, int(rate * rng.uniform(1.5, 4)))
            played = chords[np.arange(length) // each % len(chords)]
            logits[passage] = _chord_logits(grid, rng)[played] + floor
        elif kind < 0.8:
            logits[passage] = logits[passage] * 0.3 + rng.uniform(-3, -1)
        else:
            logits[passage] = -5


def _blur(logits, rng, rate):
    """What the extractor is unsure of: noise of two time constants, unclear passages, the clarity of it all."""
    n = len(logits)
    logits = logits + _slow_noise(rng, n, rate * rng.uniform(0.4, 1.5), rng.uniform(0.3, 1.1))
    logits += _slow_noise(rng, n, rate * 8, rng.uniform(0.2, 0.8))
    if rng.random() < 0.25:
        logits *= np.clip(1 + _slow_noise(rng, n, rate * 6, 0.35, 1), 0.15, 1.3)
    return logits * rng.uniform(*_CLARITY)


def _record(x, rng, frame_rate):
    """Tuning between two keys, smoothing, a change of key near the end, holes: (n_frames, 12) in and out."""
    n_frames = len(x)
    if rng.random() < 0.08:
        share = rng.uniform(0.05, 0.3)
        x = (1 - share) * x + share * np.roll(x, rng.choice([-1, 1]), axis=1)
    smoothing = int(rng.integers(3)) if frame_rate > 2 else int(rng.random() < 0.5)
    if smoothing:
        side = (0.25, 0.33)[smoothing - 1]
        padded = np.pad(x, ((1, 1), (0, 0)), mode="edge")
        x = (1 - 2 * side) * x + side * (padded[:-2] + padded[2:])
    if rng.random() < 0.08:
        at = int(n_frames * rng.uniform(0.5, 0.95))
        x[at:] = np.roll(x[at:], int(rng.integers(1, 3)), axis=1)
    if rng.random() < 0.3:
        for _ in range(int(rng.integers(1, 4))):
            start, length = rng.integers(n_frames), rng.integers(1, max(2, n_frames // 40))
            x[start : start + length] *= rng.uniform(0, 0.5)
    return np.roll(x, int(rng.integers(12)), axis=1)


def _slow_noise(rng, n, period, deviation, channels=12):
    """(n, channels) normal noise that is drawn anew every `period` samples, in straight lines between."""
    period = max(period, 1.0)
    knots = rng.standard_normal((int(n / period) + 3, channels)).astype(np.float32)
    places = np.arange(n) / period + rng.random()
    before = places.astype(int)
    part = (places - before)[:, None].astype(np.float32)
    # A line between two knots has on average two thirds of their variance.
    scale = np.float32(deviation * 1.5**0.5)
    return scale * (knots[before] * (1 - part) + knots[before + 1] * part)
