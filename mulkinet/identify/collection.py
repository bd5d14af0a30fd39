"""The tracks of a collection: a folder of audio, or a feature store.

A folder is `<dir>/<work>/<track>.<ext>`, or flat, `<dir>/<track>.<ext>`, where every file is a work of
its own. A track's content is the SHA-256 of its audio file, or of its frames in the store. A file is read
for it only where the index does not know its path with the same size and time of change.
"""

import functools
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
from mulkinet.evaluation.baselines import EMBEDDED, Baseline, chroma_feature
from mulkinet.features.audio import check_file, read_tags
from mulkinet.features.cache import extract_all, read_frames
from mulkinet.features.resize import TrackLength
from mulkinet.files.text import in_one_line
from mulkinet.identify.embedder import stored_settings
from mulkinet.sources.layout import find_library
from mulkinet.workers import current_cluster, run_in_processes

__all__ = ["Entry", "baseline_for", "content_of", "hearing_of", "open_collection"]

_BLOCK_BYTES = 1 << 20
_OF_FILES = ("path", "stamp", "title", "content")


class Entry(NamedTuple):
    """One track of a collection.

    Attributes:
        work_id: Its work.
        track_id: Its id within the work.
        title: What a person calls it; empty if unknown.
        path: The audio file; empty if unknown.
        content: SHA-256 in hexadecimal digits.
        stamp: Size and time of change of the audio file; empty for a track of a store.
    """

    work_id: str
    track_id: str
    title: str
    path: str
    content: str
    stamp: str = ""


def open_collection(path, embedder, ids, *, layout=None, accept_partial=False, progress=False):
    """Opens a folder of audio or a feature store.

    Args:
        path: The folder, or the store's file.
        embedder: Embedder of the model that is to embed it.
        ids: `IndexData.ids` of the index that it is for.
        layout: As for `sources.layout.find_library`, of audio.
        accept_partial: As for `mulkinet.features.audio.decode`.
        progress: Whether to show a progress bar while it is hashed.

    Returns:
        An object with `entries`, list of Entry; `skipped`, list of (path, reason);
        `recordings(entries, n_workers)`, which yields (entry, Recording or reason) as they end; and
        `name(entry)`, by which a person finds the track.

    Raises:
        MulkinetError: Neither, unreadable, or not made with the model's settings.
    """
    path = Path(path)
    if _is_store(path, layout):
        return _StoredTracks(FeatureStore(path), embedder, progress)
    return _AudioFiles(path, layout, embedder, ids, accept_partial, progress)


def _is_store(path, layout):
    path = Path(path)
    return layout is None and not path.is_dir() and path.suffix.lower() != ".csv"


def baseline_for(name, path, feature=None, layout=None):
    """A baseline in the place of a model that embeds a collection.

    Args:
        name: One of `baselines.EMBEDDED`.
        path: The collection, as for `open_collection`.
        feature: A feature of 12 bins; by default crema, or a store's first.
        layout: As for `open_collection`.

    Returns:
        Baseline.

    Raises:
        MulkinetError: No such baseline or feature, or the store cannot be read.
    """
    if name not in EMBEDDED:
        raise MulkinetError(
            f"expected a baseline that gives embeddings ({', '.join(EMBEDDED)}), found {name!r}"
        )
    if _is_store(path, layout):
        store = FeatureStore(path)
        feature = chroma_feature(store, feature)
        return Baseline(name, feature, store.settings(feature))
    feature = feature or "crema"
    settings = stored_settings(feature, TrackLength())
    if settings["n_bins"] != Baseline.n_bins:
        raise MulkinetError(
            f"expected a feature of {Baseline.n_bins} bins (crema, hpcp or chroma_cens), found {feature}"
        )
    return Baseline(name, feature, settings)


def hearing_of(path, model, layout=None):
    """What is done to the audio of a new index's collection and queries.

    Args:
        path: The collection, as for `open_collection`.
        model: EmbeddingNetwork or Baseline.
        layout: As for `open_collection`.

    Returns:
        dict of is_tuned and is_trimmed, as of `Embedder`: both for audio; for a store what was done to its audio.
    """
    if not _is_store(path, layout):
        return {"is_tuned": True, "is_trimmed": True}
    store = FeatureStore(path)
    feature = model.metadata.get("feature")
    settings = store.settings(feature) if feature in store.features else {}
    return {"is_tuned": "tuning" in settings, "is_trimmed": bool(settings.get("trimmed", False))}


class _AudioFiles:
    """The audio files of a folder."""

    def __init__(self, folder, layout, embedder, ids, accept_partial, progress):
        _check_path(folder)
        embedder.raw_frame_rate  # noqa: B018 - a model that cannot hear audio is refused at once
        self._embedder = embedder
        self._accept_partial = accept_partial
        self._path_of = {}
        tracks, self.skipped = find_library(folder, layout)
        self.entries = []
        known = {
            (path, stamp): (title, content)
            for path, stamp, title, content in zip(*(ids[name] for name in _OF_FILES))
        }
        described = _described_here if current_cluster() is None else _described_afar
        found = dict(_with_bar(described(known, tracks), len(tracks), progress))
        for track in tracks:
            entry = found[track]
            if isinstance(entry, str):
                self.skipped.append((track.path, entry))
            else:
                self.entries.append(entry)
                self._path_of[entry] = track.path

    def recordings(self, entries, n_workers):
        by_path = {self._path_of[entry]: entry for entry in entries}
        feature = self._embedder.feature
        options = {"is_tuned": self._embedder.is_tuned, "accept_partial": self._accept_partial}
        found_of = extract_all(list(by_path), [feature], n_workers, **options)
        # In order, whoever is done first: a batch of other tracks gives embeddings that differ in the last bit.
        for path, found in _in_order(by_path, found_of):
            if isinstance(found, str):
                yield by_path[path], found
            else:
                x, one = read_frames(path, feature, options["is_tuned"]), found[feature]
                yield by_path[path], self._embedder.from_raw(x, one.sound_sec, one.note)

    def name(self, entry):
        return self._path_of[entry]


class _StoredTracks:
    """The tracks of a feature store."""

    def __init__(self, store, embedder, progress):
        store = self._store = at_rate_of(embedder.model, store)
        self._embedder = embedder
        self._feature = check_compatible(embedder.model, store)
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
                yield entry, self._embedder.from_features(x)
            else:
                yield entry, f"expected finite values, found NaN or infinity in its {self._feature}"

    def name(self, entry):
        return f"{entry.work_id}/{entry.track_id}"


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


def _in_order(keys, pairs):
    """(key, value) pairs in the order of the keys, each as soon as those before it are there."""
    keys, early = iter(keys), {}
    awaited = next(keys, None)
    for key, value in pairs:
        early[key] = value
        while awaited in early:
            yield awaited, early.pop(awaited)
            awaited = next(keys, None)


def _described_here(known, tracks):
    """(track, Entry or reason) of each."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from zip(tracks, pool.map(functools.partial(_describe, known), tracks))


def _described_afar(known, tracks):
    """As `_described_here`, by the workers of the cluster, who read the files that are not known."""
    new = []
    for track in tracks:
        try:
            is_known = _key(track.path) in known
        except OSError:
            is_known = False
        if is_known:
            yield track, _describe(known, track)
        else:
            new.append(track)
    yield from run_in_processes(functools.partial(_describe, {}), new, len(new))


def _key(path):
    stat = path.stat()
    return os.path.abspath(path), f"{stat.st_size} {stat.st_mtime_ns}"


def _describe(known, track):
    """The Entry of an audio file, or the reason (str) why it cannot be read."""
    work_id, track_id, path, listed = track
    try:
        check_file(path)
        key = _key(path)
        title, content = known.get(key) or (_tagged_title(path) or track_id, content_of(path))
        title = listed or title
    except SkippedInput as error:
        return str(error)
    except OSError as error:
        return f"cannot read it: {error.strerror}"
    return Entry(work_id, track_id, title, key[0], content, key[1])


def content_of(path):
    """SHA-256 of a file, in hexadecimal digits."""
    sha = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK_BYTES):
            sha.update(block)
    return sha.hexdigest()


def _tagged_title(path):
    """Title and artist of the file's tags; empty where it has none."""
    tags = read_tags(path)
    title, artist = (
        in_one_line(" ".join(tags.get(name, "").split())) for name in ("title", "artist")
    )
    return f"{title} ({artist})" if title and artist else title
