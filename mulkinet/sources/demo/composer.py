"""Composes the works of the demo set: a mode, three sections of chords and melody, and their order.

All works draw on one vocabulary: seven-note modes, a stock of loops of four chords, melodies that lean on
chord notes. The pitch classes of a work, counted, therefore say little about it; the order of its chords and
the turns of its melody say which work it is. That is also how songs are told apart.

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
    "harmonic minor": (0, 2, 3, 5, 7, 8, 11),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
}
_MODE_WEIGHTS = (0.25, 0.25, 0.15, 0.15, 0.1, 0.1)

# The stock of chord loops: degrees of four chords. The first one leads, the others follow in any order, so
# that works share their chords and differ in their order, and in how long each chord stays.
_CHORD_SETS = (
    (0, 3, 4, 5),
    (0, 1, 3, 4),
    (0, 1, 4, 5),
    (0, 2, 3, 4),
    (0, 2, 3, 5),
    (0, 3, 4, 6),
    (0, 1, 5, 6),
    (5, 0, 1, 2),
)
_SEVENTH, _DOMINANT = 0.1, 0.05
# Beats that the chords of a phrase of four bars stay; the loop goes round until the phrase is full.
_HARMONIC_RHYTHMS = (
    (4, 4, 4, 4),
    (2, 2, 4, 8),
    (6, 2, 4, 4),
    (8, 4, 4),
    (4, 4, 2, 6),
    (2, 6, 2, 6),
    (8, 8),
    (6, 2, 6, 2),
    (2, 2, 2, 2, 8),
    (4, 2, 2, 4, 4),
)

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

_LETTERS = "ABC"
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
    chord_sets = rng.choice(_CHORD_SETS, size=len(_LETTERS), replace=False)
    return Work(
        mode=mode,
        scale=_MODES[mode],
        tempo_bpm=float(rng.uniform(96, 138)),
        sections={
            letter: _compose_section(rng, chord_set, rhythms)
            for letter, chord_set in zip(_LETTERS, chord_sets)
        },
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


def _compose_section(rng, chord_set, rhythms):
    """A phrase of four chords, played twice, and a melody whose second phrase begins as its first."""
    beats = _HARMONIC_RHYTHMS[rng.integers(len(_HARMONIC_RHYTHMS))]
    degrees = [chord_set[0], *rng.permutation(chord_set[1:])]
    kinds = rng.choice(
        ["triad", "seventh", "dominant"],
        size=len(degrees),
        p=[1 - _SEVENTH - _DOMINANT, _SEVENTH, _DOMINANT],
    )
    onsets = np.cumsum([0, *beats[:-1]])
    chords = tuple(
        Chord(float(phrase + onset), int(degrees[i % 4]), str(kinds[i % 4]))
        for phrase in (0, BARS // 2 * BEATS_PER_BAR)
        for i, onset in enumerate(onsets)
    )
    return Section(chords, _compose_melody(rng, chords, rhythms))


def _compose_melody(rng, chords, rhythms):
    """A melody that walks by steps and leaps and meets the chord's notes on the strong beats.

    The second phrase repeats the first two bars of the first one.
    """
    motif = [rhythms[i] for i in rng.integers(len(rhythms), size=2)]
    bar_rhythms = [motif[bar % 2] for bar in range(BARS - 1)] + [(4.0,)]
    duration = np.array([length for rhythm in bar_rhythms for length in rhythm])
    onset = np.concatenate([[0.0], np.cumsum(duration)[:-1]])
    chord_onsets = [chord.onset for chord in chords]
    half, kept_beats = BARS // 2 * BEATS_PER_BAR, 2 * BEATS_PER_BAR
    degree_at = {}
    degree = int(rng.integers(0, 7))
    for beat in onset:
        if half <= beat < half + kept_beats and beat - half in degree_at:
            degree = degree_at[beat - half]
        else:
            root = chords[int(np.searchsorted(chord_onsets, beat, side="right")) - 1].degree
            degree = _next_degree(rng, degree, root if beat % 2 == 0 else None)
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
