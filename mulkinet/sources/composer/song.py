"""Composes songs: three sections of eight bars, each a harmony and a melody over it, and their order.

A song follows from (seed, number) alone. Its idiom is drawn from those of real songs (`style.py`): chords by what
followed the two before them, at places where chords change; rhythms by the rhythm before; a melody's notes by a product
of what followed the last interval, what is sung over such a chord on or off the beat, the scale, and the voice's range.
Bars and phrases come back as often as they do in real songs.

Conventions: time in beats, four a bar, on a grid of quarter beats (cells); pitches are MIDI numbers, the tonic is C.
"""

from dataclasses import dataclass

import numpy as np

from mulkinet.losses.plans import random_stream
from mulkinet.sources.charts.chart import Chart
from mulkinet.sources.charts.score_grid import CELLS_PER_BEAT
from mulkinet.sources.composer.style import (
    KINDS,
    LAGS,
    PHRASE_SLOTS,
    SLOT_CELLS,
    chord_family,
    read_style,
)

__all__ = ["BEATS_PER_BAR", "SECTION_BARS", "Section", "Song", "chart_of", "compose"]

BEATS_PER_BAR, SECTION_BARS = 4, 8
_BAR_CELLS = BEATS_PER_BAR * CELLS_PER_BEAT
_SECTION_CELLS = SECTION_BARS * _BAR_CELLS
_LETTERS = "ABC"
_FORMS = ("AABABCB", "ABABCAB", "ABCABCA", "AABCABC", "ABACABA", "BABACBA")
_BPM = (96.0, 138.0)
_SHARED_HARMONY = 0.25  # of sections, with the first
_PAIRS = 0.8  # weight of what follows two chords, beside what follows one
_RANGE = (60, 74)  # where the middle of a melody lies
_CHORD_TONE, _SCALE = 0.8, 0.5  # exponents of the product


@dataclass(frozen=True)
class Section:
    """Eight bars.

    Attributes:
        chords: tuple of (onset, duration, root 0 - 11, semitones above it) in beats, without gaps.
        melody: tuple of (onset, duration, MIDI number).
    """

    chords: tuple
    melody: tuple


@dataclass(frozen=True)
class Song:
    """A composed song.

    Attributes:
        scale: Its seven commonest pitch classes, ascending from the tonic 0.
        tempo_bpm: Beats a minute as composed.
        sections: Section by letter, "A", "B" and "C".
        form: Letters in the composer's order.
    """

    scale: tuple
    tempo_bpm: float
    sections: dict
    form: str


def compose(seed, number):
    """Composes one song.

    Args:
        seed: int >= 0.
        number: int >= 0, of the song.

    Returns:
        Song: the same for the same arguments.
    """
    rng = random_stream("composed song", seed, number)
    idioms = read_style()
    songs = np.array([idiom.songs for idiom in idioms])
    idiom = idioms[rng.choice(len(idioms), p=songs / songs.sum())]
    middle = float(rng.uniform(*_RANGE))
    masks = [int(_draw(rng, idiom.changes)) for _ in range(2)]
    sections, first = {}, None
    for letter in _LETTERS:
        is_shared = first is not None and rng.random() < _SHARED_HARMONY
        slots = first if is_shared else _harmony(rng, idiom, masks)
        first = first or slots
        sections[letter] = Section(_chords(slots), _melody(rng, idiom, slots, middle))
    scale = np.sort(np.argsort(-np.array(idiom.scale), kind="stable")[:7])
    return Song(
        scale=tuple(scale.tolist()),
        tempo_bpm=float(rng.uniform(*_BPM)),
        sections=sections,
        form=str(rng.choice(_FORMS)),
    )


def chart_of(song, work):
    """The lead sheet of a song.

    Args:
        song: Song.
        work: work_id.

    Returns:
        Chart.
    """
    chords, melody = [], []
    length = SECTION_BARS * BEATS_PER_BAR
    for start, letter in zip(range(0, length * len(song.form), length), song.form):
        for onset, duration, root, intervals in song.sections[letter].chords:
            classes = tuple(sorted((root + interval) % 12 for interval in intervals))
            chords.append((start + onset, duration, root, classes))
        melody += [(start + onset, *note) for onset, *note in song.sections[letter].melody]
    return Chart(
        work=work,
        chords=tuple(chords),
        melody=tuple(melody),
        beats=float(length * len(song.form)),
        bpm=round(song.tempo_bpm, 1),
        title=work,
        source="mulkinet's composer",
        licence="CC0-1.0",
    )


def _draw(rng, counts):
    """A key of a dict, as often as it was counted."""
    weights = np.fromiter(counts.values(), float, len(counts))
    place = np.searchsorted(np.cumsum(weights), rng.random() * weights.sum(), side="right")
    return list(counts)[place]


def _harmony(rng, idiom, masks):
    """(16,) chord of each slot of a section: two phrases, the second like the first as often as in real songs."""
    first = _phrase(rng, idiom, masks[0], [])
    kind = rng.choice(3, p=np.array(idiom.phrases) / sum(idiom.phrases))
    if kind == 0:
        return first + first
    half = PHRASE_SLOTS // 2
    begun = first[:half] if kind == 1 else []
    return first + _phrase(rng, idiom, masks[kind - 1], begun)


def _phrase(rng, idiom, mask, begun):
    """(8,) chord of each slot of a phrase that begins as `begun` does."""
    slots = list(begun)
    for slot in range(len(begun), PHRASE_SLOTS):
        if not slots:
            slots.append(int(_draw(rng, idiom.first_chords)))
        elif mask >> slot & 1:
            slots.append(_next_chord(rng, idiom, slots))
        else:
            slots.append(slots[-1])
    return slots


def _next_chord(rng, idiom, slots):
    distinct = [chord for i, chord in enumerate(slots) if i == 0 or slots[i - 1] != chord]
    pairs = idiom.chord_pairs.get(f"{distinct[-2]},{distinct[-1]}") if len(distinct) > 1 else None
    if pairs and rng.random() < _PAIRS:
        return int(_draw(rng, pairs))
    return int(_draw(rng, idiom.chords.get(str(distinct[-1])) or idiom.first_chords))


def _chords(slots):
    beats = SLOT_CELLS / CELLS_PER_BEAT
    starts = [i for i, chord in enumerate(slots) if i == 0 or slots[i - 1] != chord]
    spans = zip(starts, [*starts[1:], len(slots)])
    chords = [(start, end, *divmod(slots[start], len(KINDS))) for start, end in spans]
    return tuple(
        (start * beats, (end - start) * beats, root, KINDS[kind])
        for start, end, root, kind in chords
    )


def _melody(rng, idiom, slots, middle):
    """The notes of a section."""
    bars, rhythms = [], []
    pitch, interval = round(middle), 0
    for bar in range(SECTION_BARS):
        copied, alike = _copied(rng, idiom, bar)
        if copied:
            bars.append(bars[bar - copied])
            rhythms.append(rhythms[bar - copied])
            continue
        rhythm = rhythms[bar - alike] if alike else _next_rhythm(rng, idiom, rhythms)
        notes = []
        for cell in np.flatnonzero([rhythm >> cell & 1 for cell in range(_BAR_CELLS)]).tolist():
            chord = slots[(bar * _BAR_CELLS + cell) // SLOT_CELLS]
            interval = _next_interval(rng, idiom, pitch, interval, chord, cell, middle)
            pitch += interval
            notes.append((cell, pitch))
        bars.append(notes)
        rhythms.append(rhythm)
    onsets = [
        (bar * _BAR_CELLS + cell, pitch) for bar, notes in enumerate(bars) for cell, pitch in notes
    ]
    ends = [cell for cell, _ in onsets[1:]] + [_SECTION_CELLS]
    return tuple(
        (cell / CELLS_PER_BEAT, _length(rng, idiom, end - cell) / CELLS_PER_BEAT, pitch)
        for (cell, pitch), end in zip(onsets, ends)
    )


def _copied(rng, idiom, bar):
    """(bars back whose notes are taken, bars back whose rhythm is taken), 0 for none."""
    total, *counts = idiom.copies
    drawn = rng.random() * total
    for place, count in enumerate(counts):
        drawn -= count
        if drawn < 0:
            lag = LAGS[place % len(LAGS)]
            if lag > bar:
                return 0, 0
            return (lag, 0) if place < len(LAGS) else (0, lag)
    return 0, 0


def _next_rhythm(rng, idiom, rhythms):
    after = idiom.rhythms.get(str(rhythms[-1])) if rhythms else None
    if after:
        return int(_draw(rng, after))
    totals = {rhythm: sum(after.values()) for rhythm, after in idiom.rhythms.items()}
    return int(_draw(rng, totals))


def _next_interval(rng, idiom, pitch, before, chord, cell, middle):
    """Semitones to the next note."""
    widest = len(idiom.intervals) // 2
    steps = np.arange(-widest, widest + 1)
    pitches = pitch + steps
    followed = np.array(idiom.intervals[before + widest], float) + 0.5
    on_beat = int(cell % CELLS_PER_BEAT == 0)
    tones = np.array(idiom.chord_tones[chord_family(chord)][on_beat], float)
    tones = tones[(pitches - chord // len(KINDS)) % 12] + 1
    scale = np.array(idiom.scale, float)[pitches % 12] + 1
    weights = followed * tones**_CHORD_TONE * scale**_SCALE
    weights *= np.exp(-0.5 * ((pitches - middle) / idiom.spread) ** 2)
    total = np.cumsum(weights)
    return int(steps[np.searchsorted(total, rng.random() * total[-1], side="right")])


def _length(rng, idiom, gap):
    """Cells that a note sounds, of those until the next one."""
    gap = min(gap, len(idiom.lengths))
    counts = {n + 1: count for n, count in enumerate(idiom.lengths[gap - 1]) if count}
    return _draw(rng, counts) if counts else gap
