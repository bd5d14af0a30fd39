"""Da-TACOS (Yesiler et al., ISMIR 2019), as it is downloaded, to feature stores.

Conventions: a subset comes in one of two layouts below the data folder. Either one file with every
feature for each track, `da-tacos_<subset>_subset_single_files/W_<w>/P_<p>.h5`, or a folder for each
feature, `da-tacos_<subset>_subset_<feature>/W_<w>_<feature>/P_<p>_<feature>.h5`, where chroma_cens
is called cens. The files are HDF5 as deepdish wrote it: the work is the root attribute `label`,
the track `track_id`. crema is (12, frames), hpcp and chroma_cens (frames, 12); bin 0 is A for hpcp
and C for the others. All have 86.13 frames per second.
"""

import functools
import json
import os
import re
from pathlib import Path

from mulkinet.data.arrays import frames_as_rows, refuse_values
from mulkinet.errors import MulkinetError, SkippedInput
from mulkinet.features import chroma_cens, crema, hpcp
from mulkinet.files.foreign_hdf5 import open_hdf5, read_array, read_text
from mulkinet.sources.conversion import Item, convert, file_signature

__all__ = [
    "FEATURES",
    "SUBSETS",
    "check_subset",
    "convert_subset",
    "describe_shortfall",
    "extraction_settings",
    "find_subsets",
    "has_single_files",
    "read_track",
]

# Tracks of each as published.
_SIZES = {"benchmark": 15000, "coveranalysis": 10000}
SUBSETS = tuple(_SIZES)

_N_BINS = 12

_MADE_BY = {
    "crema": ("crema", crema),
    "hpcp": ("essentia", hpcp),
    "chroma_cens": ("librosa", chroma_cens),
}
FEATURES = tuple(_MADE_BY)

_SHORT_NAMES = {"chroma_cens": "cens"}
# Title, artist, year: field of the store to field of the metadata file.
_METADATA = {
    "title": "perf_title",
    "artist": "perf_artist",
    "work_title": "work_title",
    "work_artist": "work_artist",
    "year": "release_year",
}


def extraction_settings(feature):
    """Settings (dict) of one of `FEATURES` as Da-TACOS has it, before it is resized."""
    extractor, module = _MADE_BY[feature]
    return {"extractor": extractor, "extractor_version": "that of Da-TACOS", **module.SETTINGS}


def find_subsets(data_dir):
    """The subsets (names from `SUBSETS`) whose folders are in a folder.

    Raises:
        MulkinetError: There is none.
    """
    there = [
        subset
        for subset in SUBSETS
        if any(p.is_dir() for p in Path(data_dir).glob(f"da-tacos_{subset}_subset_*"))
    ]
    if not there:
        raise MulkinetError(
            f"expected folders such as da-tacos_benchmark_subset_crema in {data_dir}, found none; "
            "name the folder they are in with -d, or fetch them with --download"
        )
    return there


def has_single_files(data_dir, subset):
    """Whether a subset is there in the layout that has every feature in one file."""
    return _single_files(Path(data_dir), subset).is_dir()


def check_subset(data_dir, subset, features):
    """Raises what `convert_subset` would raise before it reads a track.

    Raises:
        MulkinetError: Both layouts or neither is there, or the metadata is something else.
    """
    _folders(Path(data_dir), subset, features)
    _read_metadata(Path(data_dir), subset)


def describe_shortfall(subset, n_tracks):
    """One line that says how many tracks of a subset are not among the `n_tracks` in its store; empty if none."""
    if n_tracks >= _SIZES[subset]:
        return ""
    return f"{_SIZES[subset] - n_tracks} of the {_SIZES[subset]} tracks of {subset} are missing"


def convert_subset(data_dir, subset, path, *, features, track_length, force=False, progress=True):
    """Makes the store of a subset.

    Args:
        data_dir: The folder that holds the folders of the data set.
        subset: One of `SUBSETS`.
        path: The store to make.
        features: Names from `FEATURES`.
        track_length: mulkinet.features.resize.TrackLength.
        force: Make the store again, whatever is there.
        progress: Show a progress bar.

    Returns:
        mulkinet.sources.conversion.Conversion. Tracks that the metadata file names and the folders
        lack are among the skipped; files are named from `data_dir` on.

    Raises:
        MulkinetError: Both layouts or neither is there, or see `convert`.
    """
    folders = _folders(Path(data_dir), subset, features)
    files, foreign = _find_files(folders)
    skipped = [(os.path.relpath(path, data_dir), reason) for path, reason in foreign]
    metadata = _read_metadata(Path(data_dir), subset)
    named = {(work, track) for work, tracks in metadata.items() for track in tracks}
    skipped += [
        ("/".join(key), "named in the metadata, but has no file")
        for key in sorted(named - set(files))
    ]
    items = []
    for key, paths in sorted(files.items()):
        missing = [feature for feature in features if feature not in paths]
        if missing:
            skipped.append(("/".join(key), f"has no file of its {', '.join(missing)}"))
            continue
        try:
            signature = file_signature(*dict.fromkeys(paths.values()))
        except SkippedInput as error:
            skipped.append(("/".join(key), str(error)))
        else:
            items.append(Item(key, (key, tuple(paths.items())), signature))
    settings = {
        feature: track_length.settings(extraction_settings(feature))
        for feature in FEATURES
        if feature in features
    }
    return convert(
        items,
        functools.partial(read_track, track_length=track_length),
        path,
        name=f"da-tacos {subset}",
        settings=settings,
        attributes={"source": "da-tacos", "subset": subset, "licence": "CC BY-NC-SA 4.0"},
        metadata=_fields(metadata),
        skipped=skipped,
        force=force,
        progress=progress,
    )


def read_track(track, track_length):
    """Reads a track, ((work_id, track_id), pairs (feature, path)): dict of feature to (n_frames, 12) float32.

    Raises:
        SkippedInput: A file is not of this track, damaged, or lacks the feature.
    """
    key, paths = track
    arrays = {}
    for path in dict.fromkeys(path for _, path in paths):
        with open_hdf5(path) as file:
            _check_identity(file, key)
            for feature in (feature for feature, its_path in paths if its_path == path):
                x = read_array(file, feature, _N_BINS)
                # The published orientation decides where a track has 12 frames.
                x = frames_as_rows(x, feature, when_square=feature != "crema")
                frames = track_length.apply(x.T, _MADE_BY[feature][1].SETTINGS["frame_rate"]).T
                refuse_values(frames, feature)
                arrays[feature] = frames
    return arrays


def _single_files(data_dir, subset):
    return data_dir / f"da-tacos_{subset}_subset_single_files"


def _folders(data_dir, subset, features):
    """{feature: (folder, ending of names in it)} of the one layout that is there."""
    single = _single_files(data_dir, subset)
    short = {feature: _SHORT_NAMES.get(feature, feature) for feature in FEATURES}
    apart = {f: data_dir / f"da-tacos_{subset}_subset_{name}" for f, name in short.items()}
    there = [folder for folder in apart.values() if folder.is_dir()]
    if single.is_dir() and there:
        raise MulkinetError(
            f"expected one layout of da-tacos {subset}, found both {single.name} and "
            f"{there[0].name} in {data_dir}; move one of them elsewhere"
        )
    if single.is_dir():
        return dict.fromkeys(features, (single, ""))
    missing = [apart[feature].name for feature in features if not apart[feature].is_dir()]
    if missing:
        raise MulkinetError(
            f"expected {missing[0]} in {data_dir}, found no such folder; "
            "name the folder it is in with -d, another feature with -p, or add --download"
        )
    return {feature: (apart[feature], f"_{short[feature]}") for feature in features}


def _find_files(folders):
    """({key: {feature: path}}, [(path, reason)] of what does not belong there); paths are str."""
    files, foreign = {}, []
    for feature, (folder, ending) in folders.items():
        work_name = re.compile(rf"(W_.+?){ending}")
        track_name = re.compile(rf"(P_.+?){ending}\.h5")
        wanted = f"expected W_<work>{ending}/P_<track>{ending}.h5, found another name"
        for entry in _visible(folder, foreign):
            # os.path's answer is no, not an error, for a link that leads round in a circle.
            work = os.path.isdir(entry.path) and work_name.fullmatch(entry.name)
            if not work:
                foreign.append((entry.path, wanted))
                continue
            for file in _visible(entry.path, foreign):
                track = track_name.fullmatch(file.name)
                if track:
                    files.setdefault((work[1], track[1]), {})[feature] = file.path
                else:
                    foreign.append((file.path, wanted))
    return files, list(dict.fromkeys(foreign))


def _visible(folder, foreign):
    """Entries of a folder; one that is empty or cannot be read joins the foreign."""
    try:
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        foreign.append((os.fspath(folder), f"cannot read it: {error.strerror or error}"))
        return []
    if not visible:
        foreign.append((os.fspath(folder), "expected tracks in it, found none"))
    return sorted(visible, key=lambda entry: entry.name)


def _check_identity(file, key):
    found = []
    for attribute in ("label", "track_id"):
        found.append(read_text(file, attribute))
        if found[-1] is None:
            raise SkippedInput(f"expected the attribute {attribute}, found none")
    if tuple(found) != key:
        raise SkippedInput(
            f"expected the track its path names, found {'/'.join(found)}; the file is in the wrong place"
        )


def _read_metadata(data_dir, subset):
    """{work: {track: dict}}; empty where there is no metadata file."""
    name = f"da-tacos_{subset}_subset_metadata.json"
    for path in (data_dir / name, data_dir / "da-tacos_metadata" / name):
        if os.path.isfile(path):
            break
    else:
        return {}
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
        tracks = [track for tracks in metadata.values() for track in tracks.values()]
    except OSError as error:
        raise MulkinetError(
            f"cannot read {path}: {error.strerror or error}; move it away to convert without titles"
        ) from error
    except (ValueError, AttributeError, RecursionError) as error:
        raise MulkinetError(
            f"expected {{work: {{track: ...}}}} as JSON in {path}, found something else ({error}); "
            "download it again, or move it away to convert without titles"
        ) from error
    if not all(isinstance(track, dict) for track in tracks):
        raise MulkinetError(
            f"expected {{work: {{track: {{...}}}}}} as JSON in {path}; download it again"
        )
    return metadata


def _fields(metadata):
    """{field of the store: {key: value}}; empty where there is no metadata."""
    about = {(work, track): a for work, tracks in metadata.items() for track, a in tracks.items()}
    return {
        field: {key: fields.get(name) for key, fields in about.items()}
        for field, name in _METADATA.items()
        if about
    }
