"""Two tracks along each other: key, tempo ratio, and where they match.

Stacks of 9 frames (about 4 s) tell tracks apart only where both run at nearly the same speed, and the transposition
index may name a neighbouring key. So Qmax is taken at several tempos of y, in its two best keys; the winner's path then
says the tempo more exactly, and the tracks are aligned once more at that.
"""

import functools
from dataclasses import dataclass, field

import numpy as np

from mulkinet.alignment.chroma import STACKED, Chroma, prepare
from mulkinet.alignment.path import matching_paths
from mulkinet.alignment.recurrence import recurrence_in_key
from mulkinet.alignment.transposition import ranked_transpositions
from mulkinet.errors import MulkinetError

__all__ = ["Alignment", "align", "at_tempo"]

# Speeds of y against x. Neighbours are 9 % apart: the stacks of a track bear half of that.
_TEMPOS = 2.0 ** (np.arange(-4, 5) / 8)
_KEYS = 2
_REFINEMENTS = 2
# Share of a path that the tempo is taken from.
_ON_THE_WAY = 0.8
# A further span has to share so many seconds of frames.
_LEAST_SEC = 8.0


@dataclass(frozen=True)
class Alignment:
    """How y (b) runs along x (a).

    Attributes:
        score: float >= 0, Qmax at the tempo that fits best, divided by the root of the mean number of stacks.
        transposition: int from -5 to 6, semitones that b is above a.
        tempo_ratio: float, speed of b divided by that of a.
        similarity: float in [0, 1], mean cosine of the frames that lie on the path.
        spans: list of (start_a, end_a, start_b, end_b) in seconds, longest first.
        path: (n, 2) float64, seconds in a and in b along all spans, ordered by the time in a.
        recurrence: (n_a, n_b) uint8, the plot at the tempo that fits best.
        cell_sec: (float, float), seconds that a row, and a column, of it is further.

    Examples:
        >>> song = np.random.default_rng(0).random((12, 80))
        >>> found = align(song, np.roll(song, 3, axis=0), frame_rate=2)
        >>> found.transposition, len(found.spans), found.similarity > 0.99
        (3, 1, True)
    """

    score: float
    transposition: int
    tempo_ratio: float
    similarity: float
    spans: list
    path: np.ndarray = field(repr=False)
    recurrence: np.ndarray = field(repr=False)
    cell_sec: tuple = field(repr=False)


def align(x, y, *, frame_rate):
    """Aligns two tracks.

    Args:
        x: (12, n_x) chroma, frames of about half a second.
        y: (12, n_y) chroma of the same frame rate.
        frame_rate: Frames per second of both.

    Returns:
        Alignment.

    Raises:
        MulkinetError: Other shapes, fewer than 12 frames, silence, or values that are not finite.

    Examples:
        The second is the first three semitones up, with ten seconds before it:

        >>> song = np.random.default_rng(0).random((12, 80))
        >>> found = align(song[:, 20:], np.roll(song, 3, axis=0), frame_rate=2)
        >>> start_a, _, start_b, _ = found.spans[0]
        >>> found.transposition, round(found.tempo_ratio, 2), round(start_b - start_a, 2)
        (3, 1.0, 10.0)
    """
    x, y = prepare(x, "x"), prepare(y, "y")
    for name, track in (("x", x), ("y", y)):
        if not track.profile.any():
            raise MulkinetError(f"{name}: expected music, found silence")
    keys = ranked_transpositions(x, y)[:_KEYS]
    # y sped up has fewer frames; some have to be left.
    tempos = [tempo for tempo in _TEMPOS if len(y) * tempo >= STACKED + 3]
    tried = [_Attempt(x, y, key, tempo, frame_rate) for tempo in tempos for key in keys]
    best = max(tried, key=lambda attempt: attempt.score)
    for _ in range(_REFINEMENTS):
        best = _Attempt(x, y, best.key, best.tempo / best.slope(), frame_rate)
    return best.alignment(x)


def at_tempo(y, tempo):
    """Chroma of y, interpolated linearly, at 1 / tempo of its speed: that of x. It has at least 12 frames."""
    times = np.arange(max(STACKED + 3, int(len(y) * tempo))) / tempo
    places = np.arange(len(y))
    return Chroma(np.stack([np.interp(times, places, row) for row in y.columns]).astype(np.float32))


class _Attempt:
    """An alignment in one key at one tempo."""

    def __init__(self, x, y, key, tempo, frame_rate):
        from mulkinet.alignment.kernels import best_qmax

        self.key, self.tempo, self.frame_rate = int(key), float(tempo), frame_rate
        self.y = at_tempo(y, tempo).transposed(self.key)
        self.recurrence = recurrence_in_key(x, self.y, 0)
        stacks = np.mean(self.recurrence.shape)
        self.score = float(best_qmax(self.recurrence) / 2 / np.sqrt(stacks))

    @functools.cached_property
    def paths(self):
        """The paths of all spans."""
        return matching_paths(self.recurrence, _LEAST_SEC * self.frame_rate)

    def slope(self):
        """Columns per row along the longest path; of a short one, 1."""
        path = max(self.paths, key=len, default=())
        if len(path) < 2 * STACKED:
            return 1.0
        rows, columns = path.T
        slope, start = np.polyfit(rows, columns, 1)
        # Once more without detours, which would turn it.
        off = np.abs(columns - start - slope * rows)
        near = off <= np.quantile(off, _ON_THE_WAY)
        return float(np.polyfit(rows[near], columns[near], 1)[0])

    def alignment(self, x):
        """What it found, in seconds."""
        row_sec, column_sec = 1 / self.frame_rate, 1 / (self.frame_rate * self.tempo)
        scale = np.array([row_sec, column_sec])
        spans = [_span(path, scale) for path in self.paths]
        spans.sort(key=lambda span: span[0] - span[1])
        cells = np.concatenate(self.paths) if self.paths else np.empty((0, 2), dtype=np.int64)
        cells = cells[np.argsort(cells[:, 0], kind="stable")]
        return Alignment(
            score=self.score,
            transposition=(-self.key + 5) % 12 - 5,
            tempo_ratio=self.tempo / self.slope(),
            similarity=_similarity(x, self.y, cells),
            spans=spans,
            path=(cells + STACKED / 2) * scale,
            recurrence=self.recurrence,
            cell_sec=(row_sec, column_sec),
        )


def _span(path, scale):
    # From the first stack's first frame to the last stack's last.
    (start_a, start_b), (end_a, end_b) = path[0] * scale, (path[-1] + STACKED) * scale
    return float(start_a), float(end_a), float(start_b), float(end_b)


def _similarity(x, y, cells):
    if not len(cells):
        return 0.0
    middle = cells + STACKED // 2
    a, b = x.frames[middle[:, 0]], y.frames[middle[:, 1]]
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    heard = lengths > 0
    return float(np.mean((a * b).sum(axis=1)[heard] / lengths[heard])) if heard.any() else 0.0
