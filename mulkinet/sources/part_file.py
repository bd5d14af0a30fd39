"""Finished tracks of an unfinished conversion: what lets an interrupted run resume.

One file holds track after track as numpy.save writes them: a digest of what the track was made from,
then the frames of each feature. A kill loses what was being written; nothing is changed in place.
"""

import contextlib

import numpy as np

from mulkinet.files.numpy_files import UNREADABLE

__all__ = ["PartFile"]


class PartFile:
    """The finished tracks in an open file; what follows the last whole one is cut off.

    Attributes:
        n_frames: dict of digest to a tuple, the frames of each feature.

    Args:
        file: A binary file open for reading and writing.
        n_features: Features of each track.
    """

    def __init__(self, file, n_features):
        self._file = file
        self._n_features = n_features
        self._position = {}
        self.n_frames = {}
        end = 0
        with contextlib.suppress(*UNREADABLE):
            while True:
                digest = str(self._load())
                start = file.tell()
                self.n_frames[digest] = tuple(len(self._load()) for _ in range(n_features))
                self._position[digest] = start
                end = file.tell()
        file.seek(end)
        file.truncate()

    def append(self, digest, arrays):
        """Keeps one track: what it was made from, a digest, and (n_frames, n_bins) of each feature.

        Raises:
            OSError: The disk is full.
        """
        self._file.seek(0, 2)
        np.save(self._file, np.asarray(digest))
        self._position[digest] = self._file.tell()
        for frames in arrays:
            np.save(self._file, frames)
        self._file.flush()
        self.n_frames[digest] = tuple(map(len, arrays))

    def read(self, digest):
        """The list of (n_frames, n_bins) of each feature of a track."""
        self._file.seek(self._position[digest])
        return [self._load() for _ in range(self._n_features)]

    def _load(self):
        return np.load(self._file, allow_pickle=False)
