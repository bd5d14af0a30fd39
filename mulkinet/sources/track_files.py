"""Feature files of single tracks: what lets an interrupted extraction go on where it was.

One HDF5 file per track, `<folder>/<work_id>/<track_id>.h5`: a dataset (n_frames, n_bins) float32
per feature at full length, with its settings as JSON; the audio file's size and time of change
tell whether it is still the one that was read. A feature is fresh when both agree.

Public names: `TrackSummary`, `read_summary`, `read_feature`, `extract_track`.
"""

import json
from typing import NamedTuple

import h5py
import numpy as np

from mulkinet.errors import SkippedInput
from mulkinet.features import extractor
from mulkinet.features.audio import decode
from mulkinet.files.hdf5 import atomic_hdf5

__all__ = ["TrackSummary", "read_summary", "read_feature", "extract_track"]

FORMAT = "mulkinet-track 1"


class TrackSummary(NamedTuple):
    """What a track's feature file says of it.

    Attributes:
        seconds: Duration of the audio.
        sr: Sampling rate of the audio file in Hz; 0 where ffmpeg decoded it.
        channels: Channels of the audio file; 0 where ffmpeg decoded it.
        n_frames: dict of feature to its number of frames.
    """

    seconds: float
    sr: int
    channels: int
    n_frames: dict


def read_summary(track, folder, features):
    """Reads what is fresh in a track's feature file.

    Args:
        track: Track.
        folder: The folder of feature files.
        features: Names of the features wanted.

    Returns:
        TrackSummary with those of them that are fresh, or None when the audio is another.
    """
    try:
        with h5py.File(_path(track, folder), "r") as file:
            if any(file.attrs.get(key) != value for key, value in _identity(track).items()):
                return None
            n_frames = {name: len(file[name]) for name in features if _is_fresh(file, name)}
            audio = [file.attrs[key].item() for key in ("seconds", "sr", "channels")]
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError):
        # Absent, or damaged by something other than us: either way it is made again.
        return None
    return TrackSummary(*audio, n_frames)


def read_feature(track, folder, feature):
    """Reads one feature of a track.

    Args:
        track: Track.
        folder: The folder of feature files.
        feature: A feature that is in the track's file.

    Returns:
        (n_bins, n_frames) float32, at full length.
    """
    with h5py.File(_path(track, folder), "r") as file:
        return file[feature][:].T


def extract_track(track, folder, features):
    """Extracts what is not fresh from one decoding of the audio, and writes the feature file.

    Args:
        track: Track.
        folder: The folder of feature files.
        features: Names of the features wanted.

    Returns:
        TrackSummary that holds them all.

    Raises:
        SkippedInput: The audio cannot be used.
        MulkinetError: The file cannot be written.
    """
    old = read_summary(track, folder, features)
    fresh = old.n_frames if old else {}
    wanted = [feature for feature in features if feature not in fresh]
    if not wanted:
        return old
    try:
        identity = _identity(track)
    except OSError as error:
        raise SkippedInput(f"cannot read it: {error.strerror}") from error
    audio = decode(track.path)
    extracted = {feature: extractor(feature)(audio.y) for feature in wanted}
    for feature, x in extracted.items():
        if not np.isfinite(x).all():
            raise SkippedInput(f"expected finite values, found NaN or infinity in its {feature}")
    facts = {"seconds": audio.seconds, "sr": audio.sr, "channels": audio.channels}
    _write(_path(track, folder), {**identity, **facts}, extracted, keep_others=old is not None)
    n_frames = {**fresh, **{feature: x.shape[1] for feature, x in extracted.items()}}
    return TrackSummary(**facts, n_frames=n_frames)


def _path(track, folder):
    return folder / track.work_id / f"{track.track_id}.h5"


def _identity(track):
    stat = track.path.stat()
    return {"format": FORMAT, "audio_bytes": stat.st_size, "audio_mtime_ns": stat.st_mtime_ns}


def _is_fresh(file, feature):
    return feature in file and file[feature].attrs.get("settings") == _settings(feature)


def _settings(feature):
    return json.dumps(extractor(feature).settings, sort_keys=True)


def _write(path, attributes, features, *, keep_others):
    """Writes a feature file; `keep_others` takes over the other features of the one before."""
    with atomic_hdf5(path) as (file, _):
        for name, x in features.items():
            file.create_dataset(name, data=x.T)
            file[name].attrs["settings"] = _settings(name)
        if keep_others:
            with h5py.File(path, "r") as before:
                for name in before.keys() - features.keys():
                    before.copy(name, file)
        file.attrs.update(attributes)
