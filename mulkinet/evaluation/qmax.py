"""Qmax: how long two tracks can be followed along each other, through essentia.

The chroma of both, frames of about 0.46 s, the one transposed to the other's key; a cross-recurrence
plot of stacks of 9 frames; and in it the longest trace, allowing for disruptions (ChromaCrossSimilarity
and CoverSongSimilarity). The distance is sqrt(frames of the reference) / Qmax. A pair is computed
once and serves in both directions, so that N tracks take N * (N - 1) / 2 alignments.

Paper: Serra, Serra & Andrzejak, "Cross recurrence quantification for cover song identification",
New Journal of Physics 11, 2009.

Public names: `qmax_distances`, `coarse_chroma`.
"""

import functools
import time

import numpy as np
from tqdm import tqdm

from mulkinet.errors import MulkinetError
from mulkinet.sources.workers import CRASHED, count_workers, run_in_processes
from mulkinet.store import FeatureStore

__all__ = ["qmax_distances", "coarse_chroma"]

_FRAME_SECONDS = 0.464
# essentia refuses tracks of fewer frames, for stacks of 9.
_MIN_FRAMES = 12
_PAIRS_A_TASK = 32
_PAIRS_TIMED = 4
# Where nothing recurs Qmax is 0: farther than any pair with a trace, whose Qmax is at least 1.
_QMAX_OF_NOTHING = 0.5
_CACHED_TRACKS = 2048


def coarse_chroma(store, feature, row, seconds, reduce=np.mean):
    """A track's chroma in longer frames.

    Args:
        store: FeatureStore.
        feature: A feature.
        row: Row of the track.
        seconds: About how long a frame is to be; no shorter than it is in the store.
        reduce: Function that makes one frame of several.

    Returns:
        (n_bins, n_frames) float32.
    """
    frames = store.read(feature, row)
    factor = max(1, round(seconds * store.settings(feature)["frame_rate"]))
    factor = min(factor, len(frames))
    whole = frames[: len(frames) // factor * factor].reshape(-1, factor, frames.shape[1])
    return np.ascontiguousarray(reduce(whole, axis=1).T, dtype=np.float32)


def qmax_distances(tracks, feature, *, n_workers=-1, progress=False, report=None):
    """Distances of all queries to all references.

    Args:
        tracks: inputs.Tracks.
        feature: A feature of 12 bins.
        n_workers: Processes; -1 for all processors.
        progress: Whether to show a progress bar.
        report: Called with a line that says how long it will take, before it starts.

    Returns:
        (Q, M) float64; infinity between a track and itself, which is no candidate.

    Raises:
        MulkinetError: essentia is not installed, or a worker process died.
    """
    _essentia()
    n_workers = count_workers(n_workers)
    align = functools.partial(_qmax_of_pairs, str(tracks.store.path), feature)
    first, second = _pairs(tracks)
    if report and len(first):
        report(_estimate(align, tracks, first, second, n_workers))
    scores = np.zeros((len(tracks.rows), len(tracks.rows)), dtype=np.float32)
    hidden = None if progress else True  # no bar where nobody looks
    with tqdm(total=len(first), desc="qmax", unit="pair", disable=hidden) as bar:
        for task, found in run_in_processes(align, _tasks(tracks, first, second), n_workers):
            if found == CRASHED:
                raise MulkinetError(f"qmax: {CRASHED}; run it again with fewer workers")
            a, b = np.searchsorted(tracks.rows, np.asarray(task).T)
            scores[a, b] = scores[b, a] = found
            bar.update(len(task))
    lengths = _stacks(tracks, feature)[tracks.references]
    asked = scores[np.ix_(tracks.queries, tracks.references)].astype(np.float64)
    distances = np.sqrt(lengths) / np.where(asked > 0, asked, _QMAX_OF_NOTHING)
    distances[tracks.queries[:, None] == tracks.references] = np.inf
    return distances


def _essentia():
    try:
        import essentia

        # Before its algorithms are loaded: they announce themselves.
        essentia.log.infoActive = False
        import essentia.standard as standard
    except ImportError as error:
        raise MulkinetError(
            "the baseline qmax needs essentia; install it with pip install mulkinet[audio]"
        ) from error
    return standard


def _pairs(tracks):
    # Positions (a, b) in tracks.rows, a < b, of every pair that is a query and a reference.
    n_tracks = len(tracks.rows)
    wanted = np.zeros((n_tracks, n_tracks), dtype=bool)
    wanted[np.ix_(tracks.queries, tracks.references)] = True
    return np.nonzero(np.triu(wanted | wanted.T, k=1))


def _tasks(tracks, first, second):
    # Tuples of (row, row), which can be sent to another process.
    pairs = list(zip(tracks.rows[first].tolist(), tracks.rows[second].tolist()))
    return [tuple(pairs[i : i + _PAIRS_A_TASK]) for i in range(0, len(pairs), _PAIRS_A_TASK)]


def _estimate(align, tracks, first, second, n_workers):
    shown = np.linspace(0, len(first) - 1, min(_PAIRS_TIMED, len(first))).astype(int)
    pairs = list(zip(tracks.rows[first[shown]].tolist(), tracks.rows[second[shown]].tolist()))
    align(pairs[:1])  # Loads essentia.
    start = time.perf_counter()
    align(pairs)
    seconds = (time.perf_counter() - start) / len(pairs) * len(first) / n_workers
    return f"qmax: {len(first)} alignments in {n_workers} processes, about {_duration(seconds)}"


def _duration(seconds):
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _stacks(tracks, feature):
    # Columns of the recurrence plot that each track makes as a reference.
    numbers = [_chroma(str(tracks.store.path), feature, row).shape[0] for row in tracks.rows]
    return np.asarray(numbers, dtype=np.float64)


@functools.lru_cache(maxsize=1)
def _store(path):
    return FeatureStore(path)


@functools.lru_cache(maxsize=_CACHED_TRACKS)
def _chroma(path, feature, row):
    chroma = coarse_chroma(_store(path), feature, row, _FRAME_SECONDS, reduce=np.median).T
    if len(chroma) < _MIN_FRAMES:
        chroma = np.tile(chroma, (-(-_MIN_FRAMES // len(chroma)), 1))
    return np.ascontiguousarray(chroma)


def _qmax_of_pairs(path, feature, pairs):
    # In a worker process: the Qmax of each (row, row).
    standard = _essentia()
    recurrence = standard.ChromaCrossSimilarity(oti=True)
    alignment = standard.CoverSongSimilarity(distanceType="symmetric")
    chromas = [[_chroma(path, feature, row) for row in pair] for pair in pairs]
    return [alignment(recurrence(query, reference))[1] for query, reference in chromas]
