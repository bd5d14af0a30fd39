"""A folder of audio, `<dir>/<work>/<track>.<ext>`, to a feature store.

Every track's features are kept at full length (`mulkinet.features.cache`), so that an interrupted run
resumes, and another name, length or feature needs no second extraction. When all are there,
`<name>_annotations.csv` and the store `<name>.h5` are written.
"""

import csv
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from mulkinet.data.store import FeatureStore
from mulkinet.data.store_writer import StoreWriter, check_name
from mulkinet.errors import MulkinetError
from mulkinet.features import extractor
from mulkinet.features.cache import extract_all, read_frames
from mulkinet.features.provenance import made_by
from mulkinet.features.resize import CROP_SEC, TrackLength, trim
from mulkinet.files.atomic import atomic_path, remove_leftovers
from mulkinet.files.cache import is_writable
from mulkinet.sources.layout import find_tracks
from mulkinet.workers import count_workers

__all__ = ["preprocess_audio_dir", "AudioDirResult"]

_RUN_MODES = ("parallel", "single")
# What a store holds that lacks a setting, where a run would have it, and the other way round.
_OF_RECORDINGS = {
    "tuning": ("brought to 440 Hz (--tuning estimate)", "as recorded (--tuning as-recorded)"),
    "trimmed": ("without silence (--trim)", "with silence (no --trim)"),
}
_DECODERS = ("av", "soxr", "numpy")


class AudioDirResult(NamedTuple):
    """What a run made.

    Attributes:
        store_path: pathlib.Path of the store.
        annotations_path: pathlib.Path of the table of tracks.
        n_works: Works in the store.
        n_tracks: Tracks in the store.
        skipped: list of (path, reason) of what could not be used; paths from the audio folder on.
        notes: list of (path, note) of what was used in a way that its user should know of.
    """

    store_path: Path
    annotations_path: Path
    n_works: int
    n_tracks: int
    skipped: list
    notes: list


def preprocess_audio_dir(
    audio_dir,
    output,
    *,
    features=("hpcp",),
    run_mode="parallel",
    n_workers=-1,
    spect_len=500,
    downsample=1,
    name=None,
    source="audio-dir",
    accept_partial=False,
    is_tuned=True,
    is_trimmed=False,
    force=False,
    progress=True,
):
    """Extracts the features of a folder of audio into a store.

    Args:
        audio_dir: Folder of work folders of audio files.
        output: Folder for the store.
        features: Names from `mulkinet.features.FEATURES`.
        run_mode: "parallel" processes, or "single": in this process, one track after the other.
        n_workers: Processes of "parallel"; -1 is one per core.
        spect_len: Frames that the first 180 s are resized to; None keeps the full length.
        downsample: Keeps every k-th frame of the full length.
        name: Name of the data set; that of `audio_dir` by default.
        source: What the store says it was made of; see `FeatureStore.is_synthetic`.
        accept_partial: Take what there is of truncated files.
        is_tuned: Correct each recording's tuning, in features of `mulkinet.features.TUNABLE`.
        is_trimmed: Leave out leading and trailing silence.
        force: Replace a store of other features or another length.
        progress: Shows a progress bar on stderr.

    Returns:
        AudioDirResult.

    Raises:
        MulkinetError: The folder, the output or a setting cannot be used, no track can, or there is
            a store of other features or another length.
    """
    audio_dir, output = Path(audio_dir), Path(output)
    track_length = TrackLength(spect_len, downsample)
    name = check_name(name or audio_dir.resolve().name)
    features = list(dict.fromkeys(features))
    if not features:
        raise MulkinetError("expected at least one feature, found none; name one with -p")
    if run_mode not in _RUN_MODES:
        raise MulkinetError(f"expected run_mode parallel or single, found {run_mode!r}")
    # First of all that needs the extra `audio`: what it says is how to install it.
    settings = {feature: extractor(feature, is_tuned).settings for feature in features}
    versions = _versions(settings)
    if is_trimmed:
        settings = {feature: {**made, "trimmed": True} for feature, made in settings.items()}
    n_workers = count_workers(n_workers) if run_mode == "parallel" else 1
    tracks, skipped = find_tracks(audio_dir, leave_out=[output])
    _check_writable(output)
    store_path = output / f"{name}.h5"
    if store_path.exists() and not force:
        _refuse_loss(store_path, {f: track_length.settings(made) for f, made in settings.items()})

    remove_leftovers(output)
    paths = [track.path for track in tracks]
    options = {"is_tuned": is_tuned, "accept_partial": accept_partial}
    found = _extract(paths, features, n_workers, options, progress)
    if not is_trimmed and spect_len is not None:
        found.update(_silent_where_used(found))
    skipped += [(path, reason) for path, reason in found.items() if isinstance(reason, str)]
    skipped = [(path.relative_to(audio_dir), reason) for path, reason in skipped]
    usable = [track for track in tracks if not isinstance(found[track.path], str)]
    if not usable:
        first = f", the first {skipped[0][0]}: {skipped[0][1]}" if skipped else ""
        raise MulkinetError(
            f"expected at least one usable track in {audio_dir}, "
            f"found none, {len(skipped)} skipped{first}"
        )
    annotations_path = output / f"{name}_annotations.csv"
    paths = [track.path.relative_to(audio_dir).as_posix() for track in usable]
    with StoreWriter(
        store_path,
        name=name,
        tracks=[(track.work_id, track.track_id) for track in usable],
        attributes={"source": source, "versions": versions},
        metadata={"path": paths},
    ) as store:
        _fill(store, usable, found, settings, track_length)
    n_works = len({track.work_id for track in usable})
    audio = [next(iter(found[track.path].values())) for track in usable]
    _write_annotations(annotations_path, usable, audio, paths)
    notes = [(path, one.note) for path, one in zip(paths, audio) if one.note]
    return AudioDirResult(store_path, annotations_path, n_works, len(usable), skipped, notes)


def _check_writable(output):
    if not is_writable(output):
        raise MulkinetError(
            f"expected an output folder that can be written to, found {output}, "
            "which cannot be; choose another with -o"
        )


def _refuse_loss(store_path, settings):
    """Refuses to replace a store that holds more than this run's features, or other lengths."""
    try:
        store = FeatureStore(store_path)
    except MulkinetError as error:
        raise MulkinetError(f"{error}; --force overwrites it") from error
    lost = [feature for feature in store.features if feature not in settings] or [
        f"{feature} at {store.settings(feature)['frame_rate']:.3f} frames/s"
        for feature in store.features
        if not math.isclose(store.settings(feature)["frame_rate"], settings[feature]["frame_rate"])
    ]
    lost = lost or [
        f"{feature} {_OF_RECORDINGS[name][name in settings[feature]]}"
        for feature in store.features
        for name in _OF_RECORDINGS
        if (name in store.settings(feature)) != (name in settings[feature])
    ]
    if lost:
        raise MulkinetError(
            f"{store_path} holds {', '.join(lost)}, which this run would remove; "
            "add -p for each feature to keep, choose another --name, or overwrite it with --force"
        )


def _extract(paths, features, n_workers, options, progress):
    """What `extract_all` says of each path, in order of the paths."""
    bar = tqdm(
        extract_all(paths, features, n_workers, **options),
        total=len(paths),
        unit="track",
        disable=None if progress else True,
    )
    found = dict(bar)
    return {path: found[path] for path in paths}


def _silent_where_used(found):
    """The reason of each track that is silent for as long as it is used."""
    return {
        path: f"expected sound in the first {CROP_SEC:.0f} s, which alone are used, found silence; try --trim"
        for path, one in found.items()
        if not isinstance(one, str) and next(iter(one.values())).sound_sec[0] >= CROP_SEC
    }


def _fill(store, tracks, found, settings, track_length):
    for feature, made in settings.items():
        kept = {track: found[track.path][feature] for track in tracks}
        # Without bins nothing is read: only the lengths are wanted.
        n_frames = [_used(np.empty((0, one.n_frames)), one, made).shape[1] for one in kept.values()]
        n_frames = [track_length.n_frames(n) for n in n_frames]
        store.add_feature(feature, n_frames=n_frames, settings=track_length.settings(made))
        for track, one in kept.items():
            x = _used(read_frames(track.path, feature, "tuning" in made), one, made)
            x = track_length.apply(x, made["frame_rate"])
            store.write(feature, (track.work_id, track.track_id), x.T)


def _used(x, one, made):
    """What is used of a track's frames."""
    return trim(x, one.sound_sec, made["frame_rate"]) if "trimmed" in made else x


def _write_annotations(path, tracks, audio, paths):
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["work_id", "track_id", "path", "seconds", "sr", "channels", "note"])
        for track, audio_path, one in zip(tracks, paths, audio):
            row = [track.work_id, track.track_id, audio_path, f"{one.seconds:.3f}"]
            table.writerow([*row, one.sr, one.channels, one.note])


def _versions(settings):
    made = [made_by(package) for package in _DECODERS] + list(settings.values())
    return {one["extractor"]: one["extractor_version"] for one in made}
