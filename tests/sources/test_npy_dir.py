"""Folders of .npy files: read as a store is, converted to one, and whatever may lie in them."""

import json
import os

import numpy as np
import pytest

from mulkinet import FeatureStore, MulkinetError, load_model
from mulkinet.cli.evaluate import main as evaluate
from mulkinet.cli.train import main as train
from mulkinet.data.lists import write_list
from mulkinet.data.npy_folder import NpyFolder, open_data
from mulkinet.losses.plans import class_plan
from mulkinet.sources.npy_dir import convert_npy_dir
from mulkinet.training.augment import augmentation
from mulkinet.training.pipeline import batches
from tests.commands import invoke
from tests.patterns import TINY_OPTIONS
from tests.sources.feature_files import write_npy_dir

KEYS = [("8110", "0"), ("8110", "10"), ("8110", "9"), ("77", "0"), ("a_b", "3")]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "npy"


def convert(folder, **options):
    return convert_npy_dir(folder, folder.with_name("npy.h5"), progress=False, **options)


@pytest.mark.parametrize(("feature", "n_bins", "bin0"), [("hpcp", 12, "A"), ("cqt", 84, "C")])
def test_a_folder_is_read_as_its_store_is(folder, rng, feature, n_bins, bin0):
    made = write_npy_dir(folder, KEYS, rng, feature=feature)
    converted, remaining = convert(folder)
    assert converted[1:] == (3, 5, [], False)
    assert remaining == {}
    as_folder, as_store = open_data(folder), open_data(folder.with_name("npy.h5"))
    assert isinstance(as_folder, NpyFolder)
    assert isinstance(as_store, FeatureStore)
    keys = [("77", "0"), ("8110", "0"), ("8110", "9"), ("8110", "10"), ("a_b", "3")]
    for store in (as_folder, as_store):
        assert store.features == (feature,)
        assert (store.name, len(store), list(store.rows_by_key)) == ("npy", 5, keys)
        assert store.settings(feature)["bin0"] == bin0
        assert store.settings(feature)["n_bins"] == n_bins
        assert store.settings(feature)["frame_rate"] == pytest.approx(2.1533, abs=1e-4)
        lengths = [len(made[key]) for key in keys]
        assert store.n_frames(feature).tolist() == lengths
        assert store.offsets(feature).tolist() == [0, *np.cumsum(lengths)]
        for row, key in enumerate(keys):
            x = store.get(key, feature)
            assert x.dtype == np.float32
            np.testing.assert_array_equal(x, made[key].T)
            np.testing.assert_array_equal(store.read(feature, row, 3, 5), made[key][3:8])
        store.check_finite(feature)
    assert as_folder.settings(feature) == as_store.settings(feature)


def test_training_sees_the_same_from_both(folder, rng):
    write_npy_dir(folder, KEYS, rng)
    convert(folder)
    plan = class_plan(np.arange(5), np.arange(5, dtype=np.int32), batch_size=3, seed=0, epoch=0)
    stores = open_data(folder), open_data(folder.with_name("npy.h5"))
    first, second = ([x for x, _ in batches(plan, s, feature="hpcp", n_frames=31)] for s in stores)
    for x, y in zip(first, second):
        np.testing.assert_array_equal(x, y)


def test_floats_of_any_size_and_order(folder, rng):
    folder.mkdir()
    x = rng.random((20, 12), np.float32)
    for i, dtype in enumerate(("f2", "f8", ">f4")):
        np.save(folder / f"w_{i}.npy", x.astype(dtype))
    np.save(folder / "w_3.npy", np.asfortranarray(x))
    np.save(folder / "w_4.npy", x.T)
    store = NpyFolder(folder)
    for i in range(5):
        np.testing.assert_allclose(store.get(str(i), "hpcp"), x.T, atol=1e-3)


def test_84_by_12_is_what_the_others_are(folder, rng):
    folder.mkdir()
    np.save(folder / "w_0.npy", rng.random((84, 12)))
    with pytest.raises(MulkinetError, match=r"the first w_0.npy: .*found \(84, 12\)"):
        NpyFolder(folder)
    np.save(folder / "w_1.npy", rng.random((84, 30)))
    assert NpyFolder(folder).get("0", "cqt").shape == (84, 12)
    np.save(folder / "w_1.npy", rng.random((30, 12)))
    assert NpyFolder(folder).get("0", "hpcp").shape == (12, 84)


class Bomb:
    """Unpickled, it would raise."""

    def __reduce__(self):
        return exec, ("raise AssertionError('unpickled')",)


# What follows in a header, each of which makes numpy raise another exception.
BAD_HEADERS = {
    "huge": "'shape': (9999999999999999999, 12)}",
    "negative": "'shape': (-10, 12)}",
    "open": "'shape': (10, 12",
    "zeros": "'shape': (010, 12)}",
    "types": "b'shape': (10, 12)}",
    "key": "[]: (10, 12)}",
    "deep": 3000 * "(",
}


def write_bad_files(folder):
    """Everything that is no track, beside one that is -> {name: reason}."""
    write_npy_dir(folder, [("good", "0"), ("good", "1")], np.random.default_rng(0))
    np.save(folder / "bad_objects.npy", np.asarray([[Bomb()] * 12]), allow_pickle=True)
    np.save(folder / "bad_shape.npy", np.zeros((30, 13)))
    np.save(folder / "bad_line.npy", np.zeros(12))
    np.save(folder / "bad_none.npy", np.zeros((0, 12)))
    np.save(folder / "bad_integers.npy", np.zeros((30, 12), int))
    np.save(folder / "bad_nan.npy", np.full((30, 12), np.nan))
    (folder / "bad_empty.npy").touch()
    (folder / "bad_text.npy").write_text("hello")
    (folder / "bad_link.npy").symlink_to(folder / "nowhere")
    (folder / "bad_folder.npy").mkdir()
    for name, header in BAD_HEADERS.items():
        header = f"{{'descr': '<f8', 'fortran_order': False, {header}\n".encode()
        content = b"\x93NUMPY\x01\0" + len(header).to_bytes(2, "little") + header + bytes(960)
        (folder / f"bad_{name}.npy").write_bytes(content)
    whole = (folder / "good_0.npy").read_bytes()
    (folder / "bad_truncated.npy").write_bytes(whole[:-50])
    with open(folder / "bad_zip.npy", "wb") as file:
        np.savez(file, x=np.zeros((30, 12)))
    np.save(folder / "nounderscore.npy", np.zeros((30, 12)))
    otherwise = "expected a .npy file of numbers, found something else ("
    return {
        **{f"bad/{name}": otherwise for name in (*BAD_HEADERS, "folder")},
        "bad/link": "cannot read ",
        "nounderscore.npy": "expected a name such as <song>_<version>.npy",
        "bad/empty": "expected a .npy file of numbers, found something else (No data left in file)",
        "bad/integers": "expected floating point, found int64",
        "bad/line": "expected an array of two axes, found shape (12,)",
        "bad/nan": "expected finite values, found NaN or infinity in hpcp",
        "bad/none": "expected an array of two axes, found shape (0, 12)",
        "bad/objects": "expected a .npy file of numbers, found something else (",
        "bad/shape": "expected hpcp with an axis of 12 bins, found shape (30, 13)",
        "bad/text": "expected a .npy file of numbers, found something else (",
        "bad/truncated": "expected a .npy file of numbers, found something else (",
        "bad/zip": "expected a .npy file, found an .npz archive of that name",
    }


def test_bad_files_are_skipped_with_their_reason(folder):
    reasons = write_bad_files(folder)
    made, _ = convert(folder)
    assert made.n_tracks == 2
    found = {item.replace(f"{folder}/", ""): reason for item, reason in made.skipped}
    assert found.keys() == reasons.keys()
    for item, reason in reasons.items():
        assert found[item].startswith(reason)


def test_bad_files_matter_only_when_they_are_used(folder):
    reasons = write_bad_files(folder)
    store = NpyFolder(folder)
    assert [path.name for path, _ in store.foreign] == ["nounderscore.npy"]
    good = [store.row(("good", track)) for track in "01"]
    store.check_finite("hpcp", good)
    assert store.n_frames("hpcp")[good].tolist() == [30, 31]
    for item in reasons:
        if item != "nounderscore.npy":
            row = store.row(tuple(item.split("/")))
            with pytest.raises(MulkinetError, match=rf"bad_{item[4:]}.npy: expected .*; .* list"):
                store.check_finite("hpcp", [row])


def test_names_that_cannot_be_ids_are_no_tracks(folder, rng):
    write_npy_dir(folder, KEYS, rng)
    for name in (b"w_\xff", b"a\tb_1", b"a\nb_2"):
        np.save(folder / os.fsdecode(name + b".npy"), rng.random((20, 12)))
    store = NpyFolder(folder)
    assert sorted(store.rows_by_key) == sorted(KEYS)
    assert len(store.foreign) == 3
    made, _ = convert(folder)
    assert made.n_tracks == len(KEYS)
    assert len(made.skipped) == 3


def test_folders_that_are_none(tmp_path, folder, rng):
    with pytest.raises(MulkinetError, match="expected a folder of .npy files at"):
        NpyFolder(folder)
    folder.mkdir()
    with pytest.raises(MulkinetError, match="expected files <song>_<version>.npy in"):
        open_data(folder)
    write_npy_dir(folder, KEYS, rng)
    store = open_data(folder)
    with pytest.raises(MulkinetError, match="expected cqt in .*, found only hpcp"):
        store.settings("cqt")
    with pytest.raises(MulkinetError, match="make a store of it with preprocess.py npy-dir"):
        store.frames("hpcp")


def test_lists_and_what_is_missing(folder, tmp_path, rng):
    write_npy_dir(folder, [("1", "0"), ("1", "1"), ("2", "0"), ("3", "0"), ("4", "0")], rng)
    pairs = [("1", "0"), ("1", "1"), ("1", "2"), ("2", "0"), ("2", "1"), ("3", "0")]
    write_list(tmp_path / "TRAIN", pairs)
    with pytest.raises(MulkinetError, match=r"found 2 of 6 missing \(1/2, 2/1\).*--skip-missing"):
        convert(folder, lists=[tmp_path / "TRAIN"])
    made, remaining = convert(folder, lists=[tmp_path / "TRAIN"], skip_missing=True)
    left = remaining[tmp_path / "TRAIN"]
    # Work 2 has one track left of two and goes; work 3 never had more.
    assert left.pairs == [("1", "0"), ("1", "1"), ("3", "0")]
    assert (left.n_missing, left.n_dropped) == (2, 1)
    assert made.skipped == []
    store = FeatureStore(made.store_path)
    assert list(store.rows_by_key) == left.pairs
    assert store.attributes["n_missing"] == 2
    assert store.attributes["n_dropped"] == 1


def test_tracks_that_cannot_be_used_are_missing_in_what_remains(folder, tmp_path, rng):
    write_npy_dir(folder, [(w, t) for w in "123" for t in "01"], rng)
    (folder / "1_1.npy").write_bytes(b"")
    np.save(folder / "2_1.npy", np.full((30, 12), np.nan))
    pairs = [("1", "0"), ("1", "1"), ("2", "1"), ("3", "0"), ("3", "1"), ("3", "2")]
    write_list(tmp_path / "TRAIN", pairs)
    made, remaining = convert(folder, lists=[tmp_path / "TRAIN"], skip_missing=True)
    assert [what for what, _ in made.skipped] == ["1/1", "2/1"]
    left = remaining[tmp_path / "TRAIN"]
    # 3/2 has no file; 1/0 is the last of its work.
    assert left == ([("3", "0"), ("3", "1")], 3, 1)


def test_a_folder_is_trained_on_and_evaluated_as_it_lies(folder, tmp_path, rng, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pairs = [(work, track) for work in "123456" for track in "01"]
    write_npy_dir(folder, pairs, rng)
    write_list("TRAIN", [*pairs[:8], ("1", "2")])
    write_list("VAL", [*pairs[8:], ("7", "0"), ("7", "1")])
    (folder / "7_0.npy").write_bytes((folder / "6_1.npy").read_bytes())
    command = ["--data-dir", "npy", "--train-ls", "TRAIN", "--val-ls", "VAL", *TINY_OPTIONS]
    command += ["--max-epoch", 1, "--batchsize", 4, "--gpu", -1]
    done = invoke(train, *command)
    assert done.exit_code == 1
    assert "found 1 of 9 missing (1/2)" in done.stderr
    done = invoke(train, *command, "--skip-missing")
    assert (done.exit_code, done.stderr) == (0, "")
    notes = [
        "1 tracks of TRAIN are missing, 0 more are the only ones left of their works; 8 remain",
        "1 tracks of VAL are missing, 1 more are the only ones left of their works; 4 remain",
    ]
    assert set(notes) < set(done.stdout.splitlines())
    assert load_model("models/test/best.h5").metadata["notes"] == notes
    command = ["--model-file", "models/test/best.h5", "--data-dir", "npy", "--test-ls", "VAL"]
    done = invoke(evaluate, *command, "--gpu", -1, "--skip-missing", "--json", "scores.json")
    assert (done.exit_code, done.stderr) == (0, "")
    scores = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert notes[1] in json.dumps(scores)


def test_what_cannot_rotate_is_told_before_the_road_is_built(folder, rng):
    write_npy_dir(folder, KEYS, rng, feature="cqt")
    plan = class_plan(np.arange(5), np.arange(5, dtype=np.int32), batch_size=3, seed=0, epoch=0)
    options = {"feature": "cqt", "n_frames": 20, "augment": augmentation("move")}
    with pytest.raises(MulkinetError, match=r"^expected a feature of 12 .*$"):
        batches(plan, open_data(folder), **options)


def test_upper_case_endings_are_taken_and_decibels_skipped(folder, rng):
    write_npy_dir(folder, KEYS, rng, feature="cqt")
    (folder / "77_0.npy").rename(folder / "77_0.NPY")
    np.save(folder / "5_1.npy", -80 * rng.random((84, 30)))
    (folder / "8110_9.NPY").write_bytes((folder / "8110_9.npy").read_bytes())
    assert ("77", "0") in NpyFolder(folder).rows_by_key
    converted, _ = convert(folder)
    assert converted.n_tracks == 5
    skipped = dict(converted.skipped)
    assert "found -7" in skipped["5/1"]
    assert "bring magnitudes instead" in skipped["5/1"]
    assert len(skipped) == 2
