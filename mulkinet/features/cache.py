"""Features of audio files, extracted once: for a store, for an index, for the next model.

One HDF5 file per audio file and feature in `cache_folder("features")`, named by a hash of both: `frames`,
(n_frames, n_bins) float32 at full length, with the extractor's settings as JSON. The audio file's size and
time of change tell whether it is still the one that was read. What is missing, damaged or outdated is
extracted again, so that the folder can be deleted at any time. Four minutes of a chroma take 1 MB.
"""

import functools
import hashlib
import json
import os
from typing import NamedTuple

import h5py
import numpy as np

from mulkinet.errors import SkippedInput
from mulkinet.features import extractor
from mulkinet.features.audio import AudioFile
from mulkinet.features.blocks import whole_features
from mulkinet.features.parcel import pack, unpack
from mulkinet.files.atomic import remove_leftovers
from mulkinet.files.cache import cache_folder
from mulkinet.files.hdf5 import atomic_hdf5
from mulkinet.workers import current_cluster, reason_or_result, run_in_processes

__all__ = ["FOLDER", "Extracted", "extract_all", "look_up", "read_frames"]

FOLDER = "features"
FORMAT = "mulkinet-feature 2"
_ANOTHER_FILE = (
    "expected the same file here and on the worker, found another size or time of change there; "
    "copy files with their times (rsync -t), or share the folder"
)


class Extracted(NamedTuple):
    """What is known of a feature that was extracted.

    Attributes:
        n_frames: Its frames.
        seconds: Duration of the audio.
        sr: Sampling rate of the audio file in Hz.
        channels: Channels of the audio file.
        is_partial: Whether the file holds less than it promises.
        note: What its user should know of how it was read, "" where there is nothing.
        sound_sec: (start, end) in seconds of what is not leading or trailing silence.
    """

    n_frames: int
    seconds: float
    sr: int
    channels: int
    is_partial: bool
    note: str
    sound_sec: tuple


def extract_all(paths, features, n_workers, *, is_tuned=False, accept_partial=False):
    """Extracts features of many files, where they are not kept already.

    Args:
        paths: list of pathlib.Path, each once.
        features: Names of the features.
        n_workers: Processes, at least 1.
        is_tuned: As for `mulkinet.features.extractor`.
        accept_partial: As for `mulkinet.features.audio.decode`.

    Yields:
        (path, dict of feature to Extracted, or str with the reason why the file cannot be used), as they
        end.

    Raises:
        MulkinetError: The cache cannot be written.
    """
    todo = []
    for path in paths:
        kept = _look_up_all(cache_folder(FOLDER), path, features, is_tuned, accept_partial)
        if len(kept) == len(features):
            yield path, kept
        else:
            todo.append(path)
    if not todo:
        return
    remove_leftovers(cache_folder(FOLDER))
    cluster = current_cluster()
    if cluster and not cluster.shared_output:
        yield from _extract_afar(todo, features, is_tuned, accept_partial)
        return
    if cluster:
        cache_folder(FOLDER).mkdir(parents=True, exist_ok=True)
        cluster.check_path(cache_folder(FOLDER), "with --shared-output, the folder of features")
    # Workers may have been started when the cache was elsewhere.
    extract = functools.partial(
        _extract_missing, cache_folder(FOLDER), features, is_tuned, accept_partial
    )
    task = functools.partial(reason_or_result, extract)
    yield from run_in_processes(task, todo, min(n_workers, len(todo)))


def look_up(path, feature, is_tuned=False, folder=None):
    """Extracted of a feature of an audio file, if it was extracted before; None where it was not.

    Nor is it where the audio or the extractor's settings are no longer those. `folder` is the user's cache by default.
    """
    folder = folder or cache_folder(FOLDER)
    try:
        identity = _identity(path, feature, is_tuned)
        with h5py.File(_file_of(folder, path, feature, is_tuned), "r") as file:
            if any(file.attrs.get(name) != value for name, value in identity.items()):
                return None
            seconds, sr, channels, is_partial = (
                file.attrs[name].item() for name in ("seconds", "sr", "channels", "is_partial")
            )
            n_frames, note = len(file["frames"]), str(file.attrs["note"])
            start, end = (float(second) for second in file.attrs["sound_sec"])
            return Extracted(n_frames, seconds, sr, channels, is_partial, note, (start, end))
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError):
        # Absent, or damaged by something other than us: either way it is made again.
        return None


def read_frames(path, feature, is_tuned=False):
    """(n_bins, n_frames) float32 of a feature that `extract_all` or `look_up` has found."""
    with h5py.File(_file_of(cache_folder(FOLDER), path, feature, is_tuned), "r") as file:
        return file["frames"][:].T


def _look_up_all(folder, path, features, is_tuned, accept_partial):
    found = {feature: look_up(path, feature, is_tuned, folder) for feature in features}
    return {
        feature: kept
        for feature, kept in found.items()
        if kept and (accept_partial or not kept.is_partial)
    }


def _extract_missing(folder, features, is_tuned, accept_partial, path):
    """Runs in a worker, which writes what it has made: a killed run loses the files in hand."""
    kept = _look_up_all(folder, path, features, is_tuned, accept_partial)
    missing = [feature for feature in features if feature not in kept]
    for feature, made in _extract(missing, is_tuned, accept_partial, path).items():
        _write(_file_of(folder, path, feature, is_tuned), made)
        kept[feature] = made.found
    return kept


def _extract_afar(paths, features, is_tuned, accept_partial):
    """As `extract_all`, by workers that do not see the cache: they send what they make, and it is written here."""
    folder = cache_folder(FOLDER)
    kept = {path: _look_up_all(folder, path, features, is_tuned, accept_partial) for path in paths}
    wanted = {}  # most often the same of all
    for path in paths:
        wanted.setdefault(tuple(f for f in features if f not in kept[path]), []).append(path)
    for missing, group in wanted.items():
        extract = functools.partial(_extract_and_pack, list(missing), is_tuned, accept_partial)
        task = functools.partial(reason_or_result, extract)
        for path, parcels in run_in_processes(task, group, len(group)):
            if isinstance(parcels, str):
                yield path, parcels
                continue
            made = {feature: _Made(*facts, unpack(x)) for feature, (*facts, x) in parcels.items()}
            if not path.exists() or any(
                one.identity != _identity(path, feature, is_tuned) for feature, one in made.items()
            ):
                yield path, _ANOTHER_FILE
                continue
            for feature, one in made.items():
                _write(_file_of(folder, path, feature, is_tuned), one)
            yield path, {**kept.pop(path), **{feature: one.found for feature, one in made.items()}}


def _extract_and_pack(features, is_tuned, accept_partial, path):
    return {
        feature: (made.identity, made.found, pack(made.frames))
        for feature, made in _extract(features, is_tuned, accept_partial, path).items()
    }


class _Made(NamedTuple):
    """A feature as it is kept: what tells its audio file, Extracted, and (n_frames, n_bins) float32."""

    identity: dict
    found: Extracted
    frames: np.ndarray


def _extract(features, is_tuned, accept_partial, path):
    try:
        identities = {feature: _identity(path, feature, is_tuned) for feature in features}
    except OSError as error:
        raise SkippedInput(f"cannot read it: {error.strerror}") from error
    audio = AudioFile(path, accept_partial=accept_partial)
    frames = whole_features(audio.pieces(), features, is_tuned)
    facts = audio.seconds, audio.sr, audio.channels, audio.is_partial, audio.note, audio.sound_sec
    return {
        feature: _Made(identities[feature], Extracted(x.shape[1], *facts), x.T)
        for feature, x in frames.items()
    }


def _write(file_path, made):
    with atomic_hdf5(file_path) as (file, _):
        file["frames"] = made.frames
        file.attrs.update(made.identity)
        file.attrs.update(made.found._asdict())


def _file_of(folder, path, feature, is_tuned):
    kind = feature + (" tuned" if extractor(feature, is_tuned).is_tuned else "")
    name = hashlib.sha256(os.fsencode(os.path.abspath(path)) + b"\0" + kind.encode())
    return folder / f"{name.hexdigest()[:40]}.h5"


def _identity(path, feature, is_tuned):
    stat = path.stat()
    return {
        "format": FORMAT,
        "audio_bytes": stat.st_size,
        "audio_mtime_ns": stat.st_mtime_ns,
        "settings": json.dumps(extractor(feature, is_tuned).settings, sort_keys=True),
    }
