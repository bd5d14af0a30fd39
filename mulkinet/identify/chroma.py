"""The chroma that an index keeps of its tracks, to align queries with: frames of half a second, a byte a number."""

from dataclasses import dataclass

import numpy as np

from mulkinet.alignment.chroma import FRAME_SEC, Chroma, coarsen
from mulkinet.data.averaged import at_rate_of
from mulkinet.embedding import check_compatible

__all__ = ["NO_CHROMA", "KeptChroma", "chroma_of", "chromas_in_store", "coarse_rate", "to_align"]

_BINS = 12
NO_CHROMA = np.empty((0, _BINS), dtype=np.uint8)


@dataclass(frozen=True)
class KeptChroma:
    """Chroma of N tracks; a track without has no frames.

    Attributes:
        frames: (total_frames, 12) uint8, 255 for 1; in memory, or read from the index as it is asked for.
        offsets: (N + 1,) int64, where each track begins.
    """

    frames: np.ndarray
    offsets: np.ndarray

    def __len__(self):
        return len(self.offsets) - 1

    @classmethod
    def of_tracks(cls, tracks):
        """KeptChroma of a list of (n_frames, 12) uint8."""
        offsets = np.cumsum([0, *map(len, tracks)], dtype=np.int64)
        return cls(np.concatenate([NO_CHROMA, *tracks]), offsets)

    def track(self, row):
        """(n_frames, 12) uint8 of one track."""
        return self.frames[self.offsets[row] : self.offsets[row + 1]]

    def keep(self, mask):
        """KeptChroma of some of the tracks, (N,) bool."""
        return KeptChroma.of_tracks([self.track(row) for row in np.flatnonzero(mask)])


def chroma_of(recording, embedder):
    """What an index keeps of a Recording: (n_frames, 12) uint8, no frames where the model's feature has not 12 bins."""
    x = recording.x
    if len(x) != _BINS:
        return NO_CHROMA
    if not recording.is_stored:
        x = embedder.track_length.apply(x, recording.frame_rate)
    coarse, _ = coarsen(x, embedder.frame_rate)
    return np.rint(255 * np.clip(coarse.T, 0, 1)).astype(np.uint8)


def coarse_rate(embedder):
    """Frames per second of what `chroma_of` gives of a recording that is longer than one of its frames."""
    return embedder.frame_rate / max(1, round(FRAME_SEC * embedder.frame_rate))


def chromas_in_store(store, work_ids, track_ids, embedder):
    """What an index would keep of tracks of a FeatureStore, (n,) works and ids: list of (n_frames, 12) uint8."""
    store = at_rate_of(embedder.model, store)
    feature = check_compatible(embedder.model, store)
    return [
        chroma_of(embedder.from_features(store.get(key, feature)), embedder)
        for key in zip(work_ids, track_ids)
    ]


def to_align(frames):
    """Chroma of (n_frames, 12) uint8, repeated where aligning takes more frames; None where there are none."""
    if not len(frames):
        return None
    return Chroma.repeated(np.asarray(frames, dtype=np.float32).T / np.float32(255))
