"""Set lists: which works of an index are played when in a long recording, and which part of them.

    windows     of 43 s, one every 10 s, are embedded, and compared with windows of the index's tracks, which are
                embedded from the chroma that it keeps
    candidates  the tracks nearest to each window, all windows of the recording pooled
    alignment   of each candidate with the stretch around the windows that named it (`mulkinet.alignment.locate`)
    decoding    the evidence of both over time, as one path over works and "nothing" (`decoding`)

A span begins and ends where the path does, and is kept where an alignment confirms it.
"""

import functools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from typing import NamedTuple, Optional

import numpy as np
from tqdm import tqdm

from mulkinet.alignment.chroma import MIN_FRAMES
from mulkinet.alignment.locate import locate
from mulkinet.embedding import embed_arrays, prepare_track
from mulkinet.errors import MulkinetError, SkippedInput
from mulkinet.features.resize import area_resize, wrap
from mulkinet.identify import decoding
from mulkinet.identify.chroma import chroma_of, coarse_rate, to_align
from mulkinet.identify.search import comparable

__all__ = ["CHANGE_COST", "LEAST", "Played", "SetList", "SetLists", "long_chroma"]

WINDOW_SEC = 43.0
HOP_SEC = 10.0
# Log-odds that a change from one work to another, or to nothing, takes.
CHANGE_COST = 1.0
# Spans of a smaller probability are nothing.
LEAST = 0.5
_STEP_SEC = 2.0
# Windows on either side that a window's similarities are averaged with.
_NEIGHBOURS = 2
# Tracks aligned for every window, and what of the recording around it.
_ALIGNED = 12
_MARGIN_SEC = 45.0
_LONGEST_SEC = 240.0
# (intercept, of the logarithm of an alignment's strength, of how many robust standard deviations nearer the nearest
# track of all is). What an alignment is worth in decoding, where much is let through, since paths compete there; and,
# with how much stronger it is than the best of another work at that time, the log-odds that it is right. Logistic
# regression on streams of the development recordings: a stream left out has a log-loss of .058, without the last .064.
_RIGHT, _OF_RIVAL = (-2.4, 1.8, 2.8), 4.8
_EVIDENCE = (-4.0, 4.3, 2.0)
# So many seconds of an alignment count that once; and what a second is worth that no alignment covers.
_EVIDENCE_SEC, _OFF_A_PATH = 12.0, -0.5
# Of 255; where no pitch class is louder than that, nothing is played.
_SILENT = 25
# Tracks of an index of which windows are embedded.
_SHORTLIST = 2000


@dataclass(frozen=True)
class Played:
    """A work played in a part of a recording.

    Attributes:
        start_sec: Where it begins in the recording, in seconds.
        end_sec: Where it ends.
        work_id: The work.
        track_id: The track of the index that it is aligned with.
        title: What a person calls that track.
        path: Its audio file when it was indexed; empty if unknown.
        track_start_sec: Where the part that is played begins in the track.
        track_end_sec: Where that part ends.
        probability: Probability that the alignment is right, by its strength and the embeddings' nearness.
    """

    start_sec: float
    end_sec: float
    work_id: str
    track_id: str
    title: str
    path: str
    track_start_sec: float
    track_end_sec: float
    probability: float

    @property
    def name(self):
        """The work, with the title where that says more."""
        return (
            self.work_id
            if self.title in ("", self.track_id, self.work_id)
            else f"{self.work_id}: {self.title}"
        )


@dataclass(frozen=True)
class SetList:
    """What is played when.

    Attributes:
        query: The recording's path, or its number where it was an array.
        seconds: Its length; None where it could not be read.
        spans: list of Played, in order of time; what is between them is nothing of the index.
        warnings: list of str.
        skipped: The reason why there is no answer; None if there is one.
    """

    query: str
    seconds: Optional[float] = None
    spans: list = field(default_factory=list)
    warnings: list = field(default_factory=list)
    skipped: Optional[str] = None

    def to_dict(self):
        """Plain dicts and lists, for JSON."""
        return asdict(self)


class Found(NamedTuple):
    """An alignment of a track with a stretch of a recording: the track's row, and a Place in the recording's frames."""

    row: int
    place: tuple
    # Qmax divided by the root of the mean number of stacks of both.
    strength: float


class SetLists:
    """Finds set lists with one index, of which it keeps windows for further recordings.

    Args:
        data: IndexData that has chroma.
        embedder: Embedder of its model.
        search: Search over its embeddings.
        n_workers: Threads that align.
        progress: Whether to show progress bars.

    Raises:
        MulkinetError: The index has no tracks.
    """

    def __init__(self, data, embedder, search, *, n_workers=1, progress=False):
        if not len(data.chroma.frames):
            raise MulkinetError(
                "expected an index of tracks with chroma, found none in it; add some"
            )
        self._data = data
        self._embedder = embedder
        self._search = search
        self._rate = coarse_rate(embedder)
        self._n_workers = n_workers
        self._progress = progress
        self._length = round(WINDOW_SEC * self._rate)
        self._hop = max(1, round(HOP_SEC * self._rate))
        self._windows_of = {}

    def find(self, name, frames, change_cost=CHANGE_COST, least=LEAST):
        """The set list of one recording.

        Args:
            name: What the answer calls it.
            frames: (n_frames, 12) uint8, its chroma as the index keeps it of tracks.
            change_cost: Float >= 0, log-odds that a change of work takes.
            least: Probability in [0, 1] below which a span is nothing.

        Returns:
            SetList.

        Raises:
            SkippedInput: The recording is too short.
        """
        seconds = len(frames) / self._rate
        if len(frames) < 2 * MIN_FRAMES:
            raise SkippedInput(
                f"expected at least {2 * MIN_FRAMES / self._rate:.0f} s to find works in, found {seconds:.1f} s"
            )
        warnings = []
        if len(frames) < self._length:
            warnings.append(
                f"it is {seconds:.0f} s long, shorter than a window of {WINDOW_SEC:.0f} s; identify it as a whole"
            )
        rows, similarities = self.similarities(frames)
        found = self.alignments(frames, rows, similarities)
        spans = self.decode(len(frames), rows, similarities, found, change_cost)
        spans = [span for span in spans if span.probability >= least]
        return SetList(name, seconds, spans, warnings)

    def similarities(self, frames):
        """How near each window of a recording's chroma is to each track's nearest window.

        Returns:
            (rows, (n_windows, n_rows) float32): the tracks that were compared; robust z-scores over the recording of
            minus squared distances.
        """
        starts = self._starts(len(frames))
        windows = self._embed([frames[start : start + self._length] for start in starts])
        rows = self._shortlist(windows)
        found = np.empty((len(windows), len(rows)), np.float32)
        for column, row in enumerate(_bar(rows, "windows of tracks", "track", self._progress)):
            if row not in self._windows_of:
                self._windows_of[row] = self._embed_track(row)
            theirs = self._windows_of[row]
            products = windows @ theirs.T - (theirs**2).sum(axis=1) / 2
            found[:, column] = products.max(axis=1)
        found -= (windows**2).sum(axis=1, keepdims=True) / 2
        found = _averaged(found, _NEIGHBOURS)
        middle = np.median(found)
        spread = 1.4826 * np.median(np.abs(found - middle))
        return rows, (found - middle) / (spread or 1.0)

    def alignments(self, frames, rows, similarities):
        """Alignments (list of Found) of candidates, by what `similarities` gives, with the stretches that name them."""
        tasks = list(self._stretches(frames, rows, similarities))
        with ThreadPoolExecutor(self._n_workers) as pool:
            aligned = pool.map(functools.partial(self._align, frames), tasks)
            bar = _bar(aligned, "alignment", "stretch", self._progress, len(tasks))
            return [found for found in bar if found is not None]

    def decode(self, n_frames, rows, similarities, found, change_cost=CHANGE_COST):
        """Spans (list of Played) of the path that the evidence, similarities and alignments, is most for."""
        if not found:
            return []
        aligned = np.unique([one.row for one in found])
        tracks, margins = self._track_evidence(n_frames, rows, similarities, found, aligned)
        # No path is worth more by a track that is nowhere likelier than nothing.
        likely = tracks.max(axis=0) > 0
        aligned, tracks = aligned[likely], tracks[:, likely]
        work_of = self._data.ids["work_id"][aligned].astype(str)
        works, state_of = np.unique(work_of, return_inverse=True)
        evidence = np.zeros((len(tracks), len(works) + 1))
        for state in range(len(works)):
            evidence[:, state + 1] = tracks[:, state_of == state].max(axis=1)
        path = decoding.best_path(evidence, change_cost)
        rows_of = [aligned[state_of == state].tolist() for state in range(len(works))]
        spans = []
        for steps in np.split(np.arange(len(path)), np.flatnonzero(np.diff(path)) + 1):
            state = path[steps[0]]
            own = [i for i, one in enumerate(found) if state and one.row in rows_of[state - 1]]
            start, end = (
                steps[0] * _STEP_SEC,
                min((steps[-1] + 1) * _STEP_SEC, n_frames / self._rate),
            )
            best = max(own, key=lambda i: self._covered(found[i], start, end), default=None)
            if best is not None and self._covered(found[best], start, end) > 0:
                odds = _log_odds(_RIGHT, found[best].strength, margins[best])
                odds += _OF_RIVAL * np.log(found[best].strength / self._rival(found, best))
                chance = float(0.5 + 0.5 * np.tanh(0.5 * odds))
                spans.append(self._played(start, end, found[best], chance))
        return spans

    def _track_evidence(self, n_frames, rows, similarities, found, aligned):
        """(n_steps, n_aligned) worth of each aligned track against nothing, a step; and (n_found,) margins."""
        n_steps = int(np.ceil(n_frames / self._rate / _STEP_SEC))
        evidence = np.full((n_steps, len(aligned)), _OFF_A_PATH * _STEP_SEC)
        behind = similarities - similarities.max(axis=1, keepdims=True)
        centres = np.asarray(self._starts(n_frames)) + self._length / 2
        margins = np.empty(len(found))
        for number, one in enumerate(found):
            start, end = one.place.start_x, one.place.end_x
            # The windows whose centres are on the path; of a short path the nearest.
            inside = np.abs(centres - (start + end) / 2)
            inside = inside <= max((end - start) / 2, inside.min())
            margins[number] = behind[inside, np.searchsorted(rows, one.row)].mean()
            worth = _log_odds(_EVIDENCE, one.strength, margins[number])
            steps = slice(*(round(frame / self._rate / _STEP_SEC) for frame in (start, end)))
            column = evidence[steps, np.searchsorted(aligned, one.row)]
            np.maximum(column, worth * (_STEP_SEC / _EVIDENCE_SEC), out=column)
        return evidence, margins

    def _rival(self, found, number):
        """Strength of the strongest alignment of another work that covers half of the time of one; the least of all."""
        works, one = self._data.ids["work_id"], found[number]
        starts, ends = np.array([(other.place.start_x, other.place.end_x) for other in found]).T
        length = one.place.end_x - one.place.start_x
        shared = np.minimum(ends, one.place.end_x) - np.maximum(starts, one.place.start_x)
        is_rival = (shared >= length / 2) & (
            works[[other.row for other in found]] != works[one.row]
        )
        strengths = np.array([other.strength for other in found])
        return strengths[is_rival].max() if is_rival.any() else strengths.min()

    def _covered(self, one, start_sec, end_sec):
        """Seconds of a span that an alignment covers, weighed by its strength."""
        first, end = one.place.start_x / self._rate, one.place.end_x / self._rate
        return one.strength * max(0.0, min(end, end_sec) - max(first, start_sec))

    def _played(self, start_sec, end_sec, one, chance):
        ids, place = self._data.ids, one.place
        times = np.array([place.start_x, place.end_x]) / self._rate
        parts = np.array([place.start_y, place.end_y]) / self._rate
        # The part goes on at the alignment's tempo to the ends of the span, as far as the track does.
        tempo = (parts[1] - parts[0]) / (times[1] - times[0])
        length = len(self._data.chroma.track(one.row)) / self._rate
        part = np.clip(parts[0] + tempo * (np.array([start_sec, end_sec]) - times[0]), 0, length)
        names = (ids[name][one.row] for name in ("work_id", "track_id", "title", "path"))
        return Played(float(start_sec), float(end_sec), *names, *map(float, part), chance)

    def _starts(self, n_frames, hop=None):
        last = max(0, n_frames - self._length)
        return [*range(0, last, hop or self._hop), last]

    def _embed(self, windows):
        """Embeddings of (n, 12) uint8 chroma, as the index's distance compares them."""
        inputs = [self._input(window) for window in windows]
        return comparable(embed_arrays(self._embedder.model, inputs), self._data.config["distance"])

    def _input(self, window):
        # Frames that were joined for alignment are as many again as the network was trained to see.
        repeats = max(1, round(self._embedder.frame_rate / self._rate))
        x = np.repeat(window.T.astype(np.float32) / np.float32(255), repeats, axis=1)
        # Repeated to the length that the network must have, and no further.
        return wrap(x, prepare_track(self._embedder.model, x, pad="zero").shape[1])

    def _embed_track(self, row):
        frames = self._data.chroma.track(row)
        starts = self._starts(len(frames), self._length // 2)
        return self._embed([frames[start : start + self._length] for start in starts])

    def _shortlist(self, windows):
        """Rows of tracks with chroma; of a large index those nearest to any window as a whole."""
        rows = np.flatnonzero(np.diff(self._data.chroma.offsets))
        if len(rows) <= _SHORTLIST:
            return rows
        near, distances = self._search.nearest(windows, 4 * _ALIGNED)
        near = near.ravel()[np.argsort(distances, axis=None, kind="stable")]
        _, firsts = np.unique(near, return_index=True)
        return np.intersect1d(near[np.sort(firsts)][:_SHORTLIST], rows)

    def _stretches(self, frames, rows, similarities):
        """(row, start, end, core start, core end) of what is to be aligned, in frames."""
        n_frames = len(frames)
        starts, margin = self._starts(n_frames), round(_MARGIN_SEC * self._rate)
        is_heard = np.array([frames[s : s + self._length].max() > _SILENT for s in starts])
        longest = round(_LONGEST_SEC * self._rate)
        # All of a small index would be named everywhere, and be aligned with the recording as a whole.
        n_named = min(_ALIGNED, max(1, len(rows) // 4))
        named = np.argsort(-similarities, axis=1, kind="stable")[:, :n_named]
        named[~is_heard] = -1
        for column in np.unique(named[is_heard]):
            windows = np.flatnonzero((named == column).any(axis=1))
            for run in np.split(windows, np.flatnonzero(np.diff(windows) > _NEIGHBOURS) + 1):
                first, end = starts[run[0]], min(starts[run[-1]] + self._length, n_frames)
                for start in range(first, end, longest):
                    stop = min(start + longest, end)
                    yield (
                        int(rows[column]),
                        max(0, start - margin),
                        min(n_frames, stop + margin),
                        start,
                        stop,
                    )

    def _align(self, frames, task):
        row, start, end, core_start, core_end = task
        x, y = to_align(frames[start:end]), to_align(self._data.chroma.track(row))
        place = locate(x, y, to_align(frames[core_start:core_end]))
        if place is None:
            return None
        strength = place.score / np.sqrt((len(x) + len(y)) / 2)
        moved = place._replace(start_x=place.start_x + start, end_x=place.end_x + start)
        return Found(row, moved, float(strength))


def long_chroma(recording, embedder):
    """The chroma of a Recording of any length, (n_frames, 12) uint8, as an index keeps it of its tracks.

    Its features have the extractor's length, or the store's.
    """
    if embedder.track_length.spect_len and not recording.is_stored:
        # Such models are shown the first 180 s; here the same frame rate goes on to the end.
        n_frames = max(1, round(recording.seconds * embedder.frame_rate))
        x = area_resize(recording.x, n_frames)
        recording = replace(recording, x=x, frame_rate=embedder.frame_rate, is_stored=True)
    return chroma_of(recording, embedder)


def _log_odds(weights, strength, margin):
    intercept, of_strength, of_margin = weights
    return intercept + of_strength * np.log(strength) + of_margin * margin


def _bar(items, what, unit, progress, total=None):
    """Items with a progress bar."""
    return tqdm(items, desc=what, unit=unit, total=total, disable=None if progress else True)


def _averaged(values, neighbours):
    """Each row with those around it."""
    sums = np.cumsum(np.vstack([np.zeros((1, values.shape[1])), values]), axis=0)
    rows = np.arange(len(values))
    first, end = np.maximum(rows - neighbours, 0), np.minimum(rows + neighbours + 1, len(values))
    return ((sums[end] - sums[first]) / (end - first)[:, None]).astype(np.float32)
