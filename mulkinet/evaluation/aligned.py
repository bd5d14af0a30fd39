"""Distances by alignment, pair by pair: Qmax and Dmax of all queries and all references.

Scores are nearly the same both ways (rounding apart), so that a pair is computed once and serves in both directions: N
tracks take N * (N - 1) / 2 alignments. They are kept in a file of the user's cache while the run lasts: an interrupted
run resumes.
"""

import contextlib
import functools
import hashlib
import os
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mulkinet.alignment.chroma import Chroma, coarsen
from mulkinet.alignment.pairs import score_pairs
from mulkinet.alignment.scores import score_distance, score_pair
from mulkinet.data.npy_folder import open_data
from mulkinet.errors import MulkinetError
from mulkinet.files.atomic import atomic_path
from mulkinet.workers import CRASHED, count_workers, current_cluster, run_in_processes

__all__ = ["alignment_distances", "stored_chroma"]

# Pairs are taken by tiles of the matrix, so that few tracks are in memory at a time.
_TILE = 128
# On a cluster a tile is one task: seconds, of at most 64 tracks.
_TILE_AFAR = 32
_PAIRS_TIMED = 4


def stored_chroma(store, feature, row):
    """Chroma of a track (row) of a FeatureStore, of a feature of 12 bins, repeated where aligning takes more frames."""
    frames, _ = coarsen(store.read(feature, row).T, store.settings(feature)["frame_rate"])
    return Chroma.repeated(frames)


def alignment_distances(tracks, feature, measure, *, n_workers=-1, progress=False, report=None):
    """Distances of all queries to all references.

    Args:
        tracks: inputs.Tracks.
        feature: A feature of 12 bins.
        measure: "qmax" or "dmax".
        n_workers: Threads; -1 for all processors.
        progress: Whether to show a progress bar.
        report: Called with a line that says how long it will take, before it starts.

    Returns:
        (Q, M) float64; infinity between a track and itself, which is no candidate.
    """
    cluster = current_cluster()
    n_workers = cluster.n_workers if cluster else count_workers(n_workers)
    if cluster:
        cluster.check_path(tracks.store.path, "the store")

    def load(place):
        return stored_chroma(tracks.store, feature, tracks.rows[place])

    lengths, fingerprint = _survey(tracks, load, measure)
    wanted = _wanted(tracks)
    with _kept_scores(f"{measure}-{fingerprint}.npy", wanted.shape) as scores:
        wanted &= np.isnan(scores)
        n_pairs = int(wanted.sum())
        if report and n_pairs:
            kept = "; interrupted, it will resume" if isinstance(scores, np.memmap) else ""
            report(_estimate(tracks, load, measure, n_pairs, n_workers) + kept)
        hidden = None if progress else True  # no bar where nobody looks
        with tqdm(total=n_pairs, desc=measure, unit="pair", disable=hidden) as bar:
            score = _scores_afar if cluster else _scores_here
            for queries, references, found in score(tracks, feature, measure, wanted, n_workers):
                scores[queries, references] = found
                bar.update(len(found))
        scores = _mirrored(scores, tracks)
    distances = score_distance(scores, lengths[tracks.references])
    distances[tracks.queries[:, None] == tracks.references] = np.inf
    return distances


def _scores_here(tracks, feature, measure, wanted, n_workers):
    """(queries, references, scores) of the wanted pairs, some at a time."""
    for queries, references in _tiles(wanted, _TILE):
        chromas = {
            place: stored_chroma(tracks.store, feature, tracks.rows[place])
            for place in np.union1d(tracks.queries[queries], tracks.references[references])
        }
        pairs = (
            (chromas[tracks.queries[query]], chromas[tracks.references[reference]])
            for query, reference in zip(queries, references)
        )
        done = 0
        for found in score_pairs(pairs, measure, n_workers):
            part = slice(done, done + len(found))
            yield queries[part], references[part], found
            done += len(found)


def _scores_afar(tracks, feature, measure, wanted, n_workers):
    """As `_scores_here`, tile by tile on the cluster, whose workers read the store themselves."""
    task = functools.partial(_score_tile, os.path.abspath(tracks.store.path), feature, measure)
    tiles = {
        (queries[0], references[0]): (queries, references)
        for queries, references in _tiles(wanted, _TILE_AFAR)
    }
    items = [
        (
            key,
            _row_bytes(tracks, tracks.queries, queries),
            _row_bytes(tracks, tracks.references, references),
        )
        for key, (queries, references) in tiles.items()
    ]
    for (key, *_), found in run_in_processes(task, items, n_workers):
        if isinstance(found, str):
            raise MulkinetError(
                f"expected {measure} of a tile of {len(tiles[key][0])} pairs, found that {CRASHED}; "
                "run it again without --cluster"
            )
        yield (*tiles.pop(key), found)


def _row_bytes(tracks, places, chosen):
    return tracks.rows[places[chosen]].astype(np.int64).tobytes()


def _score_tile(path, feature, measure, tile):
    """Runs on a worker."""
    store = open_data(path)
    queries, references = (np.frombuffer(rows, np.int64) for rows in tile[1:])
    chromas = {row: stored_chroma(store, feature, row) for row in np.union1d(queries, references)}
    pairs = [(chromas[query], chromas[reference]) for query, reference in zip(queries, references)]
    return np.concatenate(list(score_pairs(pairs, measure)))


def _survey(tracks, load, measure):
    """Frames of each track, and what tells this run from others."""
    digest = hashlib.blake2b(measure.encode(), digest_size=12)
    for places in (tracks.queries, tracks.references):
        digest.update(np.asarray(places, dtype=np.int64).tobytes())
    lengths = np.empty(len(tracks.rows), dtype=np.int64)
    for place in range(len(tracks.rows)):
        chroma = load(place)
        lengths[place] = len(chroma)
        digest.update(chroma.columns.tobytes())
    return lengths, digest.hexdigest()


def _both(tracks):
    # Places in `queries` and in `references` of the tracks that are both, in the same order.
    _, queries, references = np.intersect1d(
        tracks.queries, tracks.references, assume_unique=True, return_indices=True
    )
    return queries, references


def _wanted(tracks):
    """(Q, M) bool: the pairs to align. Of two tracks that are both, the one that comes first is the query."""
    wanted = np.ones((len(tracks.queries), len(tracks.references)), dtype=bool)
    both = np.ix_(*_both(tracks))
    wanted[both] = np.triu(wanted[both], 1)
    return wanted


def _mirrored(scores, tracks):
    scores = np.nan_to_num(scores)
    both = np.ix_(*_both(tracks))
    scores[both] = np.maximum(scores[both], scores[both].T)
    return scores


def _tiles(wanted, size):
    """Arrays (queries, references) of the pairs, tile by tile."""
    for top in range(0, wanted.shape[0], size):
        for left in range(0, wanted.shape[1], size):
            queries, references = np.nonzero(wanted[top : top + size, left : left + size])
            if len(queries):
                yield queries + top, references + left


@contextlib.contextmanager
def _kept_scores(name, shape):
    """A float32 matrix of NaN, or what an interrupted run filled in of it; gone when all is done.

    Where the cache cannot be written to it is in memory.
    """
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mulkinet"
    path = folder / name
    try:
        if not path.is_file():
            with atomic_path(path) as temporary, open(temporary, "wb") as file:
                np.save(file, np.full(shape, np.nan, dtype=np.float32), allow_pickle=False)
        scores = np.load(path, mmap_mode="r+", allow_pickle=False)
    except (OSError, ValueError, MulkinetError):
        scores = np.full(shape, np.nan, dtype=np.float32)
    yield scores
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def _estimate(tracks, load, measure, n_pairs, n_workers):
    # Queries and references from all over the lists.
    queries, references = (
        [load(places[k]) for k in np.linspace(0, len(places) - 1, _PAIRS_TIMED).astype(int)]
        for places in (tracks.queries, tracks.references)
    )
    score_pair(queries[0], references[-1], measure)  # Loads what is compiled.
    start = time.perf_counter()
    for query, reference in zip(queries, references[::-1]):
        score_pair(query, reference, measure)
    seconds = (time.perf_counter() - start) / _PAIRS_TIMED * n_pairs / n_workers
    return f"{measure}: {n_pairs} alignments in {n_workers} threads, about {_duration(seconds)}"


def _duration(seconds):
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
