"""Performs the works of the demo set: another key, tempo, structure, accompaniment, sound and reading.

What changes between two performances of a work here is what changes between covers: the key (any of 12), the
tempo (0.7 - 1.4 of the composer's) and its drift, the order of sections, an intro, the instruments and their
patterns, the tuning (30 cents either way), the room and its noise, and the notes themselves, since every player
ornaments, joins, leaves out and replaces some and exchanges some chords for related ones.

Conventions: beats inside a section, and pitches around C, as the composer has them; a `Part` is in seconds and MIDI
note numbers (69 is 440 Hz). A performance follows from (seed, work number, performance number) alone.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from mulkinet.sources.composer.song import BEATS_PER_BAR, SECTION_BARS, compose

__all__ = ["LENGTH_SEC", "Part", "Performance", "Timbre", "perform"]

LENGTH_SEC = (45.0, 65.0)

_PERFORMING = 1  # the second of the random streams of a seed

_TEMPO_FACTOR = (0.7, 1.0, 1.4)  # slowest, most frequent, fastest
_DETUNE_CENTS = 30.0
_DRIFT = 0.04  # largest departure of the tempo from its mean, as a share

# How freely a player treats the notes: chances per note or chord.
_LEFT_OUT, _JOINED, _NEIGHBOURING, _ORNAMENTED = 0.03, 0.03, 0.03, 0.06
_SUBSTITUTED, _RECOLOURED = 0.02, 0.04
_NO_MELODY = 0.02
_MAJOR, _MINOR, _SUSPENDED = (0, 4, 7), (0, 3, 7), (0, 5, 7)
# The chords a third away, of which two notes are the same, by the third that there was: (semitones to the root, triad).
_RELATED = {4: ((4, _MINOR), (9, _MINOR)), 3: ((3, _MAJOR), (8, _MAJOR))}

# The key may move from one section to the next, by so many semitones.
_MODULATING = 0.2
_MODULATIONS = (-5, -4, -3, -2, -1, 1, 2, 3, 4, 5)
_INTRO_BARS = (0, 0, 2, 4)

# An accompaniment repeats its strokes (onset, duration, voices) every `period` beats of a chord.
# A voice is a note of the chord, counted from the lowest; beyond the last it goes on an octave higher.
_ALL = (0, 1, 2)
_CHORD_PATTERNS = (
    (4.0, ((0.0, 4.0, _ALL),)),
    (1.0, ((0.0, 0.9, _ALL),)),
    (1.0, ((0.5, 0.4, _ALL),)),
    (4.0, ((0.0, 1.5, _ALL), (1.5, 1.5, _ALL), (3.0, 1.0, _ALL))),
    (2.0, ((0.0, 0.5, (0,)), (0.5, 0.5, (1,)), (1.0, 0.5, (2,)), (1.5, 0.5, (3,)))),
    (2.0, ((0.0, 0.5, (0,)), (0.5, 0.5, (2,)), (1.0, 0.5, (1,)), (1.5, 0.5, (2,)))),
    (2.0, ((0.0, 0.9, (0,)), (1.0, 0.9, (1, 2)))),
    (4.0, ((0.0, 4.0, (0, 2)), (1.0, 3.0, (1,)), (2.0, 2.0, (3,)))),
)
_BASS_PATTERNS = (
    (4.0, ((0.0, 4.0, (0,)),)),
    (2.0, ((0.0, 1.5, (0,)), (1.5, 0.5, (0,)))),
    (4.0, ((0.0, 2.0, (0,)), (2.0, 2.0, (2,)))),
    (1.0, ((0.0, 0.5, (0,)), (0.5, 0.5, (3,)))),
    (4.0, ((0.0, 1.0, (0,)), (1.0, 1.0, (1,)), (2.0, 1.0, (2,)), (3.0, 1.0, (1,)))),
)
# Drum strokes of a bar: (beat, drum).
_DRUM_PATTERNS = (
    (),
    ((0, "kick"), (1, "snare"), (2, "kick"), (3, "snare")),
    ((0, "kick"), (2, "snare")) + tuple((beat / 2, "hat") for beat in range(8)),
    ((0, "kick"), (1.5, "kick"), (1, "snare"), (3, "snare")) + tuple((b, "hat") for b in range(4)),
)


@dataclass(frozen=True)
class Timbre:
    """The sound of an instrument.

    Attributes:
        harmonics: (n_harmonics,) amplitudes of the harmonics at the attack; they dull as the note sounds.
        attack_sec: Rise time.
        decay_sec: Time to fall to 1/e.
        release_sec: Fade after the note's end.
        vibrato_cents: Depth of the vibrato.
    """

    harmonics: np.ndarray
    attack_sec: float
    decay_sec: float
    release_sec: float
    vibrato_cents: float


@dataclass(frozen=True)
class Part:
    """What one instrument plays: arrays (n_notes,) of onset and duration (s), pitch (MIDI) and gain."""

    timbre: Timbre
    onset_sec: np.ndarray
    duration_sec: np.ndarray
    pitch: np.ndarray
    gain: np.ndarray


@dataclass(frozen=True)
class Performance:
    """A performance, ready to be rendered.

    Attributes:
        key: Semitones by which the composer's C is transposed, -5 to 6.
        tempo_factor: Tempo relative to the composer's, 0.7 - 1.4.
        detune_cents: Tuning relative to 440 Hz, -30 to 30.
        structure: Letters of the sections played, in order.
        parts: The instruments.
        drums: (seconds, drum) pairs, drum one of "kick", "snare", "hat".
        duration_sec: Length of the recording.
        reverb_sec, reverb_gain: The room: time to fall by 60 dB, and its level against the direct sound.
        snr_db: Level of the music above the noise.
        noise_key: Seed of everything random in the sound.
    """

    key: int
    tempo_factor: float
    detune_cents: float
    structure: str
    parts: tuple
    drums: tuple
    duration_sec: float
    reverb_sec: float
    reverb_gain: float
    snr_db: float
    noise_key: tuple


def perform(seed, work, performance, *, length_sec=LENGTH_SEC):
    """Plays one performance of a work.

    Args:
        seed: int >= 0, of the whole set.
        work: int >= 0, the work's number.
        performance: int >= 0, the performance's number within the work.
        length_sec: (shortest, longest) length of the recording in seconds; it is faded out there.

    Returns:
        Performance: the same for the same arguments.
    """
    composed = compose(seed, work)
    rng = np.random.default_rng([seed, _PERFORMING, work, performance])
    key = int(rng.integers(-5, 7))
    tempo_factor = float(np.exp(rng.triangular(*np.log(_TEMPO_FACTOR))))
    duration_sec = float(rng.uniform(*length_sec))
    structure = _structure(rng, composed.form)
    to_seconds = _time_map(rng, composed.tempo_bpm * tempo_factor, duration_sec)

    chords, melody, end = _lay_out(rng, composed, structure, to_seconds, duration_sec)
    parts = [
        _chord_part(rng, key, chords, to_seconds),
        _bass_part(rng, key, chords, to_seconds),
    ]
    # A recording shorter than its intro has no melody.
    if rng.random() >= _NO_MELODY and melody:
        parts.append(_melody_part(rng, key, melody, to_seconds))
    return Performance(
        key=key,
        tempo_factor=tempo_factor,
        detune_cents=float(rng.uniform(-_DETUNE_CENTS, _DETUNE_CENTS)),
        structure=structure,
        parts=tuple(parts),
        drums=_drums(rng, end, to_seconds),
        duration_sec=duration_sec,
        reverb_sec=float(rng.uniform(0.2, 1.2)),
        reverb_gain=float(rng.uniform(0.1, 0.5)),
        snr_db=float(rng.uniform(20, 45)),
        noise_key=(seed, _PERFORMING, work, performance, 0),
    )


def _structure(rng, form):
    """The composer's order with sections dropped, repeated, exchanged, or left out at the start."""
    letters = list(form)
    if rng.random() < 0.3:
        letters = letters[1:]
    if rng.random() < 0.4:
        del letters[rng.integers(len(letters))]
    if rng.random() < 0.4:
        place = int(rng.integers(len(letters)))
        letters.insert(place, letters[place])
    if rng.random() < 0.4:
        place = int(rng.integers(len(letters) - 1))
        letters[place], letters[place + 1] = letters[place + 1], letters[place]
    return "".join(letters)


def _time_map(rng, bpm, duration_sec):
    """A function from beats to seconds: a short silence, then a tempo that drifts around `bpm`."""
    start = float(rng.uniform(0.05, 1.0))
    # Beyond the recording's end by more than a section at the slowest.
    beats = np.arange(
        int(duration_sec * bpm / 60 * (1 + 2 * _DRIFT)) + 4 * SECTION_BARS * BEATS_PER_BAR
    )
    periods, phases = rng.uniform(16, 90, size=2), rng.uniform(0, 2 * np.pi, size=2)
    drift = np.mean(
        [np.sin(2 * np.pi * beats / n + phase) for n, phase in zip(periods, phases)], axis=0
    )
    seconds_per_beat = 60 / bpm * (1 + _DRIFT * rng.random() * drift)
    seconds = start + np.concatenate([[0.0], np.cumsum(seconds_per_beat)[:-1]])
    return lambda beat: np.interp(beat, beats, seconds)


def _lay_out(rng, composed, structure, to_seconds, duration_sec):
    """Strings the sections together, from an intro on, until the recording is full.

    Returns:
        tuple: chords as (onset, end, (root, intervals), shift), melody notes as (onset, duration, pitch, shift), last
        beat; times in beats, shift the semitones by which the music has modulated.
    """
    reading = {
        letter: (
            _read_chords(rng, section.chords),
            _read_melody(rng, section.melody, composed.scale),
        )
        for letter, section in sorted(composed.sections.items())
    }
    chords, melody = [], []
    shift = 0
    beat = float(rng.choice(_INTRO_BARS)) * BEATS_PER_BAR
    opening = reading[structure[0]][0]
    chords += [(on, min(end, beat), chord, 0) for on, end, chord in opening if on < beat]
    # A slow tempo may leave sections out at the end; at a fast one the form starts over.
    for letter in itertools.cycle(structure):
        if to_seconds(beat) >= duration_sec:
            return chords, melody, beat
        section_chords, section_melody = reading[letter]
        chords += [(beat + on, beat + end, chord, shift) for on, end, chord in section_chords]
        melody += [(beat + on, duration, pitch, shift) for on, duration, pitch in section_melody]
        beat += SECTION_BARS * BEATS_PER_BAR
        if rng.random() < _MODULATING:
            shift += int(rng.choice(_MODULATIONS))


def _read_chords(rng, chords):
    """A player's chords: some exchanged for a related one, or coloured otherwise.

    Returns:
        list: (onset, end, (root, intervals)) in beats of the section.
    """
    played = []
    for onset, duration, root, intervals in chords:
        third = intervals[1]
        if rng.random() < _SUBSTITUTED and third in _RELATED:
            away, intervals = _RELATED[third][rng.integers(2)]
            root = (root + away) % 12
        if rng.random() < _RECOLOURED:
            third = intervals[1]
            triad = _MAJOR if third == 4 else _MINOR
            seventh = (*triad, 11 if third == 4 and rng.random() < 0.5 else 10)
            intervals = (triad, seventh, _SUSPENDED)[rng.integers(3)]
        played.append((onset, onset + duration, (root, intervals)))
    return played


def _read_melody(rng, melody, scale):
    """A player's melody: notes left out, joined, moved to a neighbour, or with a grace note before them.

    Returns:
        list: (onset, duration, pitch) in beats of the section.
    """
    notes = []
    for onset, duration, pitch in melody:
        if rng.random() < _LEFT_OUT:
            continue
        if notes and rng.random() < _JOINED:
            previous_onset, _, previous_pitch = notes[-1]
            notes[-1] = (previous_onset, onset + duration - previous_onset, previous_pitch)
            continue
        if rng.random() < _NEIGHBOURING:
            pitch = _neighbour(rng, pitch, scale)
        if rng.random() < _ORNAMENTED:
            grace = min(0.25, duration / 4)
            notes.append((onset, grace, _neighbour(rng, pitch, scale)))
            onset, duration = onset + grace, duration - grace
        notes.append((onset, duration, pitch))
    return notes


def _neighbour(rng, pitch, scale):
    """The next pitch of the scale, above or below."""
    step = int(rng.choice([-1, 1]))
    return next(p for p in itertools.count(pitch + step, step) if p % 12 in scale)


def _timbre(rng, *, sustained):
    """An instrument nobody has built: a spectrum that falls off, its odd harmonics favoured, one formant."""
    order = np.arange(1, 17)
    fall, evenness = rng.uniform(0.7, 2.2), rng.uniform(0.1, 1.0)
    formant = 1 + rng.uniform(0, 2) * np.exp(-0.5 * ((order - rng.uniform(1, 7)) / 1.2) ** 2)
    harmonics = order**-fall * np.where(order % 2, 1.0, evenness) * formant
    return Timbre(
        harmonics=harmonics / np.sqrt((harmonics**2).sum()),
        attack_sec=float(rng.uniform(0.03, 0.12) if sustained else rng.uniform(0.003, 0.01)),
        decay_sec=float(rng.uniform(4, 12) if sustained else rng.uniform(0.3, 1.5)),
        release_sec=float(rng.uniform(0.05, 0.25)),
        vibrato_cents=float(rng.uniform(0, 20) if sustained else 0.0),
    )


def _chord_part(rng, key, chords, to_seconds):
    pattern = _CHORD_PATTERNS[rng.integers(len(_CHORD_PATTERNS))]
    lowest = int(rng.integers(50, 60))
    timbre = _timbre(rng, sustained=rng.random() < 0.5)

    def voices(chord, shift):
        """The chord's notes within the octave above `lowest`, ascending."""
        root, intervals = chord
        return np.sort((key + shift + root + np.array(intervals) - lowest) % 12) + lowest

    notes = _accompany(chords, pattern, voices)
    return _part(rng, notes, timbre, rng.uniform(0.3, 0.6), to_seconds)


def _bass_part(rng, key, chords, to_seconds):
    pattern = _BASS_PATTERNS[rng.integers(len(_BASS_PATTERNS))]
    lowest = int(rng.integers(34, 42))
    timbre = _timbre(rng, sustained=rng.random() < 0.3)

    def voices(chord, shift):
        """Root, third and fifth, the root within the octave above `lowest`."""
        root, intervals = chord
        return np.array(intervals[:3]) + (key + shift + root - lowest) % 12 + lowest

    return _part(
        rng, _accompany(chords, pattern, voices), timbre, rng.uniform(0.3, 0.8), to_seconds
    )


def _melody_part(rng, key, melody, to_seconds):
    octave = 12 * int(rng.integers(0, 2))
    timbre = _timbre(rng, sustained=rng.random() < 0.6)
    notes = [
        (onset, duration, octave + key + shift + pitch) for onset, duration, pitch, shift in melody
    ]
    return _part(rng, notes, timbre, rng.uniform(0.5, 1.2), to_seconds)


def _accompany(chords, pattern, voices_of):
    """Plays a pattern over the chords: (onset, duration, pitch) in beats and MIDI."""
    period, strokes = pattern
    notes = []
    for start, end, chord, shift in chords:
        voices = voices_of(chord, shift)
        for offset in np.arange(start, end, period):
            for onset, duration, chosen in strokes:
                onset = offset + onset
                if onset >= end:
                    continue
                # A full stroke also takes the fourth note of a chord that has one.
                for voice in range(len(voices)) if chosen is _ALL else chosen:
                    pitch = voices[voice % len(voices)] + 12 * (voice // len(voices))
                    notes.append((onset, min(duration, end - onset), pitch))
    return notes


def _part(rng, notes, timbre, gain, to_seconds):
    """Turns beats into seconds, with a human's unevenness in time and loudness."""
    onset, duration, pitch = (np.array(column, float) for column in zip(*notes))
    onset_sec, end_sec = to_seconds(onset), to_seconds(onset + duration)
    late = np.abs(rng.normal(0, 0.012, len(onset)))
    articulation = rng.uniform(0.75, 1.0)
    return Part(
        timbre=timbre,
        onset_sec=onset_sec + late,
        duration_sec=np.maximum((end_sec - onset_sec) * articulation, 0.05),
        pitch=pitch,
        gain=gain * rng.uniform(0.7, 1.0, len(onset)),
    )


def _drums(rng, end_beat, to_seconds):
    pattern = _DRUM_PATTERNS[rng.integers(len(_DRUM_PATTERNS))]
    return tuple(
        (float(to_seconds(bar + beat)), drum)
        for bar in np.arange(0, end_beat, BEATS_PER_BAR)
        for beat, drum in pattern
    )
