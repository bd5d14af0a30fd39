"""Composes the works of the demo set: a mode, three sections of chords and melody, and their order.

All works draw on one vocabulary: seven-note modes, mostly the same few chords, melodies that lean on chord
notes. The pitch classes of a work, counted, therefore say little about it; the order of its chords and the
turns of its melody say which work it is. That is also how real songs are told apart.

Conventions: time is in beats, four to a bar; a pitch is a scale degree (int), 0 the tonic, 7 the tonic an
octave above; semitones are counted from the tonic. A work follows from (seed, work number) alone.

Public names: `BEATS_PER_BAR`, `BARS`, `Chord`, `Melody`, `Section`, `Work`, `compose`, `chord_semitones`,
`degree_semitones`.
"""

from dataclasses import dataclass

import numpy as np

__all__ = [
    "BARS",
    "BEATS_PER_BAR",
    "Chord",
    "Melody",
    "Section",
    "Work",
    "chord_semitones",
    "compose",
    "degree_semitones",
]

BEATS_PER_BAR = 4
BARS = 8

_COMPOSING = 0  # the first of the random streams of a seed; performing is the second

_MODES = {
    "ionian": (0, 2, 4, 5, 7, 9, 11),
    "aeolian": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
}
_MODE_WEIGHTS = (0.45, 0.35, 0.1, 0.1)

# How often a chord stands on each degree. One table for every work, so that works share their chords.
_DEGREE_WEIGHTS = np.array([0.22, 0.13, 0.1, 0.18, 0.18, 0.15, 0.04])
_SEVENTH = 0.15
_DOMINANT = 0.08
_TWO_CHORDS_IN_A_BAR = 0.25

# Note lengths of one bar, in beats.
_RHYTHMS = (
    (4.0,),
    (2.0, 2.0),
    (3.0, 1.0),
    (2.0, 1.0, 1.0),
    (1.0, 1.0, 2.0),
    (1.5, 1.5, 1.0),
    (1.0, 1.0, 1.0, 1.0),
    (1.5, 0.5, 2.0),
    (1.0, 0.5, 0.5, 1.0, 1.0),
    (0.5, 0.5, 1.0, 2.0),
)
_STEPS = (-4, -3, -2, -1, 0, 1, 2, 3, 4)
_STEP_WEIGHTS = (0.04, 0.06, 0.12, 0.22, 0.12, 0.22, 0.12, 0.06, 0.04)
_LOWEST_DEGREE, _HIGHEST_DEGREE = -3, 9

_FORMS = ("AABABCB", "ABABCAB", "ABCABCA", "AABCABC", "ABACABA", "BABACBA")


@dataclass(frozen=True)
class Chord:
    """A chord of a section.

    Attributes:
        onset: Beats from the start of the section.
        degree: Scale degree of the root, 0 - 6.
        kind: "triad", "seventh" (both of the mode's notes), "dominant" (major third, minor seventh) or "sus".
    """

    onset: float
    degree: int
    kind: str = "triad"


@dataclass(frozen=True)
class Melody:
    """The melody of a section: arrays of one length.

    Attributes:
        onset: (n_notes,) float, beats from the start of the section, ascending.
        duration: (n_notes,) float, beats.
        degree: (n_notes,) int, scale degrees.
    """

    onset: np.ndarray
    duration: np.ndarray
    degree: np.ndarray


@dataclass(frozen=True)
class Section:
    """`BARS` bars of chords and the melody over them."""

    chords: tuple
    melody: Melody


@dataclass(frozen=True)
class Work:
    """A composed work.

    Attributes:
        mode: Name of the mode.
        scale: Its seven notes, in semitones from the tonic.
        tempo_bpm: Beats a minute as composed; performances scale it.
        sections: Section by letter, "A", "B" and "C".
        form: Letters in the order of the composer.
    """

    mode: str
    scale: tuple
    tempo_bpm: float
    sections: dict
    form: str


def compose(seed, work):
    """Composes one work.

    Args:
        seed: int >= 0, of the whole set.
        work: int >= 0, the work's number.

    Returns:
        Work: the same for the same arguments, whatever else was composed.
    """
    rng = np.random.default_rng([seed, _COMPOSING, work])
    mode = str(rng.choice(list(_MODES), p=_MODE_WEIGHTS))
    rhythms = [_RHYTHMS[i] for i in rng.choice(len(_RHYTHMS), size=4, replace=False)]
    return Work(
        mode=mode,
        scale=_MODES[mode],
        tempo_bpm=float(rng.uniform(96, 138)),
        sections={letter: _compose_section(rng, rhythms) for letter in "ABC"},
        form=str(rng.choice(_FORMS)),
    )


def degree_semitones(scale, degree):
    """The pitch of scale degrees.

    Args:
        scale: Seven semitone offsets from the tonic.
        degree: int or int array, any octave.

    Returns:
        Semitones from the tonic, of the shape of `degree`: in C major degree 9 (an E) gives 16.
    """
    degree = np.asarray(degree)
    return np.asarray(scale)[degree % 7] + 12 * (degree // 7)


def chord_semitones(scale, chord):
    """The notes of a chord, root first, in semitones from the tonic: (3,) or (4,) int."""
    root = int(degree_semitones(scale, chord.degree))
    if chord.kind == "dominant":
        return root + np.array([0, 4, 7, 10])
    steps = {"triad": (0, 2, 4), "seventh": (0, 2, 4, 6), "sus": (0, 3, 4)}[chord.kind]
    return degree_semitones(scale, chord.degree + np.array(steps))


def _compose_section(rng, rhythms):
    """Two phrases of four bars; the second begins as the first and ends otherwise."""
    phrase = _progression(rng, n_bars=BARS // 2, previous=None)
    kept_bars = int(rng.integers(1, 4))
    kept_beats = kept_bars * BEATS_PER_BAR
    kept = [chord for chord in phrase if chord.onset < kept_beats]
    ending = _progression(rng, n_bars=BARS // 2 - kept_bars, previous=kept[-1].degree)
    half = BARS // 2 * BEATS_PER_BAR
    chords = (
        phrase
        + [Chord(chord.onset + half, chord.degree, chord.kind) for chord in kept]
        + [Chord(chord.onset + half + kept_beats, chord.degree, chord.kind) for chord in ending]
    )
    return Section(tuple(chords), _compose_melody(rng, chords, rhythms, kept_beats))


def _progression(rng, n_bars, previous):
    """Chords for `n_bars` bars, no two neighbours on one degree."""
    chords = []
    for bar in range(n_bars):
        onsets = (0, 2) if rng.random() < _TWO_CHORDS_IN_A_BAR else (0,)
        for onset in onsets:
            weights = _DEGREE_WEIGHTS.copy()
            if previous is not None:
                weights[previous] = 0
            previous = int(rng.choice(7, p=weights / weights.sum()))
            kind = str(
                rng.choice(
                    ["triad", "seventh", "dominant"],
                    p=[1 - _SEVENTH - _DOMINANT, _SEVENTH, _DOMINANT],
                )
            )
            chords.append(Chord(float(bar * BEATS_PER_BAR + onset), previous, kind))
    return chords


def _compose_melody(rng, chords, rhythms, kept_beats):
    """A melody that walks by steps and leaps and meets the chord's notes on the strong beats.

    The second phrase repeats the first `kept_beats` of the first one.
    """
    motif = [rhythms[i] for i in rng.integers(len(rhythms), size=2)]
    bar_rhythms = [motif[bar % 2] for bar in range(BARS - 1)] + [(4.0,)]
    duration = np.array([length for rhythm in bar_rhythms for length in rhythm])
    onset = np.concatenate([[0.0], np.cumsum(duration)[:-1]])
    half = BARS // 2 * BEATS_PER_BAR
    chord_onsets = [chord.onset for chord in chords]
    degree_at = {}
    degree = int(rng.integers(0, 7))
    for beat in onset:
        if half <= beat < half + kept_beats and beat - half in degree_at:
            degree = degree_at[beat - half]
        else:
            chord = chords[int(np.searchsorted(chord_onsets, beat, side="right")) - 1]
            degree = _next_degree(rng, degree, chord.degree if beat % 2 == 0 else None)
        degree_at[beat] = degree
    return Melody(onset, duration, np.array(list(degree_at.values())))


def _next_degree(rng, degree, root):
    """A step or leap, pulled to a note of the chord on `root` where one is given, kept in the voice's range."""
    degree += int(rng.choice(_STEPS, p=_STEP_WEIGHTS))
    if root is not None:
        # The nearest root, third or fifth; the lower one of two.
        near = [d for d in range(degree - 2, degree + 3) if (d - root) % 7 in (0, 2, 4)]
        degree = min(near, key=lambda candidate: (abs(candidate - degree), candidate))
    if degree < _LOWEST_DEGREE:
        return degree + 7
    return degree - 7 if degree > _HIGHEST_DEGREE else degree
