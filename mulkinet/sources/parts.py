"""Finished tracks of a conversion that is not finished: what lets a killed run go on.

A folder holds, for each process that worked on it, `<number>.frames`, the tracks' float32 values
one behind the other, and `<number>.journal`, one line of JSON for each track: its key, signature,
the frames of each feature and a checksum. The line is written when the values are, so that a kill
at any moment loses only the track in hand. Nothing is ever changed in place.

Public names: `PartWriter`, `Finished`, `PartReader`, `read_journals`.
"""

import json
import os
from pathlib import Path
from typing import NamedTuple

import deflate
import numpy as np

__all__ = ["PartWriter", "PartReader", "Finished", "read_journals"]


class Finished(NamedTuple):
    """Where a finished track lies.

    Attributes:
        path: pathlib.Path of the file of frames.
        position: Byte at which its values begin.
        n_bytes: Bytes of its values.
        n_frames: tuple of int, the frames of each feature.
        signature: What told the input apart.
    """

    path: Path
    position: int
    n_bytes: int
    n_frames: tuple
    signature: str


class PartWriter:
    """Appends finished tracks to files of its own; a context manager.

    Args:
        folder: The folder of the parts, which is there.
    """

    def __init__(self, folder):
        self._frames = _create_next(Path(folder))
        journal = Path(self._frames.name).with_suffix(".journal")
        self._journal = open(journal, "wb", buffering=0)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._frames.close()
        self._journal.close()

    def append(self, key, signature, arrays):
        """Keeps one track.

        Args:
            key: (work_id, track_id).
            signature: str that tells this input from another of the same key.
            arrays: (n_frames, n_bins) float32 of each feature.

        Raises:
            OSError: The disk is full.
        """
        content = b"".join(np.ascontiguousarray(x, "<f4").data.cast("B") for x in arrays)
        _write_all(self._frames, content)
        line = [*key, signature, [len(x) for x in arrays], len(content), deflate.crc32(content)]
        _write_all(self._journal, json.dumps(line).encode() + b"\n")


def read_journals(journals, *, verify):
    """The tracks that are whole.

    Args:
        journals: Paths of journals, of which later ones prevail.
        verify: Read the frames too and compare their checksums, as after a power cut; a journal
            counts up to the first that differs.

    Returns:
        dict of (work_id, track_id) to Finished.
    """
    finished = {}
    for journal in journals:
        path = Path(journal).with_suffix(".frames")
        if not path.exists():
            continue  # the run was killed while it removed its folder
        position = 0
        with open(path, "rb") as frames:
            for line in Path(journal).read_bytes().splitlines():
                try:
                    work_id, track_id, signature, n_frames, n_bytes, checksum = json.loads(line)
                except ValueError:
                    break
                if verify and deflate.crc32(frames.read(n_bytes)) != checksum:
                    break
                key = work_id, track_id
                finished[key] = Finished(path, position, n_bytes, tuple(n_frames), signature)
                position += n_bytes
    return finished


class PartReader:
    """Reads finished tracks back; a context manager."""

    def __init__(self):
        self._files = {}

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for file in self._files.values():
            file.close()

    def read(self, finished, arrays):
        """Reads the values of a track into arrays.

        Args:
            finished: Finished.
            arrays: (n_frames, n_bins) contiguous little-endian float32 of each feature.

        Raises:
            OSError: The file has become shorter.
        """
        if finished.path not in self._files:
            self._files[finished.path] = open(finished.path, "rb", buffering=0)
        descriptor = self._files[finished.path].fileno()
        n_read = os.preadv(descriptor, arrays, finished.position)
        if n_read != finished.n_bytes:
            raise OSError(f"read {n_read} of {finished.n_bytes} bytes from {finished.path}")


def _create_next(folder):
    number = len(list(folder.glob("*.frames")))
    while True:
        try:
            return open(folder / f"{number:04}.frames", "xb", buffering=0)
        except FileExistsError:
            number += 1


def _write_all(file, content):
    written = file.write(content)
    if written != len(content):
        raise OSError(f"wrote {written} of {len(content)} bytes to {os.fspath(file.name)}")
