"""Cover-1000: features beside annotations, and what can be wrong with either."""

import json
import shutil

import h5py
import numpy as np
import pytest

from mulkinet import FeatureStore, MulkinetError
from mulkinet.sources.cover1000 import convert_pair, find_pairs, tutorial_fold
from tests.sources.feature_files import write_pyjama

TRACKS = [(7, 20), (7, 3), (11, 100), (5, 1)]


def run(folder, **options):
    [(name, hdf5_path, pyjama_path)] = find_pairs(folder)
    path = folder / "stores" / f"{name}.h5"
    made, works = convert_pair(name, hdf5_path, pyjama_path, path, progress=False, **options)
    return made, works, FeatureStore(path)


def test_a_pair_becomes_a_store(tmp_path, rng):
    frames = write_pyjama(tmp_path, "cover1000", TRACKS, rng)
    made, works, store = run(tmp_path)
    assert (made.n_works, made.n_tracks, made.skipped, works) == (3, 4, [], [7, 7, 11, 5])
    assert list(store.rows_by_key) == [("5", "1"), ("7", "3"), ("7", "20"), ("11", "100")]
    for track, expected in frames.items():
        np.testing.assert_array_equal(store.get(track, "crema"), expected.T)
    assert store.metadata["title"].tolist() == ["Work 5", "Work 7", "Work 7", "Work 11"]
    assert store.metadata["artist"][0] == "Performer 1"
    settings = store.settings("crema")
    assert (settings["bin0"], settings["downsample"]) == ("C", 8)
    assert settings["frame_rate"] == pytest.approx(10.7666)


def test_the_fold_is_every_fifth_work_in_the_order_of_the_set():
    # CPython keeps small whole numbers in a set of 8 places by their last 3 bits.
    assert tutorial_fold([8, 1, 3, 2, 3]) == {"8"}
    works = list(range(100, 140))
    assert tutorial_fold(works) == {str(work) for work in list(set(works))[::5]}
    assert tutorial_fold(["w10", "w9", "w2", "w3", "w4", "w5"]) == {"w2", "w10"}


def test_performances_that_one_file_lacks(tmp_path, rng):
    write_pyjama(tmp_path, "set", TRACKS, rng)
    with h5py.File(tmp_path / "set_feat.hdf5", "r+") as file:
        del file["3"]
        file["999"] = np.zeros((3, 12))
        del file["20"]
        file["20"] = np.zeros((3, 13))
    made, _, store = run(tmp_path)
    assert store.track_ids.tolist() == ["1", "100"]
    assert made.skipped == [
        ("7/3", "named in set.pyjama, but not in set_feat.hdf5"),
        ("999", "in set_feat.hdf5, but set.pyjama does not name it"),
        ("7/20", "expected 20 with an axis of 12 bins, found shape (3, 13)"),
    ]


def test_features_that_are_something_else(tmp_path, rng):
    write_pyjama(tmp_path, "set", TRACKS, rng)
    with h5py.File(tmp_path / "set_feat.hdf5", "r+") as file:
        del file["3"], file["20"]
        file["3"] = np.full((12, 30), file.ref, h5py.ref_dtype)
        file["20"] = h5py.SoftLink("/100")
        file.create_dataset(b"\xff", data=np.zeros((3, 12)))
    made, _, store = run(tmp_path)
    assert store.track_ids.tolist() == ["1", "100"]
    assert made.skipped == [
        ("�", "in set_feat.hdf5, but set.pyjama does not name it"),
        ("7/20", "expected 20 to be an array, found a group or a link"),
        ("7/3", "expected 3 to hold numbers, found object references"),
    ]


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("[" * 100_000, "expected JSON with a list collection.entry"),
        ("no JSON", "expected JSON with a list collection.entry"),
        ("[]", "expected JSON"),
        ('{"collection": {"entry": [3]}}', "expected JSON"),
        ('{"collection": {"entry": [{"work-id": [{"value": 1}]}]}}', "in entry 0 of"),
        (None, "every performance-id once in .*, found 1 in entries 3 and 4"),
    ],
)
def test_annotations_that_are_something_else(tmp_path, rng, content, match):
    write_pyjama(tmp_path, "set", TRACKS, rng)
    path = tmp_path / "set.pyjama"
    if content is None:
        entries = json.loads(path.read_text())["collection"]["entry"]
        content = json.dumps({"collection": {"entry": [*entries, entries[-1]]}})
    path.write_text(content)
    with pytest.raises(MulkinetError, match=match):
        run(tmp_path)
    assert not (tmp_path / "stores").exists()


def test_files_that_are_not_there(tmp_path, rng):
    with pytest.raises(MulkinetError, match="found no .pyjama; name the folder they are in"):
        find_pairs(tmp_path)
    write_pyjama(tmp_path, "set", TRACKS, rng)
    (tmp_path / "set_feat.hdf5").write_text("no HDF5")
    with pytest.raises(MulkinetError, match="set_feat.hdf5: expected an HDF5 file, found a trunc"):
        run(tmp_path)
    (tmp_path / "set_feat.hdf5").unlink()
    with pytest.raises(MulkinetError, match="expected set_feat.hdf5 beside .*unpack it"):
        find_pairs(tmp_path)


def test_the_sample(shared, tmp_path):
    for path in (shared / "data" / "cover1000").iterdir():
        shutil.copy(path, tmp_path)
    made, works, store = run(tmp_path)
    assert (made.n_works, made.n_tracks, made.skipped) == (4, 11, [])
    assert tutorial_fold(works) == {"1"}
    with h5py.File(tmp_path / "cover1000_feat.hdf5") as file:
        np.testing.assert_array_equal(store.get("177485", "crema"), file["177485"][:].T)
