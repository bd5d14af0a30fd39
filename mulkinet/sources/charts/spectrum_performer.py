"""Plays a chart straight into a constant-Q spectrum: a bass, some who accompany, a voice, drums and noise.

Each plays notes, a note has partials, and a partial is heard in its bin and those beside it. What changes between two
performances is what changes between covers: beside key, tempo, order and chords (`mulkinet.sources.charts.arrangement`)
who plays, in which octave, how (held, struck, in broken chords, walking), with which tone, how loud, and the sound of
the record: room, equaliser, tuning, level. The numbers are set by hand, so that level, fall towards the treble and
contrast are about those of recordings.

Conventions: a performance is (84, n_frames) float32 >= 0, magnitudes as `mulkinet.features.cqt` gives them, bin 0 is
C1, and follows from the generator alone.
"""

import numpy as np
from scipy.signal import lfilter

from mulkinet.sources.charts.arrangement import (
    beats_played,
    cells_played,
    chords_played,
    slow_noise,
)
from mulkinet.sources.charts.score_grid import CELLS_PER_BEAT

__all__ = ["SUBFRAMES", "perform_spectrum", "played_spectrum"]

N_BINS = 84
_LOWEST = 24  # MIDI number of bin 0
_N_PITCHES = 128
SUBFRAMES = 4
_N_PARTIALS = 12
_UNIT_BEATS = 16
_MOST_RELATED = 0.1, 0.1
_BASS, _VOICE = (28, 40), (50, 80)
_HAS_BASS, _HAS_VOICE, _HAS_DRUMS = 0.9, 0.9, 0.7
_MOST_ACCOMPANISTS = 3
_MEDIAN_PEAK = 4.7


def perform_spectrum(grid, rng, n_frames, frame_rate, bpm):
    """Plays a chart once.

    Args:
        grid: Grid.
        rng: numpy Generator.
        n_frames: Length, at least 1; the song goes round until it is full.
        frame_rate: Frames per second.
        bpm: Beats per minute on average.

    Returns:
        (84, n_frames) float32 >= 0.
    """
    x = played_spectrum(grid, rng, n_frames * SUBFRAMES, frame_rate * SUBFRAMES, bpm)
    x = x.reshape(n_frames, SUBFRAMES, N_BINS).mean(axis=1)
    level = _MEDIAN_PEAK * np.exp(rng.normal(0, 0.45)) / (x.max() + 1e-9)
    return np.ascontiguousarray((x * level).T, dtype=np.float32)


def played_spectrum(grid, rng, n, rate, bpm):
    """(n, 84) magnitudes of any level, as `perform_spectrum` averages them; `rate` is theirs."""
    beats = beats_played(rng, n, rate, bpm)
    cells = cells_played(grid, rng, beats)
    chords = chords_played(grid, rng, _MOST_RELATED)
    key, tuning = int(rng.integers(-6, 6)), rng.normal(0, 0.12)
    chord = grid.chord[cells]
    power = np.zeros((n, N_BINS), np.float32)
    if rng.random() < _HAS_BASS:
        roll = _bass(chords, key, chord, beats, rng)
        power += _sound(roll * rng.uniform(2, 6), rng, tuning, 1.0)
    for _ in range(rng.integers(1, _MOST_ACCOMPANISTS + 1)):
        roll = _accompaniment(grid, chords, key, chord, beats, rng)
        power += _sound(roll * rng.uniform(0.3, 1.2), rng, tuning, 1.3)
    if rng.random() < _HAS_VOICE:
        roll = _voice(grid.pitch[cells], key, rng)
        power += _sound(roll * rng.uniform(0.5, 2.5), rng, tuning, 0.9, is_sung=True)
    power = _in_a_room(power, rng, rate)
    if rng.random() < _HAS_DRUMS:
        power += _drums(beats, rng) ** 2
    return _record(power, rng, rate)


def _bass(chords, key, chord, beats, rng):
    """(n, pitches) amplitudes of roots, with fifths, or of a walk over the chord."""
    low = _BASS[0] + int(rng.choice([0, 0, 0, 12]))
    root = low + (chords.root + key - low) % 12
    fifth = root + np.where(chords.fifth > 0, chords.fifth, 7) - rng.choice([0, 12])
    tones = np.stack([root, fifth, root + np.maximum(chords.third, 0), root])
    beat = beats.astype(int)
    style = rng.random()
    if style < 0.4:
        which = np.zeros(len(beat), int)
    elif style < 0.75:
        which = beat // int(rng.choice([1, 2])) % 2
    else:
        which = rng.integers(4, size=64)[beat % 64] * (beat % 4 != 0)
    return _struck(np.maximum(tones[which, chord], _LOWEST), beats, rng)


def _accompaniment(grid, chords, key, chord, beats, rng):
    """(n, pitches) amplitudes of chords about one height: held, struck, or broken."""
    centre = rng.uniform(48, 70)
    classes = np.zeros((len(chords.root), 12), bool)
    rows = np.arange(len(classes))
    classes[rows, chords.root] = rng.random() < 0.9
    for interval, kept in (
        (chords.third, ~chords.is_weak),
        (chords.fifth, True),
        (chords.seventh, True),
    ):
        has = (interval >= 0) & kept
        classes[rows[has], (chords.root + interval)[has] % 12] = True
    if not chords.simple:
        tensions = grid.relative & np.isin(np.arange(12), (2, 5, 9)) & chords.is_full[:, None]
        for row, interval in zip(*np.nonzero(tensions)):
            classes[row, (chords.root[row] + interval) % 12] = True
    pitches = np.arange(_N_PITCHES)
    reach = rng.choice([6, 6, 12])
    voiced = classes[:, (pitches - key) % 12] & (np.abs(pitches - centre) <= reach)
    roll = voiced[chord].astype(np.float32)
    if rng.random() < 0.25:  # one in so many notes at a time, by its height
        cell = (beats * CELLS_PER_BEAT).astype(int) // int(rng.choice([1, 2]))
        order = rng.integers(3, size=16)[cell % 16]
        roll *= np.cumsum(roll, axis=1).astype(int) % 3 == order[:, None]
    plays = rng.random(256) < rng.choice([0.7, 1.0])
    return (
        roll * _envelope(beats, rng)[:, None] * plays[(beats / _UNIT_BEATS).astype(int) % 256, None]
    )


def _voice(pitch, key, rng):
    """(n, pitches) amplitudes of the melody in some octave, with a rest that is a solo of somebody else."""
    sounding = np.flatnonzero(pitch >= 0)
    if not len(sounding):
        return np.zeros((len(pitch), _N_PITCHES), np.float32)
    middle = np.median(pitch[sounding]) + key
    octaves = [12 * o for o in range(-5, 6) if _VOICE[0] <= middle + 12 * o <= _VOICE[1]]
    sung = np.clip(pitch + key + int(rng.choice(octaves)), _LOWEST, _N_PITCHES - 1)
    roll = np.zeros((len(pitch), _N_PITCHES), np.float32)
    roll[sounding, sung[sounding]] = 1
    if rng.random() < 0.4:
        length = int(len(pitch) * rng.uniform(0.08, 0.25))
        start = int(rng.integers(len(pitch) - length + 1))
        roll[start : start + length] = 0
    return roll


def _struck(pitch, beats, rng):
    """(n, pitches) amplitudes of one note at a time."""
    roll = np.zeros((len(pitch), _N_PITCHES), np.float32)
    roll[np.arange(len(pitch)), pitch] = _envelope(beats, rng)
    return roll


def _envelope(beats, rng):
    """(n,) amplitudes: of notes that are held, or struck every so many beats and decay."""
    if rng.random() < 0.4:
        return np.ones(len(beats), np.float32)
    every = rng.choice([0.5, 1, 1, 2])
    since = (beats + rng.choice([0, 0, every / 2])) % every
    return np.exp(-since * rng.uniform(0.4, 3)).astype(np.float32)


def _sound(roll, rng, tuning, fall, is_sung=False):
    """(n, bins) power of (n, pitches) amplitudes, with an instrument's partials."""
    numbers = np.arange(1, _N_PARTIALS + 1)
    loudness = -rng.normal(fall, 0.35) * np.log(numbers) + rng.normal(0, 0.5, _N_PARTIALS)
    # The main lobe of a Hann window, two semitones to each side; vibrato and glides widen it.
    width = 2 + (rng.uniform(0, 0.8) if is_sung else 0)
    above = np.arange(-_N_PITCHES, N_BINS)  # bins, counted from the note's own
    away = np.minimum(np.abs(12 * np.log2(numbers)[:, None] + tuning - above), width)
    lobes = np.cos(np.pi * away / (2 * width)) ** 4
    tone = (np.exp(2 * loudness) @ lobes).astype(np.float32)
    used = np.flatnonzero(roll.any(axis=0))
    tones = tone[np.arange(N_BINS) - (used[:, None] - _LOWEST) + _N_PITCHES]
    return roll[:, used] ** 2 @ tones


def _in_a_room(power, rng, rate):
    """Lets sound fade, so that notes run into each other; low bins, whose windows are long, more."""
    fading = np.exp(-6.9 / (rate * rng.uniform(0.3, 1.6)))
    return lfilter([1 - fading], [1, -fading], power, axis=0)


def _drums(beats, rng):
    """(n, bins) amplitudes of a bass drum, a snare drum and cymbals on their beats."""
    bins = np.arange(N_BINS)
    kit = np.zeros((len(beats), N_BINS))
    for centre, width, offset, every in (
        (rng.uniform(4, 14), 6, 0, rng.choice([1, 2])),
        (rng.uniform(30, 50), 18, 1, 2),
        (rng.uniform(72, 84), 14, 0, rng.choice([0.5, 1])),
    ):
        since = (beats + offset) % every
        hit = np.exp(-since * rng.uniform(1.5, 5)) * rng.uniform(0.05, 0.6)
        kit += np.outer(hit, np.exp(-0.5 * ((bins - centre) / width) ** 2))
    return kit


def _record(power, rng, rate):
    """The record: noise, the chances of phases, dynamics and equaliser; (n, bins) amplitudes."""
    n = len(power)
    noise = np.exp(rng.normal(-3.2, 0.7) + slow_noise(rng, n, rate, 0.4, N_BINS))
    noise *= np.exp(np.linspace(0.8, -0.8, N_BINS))
    amplitudes = np.sqrt(power + (noise * np.sqrt(power.max() + 1e-9)) ** 2)
    amplitudes *= np.exp(rng.normal(0, rng.uniform(0.1, 0.35), amplitudes.shape))
    for seconds in (8, 40):
        amplitudes *= np.exp(slow_noise(rng, n, rate * seconds, rng.uniform(0.1, 0.6), 1))
    curve = slow_noise(rng, N_BINS, 14, 0.45, 1)[:, 0]
    curve += np.linspace(0, rng.normal(-1.0, 0.6), N_BINS)
    return amplitudes * np.exp(curve)
