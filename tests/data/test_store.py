"""The feature store: what is written is read, and a broken file is told apart from a whole one."""

import json
import subprocess
import sys

import h5py
import numpy as np
import pytest

import mulkinet
from mulkinet import FeatureStore, MulkinetError
from mulkinet.data.store import natural_key
from mulkinet.data.store_writer import StoreWriter
from tests.stores import LENGTHS, SETTINGS, TRACKS, write_store


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sample.h5"


def test_natural_order_is_total():
    names = ["track10", "track9", "2", "10", "Track1", ""]
    assert sorted(names, key=natural_key) == ["", "2", "10", "Track1", "track9", "track10"]
    assert natural_key("01") != natural_key("1")


def test_round_trip(path, rng):
    metadata = {"title": ["Bé", "A ten", "A nine"]}
    frames = write_store(path, rng, attributes={"made": [1, 2], "by": "test"}, metadata=metadata)
    store = FeatureStore(path)
    assert store.work_ids.tolist() == ["a", "a", "b"]
    assert store.track_ids.tolist() == ["9", "10", "1"]
    assert store.metadata["title"].tolist() == ["A nine", "A ten", "Bé"]
    assert store.attributes["by"] == "test"
    assert json.loads(store.attributes["made"]) == [1, 2]
    assert store.attributes["mulkinet_version"] == mulkinet.__version__
    assert store.settings("hpcp") == SETTINGS
    assert store.offsets("hpcp").tolist() == [0, 5, 9, 12]
    assert store.n_frames("hpcp").tolist() == [5, 4, 3]
    for track, expected in frames.items():
        np.testing.assert_array_equal(store.get(track, "hpcp"), expected.T)
    np.testing.assert_array_equal(store.get("9", "hpcp"), frames["a", "9"].T)
    np.testing.assert_array_equal(store.read("hpcp", 0, 2, 2), frames["a", "9"][2:4])
    np.testing.assert_array_equal(store.read("hpcp", 1, 3, 9), frames["a", "10"][3:])
    assert isinstance(store.frames("hpcp"), np.memmap)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_float16_keeps_half_the_bytes(path, rng):
    with StoreWriter(path, name="half", tracks=[("w", "t")]) as writer:
        writer.add_feature("hpcp", n_frames=[2], settings=SETTINGS, dtype="float16")
        writer.write("hpcp", ("w", "t"), np.full((2, 12), 0.5, np.float32))
    store = FeatureStore(path)
    assert store.frames("hpcp").dtype == np.float16
    assert store.get("t", "hpcp").dtype == np.float32
    assert store.get("t", "hpcp")[0, 0] == 0.5


def test_h5py_alone_reads_it(path, rng):
    write_store(path, rng)
    script = (
        "import sys, h5py\n"
        f"f = h5py.File({str(path)!r}, 'r')\n"
        "print(f.attrs['format'], f['work_id'].asstr()[0], f['hpcp/frames'].shape)\n"
        "print('mulkinet' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert out.stdout == "mulkinet-features a (12, 12)\nFalse\n"


def test_one_version_number_in_many_songs(path, rng):
    tracks = [("1", "0"), ("2", "0")]
    frames = write_store(path, rng, tracks, [2, 3])
    store = FeatureStore(path)
    np.testing.assert_array_equal(store.get(("2", "0"), "hpcp"), frames["2", "0"].T)
    with pytest.raises(MulkinetError, match=r"'0' is in 2 works .*\('1', '0'\)"):
        store.get("0", "hpcp")


def test_unknown_track_and_feature(path, rng):
    write_store(path, rng)
    store = FeatureStore(path)
    for track in ("11", ("b", "9")):
        with pytest.raises(MulkinetError, match="expected a track"):
            store.get(track, "hpcp")
    with pytest.raises(MulkinetError, match="expected crema in .*, found only hpcp"):
        store.get("9", "crema")


def test_check_finite_names_the_track(path, rng):
    with StoreWriter(path, name="nan", tracks=TRACKS) as writer:
        writer.add_feature("hpcp", n_frames=LENGTHS, settings=SETTINGS)
        for track, n in zip(TRACKS, LENGTHS):
            frames = np.ones((n, 12))
            frames[n - 1, 3] = np.nan if track == ("a", "10") else 1
            writer.write("hpcp", track, frames)
    store = FeatureStore(path)
    for rows in (None, [1, 2]):
        with pytest.raises(MulkinetError, match="NaN.*work 'a', track '10'"):
            store.check_finite("hpcp", rows)
    store.check_finite("hpcp", [0, 2])


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda w: w.write("hpcp", TRACKS[0], np.zeros((3, 12))), "never written"),
        (lambda w: w.write("hpcp", TRACKS[0], np.zeros((2, 12))), r"expected hpcp.*\(3, 12\)"),
        (lambda w: w.add_feature("x", n_frames=[1, 0, 1], settings=SETTINGS), "from 1"),
        (lambda w: w.add_feature("x", n_frames=[1, 1, 1], settings={"n_bins": 12}), "bin0"),
    ],
)
def test_an_unfinished_store_is_not_there(path, mistake, message):
    def write():
        with StoreWriter(path, name="sample", tracks=TRACKS) as writer:
            writer.add_feature("hpcp", n_frames=LENGTHS, settings=SETTINGS)
            mistake(writer)

    with pytest.raises(MulkinetError, match=message):
        write()
    assert list(path.parent.iterdir()) == []


def test_a_failed_rewrite_keeps_the_old_store(path, rng):
    frames = write_store(path, rng)
    with pytest.raises(KeyboardInterrupt):
        with StoreWriter(path, name="other", tracks=TRACKS):
            raise KeyboardInterrupt
    np.testing.assert_array_equal(FeatureStore(path).get("9", "hpcp"), frames["a", "9"].T)


def test_a_track_twice_and_no_track(path):
    with pytest.raises(MulkinetError, match="'a', track '1' twice"):
        StoreWriter(path, name="sample", tracks=[("a", "1"), ("a", "1")])
    with pytest.raises(MulkinetError, match="at least one track"):
        StoreWriter(path, name="sample", tracks=[])


@pytest.mark.parametrize("name", ["", "a\tb", "a\nb", "a\0b", "\ud800"])
def test_ids_that_cannot_be(path, name):
    for key in ((name, "1"), ("a", name)):
        with pytest.raises(MulkinetError, match="expected a name"):
            StoreWriter(path, name="sample", tracks=[key])


def test_a_full_disk_is_one_line(path, rng, monkeypatch):
    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mulkinet.files.atomic.os.replace", full)
    with pytest.raises(MulkinetError, match="No space left on device"):
        write_store(path, rng)
    assert list(path.parent.iterdir()) == []


def damage_truncate(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def edit(change):
    def damage(path):
        with h5py.File(path, "r+") as file:
            change(file)

    return damage


def set_offset(file):
    file["hpcp/offsets"][1] = 0


def chunk(file):
    frames = file["hpcp/frames"][:]
    del file["hpcp/frames"]
    file["hpcp"].create_dataset("frames", data=frames, chunks=(1, 12))


def drop_ids(file):
    del file["track_id"]


def group_ids(file):
    del file["work_id"]
    file.create_group("work_id")


def drop_setting(file):
    del file["hpcp"].attrs["sr"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "found no file"),
        (lambda path: path.write_bytes(b""), "truncated or no HDF5"),
        (lambda path: path.write_text("not HDF5 at all"), "truncated or no HDF5"),
        (damage_truncate, "truncated or no HDF5"),
        (edit(lambda f: f.attrs.__delitem__("format")), "format = None"),
        (edit(lambda f: f.attrs.__setitem__("version", 2)), "version 2; upgrade mulkinet"),
        (edit(set_offset), "offsets do not divide 12 frames into 3 tracks"),
        (edit(chunk), "not contiguous"),
        (edit(drop_ids), "damaged"),
        (edit(group_ids), "damaged"),
        (edit(drop_setting), "lacks sr"),
    ],
)
def test_a_broken_store_is_refused(path, rng, damage, message):
    write_store(path, rng)
    damage(path)
    with pytest.raises(MulkinetError, match=message) as caught:
        FeatureStore(path)
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_store(tmp_path):
    with pytest.raises(MulkinetError, match="a folder"):
        FeatureStore(tmp_path)


def test_released_pages_are_read_again(path, rng):
    frames = write_store(path, rng)
    store = FeatureStore(path)
    before = store.get("9", "hpcp")
    store.release()
    np.testing.assert_array_equal(store.get("9", "hpcp"), before)
    np.testing.assert_array_equal(before, frames["a", "9"].T)


def test_a_large_store(path):
    tracks = [(f"w{i // 10}", str(i % 10)) for i in range(100_000)]
    with StoreWriter(path, name="large", tracks=tracks) as writer:
        writer.add_feature("hpcp", n_frames=[1] * len(tracks), settings=SETTINGS)
        writer.write_run("hpcp", tracks, np.ones((len(tracks), 12), np.float32))
    store = FeatureStore(path)
    assert (len(store), store.track_ids[-1]) == (100_000, "9")
