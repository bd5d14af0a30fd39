"""The demo set: composed works in several performances each, as audio files, store and lists.

Anybody can make it anywhere, of any size; it goes through the same extraction as anybody's audio. Works are
numbered through: those of TRAIN first, then VAL, TEST, and the works of one performance that are noise in TEST.
An audio file follows from (seed, work number, performance number) alone, so that however many processes render,
and however often they are interrupted, the files are the same.

    <output>/demo_audio/<work>/<track>.flac     44.1 kHz, mono
    <output>/demo_audio/generator.json          what they were made with; no other set is mixed in
    <output>/demo.h5                            the store, with demo_features/ and demo_annotations.csv
    <list_dir>/DEMO-TRAIN, DEMO-VAL, DEMO-TEST  lists; no work is in two
"""

import functools
import io
import json
import logging
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from mulkinet.data.lists import read_list, write_list
from mulkinet.errors import MulkinetError
from mulkinet.features.hpcp import SETTINGS
from mulkinet.features.resize import TrackLength
from mulkinet.files.atomic import atomic_path, remove_leftovers
from mulkinet.sources.audio_dir import preprocess_audio_dir
from mulkinet.sources.demo.performer import LENGTH_SEC, perform
from mulkinet.workers import CRASHED, count_workers, run_in_processes

__all__ = ["DEFAULT_SIZE", "Demo", "DemoSize", "ensure_demo", "make_demo"]

# Raised when the same numbers begin to give other music.
_GENERATOR_VERSION = 3

_NAME = "demo"
_RECORD = "generator.json"
_SPECT_LEN = 500
# Of one recording as FLAC.
_MEGABYTES = 2.3


class DemoSize(NamedTuple):
    """How many works and performances.

    Attributes:
        train_works, val_works, test_works: Works of each list, at least 2.
        performances: Performances of each of these works, at least 2.
        noise_works: Works of one performance in TEST, at least 0.
    """

    train_works: int = 80
    val_works: int = 15
    test_works: int = 45
    performances: int = 4
    noise_works: int = 10


DEFAULT_SIZE = DemoSize()


class Demo(NamedTuple):
    """Where the demo set is.

    Attributes:
        store_path: pathlib.Path of the store.
        lists: pathlib.Path of the list files by "TRAIN", "VAL" and "TEST".
        skipped: list of (path, reason) of files that could not be extracted.
    """

    store_path: Path
    lists: dict
    skipped: list


def make_demo(
    output="datasets",
    *,
    list_dir="meta",
    size=DEFAULT_SIZE,
    seed=0,
    length_sec=LENGTH_SEC,
    features=("hpcp",),
    spect_len=_SPECT_LEN,
    downsample=1,
    n_workers=-1,
    progress=True,
):
    """Makes the demo set, or resumes an interrupted run.

    Args:
        output: Folder for the audio and the store.
        list_dir: Folder for the lists.
        size: DemoSize.
        seed: int >= 0, of all that is composed and played.
        length_sec: (shortest, longest) length of a recording in seconds.
        features: Names from `mulkinet.features.FEATURES`.
        spect_len: Frames that the first 180 s are resized to; None keeps the full length.
        downsample: Keeps every k-th frame of the full length.
        n_workers: Processes; -1 is one per core.
        progress: Shows progress bars on stderr.

    Returns:
        Demo.

    Raises:
        MulkinetError: A size is too small, the folder holds another set or cannot be written to,
            a list of that name names other tracks, or a library that is needed is not installed.
    """
    settings = _settings(size, seed, length_sec)
    n_workers = count_workers(n_workers)
    audio_dir = Path(output) / f"{_NAME}_audio"
    lists, tracks = _list_paths(list_dir), _tracks_by_list(size)
    _check_record(audio_dir, settings)
    _check_lists(lists, tracks)
    with atomic_path(audio_dir / _RECORD) as temporary:
        temporary.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    _render_all(audio_dir, size, seed, length_sec, n_workers, progress)
    result = preprocess_audio_dir(
        audio_dir,
        output,
        features=features,
        run_mode="single" if n_workers == 1 else "parallel",
        n_workers=n_workers,
        spect_len=spect_len,
        downsample=downsample,
        name=_NAME,
        source="demo",
        force=True,
        progress=progress,
    )
    _write_lists(lists, tracks)
    return Demo(result.store_path, lists, result.skipped)


class _Planned(NamedTuple):
    """What the store of a demo set will be, as far as it can be checked for a model."""

    path: Path
    features: tuple = ("hpcp",)
    name: str = _NAME
    attributes: tuple = ()
    metadata: tuple = ()
    work_ids: tuple = ()
    track_ids: tuple = ()

    def settings(self, feature):
        """As those of FeatureStore."""
        if feature not in self.features:
            raise MulkinetError(f"expected {feature}, found that the demo set has hpcp alone")
        return TrackLength(_SPECT_LEN).settings(SETTINGS)


def ensure_demo(output="datasets", list_dir="meta", *, check=None, progress=True):
    """The demo set, made first where its store or a list is not there.

    Making it begins with a line that says what is made, how large it is and how long it takes.

    What a folder already holds decides about size and seed: a set that `make_demo` was interrupted in is finished.
    A store that is there stays as it is; only the lists that lack are written.

    Args:
        output: Folder of the store.
        list_dir: Folder of the lists.
        check: Function of a store (its `path`, `features` and `settings`) that raises MulkinetError where
            that is of no use; called before anything is made.
        progress: Shows progress bars on stderr.

    Returns:
        Demo.

    Raises:
        MulkinetError: As `make_demo`, or the demo set would be of no use.
    """
    store_path, lists = Path(output) / f"{_NAME}.h5", _list_paths(list_dir)
    if store_path.is_file() and all(path.is_file() for path in lists.values()):
        return Demo(store_path, lists, [])
    record = _read_record(Path(output) / f"{_NAME}_audio") or _settings(DEFAULT_SIZE, 0, LENGTH_SEC)
    size = DemoSize(*(record[field] for field in DemoSize._fields))
    if store_path.is_file():
        tracks = _tracks_by_list(size)
        _check_lists(lists, tracks)
        _write_lists(lists, tracks)
        return Demo(store_path, lists, [])
    if check:
        _check_use(check, store_path)
    _announce(output, size)
    return make_demo(
        output,
        list_dir=list_dir,
        size=size,
        seed=record["seed"],
        length_sec=tuple(record["length_sec"]),
        progress=progress,
    )


def _check_use(check, store_path):
    try:
        check(_Planned(store_path))
    except MulkinetError as error:
        raise MulkinetError(
            f"no data was named, and the demo set would not do: {error}; name a store with --data-dir"
        ) from error


def _announce(output, size):
    n_tracks = len(_numbers(size))
    logging.getLogger("mulkinet").warning(
        f"no data was named: making the demo set in {output} first, {n_tracks} recordings of composed "
        f"music ({n_tracks * _MEGABYTES / 1000:.1f} GB; all 570 take less than 5 minutes on 2 cores); "
        "name your own data with --data-dir"
    )


def _settings(size, seed, length_sec):
    """Everything the audio follows from, JSON-able, when it is possible."""
    least = {"performances": 2, "noise_works": 0}
    for field, value in size._asdict().items():
        if value < least.get(field, 2):
            raise MulkinetError(
                f"expected {field} of {least.get(field, 2)} or more, found {value}; "
                "fewer leave nothing to rank"
            )
    if seed < 0:
        raise MulkinetError(f"expected a seed of 0 or more, found {seed}")
    shortest, longest = length_sec
    if not 1 <= shortest <= longest:
        raise MulkinetError(
            "expected length_sec as (shortest, longest) in seconds, the shortest 1 or more, "
            f"found {length_sec}"
        )
    return {
        "generator_version": _GENERATOR_VERSION,
        "seed": seed,
        **size._asdict(),
        "length_sec": [float(shortest), float(longest)],
    }


def _list_paths(list_dir):
    return {name: Path(list_dir) / f"DEMO-{name}" for name in ("TRAIN", "VAL", "TEST")}


def _track(work, performance):
    """The ids of a performance: (work_id, track_id)."""
    return f"w{work:04d}", f"w{work:04d}_p{performance}"


def _tracks_by_list(size):
    """(work_id, track_id) pairs by "TRAIN", "VAL" and "TEST"."""
    numbers = iter(_numbers(size))
    n_tracks = {
        "TRAIN": size.train_works * size.performances,
        "VAL": size.val_works * size.performances,
        "TEST": size.test_works * size.performances + size.noise_works,
    }
    return {name: [_track(*next(numbers)) for _ in range(n)] for name, n in n_tracks.items()}


def _numbers(size):
    """(work number, performance number) of every track."""
    n_covered = size.train_works + size.val_works + size.test_works
    covered = [(work, number) for work in range(n_covered) for number in range(size.performances)]
    return covered + [(n_covered + work, 0) for work in range(size.noise_works)]


def _read_record(audio_dir):
    """What the audio that is there was made with; None when there is none."""
    path = audio_dir / _RECORD
    if not path.exists():
        if audio_dir.is_dir() and any(audio_dir.iterdir()):
            raise MulkinetError(
                f"expected {path}, which says how the audio beside it was made, found none; "
                f"remove {audio_dir} or choose another folder with -o"
            )
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        _settings(
            DemoSize(*(record[field] for field in DemoSize._fields)),
            record["seed"],
            record["length_sec"],
        )
    except (OSError, ValueError, KeyError, TypeError, MulkinetError) as error:
        raise MulkinetError(
            f"expected the settings of a demo set in {path}, found something else; "
            f"remove {audio_dir} or choose another folder with -o"
        ) from error
    return record


def _check_record(audio_dir, settings):
    record = _read_record(audio_dir)
    if record is None or record == settings:
        return
    [name, *_] = [name for name in settings if record.get(name) != settings[name]]
    raise MulkinetError(
        f"expected the demo set in {audio_dir} to have {name} {settings[name]}, found "
        f"{record.get(name)}; choose another folder with -o, or remove this one"
    )


def _check_lists(lists, tracks):
    for name, path in lists.items():
        if path.exists() and read_list(path) != tracks[name]:
            raise MulkinetError(
                f"expected {path} to name the tracks of this demo set, found others; "
                "choose another folder with --list-dir, or remove the list"
            )


def _write_lists(lists, tracks):
    for name, path in lists.items():
        write_list(path, tracks[name])


def _render_all(audio_dir, size, seed, length_sec, n_workers, progress):
    """Makes the files that are not there yet."""
    paths = {
        numbers: audio_dir / work_id / f"{track_id}.flac"
        for numbers in _numbers(size)
        for work_id, track_id in [_track(*numbers)]
    }
    for folder in {path.parent for path in paths.values()}:
        remove_leftovers(folder)
    todo = [numbers for numbers, path in paths.items() if not path.is_file()]
    task = functools.partial(_render_one, paths=paths, seed=seed, length_sec=length_sec)
    with tqdm(
        total=len(paths),
        initial=len(paths) - len(todo),
        unit="track",
        desc="compose and play",
        disable=None if progress else True,
    ) as progress_bar:
        for numbers, result in run_in_processes(task, todo, max(1, min(n_workers, len(todo)))):
            if result == CRASHED:
                raise MulkinetError(f"expected to render {paths[numbers]}, found {CRASHED}")
            progress_bar.update()


def _render_one(numbers, *, paths, seed, length_sec):
    """Writes one performance. Runs in a worker."""
    try:
        import soundfile

        from mulkinet.sources.demo.renderer import SR, render
    except ModuleNotFoundError as error:
        raise MulkinetError(
            f"expected {error.name} to be installed, found no such package; "
            "try pip install 'mulkinet[audio]'"
        ) from error
    y = render(perform(seed, *numbers, length_sec=length_sec))
    encoded = io.BytesIO()
    soundfile.write(encoded, y, SR, format="FLAC", subtype="PCM_16", compression_level=0)
    with atomic_path(paths[numbers]) as temporary:
        temporary.write_bytes(encoded.getbuffer())
