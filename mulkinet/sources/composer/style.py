"""What real lead sheets are like, in counts: which chords follow which, how bars are filled, how melodies move.

Songs are laid out in bars of four beats, brought to the tonic C, and counted by idiom: whose sheets they are, and major
or minor. `style.json.gz` in this folder is `fit_style` of the 1350 open charts with melodies (POP909 and
chord-melody-dataset, both MIT), and holds counts alone; `benchmarks/lead_sheets.py style` makes it again.

Conventions: a chord is a number, 8 x root + kind; a slot is half a bar, a phrase four bars (eight slots); a rhythm is
the cells (sixteenths) of a bar on which a note begins, as bits.
"""

import collections
import dataclasses
import functools
import gzip
import json
from importlib import resources

import numpy as np

from mulkinet.files.atomic import atomic_path
from mulkinet.sources.charts.score_grid import CELLS_PER_BEAT, grid_of

__all__ = [
    "FAMILIES",
    "KINDS",
    "LAGS",
    "PHRASE_SLOTS",
    "SLOT_CELLS",
    "Idiom",
    "chord_family",
    "fit_style",
    "read_style",
    "write_style",
]

# The kinds of chords that are told apart, as semitones above the root.
KINDS = (
    *((0, 4, 7), (0, 3, 7), (0, 4, 7, 10), (0, 3, 7, 10)),
    *((0, 4, 7, 11), (0, 5, 7), (0, 3, 6, 10), (0, 3, 6)),
)
FAMILIES = ("major", "minor", "neither")
_FAMILY_OF_KIND = (0, 1, 0, 1, 0, 2, 1, 1)
SLOT_CELLS = 2 * CELLS_PER_BEAT
_BAR_CELLS = 2 * SLOT_CELLS
PHRASE_SLOTS = 8
_PHRASE_BARS = PHRASE_SLOTS // 2
LAGS = (1, 2, 4)  # bars after which a bar may come back
_WIDEST = 12  # semitones of an interval
# How much each pitch class belongs to C major and to A minor's tonic C: Temperley, The cognition of basic musical
# structures (2001).
_PROFILES = (
    (5.0, 2.0, 3.5, 2.0, 4.5, 4.0, 2.0, 4.5, 2.0, 3.5, 1.5, 4.0),
    (5.0, 2.0, 3.5, 4.5, 2.0, 4.0, 2.0, 4.5, 3.5, 2.0, 1.5, 4.0),
)
_RAREST = 4  # a rhythm or succession that occurs less often is left out


@dataclasses.dataclass
class Idiom:
    """Counts of the songs of one kind.

    Attributes:
        songs: int, how many were counted.
        is_minor: bool.
        changes: {bits of the slots of a phrase on which the chord changes: count}.
        first_chords: {chord: count} of a phrase's first.
        chords: {chord: {next chord: count}}.
        chord_pairs: {"chord,chord": {next chord: count}}.
        phrases: [as the phrase before, its first half only, another]: counts of a phrase's harmony.
        rhythms: {rhythm of a bar: {rhythm of the next: count}}, but for rests of two bars and more.
        copies: (7,) counts of bars with notes, of those that are as the bar 1, 2, 4 before, and in rhythm alone.
        lengths: (16, 16) counts, cells until the next note and cells that sound.
        intervals: (25, 25) counts of intervals by the interval before, -12 to 12 semitones.
        chord_tones: (3 families, 2, 12) counts of a note's distance from the root, off and on the beats.
        scale: (12,) counts of a melody's pitch classes, 0 the tonic.
        spread: Standard deviation of a song's notes, in semitones.
    """

    songs: int
    is_minor: bool
    changes: dict
    first_chords: dict
    chords: dict
    chord_pairs: dict
    phrases: list
    rhythms: dict
    copies: list
    lengths: list
    intervals: list
    chord_tones: list
    scale: list
    spread: float


def chord_family(chord):
    """Index into `FAMILIES` of a chord number."""
    return _FAMILY_OF_KIND[chord % len(KINDS)]


def fit_style(charts):
    """Counts what is in charts.

    Args:
        charts: Iterable of Chart; those without a melody say nothing and are passed over, as are those of less than two
            phrases.

    Returns:
        list of Idiom, by source and mode.
    """
    counters = collections.defaultdict(_Counter)
    for chart in charts:
        song = _Song.of(chart) if chart.melody else None
        if song is not None:
            counters[chart.source, song.is_minor].count(song)
    return [counter.idiom(is_minor) for (_, is_minor), counter in sorted(counters.items())]


def write_style(path, idioms):
    """Writes idioms as gzipped JSON.

    Args:
        path: The file to make.
        idioms: list of Idiom.
    """
    text = json.dumps([dataclasses.asdict(idiom) for idiom in idioms], separators=(",", ":"))
    with atomic_path(path) as temporary:
        temporary.write_bytes(gzip.compress(text.encode(), mtime=0))


@functools.lru_cache(maxsize=1)
def read_style():
    """The package's own: list of Idiom."""
    packed = resources.files(__package__).joinpath("style.json.gz").read_bytes()
    return [Idiom(**record) for record in json.loads(gzip.decompress(packed))]


@dataclasses.dataclass
class _Song:
    """A chart in bars, its tonic at C.

    Attributes:
        is_minor: bool.
        chords: (n_slots,) int, a whole number of phrases.
        notes: list of (cell, cells that sound, MIDI number).
        n_cells: int.
    """

    is_minor: bool
    chords: np.ndarray
    notes: list
    n_cells: int

    @classmethod
    def of(cls, chart):
        """None where it has less than two phrases."""
        grid = grid_of(chart)
        tonic, is_minor = _key(grid.histogram)
        changes = np.flatnonzero(np.diff(grid.chord, prepend=-1))
        per_beat = np.bincount(changes // CELLS_PER_BEAT % 4, minlength=4)
        start = int(per_beat.argmax()) * CELLS_PER_BEAT  # where bars begin
        n_slots = (grid.n_cells - start) // SLOT_CELLS // PHRASE_SLOTS * PHRASE_SLOTS
        if n_slots < 2 * PHRASE_SLOTS:
            return None
        end = start + n_slots * SLOT_CELLS
        # What sounds for the most of a slot: its second beat.
        sounding = grid.chord[start + CELLS_PER_BEAT : end : SLOT_CELLS]
        kinds = np.array([_kind(relative) for relative in grid.relative])
        chords = ((grid.root - tonic) % 12 * len(KINDS) + kinds)[sounding]
        first = chart.chords[0][0]
        notes = [
            (
                round((onset - first) * CELLS_PER_BEAT) - start,
                duration * CELLS_PER_BEAT,
                pitch - tonic,
            )
            for onset, duration, pitch in chart.melody
        ]
        notes = [(at, max(1, round(n)), pitch) for at, n, pitch in notes if 0 <= at < end - start]
        return cls(is_minor, chords, notes, end - start)

    def bars(self):
        """Per bar, a tuple of (cell in the bar, MIDI number)."""
        bars = [[] for _ in range(self.n_cells // _BAR_CELLS)]
        for cell, _, pitch in self.notes:
            bars[cell // _BAR_CELLS].append((cell % _BAR_CELLS, pitch))
        return [tuple(bar) for bar in bars]


class _Counter:
    """Counts songs into an idiom."""

    def __init__(self):
        self._songs = 0
        self._changes, self._first_chords = collections.Counter(), collections.Counter()
        self._chords, self._chord_pairs, self._rhythms = (
            collections.defaultdict(collections.Counter) for _ in range(3)
        )
        self._phrases = np.zeros(3, int)
        self._copies = np.zeros(1 + 2 * len(LAGS), int)
        self._lengths = np.zeros((_BAR_CELLS, _BAR_CELLS), int)
        self._intervals = np.zeros((2 * _WIDEST + 1,) * 2, int)
        self._chord_tones = np.zeros((len(FAMILIES), 2, 12), int)
        self._scale = np.zeros(12, int)
        self._spreads = []

    def count(self, song):
        self._songs += 1
        self._count_harmony(song.chords.reshape(-1, PHRASE_SLOTS))
        self._count_bars(song.bars())
        self._count_notes(song)

    def _count_harmony(self, phrases):
        chords = [int(phrases[0, 0])]
        for before, phrase in zip([None, *phrases[:-1]], phrases):
            changed = np.diff(phrase, prepend=-1) != 0
            self._changes[int(np.packbits(changed, bitorder="little")[0])] += 1
            self._first_chords[int(phrase[0])] += 1
            if before is not None:
                halves = [(before[half] == phrase[half]).all() for half in (slice(4), slice(4, 8))]
                self._phrases[0 if all(halves) else 1 if halves[0] else 2] += 1
        for chord in phrases.ravel().tolist():
            if chord != chords[-1]:
                self._chords[chords[-1]][chord] += 1
                if len(chords) > 1:
                    self._chord_pairs[f"{chords[-2]},{chords[-1]}"][chord] += 1
                chords.append(chord)

    def _count_bars(self, bars):
        rhythms = [sum({1 << cell for cell, _ in bar}) for bar in bars]
        for i, (bar, rhythm) in enumerate(zip(bars, rhythms)):
            if i and (rhythm or rhythms[i - 1]):  # long rests are another matter
                self._rhythms[rhythms[i - 1]][rhythm] += 1
            if not bar or i % (2 * _PHRASE_BARS) == 0:
                continue
            self._copies[0] += 1
            lags = [lag for lag in LAGS if lag <= i % (2 * _PHRASE_BARS)]
            same = next((lag for lag in lags if bars[i - lag] == bar), None)
            alike = next((lag for lag in lags if rhythms[i - lag] == rhythm), None)
            if same:
                self._copies[1 + LAGS.index(same)] += 1
            elif alike:
                self._copies[1 + len(LAGS) + LAGS.index(alike)] += 1

    def _count_notes(self, song):
        before = 0
        for (cell, n, pitch), (next_cell, _, next_pitch) in zip(song.notes, song.notes[1:]):
            gap, interval = next_cell - cell, int(np.clip(next_pitch - pitch, -_WIDEST, _WIDEST))
            if 0 < gap <= _BAR_CELLS:
                self._lengths[gap - 1, min(n, gap) - 1] += 1
            self._intervals[before + _WIDEST, interval + _WIDEST] += 1
            before = interval
        for cell, _, pitch in song.notes:
            chord = int(song.chords[cell // SLOT_CELLS])
            on_beat = int(cell % CELLS_PER_BEAT == 0)
            self._chord_tones[chord_family(chord), on_beat, (pitch - chord // len(KINDS)) % 12] += 1
            self._scale[pitch % 12] += 1
        self._spreads.append(float(np.std([pitch for _, _, pitch in song.notes] or [0])))

    def idiom(self, is_minor):
        return Idiom(
            songs=self._songs,
            is_minor=bool(is_minor),
            changes=_frequent(self._changes),
            first_chords=_frequent(self._first_chords),
            chords={str(chord): _frequent(after, 2) for chord, after in self._chords.items()},
            chord_pairs={
                pair: found
                for pair, after in self._chord_pairs.items()
                if (found := _frequent(after))
            },
            phrases=self._phrases.tolist(),
            rhythms={
                str(rhythm): found
                for rhythm, after in self._rhythms.items()
                if (found := _frequent(after))
            },
            copies=self._copies.tolist(),
            lengths=self._lengths.tolist(),
            intervals=self._intervals.tolist(),
            chord_tones=self._chord_tones.tolist(),
            scale=self._scale.tolist(),
            spread=round(float(np.mean(self._spreads)), 2),
        )


def _frequent(counts, least=_RAREST):
    return {str(key): count for key, count in sorted(counts.items()) if count >= least}


def _key(histogram):
    """(tonic, whether minor) whose profile correlates best with a histogram of pitch classes."""
    scores = [
        [np.corrcoef(np.roll(histogram, -tonic), profile)[0, 1] for profile in _PROFILES]
        for tonic in range(12)
    ]
    tonic, is_minor = np.unravel_index(np.argmax(scores), (12, 2))
    return int(tonic), bool(is_minor)


def _kind(relative):
    """Index into `KINDS` of the chord that shares the most with pitch classes counted from their root."""
    present = set(np.flatnonzero(relative).tolist())
    return min(range(len(KINDS)), key=lambda kind: (len(present ^ set(KINDS[kind])), kind))
