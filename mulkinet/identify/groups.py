"""Which recordings of a collection are versions of each other.

Each track asks for its k nearest by the index's search; never are all pairs compared. A pair is taken for covers by
the rule of `identify`, each track being a work of its own: where its probability is a half, all other tracks being as
likely beforehand. In a large collection a pair has to be nearer for that. Where the index keeps chroma, pairs are
confirmed by alignment. What is left is joined to groups.

The same recording twice, in another file or coding, is told from another performance: its frames are equal all along,
in one key and at one speed.

Public names: `Group`, `Groups`, `Pair`, `TrackName`, `find_groups`, `pair_tau`.
"""

from dataclasses import asdict, dataclass
from typing import Optional

import numpy as np
from tqdm import tqdm

from mulkinet.errors import MulkinetError
from mulkinet.identify.aligned import align_tracks
from mulkinet.identify.match import cover_probability
from mulkinet.identify.posterior import log_ratio

__all__ = ["Group", "Groups", "Pair", "TrackName", "find_groups", "pair_tau"]

NEIGHBOURS = 20
# A copy is at the speed of the original all along, and its frames are all but equal.
_SAME_TEMPO, _SAME_FRAMES, _SAME_SHARE = 0.01, 0.98, 0.8
_QUERIES_AT_A_TIME = 4096

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
    """The distance at which two tracks of a collection are as likely covers as not.

    Args:
        calibration: dict of `calibration.calibrate`.
        n_tracks: Tracks of the collection.

    Returns:
        float; minus infinity where no distance is near enough.
    """
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
        MulkinetError: The index is not calibrated and no tau is given, or it keeps no chroma to align.
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
    first, second, distances = _near_pairs(index, tau, n_neighbours, progress)
    names = _Names(data)
    is_aligned = rerank if rerank is not None else data.chroma is not None
    pairs = []
    bar = tqdm(
        zip(first.tolist(), second.tolist(), distances.tolist()),
        total=len(first),
        desc="aligning",
        unit="pair",
        disable=None if progress and is_aligned else True,
    )
    for row_a, row_b, distance in bar:
        pair = Pair(names[row_a], names[row_b], distance, _chance(data, distance))
        pair = _confirmed(index, pair) if is_aligned else pair
        if pair is not None:
            pairs.append(pair)
    groups = _grouped(pairs, data.ids["work_id"])
    return Groups(groups, len(index), float(tau), len(first), bool(is_aligned))


class _Names:
    """TrackNames of an index, by row."""

    def __init__(self, data):
        self._ids = data.ids

    def __getitem__(self, row):
        ids = (self._ids[name][row] for name in ("work_id", "track_id", "title", "path"))
        return TrackName(row, *ids)


def _near_pairs(index, tau, n_neighbours, progress):
    """(rows, rows, distances) of the pairs within tau, once each, the nearest first."""
    embeddings, found = index.data.embeddings, []
    starts = range(0, len(embeddings), _QUERIES_AT_A_TIME)
    for start in tqdm(starts, desc="searching", disable=None if progress else True):
        rows, distances = index.search.nearest(
            embeddings[start : start + _QUERIES_AT_A_TIME], n_neighbours + 1
        )
        queries = np.broadcast_to(start + np.arange(len(rows))[:, None], rows.shape)
        near = (distances <= tau) & (rows != queries)
        ends = np.sort(np.stack([queries[near], rows[near]], axis=1), axis=1)
        found.append((ends, distances[near]))
    ends, distances = (np.concatenate(part) for part in zip(*found))
    ends, firsts = np.unique(ends, axis=0, return_index=True)
    distances = distances[firsts]
    order = np.argsort(distances, kind="stable")
    return ends[order, 0], ends[order, 1], distances[order]


def _chance(data, distance):
    if data.calibration is None:
        return None
    prior = data.calibration["known"] / max(len(data) - 1, 1)
    log_odds = float(log_ratio(data.calibration, distance)) + np.log(prior) - np.log1p(-prior)
    return float(0.5 + 0.5 * np.tanh(0.5 * log_odds))


def _confirmed(index, pair):
    """The pair with its alignment; None where that says no; as it is where one has no chroma."""
    aligned = align_tracks(index, pair.a.row, pair.b.row)
    if aligned is None:
        return pair
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
    return Pair(
        pair.a,
        pair.b,
        pair.distance,
        pair.probability,
        found.score,
        bool(is_same),
        int(found.transposition),
        float(found.tempo_ratio),
        [tuple(map(float, span)) for span in found.spans],
    )


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
