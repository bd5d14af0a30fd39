"""What is in a data set, and what is wrong with it, before a long run finds out.

Looked for: tracks of a list that are missing; NaN and infinite values; negative ones; silent tracks, in which
every value is 0; tracks with identical values as another; works that two lists share, which is
leakage from training to testing.
"""

import collections
import hashlib
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from mulkinet.data.arrays import has_negative
from mulkinet.errors import MulkinetError

__all__ = [
    "FeatureReport",
    "ListReport",
    "check_feature",
    "check_list",
    "shared_works",
    "sizes_of_works",
]

_TRACKS_HELD = 256


class FeatureReport(NamedTuple):
    """What one feature of a store holds.

    Attributes:
        n_bins: Bins of a frame.
        frame_rate: Frames per second.
        lengths: (N,) int64, frames of each track.
        unreadable: list of ((work_id, track_id), reason) of tracks that cannot be read.
        non_finite: list of (work_id, track_id) with NaN or infinite values.
        negative: list of (work_id, track_id) with values below 0, as dB have them.
        silent: list of (work_id, track_id) of which every value is 0.
        duplicates: list of lists of (work_id, track_id) that have identical values.
    """

    n_bins: int
    frame_rate: float
    lengths: np.ndarray
    unreadable: list
    non_finite: list
    negative: list
    silent: list
    duplicates: list


class ListReport(NamedTuple):
    """What a list names.

    Attributes:
        n_tracks: Tracks in the list.
        sizes: {tracks of a work: how many works have so many}.
        missing: list of (work_id, track_id) that the store lacks.
    """

    n_tracks: int
    sizes: dict
    missing: list


def check_feature(store, feature, *, progress=False):
    """Looks at every value of a feature of a FeatureStore or NpyFolder, one track at a time: FeatureReport."""
    keys = list(store.rows_by_key)
    unreadable, non_finite, negative, silent = [], [], [], []
    same = collections.defaultdict(list)
    for row, key in enumerate(
        tqdm(keys, desc=f"check {feature}", unit="track", disable=None if progress else True)
    ):
        if row % _TRACKS_HELD == 0:
            store.release()
        try:
            frames = np.ascontiguousarray(store.read(feature, row))
        except MulkinetError as error:
            unreadable.append((key, str(error)))
            continue
        if not np.isfinite(frames).all():
            non_finite.append(key)
        elif has_negative(frames):
            negative.append(key)
        elif not frames.any():
            silent.append(key)
        else:
            same[frames.shape, hashlib.blake2b(frames, digest_size=16).digest()].append(key)
    settings = store.settings(feature)
    return FeatureReport(
        settings["n_bins"],
        settings["frame_rate"],
        store.n_frames(feature),
        unreadable,
        non_finite,
        negative,
        silent,
        [group for group in same.values() if len(group) > 1],
    )


def check_list(store, pairs):
    """ListReport of a list, (work_id, track_id) pairs, and a FeatureStore or NpyFolder."""
    missing = [tuple(pair) for pair in pairs if tuple(pair) not in store.rows_by_key]
    return ListReport(len(pairs), sizes_of_works(pairs), missing)


def sizes_of_works(pairs):
    """How many works have how many tracks, of (work_id, track_id) pairs: {tracks: works}, the smallest first."""
    tracks = collections.Counter(work for work, _ in pairs)
    return dict(sorted(collections.Counter(tracks.values()).items()))


def shared_works(first, second):
    """The works (sorted list) that two lists of (work_id, track_id) pairs share: what is learnt of them is no test."""
    return sorted({work for work, _ in first} & {work for work, _ in second})
