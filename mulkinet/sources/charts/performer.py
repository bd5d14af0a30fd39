"""Plays a chart straight into a crema-like feature: the probability of each pitch class, frame by frame.

What changes between two performances is what changes between covers: the key, the tempo and its drift, where it begins
and in which order its 16-beat units follow, how chords are held, simplified, coloured and replaced, how strongly the
melody is heard; and what an extractor makes of it: logits with slow noise, unsure passages, smoothing, detuning, holes.
The numbers are logits of crema's output, set so that the statistics of `benchmarks/performer.py` come near to those of
recordings.

Conventions: a performance is (12, n_frames) float32 in [0, 1], bin 0 is C, and follows from the generator alone.
"""

import numpy as np

from mulkinet.sources.charts.arrangement import (
    beats_played,
    cells_played,
    chords_played,
    slow_noise,
)
from mulkinet.sources.charts.score_grid import CELLS_PER_BEAT

__all__ = ["perform"]

_SUBFRAMES = 4
# A minor chord with a seventh is often heard as major.
_MOST_RELATED = 0.1, 0.7
_HELD_BEATS = (1, 1, 2, 4)  # chords change on these beats only
_FLOOR = (-8.5, -5.5)
_SCALE = (3.0, 7.0)  # how far the song's usual pitch classes are above those it does without
_CLARITY = (1.0, 1.6)
_HEARD_MELODY = 0.9  # share of performances in which the melody is heard
# Logits above the floor of the root, third, fifth and seventh, and how they differ between performances.
_STRENGTHS, _STRENGTH_SPREADS = (7.9, 6.9, 6.9, 5.0), (0.6, 0.8, 0.6, 1.0)
_CHORD_SPREAD = 0.7  # and from chord to chord
_TENSION = 3.5


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
    cells = cells_played(grid, rng, beats_played(rng, n, rate, bpm))
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


def _chord_logits(grid, rng):
    """(n_chords, 12) float32: how far each pitch class is above the floor, as this band plays the chords."""
    chords = chords_played(grid, rng, _MOST_RELATED)
    n = len(chords.root)
    strengths = rng.normal(_STRENGTHS, _STRENGTH_SPREADS)
    spread = rng.normal(0, _CHORD_SPREAD, (4, n))
    out = np.zeros((n, 12), np.float32)
    rows = np.arange(n)
    parts = (np.zeros_like(chords.third), chords.third, chords.fifth, chords.seventh)
    for number, (interval, scale) in enumerate(zip(parts, (1, 1, 1, 1.5))):
        has = interval >= 0
        strength = strengths[number]
        if number == 1:
            strength = np.where(chords.is_weak, rng.uniform(0, 3), strength)[has]
        heard = strength + scale * spread[number][has]
        out[rows[has], (chords.root + interval)[has] % 12] = heard
    return out if chords.simple else np.maximum(out, _tensions(grid, chords))


def _tensions(grid, chords):
    """(n_chords, 12) logits of what chords have beside triad and seventh."""
    out = np.zeros((len(chords.root), 12), np.float32)
    for interval in (2, 5, 9):
        has = np.flatnonzero(grid.relative[:, interval] & chords.is_full)
        out[has, (chords.root[has] + interval) % 12] = _TENSION
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
    logits = logits + slow_noise(rng, n, rate * rng.uniform(0.4, 1.5), rng.uniform(0.3, 1.1))
    logits += slow_noise(rng, n, rate * 8, rng.uniform(0.2, 0.8))
    if rng.random() < 0.25:
        logits *= np.clip(1 + slow_noise(rng, n, rate * 6, 0.35, 1), 0.15, 1.3)
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
