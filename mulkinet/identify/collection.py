"""The tracks of a collection: a folder of audio, or a feature store.

A folder is `<dir>/<work>/<track>.<ext>`, or flat, `<dir>/<track>.<ext>`, where every file is a work of
its own. A track's content is the SHA-256 of its audio file, or of its frames in the store.

Public names: `Entry`, `open_collection`.
"""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from mulkinet.data.averaged import at_rate_of
from mulkinet.data.store import FeatureStore
from mulkinet.embedding import check_compatible
from mulkinet.errors import MulkinetError, SkippedInput
from mulkinet.features.audio import check_file
from mulkinet.features.provenance import quiet
from mulkinet.identify.extraction import read_recordings
from mulkinet.sources.layout import find_flat_tracks, find_tracks

__all__ = ["Entry", "open_collection"]

_BLOCK_BYTES = 1 << 20


class Entry(NamedTuple):
    """One track of a collection.

    Attributes:
        work_id: Its work.
        track_id: Its id within the work.
        title: What a person calls it; empty if unknown.
        path: The audio file; empty if unknown.
        content: SHA-256 in hexadecimal digits.
    """

    work_id: str
    track_id: str
    title: str
    path: str
    content: str


def open_collection(path, extraction, progress=False):
    """Opens a folder of audio or a feature store.

    Args:
        path: The folder, or the store's file.
        extraction: Extraction of the model that is to embed it.
        progress: Whether to show a progress bar while it is hashed.

    Returns:
        An object with `entries`, list of Entry; `skipped`, list of (path, reason); and
        `recordings(entries, n_workers)`, which yields (entry, Recording or reason) as they end.

    Raises:
        MulkinetError: Neither, unreadable, or not made with the model's settings.
    """
    path = Path(path)
    if not path.is_dir():
        return _StoredTracks(FeatureStore(path), extraction, progress)
    return _AudioFiles(path, extraction, progress)


class _AudioFiles:
    """The audio files of a folder."""

    def __init__(self, folder, extraction, progress):
        _check_path(folder)
        extraction.raw_frame_rate  # noqa: B018 - a model that cannot hear audio is refused at once
        self._extraction = extraction
        tracks, self.skipped = find_flat_tracks(folder)
        if tracks is None:
            tracks, self.skipped = find_tracks(folder)
        self.entries = []
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            contents = _with_bar(pool.map(_file_content, tracks), len(tracks), progress)
            for track, content in zip(tracks, contents):
                if isinstance(content, SkippedInput):
                    self.skipped.append((track.path, str(content)))
                    continue
                work_id, track_id, path = track
                title = _tagged_title(path) or track_id
                self.entries.append(Entry(work_id, track_id, title, os.path.abspath(path), content))

    def recordings(self, entries, n_workers):
        by_path = {Path(entry.path): entry for entry in entries}
        for path, result in read_recordings(list(by_path), self._extraction, n_workers):
            yield by_path[path], result


class _StoredTracks:
    """The tracks of a feature store."""

    def __init__(self, store, extraction, progress):
        store = self._store = at_rate_of(extraction.model, store)
        self._extraction = extraction
        self._feature = check_compatible(extraction.model, store)
        self.skipped = []
        title, artist, path = (
            store.metadata.get(name, np.full(len(store), ""))
            for name in ("title", "artist", "path")
        )
        self.entries = [
            Entry(
                str(store.work_ids[row]),
                str(store.track_ids[row]),
                f"{title[row]} ({artist[row]})" if artist[row] else str(title[row]),
                str(path[row]),
                hashlib.sha256(
                    np.ascontiguousarray(store.read(self._feature, row)).data
                ).hexdigest(),
            )
            for row in _with_bar(range(len(store)), len(store), progress)
        ]

    def recordings(self, entries, _n_workers):
        for entry in entries:
            x = self._store.get((entry.work_id, entry.track_id), self._feature)
            if np.isfinite(x).all():
                yield entry, self._extraction.from_features(x)
            else:
                yield entry, f"expected finite values, found NaN or infinity in its {self._feature}"


def _with_bar(items, total, progress):
    return tqdm(
        items, total=total, desc="hashing", unit="track", disable=None if progress else True
    )


def _check_path(folder):
    # The names in it are checked one by one; those above are part of every track's path.
    try:
        os.path.abspath(folder).encode("utf-8")
    except UnicodeEncodeError as error:
        raise MulkinetError(
            f"expected a folder whose path is in UTF-8, found other bytes in {os.fspath(folder)!a}; "
            "rename the folder"
        ) from error


def _file_content(track):
    """SHA-256 of a track's file, or the SkippedInput that says why it cannot be read."""
    sha = hashlib.sha256()
    try:
        check_file(track.path)
        with open(track.path, "rb") as file:
            while block := file.read(_BLOCK_BYTES):
                sha.update(block)
    except SkippedInput as error:
        return error
    except OSError as error:
        return SkippedInput(f"cannot read it: {error.strerror}")
    return sha.hexdigest()


def _tagged_title(path):
    """Title and artist of the file's tags; empty where it has none."""
    import soundfile

    try:
        with quiet(), soundfile.SoundFile(path) as file:
            tags = file.copy_metadata()
    except (soundfile.SoundFileError, OSError):
        # Whatever is wrong with the file is told when it is decoded.
        return ""
    title, artist = tags.get("title", ""), tags.get("artist", "")
    return f"{title} ({artist})" if title and artist else title
