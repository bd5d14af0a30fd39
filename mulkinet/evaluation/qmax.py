"""Qmax: how long two tracks can be followed along each other, through essentia.

The chroma of both, frames of about 0.46 s, the one transposed to the other's key; a cross-recurrence
plot of stacks of 9 frames; and in it the longest trace, allowing for disruptions (ChromaCrossSimilarity
and CoverSongSimilarity). The distance is sqrt(stacks of the reference) / Qmax, essentia's
"asymmetric" one. Qmax itself is the same both ways: a pair is computed once and serves in both
directions, so that N tracks take N * (N - 1) / 2 alignments.

Paper: Serra, Serra & Andrzejak, "Cross recurrence quantification for cover song identification",
New Journal of Physics 11, 2009.

Public names: `qmax_distances`, `coarse_chroma`.
"""

import functools
import time
import uuid

import numpy as np
from tqdm import tqdm

from mulkinet.data.npy_folder import open_data
from mulkinet.errors import MulkinetError
from mulkinet.workers import CRASHED, count_workers, run_in_processes

__all__ = ["qmax_distances", "coarse_chroma"]

_FRAME_SECONDS = 0.464
# essentia refuses tracks of fewer frames, for stacks of 9.
_MIN_FRAMES = 12
# A track of n frames makes n - 9 rows or columns of the plot: its last stack is left out.
_STACKED_FRAMES = 9
_PAIRS_A_TASK = 32
# So many are listed at a time: Da-TACOS has a hundred million.
_PAIRS_A_ROUND = 1 << 17
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
    # Processes outlive a run, and so does what they hold of a store that is then made again.
    source = str(tracks.store.path), uuid.uuid4().hex
    align = functools.partial(_qmax_of_pairs, source, feature)
    n_pairs = _count_pairs(tracks)
    if report and n_pairs:
        report(_estimate(align, tracks, n_pairs, n_workers))
    scores = np.zeros((len(tracks.queries), len(tracks.references)))
    rows = tracks.rows[tracks.queries], tracks.rows[tracks.references]
    hidden = None if progress else True  # no bar where nobody looks
    with tqdm(total=n_pairs, desc="qmax", unit="pair", disable=hidden) as bar:
        for queries, references in _rounds(tracks):
            pairs = np.stack([rows[0][queries], rows[1][references]], axis=1)
            for task, found in run_in_processes(align, _tasks(pairs), n_workers):
                if found == CRASHED:
                    raise MulkinetError(f"qmax: {CRASHED}; run it again with fewer workers")
                part = slice(task[0], task[0] + len(found))
                scores[queries[part], references[part]] = found
                bar.update(len(found))
    _mirror(scores, tracks)
    stacks = _stacks(source, feature, tracks.rows)[tracks.references]
    distances = np.sqrt(stacks) / np.where(scores > 0, scores, _QMAX_OF_NOTHING)
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


def _both(tracks):
    # Places in `queries` and in `references` of the tracks that are both, in the same order.
    _, queries, references = np.intersect1d(
        tracks.queries, tracks.references, assume_unique=True, return_indices=True
    )
    return queries, references


def _count_pairs(tracks):
    n_both = len(_both(tracks)[0])
    return len(tracks.queries) * len(tracks.references) - n_both * (n_both + 1) // 2


def _rounds(tracks):
    # Arrays (places in `queries`, places in `references`) of all pairs to be aligned, about as many
    # at a time as a round has. Of two tracks that are both, the one that comes first is the query.
    is_query = np.zeros(len(tracks.rows), dtype=bool)
    is_query[tracks.queries] = True
    is_reference = np.zeros(len(tracks.rows), dtype=bool)
    is_reference[tracks.references] = True
    is_both = is_query[tracks.references]
    part, size = [], 0
    for place, query in enumerate(tracks.queries):
        served = is_both & is_reference[query] & (tracks.references <= query)
        columns = np.flatnonzero(~served)
        part.append((np.full(len(columns), place), columns))
        size += len(columns)
        if size >= _PAIRS_A_ROUND or place == len(tracks.queries) - 1:
            yield tuple(np.concatenate(side) for side in zip(*part))
            part, size = [], 0


def _tasks(pairs):
    # (place of the first pair, pairs as bytes): hashable, and quickly sent to another process.
    starts = range(0, len(pairs), _PAIRS_A_TASK)
    return ((start, pairs[start : start + _PAIRS_A_TASK].tobytes()) for start in starts)


def _mirror(scores, tracks):
    both = np.ix_(*_both(tracks))
    scores[both] = np.maximum(scores[both], scores[both].T)


def _estimate(align, tracks, n_pairs, n_workers):
    # Queries and references from all over the lists.
    queries, references = (
        tracks.rows[places[np.linspace(0, len(places) - 1, _PAIRS_TIMED).astype(int)]]
        for places in (tracks.queries, tracks.references)
    )
    pairs = np.stack([queries, references[::-1]], axis=1)
    align((0, pairs[:1].tobytes()))  # Loads essentia.
    start = time.perf_counter()
    align((0, pairs.tobytes()))
    seconds = (time.perf_counter() - start) / len(pairs) * n_pairs / n_workers
    return f"qmax: {n_pairs} alignments in {n_workers} processes, about {_duration(seconds)}"


def _duration(seconds):
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _stacks(source, feature, rows):
    # Columns of the recurrence plot that each track makes as a reference.
    numbers = [_chroma(source, feature, row).shape[0] for row in rows]
    return np.asarray(numbers) - _STACKED_FRAMES


@functools.lru_cache(maxsize=1)
def _store(source):
    return open_data(source[0])


@functools.lru_cache(maxsize=_CACHED_TRACKS)
def _chroma(source, feature, row):
    chroma = coarse_chroma(_store(source), feature, row, _FRAME_SECONDS, reduce=np.median).T
    if len(chroma) < _MIN_FRAMES:
        chroma = np.tile(chroma, (-(-_MIN_FRAMES // len(chroma)), 1))
    return np.ascontiguousarray(chroma)


def _qmax_of_pairs(source, feature, task):
    # In a worker process: the Qmax of each (row, row) of a task.
    standard = _essentia()
    recurrence = standard.ChromaCrossSimilarity(oti=True)
    alignment = standard.CoverSongSimilarity(distanceType="symmetric")
    pairs = np.frombuffer(task[1], dtype=np.int64).reshape(-1, 2)
    chromas = ([_chroma(source, feature, row) for row in pair] for pair in pairs.tolist())
    return [alignment(recurrence(query, reference))[1] for query, reference in chromas]
