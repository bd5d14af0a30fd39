"""One data set of ready-made features into one store.

A converter says which tracks there are and how one is read; `convert` reads them on all cores,
lists what it skips, resumes what was interrupted, and writes the store. Memory does not grow with
the number of tracks, except for their names.

Beside the store `<name>.h5` an unfinished conversion keeps what is finished in `.<name>.partial`; it
is removed when the store is whole. A store that is there and was made from the same files with the
same settings is kept.
"""

import contextlib
import functools
import hashlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from mulkinet.data.store import FeatureStore, why_no_id
from mulkinet.data.store_writer import StoreWriter, as_stored
from mulkinet.errors import MulkinetError, SkippedInput
from mulkinet.files.atomic import remove_leftovers
from mulkinet.files.locks import locked
from mulkinet.sources.part_file import PartFile
from mulkinet.workers import CRASHED, count_workers, run_in_processes

__all__ = ["Item", "Conversion", "convert", "file_signature"]

# A message to a worker takes about as long as a track.
_TRACKS_PER_MESSAGE = 16
_TRACKS_PER_WRITE = 64
_WHAT_DIFFERS = {"input_digest": "one made of other files", "metadata_digest": "other titles"}


class Item(NamedTuple):
    """One track to convert.

    Attributes:
        key: (work_id, track_id).
        input: What the converter's `read` takes; hashable.
        signature: str that changes when the input does.
    """

    key: tuple
    input: Any
    signature: str


class Conversion(NamedTuple):
    """What a conversion made.

    Attributes:
        store_path: pathlib.Path of the store.
        n_works: Works in it.
        n_tracks: Tracks in it.
        skipped: list of (input, reason) of what could not be used when the store was made.
        was_there: True when the store was there already, and was kept.
    """

    store_path: Path
    n_works: int
    n_tracks: int
    skipped: list
    was_there: bool


def convert(
    items,
    read,
    path,
    *,
    name,
    settings,
    attributes,
    metadata=None,
    skipped=(),
    force=False,
    progress=True,
):
    """Reads the tracks of a data set and writes its store.

    Args:
        items: list of Item, each key once.
        read: Function of an Item's input to {feature: (n_frames, n_bins) float32}, for each
            feature of `settings`; it raises SkippedInput for a track that cannot be used. It runs
            in other processes.
        path: The store to make.
        name: Name of the data set.
        settings: dict of feature to its settings.
        attributes: dict of what made the store; a store that is there is kept if it has the same.
        metadata: dict of field to {key: value}; None, and tracks it does not know, become "".
        skipped: (input, reason) pairs of what the converter skipped before reading.
        force: Make the store again, whatever is there.
        progress: Show a progress bar.

    Returns:
        Conversion.

    Raises:
        MulkinetError: There is another store or file, no track can be used, another run is making
            the same store, or it cannot be written.
    """
    path = Path(path)
    metadata = {
        field: {key: "" if value is None else str(value) for key, value in by_key.items()}
        for field, by_key in (metadata or {}).items()
    }
    items, unnamed = _apart(items)
    skipped = [(str(what), reason) for what, reason in [*skipped, *unnamed]]
    titles = [
        [field, *key, text] for field, by_key in metadata.items() for key, text in by_key.items()
    ]
    made_of = {
        **attributes,
        "input_digest": _digest([*item.key, item.signature] for item in items),
        "metadata_digest": _digest(titles),
    }
    if path.exists() and not force:
        return _kept(path, settings, made_of, skipped)
    same = json.dumps([settings, attributes])
    digests = {item: _digest([[same, *item.key, item.signature]]) for item in items}
    with _part_file(path, len(settings)) as part:
        failed = _read_all(digests, read, part, list(settings), name, progress)
        skipped += [("/".join(item.key), failed[item]) for item in items if item in failed]
        usable = {item.key: digests[item] for item in items if item not in failed}
        if usable:
            made_of.update(n_skipped=len(skipped), skipped=skipped)
            _write_store(path, name, settings, made_of, part, usable, metadata)
    if not usable:
        first = f"; the first, {skipped[0][0]}: {skipped[0][1]}" if skipped else ""
        raise MulkinetError(
            f"expected at least one usable track for {path}, found none, "
            f"{len(skipped)} skipped{first}"
        )
    n_works = len({work for work, _ in usable})
    return Conversion(path, n_works, len(usable), skipped, was_there=False)


def file_signature(*paths):
    """A str that changes when one of the files gets another size or time of change.

    Raises:
        SkippedInput: One is absent, such as a link to nowhere.
    """
    signature = []
    for path in paths:
        try:
            found = os.stat(path)
        except OSError as error:
            raise SkippedInput(
                f"cannot read {os.path.basename(path)}: {error.strerror or error}"
            ) from error
        signature.append(f"{found.st_size}:{found.st_mtime_ns}")
    return " ".join(signature)


def _apart(items):
    """(items that can be named in a store, [(input, reason)] of the others)."""
    reasons = [why_no_id(item.key[0]) or why_no_id(item.key[1]) for item in items]
    named = [item for item, reason in zip(items, reasons) if not reason]
    unnamed = [(repr("/".join(item.key)), why) for item, why in zip(items, reasons) if why]
    return named, unnamed


def _digest(lists):
    digest = hashlib.sha256()
    for one in sorted(lists):
        digest.update(json.dumps(one).encode())
    return digest.hexdigest()[:16]


def _kept(path, settings, made_of, skipped):
    """The Conversion of a store that is there; an error if it is another."""
    try:
        store = FeatureStore(path)
    except MulkinetError as error:
        raise MulkinetError(f"{error}; --force overwrites it") from error
    differing = [f"one without {key}" for key in settings if key not in store.features]
    differing += [
        f"{key} {made.get(key)} of {feature}"
        for feature, made in ((f, store.settings(f)) for f in settings if f in store.features)
        for key, value in settings[feature].items()
        if made.get(key) != as_stored(value)
    ]
    differing += [f"one with {f} too" for f in store.features if f not in settings]
    found = {key: store.attributes.get(key) for key in made_of}
    differing += [
        _WHAT_DIFFERS.get(key, f"{key} {found[key]}")
        for key in made_of
        if found[key] != made_of[key]
    ]
    if differing:
        raise MulkinetError(
            f"expected no store at {path}, or one of the same files and settings, found another: "
            f"{differing[0]}; name another folder with -o, or overwrite it with --force"
        )
    known = [tuple(pair) for pair in json.loads(store.attributes["skipped"])]
    skipped = list(dict.fromkeys([*skipped, *known]))
    return Conversion(path, len(set(store.work_ids)), len(store), skipped, was_there=True)


@contextlib.contextmanager
def _part_file(path, n_features):
    """The PartFile of a store, held by this process alone; removed if the block ends well."""
    part = path.with_name(f".{path.stem}.partial")

    def when_taken():
        raise MulkinetError(f"another run is already making {path}; wait until it ends")

    try:
        with locked(part, when_taken), open(part, "r+b") as file:
            remove_leftovers(path.parent)
            yield PartFile(file, n_features)
            part.unlink()
    except OSError as error:
        raise MulkinetError(
            f"cannot write {part}: {error.strerror or error}; "
            "check that the folder is writable and the disk has room"
        ) from error


def _read_all(digests, read, part, features, name, progress):
    """Reads what is not in the part yet -> {item: reason} of what is skipped."""
    todo = [item for item, digest in digests.items() if digest not in part.n_frames]
    work = functools.partial(_read_some, read=read, features=features)
    n_workers = max(1, min(count_workers(-1), len(todo) // _TRACKS_PER_MESSAGE))
    failed = {}
    with tqdm(
        total=len(digests),
        initial=len(digests) - len(todo),
        unit="track",
        desc=name,
        disable=None if progress else True,
    ) as bar:
        # Of a message whose process died, each track is tried again by itself.
        for size in (_TRACKS_PER_MESSAGE, 1) if n_workers > 1 else (1,):
            messages = [tuple(todo[i : i + size]) for i in range(0, len(todo), size)]
            todo = []
            for message, made in run_in_processes(work, messages, n_workers):
                if made == CRASHED and size > 1:
                    todo += message
                    continue
                for item, track in zip(message, [CRASHED] if made == CRASHED else made):
                    if isinstance(track, str):
                        failed[item] = track
                    else:
                        part.append(digests[item], track)
                    bar.update()
    return failed


def _read_some(items, read, features):
    """Runs in a worker -> for each track the frames of each feature, or why it is skipped."""
    made = []
    for item in items:
        try:
            arrays = read(item.input)
        except SkippedInput as error:
            made.append(str(error))
        else:
            made.append([arrays[feature] for feature in features])
    return made


def _write_store(path, name, settings, attributes, part, usable, metadata):
    """Writes the store of {key: digest} of finished tracks."""
    fields = {field: [by_key.get(key, "") for key in usable] for field, by_key in metadata.items()}
    with StoreWriter(
        path, name=name, tracks=list(usable), attributes=attributes, metadata=fields
    ) as store:
        for number, (feature, made) in enumerate(settings.items()):
            n_frames = [part.n_frames[digest][number] for digest in usable.values()]
            store.add_feature(feature, n_frames=n_frames, settings=made)
        keys = store.tracks
        for start in range(0, len(keys), _TRACKS_PER_WRITE):
            run = keys[start : start + _TRACKS_PER_WRITE]
            tracks = [part.read(usable[key]) for key in run]
            for feature, frames in zip(settings, zip(*tracks)):
                store.write_run(feature, run, np.concatenate(frames))
