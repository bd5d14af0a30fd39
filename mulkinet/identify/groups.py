"""Which recordings of a collection are versions of each other.

Each track asks for its k nearest by the index's search; never are all pairs compared. A pair is taken for covers by
the rule of `identify`, each track being a work of its own: where its probability is a half, all other tracks being as
likely beforehand. In a large collection a pair has to be nearer for that. Where the index keeps chroma, pairs are
confirmed by alignment. What is left is joined to groups.

The same recording twice, in another file or coding, is told from another performance: its frames are equal all along,
in one key and at one speed.

Blocks of queries, and of pairs to align, are tasks of `mulkinet.workers`: on a cluster each worker opens the index.
"""

import functools
import os
from dataclasses import asdict, dataclass
from typing import NamedTuple, Optional

import numpy as np
from tqdm import tqdm

from mulkinet.errors import MulkinetError
from mulkinet.identify.aligned import align_kept
from mulkinet.identify.chroma import coarse_rate
from mulkinet.identify.index_file import IDS, IndexData, digest_of, read_index
from mulkinet.identify.match import cover_probability
from mulkinet.identify.posterior import log_ratio
from mulkinet.identify.search import Search, open_search
from mulkinet.workers import CRASHED, current_cluster, run_in_processes

__all__ = ["Group", "Groups", "Pair", "TrackName", "find_groups", "pair_tau"]

NEIGHBOURS = 20
# A copy is at the speed of the original all along, and its frames are all but equal.
_SAME_TEMPO, _SAME_FRAMES, _SAME_SHARE = 0.01, 0.98, 0.8
_QUERIES_AT_A_TIME = 512
# Seconds of alignment.
_PAIRS_AT_A_TIME = 16

SPLIT, WRONG, AS_FILED = "works told apart", "track in the wrong work", "as filed"


@dataclass(frozen=True)
class TrackName:
    """A track of the index: its row, work_id, track_id, title and path."""

    row: int
    work_id: str
    track_id: str
    title: str
    path: str


@dataclass(frozen=True)
class Pair:
    """Two tracks that are covers of each other.

    Attributes:
        a, b: TrackName.
        distance: Of their embeddings.
        probability: That they are covers, each track of the collection being as likely; None without calibration.
        score: Of their alignment; None where they were not aligned, like all that follows.
        same_recording: Whether they are one recording, and not two performances.
        transposition: Semitones that b is above a, from -5 to 6.
        tempo_ratio: Speed of b divided by that of a.
        spans: list of (start_a, end_a, start_b, end_b) in seconds.
    """

    a: TrackName
    b: TrackName
    distance: float
    probability: Optional[float]
    score: Optional[float] = None
    same_recording: Optional[bool] = None
    transposition: Optional[int] = None
    tempo_ratio: Optional[float] = None
    spans: Optional[list] = None


@dataclass(frozen=True)
class Group:
    """Tracks that are covers of each other.

    Attributes:
        finding: "works told apart": tracks of several works belong together; "track in the wrong work": a track has no
            cover in its own work, where there are others, but in another; "as filed": all are of one work.
        tracks: list of TrackName.
        pairs: list of Pair, the nearest first.
        misfiled: list of TrackName, those in the wrong work.
    """

    finding: str
    tracks: list
    pairs: list
    misfiled: list

    @property
    def copies(self):
        """The pairs (list of Pair) that are the same recording twice."""
        return [pair for pair in self.pairs if pair.same_recording]


@dataclass(frozen=True)
class Groups:
    """What was found in a collection.

    Attributes:
        groups: list of Group, those with something to mend first.
        tracks: Tracks of the collection.
        tau: Distance within which pairs were looked at.
        candidates: Pairs within tau.
        aligned: Whether they were confirmed by alignment.
    """

    groups: list
    tracks: int
    tau: float
    candidates: int
    aligned: bool

    def to_dict(self):
        """As plain dicts and lists, for JSON."""
        return asdict(self)


def pair_tau(calibration, n_tracks):
    """The distance at which two of a collection's tracks are as likely covers as not; minus infinity where none is."""
    prior = calibration["known"] / max(n_tracks - 1, 1)
    wanted = np.log1p(-prior) - np.log(prior)
    # The ratio falls with the distance: the floor alone is far too little, or the collection tiny.
    low, high = -1e3, 1e3
    if log_ratio(calibration, high) >= wanted:
        return high
    if log_ratio(calibration, low) < wanted:
        return -np.inf
    for _ in range(100):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if log_ratio(calibration, middle) >= wanted else (low, middle)
    return low


def find_groups(index, *, tau=None, rerank=None, n_neighbours=NEIGHBOURS, progress=True):
    """Finds the recordings of a collection that are versions of each other.

    Args:
        index: Index.
        tau: Distance within which pairs are looked at; by default that of `pair_tau`.
        rerank: Whether to confirm pairs by alignment; by default where the index keeps chroma.
        n_neighbours: Nearest tracks of each that are looked at.
        progress: Whether to show a progress bar.

    Returns:
        Groups.

    Raises:
        MulkinetError: The index is not calibrated and no tau is given, or it keeps no chroma to align; or workers of a
            cluster find another index under its name.
    """
    data = index.data
    if tau is None and data.calibration is None:
        raise MulkinetError(
            f"expected a calibrated index or a tau, found {index.path} without; calibrate it with "
            "mulkinet calibrate, or give --tau"
        )
    if rerank and data.chroma is None:
        raise MulkinetError(
            f"expected chroma in {index.path} to align tracks with, found none; add it with mulkinet "
            f"index add COLLECTION --index {index.path} --alignment"
        )
    if tau is None:
        tau = pair_tau(data.calibration, len(index))
    is_aligned = bool(rerank if rerank is not None else data.chroma is not None)
    opener = _opener(index)
    ends, distances = _near_pairs(opener, len(index), tau, n_neighbours, progress)
    found = _confirmations(opener, ends, progress) if is_aligned else [{}] * len(ends)
    pairs = [
        Pair(*(_named(data, row) for row in rows), distance, _chance(data, distance), **facts)
        for rows, distance, facts in zip(ends.tolist(), distances.tolist(), found)
        if facts is not None
    ]
    groups = _grouped(pairs, data.ids["work_id"])
    return Groups(groups, len(index), float(tau), len(ends), is_aligned)


class _Opened(NamedTuple):
    """What tasks need of an index: its data, its search, and the frame rate of its chroma, if it keeps any."""

    data: IndexData
    search: Search
    rate: Optional[float]

    def open(self):
        """Itself, in the process that has it."""
        return self


class _Named(NamedTuple):
    """An index as workers of a cluster are told of it."""

    path: str
    digest: str
    weights: Optional[tuple]
    rate: Optional[float]

    def open(self):
        """_Opened, on a worker; kept for its further tasks."""
        key = self.path, self.digest
        if key not in _kept_open:
            _kept_open.clear()
            _kept_open[key] = self._open()
        return _kept_open[key]

    def _open(self):
        data = read_index(self.path, digest=self.digest)
        return _Opened(data, open_search(data, self.weights), self.rate)


_kept_open = {}


def _opener(index):
    rate = None if index.data.chroma is None else coarse_rate(index.embedder)
    cluster = current_cluster()
    if cluster is None:
        return _Opened(index.data, index.search, rate)
    cluster.check_path(index.path, "the index")
    path = os.path.abspath(index.path)
    return _Named(path, digest_of(index.data), index.model.distance_weights, rate)


def _run(function, opener, items):
    """(item, result) of `function(_Opened, *item)`, as they end."""
    for item, found in run_in_processes(functools.partial(_call, function, opener), items, 1):
        if isinstance(found, str):
            raise MulkinetError(
                f"expected a block of tracks to be compared, found that {CRASHED}; run it again without --cluster"
            )
        yield item, found


def _call(function, opener, item):
    return function(opener.open(), *item)


def _named(data, row):
    return TrackName(row, *(data.ids[name][row] for name in IDS[:4]))


def _near_pairs(opener, n_tracks, tau, n_neighbours, progress):
    """(n, 2) rows and (n,) distances of the pairs within tau, once each, the nearest first."""
    items = [(start, n_neighbours, tau) for start in range(0, n_tracks, _QUERIES_AT_A_TIME)]
    hidden, found = None if progress else True, {}
    with tqdm(total=n_tracks, desc="searching", unit="track", disable=hidden) as bar:
        for (start, *_), near in _run(_search_block, opener, items):
            found[start] = near
            bar.update(min(_QUERIES_AT_A_TIME, n_tracks - start))
    ends, distances = (np.concatenate(part) for part in zip(*(found[key] for key in sorted(found))))
    ends, firsts = np.unique(ends, axis=0, return_index=True)
    distances = distances[firsts]
    order = np.argsort(distances, kind="stable")
    return ends[order], distances[order]


def _search_block(opened, start, n_neighbours, tau):
    """(n, 2) rows and (n,) distances of the pairs within tau of some tracks and their neighbours."""
    queries = np.asarray(opened.data.embeddings[start : start + _QUERIES_AT_A_TIME])
    rows, distances = opened.search.nearest(queries, n_neighbours + 1)
    owners = np.broadcast_to(start + np.arange(len(rows))[:, None], rows.shape)
    near = (distances <= tau) & (rows != owners)
    return np.sort(np.stack([owners[near], rows[near]], axis=1), axis=1), distances[near]


def _chance(data, distance):
    if data.calibration is None:
        return None
    prior = data.calibration["known"] / max(len(data) - 1, 1)
    log_odds = float(log_ratio(data.calibration, distance)) + np.log(prior) - np.log1p(-prior)
    return float(0.5 + 0.5 * np.tanh(0.5 * log_odds))


def _confirmations(opener, ends, progress):
    """List of `_confirmation`, of each pair."""
    starts = range(0, len(ends), _PAIRS_AT_A_TIME)
    items = [
        (tuple(map(tuple, ends[start : start + _PAIRS_AT_A_TIME].tolist())),) for start in starts
    ]
    hidden, found = None if progress else True, {}
    with tqdm(total=len(ends), desc="aligning", unit="pair", disable=hidden) as bar:
        for (pairs,), facts in _run(_align_block, opener, items):
            found.update(zip(pairs, facts))
            bar.update(len(pairs))
    return [found[pair] for pair in map(tuple, ends.tolist())]


def _align_block(opened, pairs):
    return [_confirmation(opened, row_a, row_b) for row_a, row_b in pairs]


def _confirmation(opened, row_a, row_b):
    """What an alignment adds to a Pair (dict): nothing where one has no chroma; None where it says no."""
    chroma = opened.data.chroma
    aligned = align_kept(chroma.track(row_a), chroma.track(row_b), opened.rate)
    if aligned is None:
        return {}
    found, shorter = aligned.alignment, min(aligned.seconds_a, aligned.seconds_b)
    if cover_probability(found.score) < 0.5:
        return None
    longest = max((end - start for start, end, _, _ in found.spans), default=0.0)
    is_same = (
        found.transposition == 0
        and abs(found.tempo_ratio - 1) <= _SAME_TEMPO
        and found.similarity >= _SAME_FRAMES
        and longest >= _SAME_SHARE * shorter
    )
    return {
        "score": found.score,
        "same_recording": bool(is_same),
        "transposition": int(found.transposition),
        "tempo_ratio": float(found.tempo_ratio),
        "spans": [tuple(map(float, span)) for span in found.spans],
    }


def _grouped(pairs, work_ids):
    root = {}

    def find(row):
        while root.setdefault(row, row) != row:
            root[row] = root[root[row]]
            row = root[row]
        return row

    for pair in pairs:
        root[find(pair.a.row)] = find(pair.b.row)
    members = {}
    for pair in pairs:
        members.setdefault(find(pair.a.row), []).append(pair)
    names, counts = np.unique(np.asarray(work_ids, str), return_counts=True)
    sizes = dict(zip(names.tolist(), counts.tolist()))
    groups = [_group(found, sizes) for found in members.values()]
    order = {SPLIT: 1, WRONG: 0, AS_FILED: 2}
    return sorted(groups, key=lambda group: (order[group.finding], group.pairs[0].distance))


def _group(pairs, sizes):
    tracks = {track.row: track for pair in pairs for track in (pair.a, pair.b)}
    works = {track.work_id for track in tracks.values()}
    at_home = {
        track.row
        for pair in pairs
        if pair.a.work_id == pair.b.work_id
        for track in (pair.a, pair.b)
    }
    # Nothing of its own work is like it, though there is more of it; and what is like it is among its own.
    misfiled = [
        track
        for row, track in sorted(tracks.items())
        if len(works) > 1
        and row not in at_home
        and sizes[track.work_id] > 1
        and any(
            other.row in at_home
            for pair in pairs
            if row in (pair.a.row, pair.b.row)
            for other in (pair.a, pair.b)
        )
    ]
    finding = AS_FILED if len(works) == 1 else WRONG if misfiled else SPLIT
    return Group(finding, [tracks[row] for row in sorted(tracks)], pairs, misfiled)
