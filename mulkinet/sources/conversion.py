"""One data set into one store: what every source of ready-made features shares.

A source says which tracks there are and how one is read; `convert` reads them on all cores, lists
what it has to skip, goes on where a killed run was, and writes the store. Memory does not grow with
the number of tracks, but for their names.

Beside the store `<name>.h5` an unfinished conversion keeps the folder `.<name>.part`; it is removed
when the store is whole. A store that is there and was made from the same files with the same
settings is kept.

Public names: `Item`, `Conversion`, `convert`, `file_signature`.
"""

import bisect
import contextlib
import functools
import hashlib
import itertools
import json
import os
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from mulkinet.data.store import FeatureStore, why_no_id
from mulkinet.data.store_writer import StoreWriter
from mulkinet.errors import MulkinetError, SkippedInput
from mulkinet.files.atomic import atomic_path, remove_leftovers
from mulkinet.files.locks import locked
from mulkinet.sources.forks import n_cores, run_in_forks
from mulkinet.sources.parts import PartReader, PartWriter, read_journals

__all__ = ["Item", "Conversion", "convert", "file_signature"]

# Fewer tracks are read sooner than processes start.
_TRACKS_PER_WORKER = 16
_TRACKS_PER_WRITE = 64
# HDF5 holds attributes of at most 64 kB.
_KEPT_SKIPS_BYTES = 32_000
_WHAT_DIFFERS = {"input_digest": "one made of other files", "metadata_digest": "other titles"}


class Item(NamedTuple):
    """One track to convert.

    Attributes:
        key: (work_id, track_id).
        source: What the source's `read` takes.
        signature: str that changes when the input does.
    """

    key: tuple
    source: Any
    signature: str


class Conversion(NamedTuple):
    """What a conversion made.

    Attributes:
        store_path: pathlib.Path of the store.
        n_works: Works in it.
        n_tracks: Tracks in it.
        skipped: list of (input, reason) of what could not be used; of a store that was there, what
            it could keep of them, which are the first some hundred.
        n_skipped: How many inputs were skipped when the store was made.
        was_there: True when the store was there already, and was kept.
    """

    store_path: Path
    n_works: int
    n_tracks: int
    skipped: list
    n_skipped: int
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
        read: Function of an Item's source to {feature: (n_frames, n_bins) float32}, for each
            feature of `settings`; it raises SkippedInput for a track that cannot be used. It runs
            in other processes.
        path: The store to make.
        name: Name of the data set.
        settings: dict of feature to its settings.
        attributes: dict of what made the store; a store that is there is kept if it has the same.
        metadata: dict of field to {key: str}; tracks it does not know get an empty str.
        skipped: (input, reason) pairs of what the source skipped before reading.
        force: Make the store again, whatever is there.
        progress: Show a progress bar.

    Returns:
        Conversion.

    Raises:
        MulkinetError: There is another store or file, no track can be used, another run is making
            the same store, or it cannot be written.
    """
    path = Path(path)
    items, unnamed = _apart(items)
    skipped = [(str(what), reason) for what, reason in [*skipped, *unnamed]]
    recipe = {
        **attributes,
        "input_digest": _digest([*item.key, item.signature] for item in items),
        "metadata_digest": _digest(
            [field, *key, text]
            for field, values in (metadata or {}).items()
            for key, text in values.items()
        ),
    }
    if path.exists() and not force:
        return _kept(path, settings, recipe, skipped)
    with _part_folder(path, {"settings": settings, **attributes}) as folder:
        finished, failed = _read_all(items, read, folder, list(settings), name, progress)
        skipped = [*skipped, *failed]
        if not finished:
            shutil.rmtree(folder)
            first = f"; the first, {skipped[0][0]}: {skipped[0][1]}" if skipped else ""
            raise MulkinetError(
                f"expected at least one usable track for {path}, found none, "
                f"{len(skipped)} skipped{first}"
            )
        made = {**recipe, "n_skipped": len(skipped), "skipped": _first_of(skipped)}
        _write_store(path, name, settings, made, finished, metadata)
        shutil.rmtree(folder)
    n_works = len({work for work, _ in finished})
    return Conversion(path, n_works, len(finished), skipped, len(skipped), was_there=False)


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
            raise SkippedInput(f"cannot read {path}: {error.strerror or error}") from error
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


def _first_of(skipped):
    """As many of the (input, reason) pairs as a store's attribute holds."""
    n_bytes = list(itertools.accumulate(len(json.dumps(pair)) for pair in skipped))
    return skipped[: bisect.bisect_right(n_bytes, _KEPT_SKIPS_BYTES)]


def _kept(path, settings, recipe, skipped):
    """The Conversion of a store that is there; an error if it is another."""
    try:
        store = FeatureStore(path)
    except MulkinetError as error:
        raise MulkinetError(f"{error}; --force writes over it") from error
    differing = [f"one without {key}" for key in settings if key not in store.features]
    differing += [
        f"{key} {made.get(key)} of {feature}"
        for feature, made in ((f, store.settings(f)) for f in settings if f in store.features)
        for key, value in settings[feature].items()
        if made.get(key) != _as_stored(value)
    ]
    differing += [f"one with {f} too" for f in store.features if f not in settings]
    found = {key: store.attributes.get(key) for key in recipe}
    differing += [
        _WHAT_DIFFERS.get(key, f"{key} {found[key]}") for key in recipe if found[key] != recipe[key]
    ]
    if differing:
        raise MulkinetError(
            f"expected no store at {path}, or one of the same files and settings, found another: "
            f"{differing[0]}; name another folder with -o, or write over it with --force"
        )
    known = [tuple(pair) for pair in json.loads(store.attributes["skipped"])]
    skipped = list(dict.fromkeys([*skipped, *known]))
    n_skipped = max(store.attributes["n_skipped"], len(skipped))
    n_works = len(set(store.work_ids))
    return Conversion(path, n_works, len(store), skipped, n_skipped, was_there=True)


def _as_stored(value):
    return value if isinstance(value, (str, bool, int, float)) else json.dumps(value)


@contextlib.contextmanager
def _part_folder(path, recipe):
    """The folder of an unfinished conversion, held by this process alone."""
    folder = path.with_name(f".{path.stem}.part")
    recipe = json.dumps(recipe, sort_keys=True)

    def when_taken():
        raise MulkinetError(
            f"expected to be alone with {folder}, found another run that makes {path}; wait for it"
        )

    try:
        with locked(folder / "lock", when_taken):
            recipe_path = folder / "recipe.json"
            if not recipe_path.exists() or recipe_path.read_text() != recipe:
                for part in folder.glob("*.journal"):
                    part.unlink()
                for part in folder.glob("*.frames"):
                    part.unlink()
                with atomic_path(recipe_path) as temporary:
                    temporary.write_text(recipe)
            remove_leftovers(path.parent)
            yield folder
    except OSError as error:
        raise MulkinetError(
            f"cannot write {folder}: {error.strerror or error}; "
            "check that the folder is writable and the disk has room"
        ) from error


def _read_all(items, read, folder, features, name, progress):
    """Reads what is not there yet -> ({key: Finished}, [(input, reason)] of the skipped)."""
    journals = _journals(folder)
    signatures = {item.key: item.signature for item in items}
    finished = {
        key: part
        for key, part in read_journals(journals, verify=True).items()
        if signatures.get(key) == part.signature
    }
    todo = [item for item in items if item.key not in finished]
    work = functools.partial(_read_some, todo, read, folder, features)
    n_workers = max(1, min(n_cores(), len(todo) // _TRACKS_PER_WORKER))
    with tqdm(
        total=len(items),
        initial=len(items) - len(todo),
        unit="track",
        desc=name,
        disable=None if progress else True,
    ) as bar:
        skipped = run_in_forks(work, len(todo), n_workers, bar.update)
    written = [journal for journal in _journals(folder) if journal not in journals]
    finished.update(read_journals(written, verify=False))
    return finished, [("/".join(todo[number].key), reason) for number, reason in skipped]


def _journals(folder):
    return sorted(folder.glob("*.journal"))


def _read_some(items, read, folder, features, numbers):
    """Runs in a worker: yields (number, reason) of what it skips."""
    with PartWriter(folder) as parts:
        for number in numbers:
            item = items[number]
            try:
                arrays = read(item.source)
            except SkippedInput as error:
                yield number, str(error)
            else:
                parts.append(item.key, item.signature, [arrays[feature] for feature in features])


def _write_store(path, name, settings, attributes, finished, metadata):
    keys = list(finished)
    fields = {
        field: [values.get(key, "") for key in keys] for field, values in (metadata or {}).items()
    }
    n_bins = [made["n_bins"] for made in settings.values()]
    with (
        StoreWriter(path, name=name, tracks=keys, attributes=attributes, metadata=fields) as store,
        PartReader() as parts,
    ):
        for number, (feature, made) in enumerate(settings.items()):
            n_frames = [finished[key].n_frames[number] for key in keys]
            store.add_feature(feature, n_frames=n_frames, settings=made)
        keys = store.tracks
        for start in range(0, len(keys), _TRACKS_PER_WRITE):
            run = keys[start : start + _TRACKS_PER_WRITE]
            arrays = _read_run(parts, [finished[key] for key in run], n_bins)
            for feature, frames in zip(settings, arrays):
                store.write_run(feature, run, frames)


def _read_run(parts, run, n_bins):
    """(frames of all tracks, n_bins) of each feature, one track behind the other."""
    offsets = np.cumsum([(0,) * len(n_bins), *(track.n_frames for track in run)], axis=0)
    arrays = [np.empty((n_frames, bins), "<f4") for n_frames, bins in zip(offsets[-1], n_bins)]
    for track, starts, ends in zip(run, offsets, offsets[1:]):
        parts.read(track, [x[start:end] for x, start, end in zip(arrays, starts, ends)])
    return arrays
