"""Files in the formats of the data sets, made for the tests."""

import json
import shutil

import h5py
import numpy as np

__all__ = [
    "da_tacos_path",
    "write_da_tacos",
    "write_da_tacos_track",
    "write_npy_dir",
    "write_pyjama",
    "write_testset",
]

_SHORT = {"chroma_cens": "cens"}


def da_tacos_path(data_dir, subset, key, feature=None):
    """Where a track's file lies: in the layout of single files unless a feature is named."""
    work, track = key
    if feature is None:
        return data_dir / f"da-tacos_{subset}_subset_single_files" / work / f"{track}.h5"
    short = _SHORT.get(feature, feature)
    folder = data_dir / f"da-tacos_{subset}_subset_{short}" / f"{work}_{short}"
    return folder / f"{track}_{short}.h5"


def write_da_tacos_track(path, key, arrays):
    """One file as deepdish writes it: gzip and shuffle, ids as bytes, arrays as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.attrs["TITLE"] = h5py.Empty("S1")
        file.attrs["DEEPDISH_IO_VERSION"] = 12
        file.attrs["label"], file.attrs["track_id"] = (np.bytes_(part) for part in key)
        for feature, x in arrays.items():
            file.create_dataset(feature, data=x, compression=9, shuffle=True)


def published(feature, frames):
    """(n_frames, 12) turned and typed as Da-TACOS has that feature."""
    if feature == "crema":
        return frames.T.astype(np.float32)
    return frames.astype(np.float64 if feature == "chroma_cens" else np.float32)


def write_da_tacos(data_dir, subset, keys, features, rng, *, single=False, n_frames=400):
    """Writes tracks of random values -> {key: {feature: (n_frames, 12) as written}}."""
    made = {}
    for key in keys:
        made[key] = {f: rng.random((n_frames, 12), np.float32) for f in features}
        arrays = {f: published(f, frames) for f, frames in made[key].items()}
        if single:
            write_da_tacos_track(da_tacos_path(data_dir, subset, key), key, arrays)
        else:
            for f, x in arrays.items():
                write_da_tacos_track(da_tacos_path(data_dir, subset, key, f), key, {f: x})
    return made


def copy_da_tacos(data_dir, subset, keys, feature, originals):
    """Many tracks of few contents, which is quick: files are copied and get their own ids."""
    for number, key in enumerate(keys):
        path = da_tacos_path(data_dir, subset, key, feature)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(originals[number % len(originals)], path)
        with h5py.File(path, "r+") as file:
            file.attrs["label"], file.attrs["track_id"] = (np.bytes_(part) for part in key)


def write_pyjama(folder, name, tracks, rng):
    """`<name>_feat.hdf5` and `<name>.pyjama` -> {performance id: (n_frames, 12)}.

    Args:
        folder: Where.
        name: Of the set.
        tracks: (work id, performance id) pairs.
        rng: Of the values.
    """
    made = {str(track): rng.random((20 + i, 12), np.float32) for i, (_, track) in enumerate(tracks)}
    with h5py.File(folder / f"{name}_feat.hdf5", "w") as file:
        for track, frames in made.items():
            file[track] = frames
    entries = [
        {
            "filepath": [{"value": str(track)}],
            "performance-id": [{"value": track}],
            "work-id": [{"value": work}],
            "title": [{"value": f"Work {work}"}],
            "performer": [{"value": f"Performer {track}"}],
            "release-date": [],
        }
        for work, track in tracks
    ]
    content = {"collection": {"entry": entries}, "schemaversion": 1.31}
    (folder / f"{name}.pyjama").write_text(json.dumps(content), encoding="utf-8")
    return made


def write_testset(path, keys, rng, *, features=("crema",), n_frames=500):
    """A pandas HDFStore as the Siamese release has it -> {feature: {key: (12, n_frames)}}."""
    row = np.dtype(
        [
            ("index", "<i8"),
            ("values_block_0", "<f4", (n_frames,)),
            ("chroma_bins", "<i8"),
            ("track_id", "S8"),
            ("work_id", "S5"),
        ]
    )
    made = {}
    with h5py.File(path, "w") as file:
        for feature in features:
            made[feature] = {key: rng.random((12, n_frames), np.float32) for key in keys}
            rows = np.zeros(12 * len(keys), row)
            rows["index"] = np.arange(len(rows))
            rows["values_block_0"] = np.concatenate(list(made[feature].values()))
            rows["chroma_bins"] = np.tile(np.arange(12), len(keys))
            rows["work_id"], rows["track_id"] = np.repeat(np.asarray(keys, "S8"), 12, axis=0).T
            file.create_dataset(f"{feature}/table", data=rows, chunks=(16,), compression=5)
            # What pandas pickles into attributes must not be looked at.
            file[feature].attrs["info"] = np.bytes_(b"(dp0\nI1\n(dp1\nVnames\np2\n(lp3\ns.")
    return made


def write_npy_dir(folder, keys, rng, *, feature="hpcp"):
    """`<song>_<version>.npy` -> {key: (n_frames, n_bins)}."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    for i, (work, track) in enumerate(keys):
        frames = rng.random((30 + i, 84 if feature == "cqt" else 12), np.float32)
        made[work, track] = frames
        np.save(folder / f"{work}_{track}.npy", frames.T if feature == "cqt" else frames)
    return made
