"""Cover-1000 and other sets in its format: a `.hdf5` of features beside a `.pyjama` of annotations.

Conventions: `<name>_feat.hdf5` (or `<name>.hdf5`) holds one array (n_frames, 12) for each
performance id; `<name>.pyjama` is JSON, where every entry of `collection.entry` has `work-id`,
`performance-id`, `title`, `performer`, ..., each a list of {"value": ...}. The feature is crema as
MOVE uses it: every 8th frame of a hop of 512 samples, 10.77 frames per second; bin 0 is C. The
format is that of the ISMIR 2024 tutorial "Deep Learning 101 for Audio-based MIR" (Peeters et al.).
"""

import functools
import json
from pathlib import Path

from mulkinet.data.arrays import frames_as_rows, refuse_values
from mulkinet.data.store import natural_key
from mulkinet.errors import MulkinetError, SkippedInput
from mulkinet.features import crema
from mulkinet.features.resize import TrackLength
from mulkinet.files.foreign_hdf5 import names_in, open_hdf5, read_array
from mulkinet.sources.conversion import Item, convert, file_signature

__all__ = ["check_pair", "convert_pair", "find_pairs", "tutorial_fold"]

_FEATURE = "crema"
_N_BINS = 12
_DOWNSAMPLE = 8
_FOLD_EVERY = 5
# Field of the store to field of an entry.
_METADATA = {"title": "title", "artist": "performer", "year": "release-date"}


def find_pairs(data_dir):
    """The sets in a folder: list of (name, path of the .hdf5, path of the .pyjama).

    Raises:
        MulkinetError: There is none, or a `.pyjama` has no `.hdf5`.
    """
    pairs = []
    for pyjama in sorted(Path(data_dir).glob("*.pyjama")):
        names = [f"{pyjama.stem}_feat.hdf5", f"{pyjama.stem}.hdf5"]
        there = [pyjama.with_name(name) for name in names if pyjama.with_name(name).is_file()]
        if not there:
            raise MulkinetError(
                f"expected {names[0]} beside {pyjama}, found none; "
                "download it too, and unpack it if it is a .zip"
            )
        pairs.append((pyjama.stem, there[0], pyjama))
    if not pairs:
        raise MulkinetError(
            f"expected <name>.pyjama and <name>_feat.hdf5 in {data_dir}, found no .pyjama; "
            "name the folder they are in with -d"
        )
    return pairs


def check_pair(hdf5_path, pyjama_path):
    """([{field: value}] of the annotations, set of the performance ids with features) of a pair of files.

    Raises:
        MulkinetError: One of them is not in the format.
    """
    entries = _read_entries(pyjama_path)
    try:
        with open_hdf5(hdf5_path) as file:
            return entries, set(names_in(file))
    except SkippedInput as error:
        raise MulkinetError(f"{hdf5_path}: {error}") from error


def convert_pair(name, hdf5_path, pyjama_path, path, *, force=False, progress=True):
    """Makes the store of one set.

    Args:
        name: Name of the data set.
        hdf5_path: Its features.
        pyjama_path: Its annotations.
        path: The store to make.
        force: Make the store again, whatever is there.
        progress: Show a progress bar.

    Returns:
        (mulkinet.sources.conversion.Conversion, work ids as the annotations have them). Performances
        that only one of the two files knows are among the skipped.

    Raises:
        MulkinetError: The annotations are not in the format, or see `convert`.
    """
    entries, held = check_pair(hdf5_path, pyjama_path)
    keys = {(str(e["work-id"]), str(e["performance-id"])): e for e in entries}
    features, annotations = Path(hdf5_path).name, Path(pyjama_path).name
    skipped = [
        ("/".join(key), f"named in {annotations}, but not in {features}")
        for key in sorted(keys)
        if key[1] not in held
    ] + [
        (track, f"in {features}, but {annotations} does not name it")
        for track in sorted(held - {track for _, track in keys}, key=natural_key)
    ]
    signature = file_signature(hdf5_path, pyjama_path)
    result = convert(
        [Item(key, key[1], signature) for key in keys if key[1] in held],
        functools.partial(_read_performance, hdf5_path),
        path,
        name=name,
        settings={_FEATURE: _settings()},
        attributes={"source": "cover1000", "annotations": annotations},
        metadata={
            field: {key: entry.get(name) for key, entry in keys.items()}
            for field, name in _METADATA.items()
        },
        skipped=skipped,
        force=force,
        progress=progress,
    )
    return result, [entry["work-id"] for entry in entries]


def tutorial_fold(work_ids):
    """The works that the tutorial validates with: every fifth, in the order of the ids' set.

    Args:
        work_ids: Work ids as the annotations have them, of which whole numbers come in the order in
            which Python keeps a set of them; a set of str has another order in each process, so
            they come in natural order.

    Returns:
        set of str.
    """
    if all(isinstance(work, int) for work in work_ids):
        ordered = list(set(work_ids))
    else:
        ordered = sorted({str(work) for work in work_ids}, key=natural_key)
    return {str(work) for work in ordered[::_FOLD_EVERY]}


def _settings():
    made = {"extractor": "crema", "extractor_version": "that of the data set", **crema.SETTINGS}
    return TrackLength(downsample=_DOWNSAMPLE).settings(made)


def _read_performance(hdf5_path, track):
    with open_hdf5(hdf5_path) as file:
        x = read_array(file, track, _N_BINS)
    frames = frames_as_rows(x, _FEATURE, when_square=True)
    refuse_values(frames, _FEATURE)
    return {_FEATURE: frames}


def _read_entries(path):
    """[{field: value}], each with a work-id and a performance-id."""
    try:
        entries = json.loads(Path(path).read_text(encoding="utf-8"))["collection"]["entry"]
        entries = [{field: _first(values) for field, values in entry.items()} for entry in entries]
    except OSError as error:
        raise MulkinetError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise MulkinetError(
            f'expected JSON with a list collection.entry of {{field: [{{"value": ...}}]}} in '
            f"{path}, found something else ({type(error).__name__}: {error}); download it again"
        ) from error
    seen = {}
    for number, entry in enumerate(entries):
        ids = entry.get("work-id"), entry.get("performance-id")
        if not all(isinstance(value, (int, str)) for value in ids):
            raise MulkinetError(
                f"expected a work-id and a performance-id in entry {number} of {path}, found {ids}"
            )
        if seen.setdefault(str(ids[1]), number) != number:
            raise MulkinetError(
                f"expected every performance-id once in {path}, found {ids[1]} in entries "
                f"{seen[str(ids[1])]} and {number}"
            )
    return entries


def _first(values):
    return values[0]["value"] if values else None
