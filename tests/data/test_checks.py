"""The checker: every kind of trouble is found, in the store or folder and in the lists."""

import numpy as np
import pytest

from mulkinet import FeatureStore
from mulkinet.data.checks import check_feature, check_list, shared_works, sizes_of_works
from mulkinet.data.npy_folder import NpyFolder
from mulkinet.data.store_writer import StoreWriter
from tests.stores import SETTINGS

PAIRS = [("a", "1"), ("a", "2"), ("a", "3"), ("b", "1"), ("b", "2"), ("c", "1")]


@pytest.fixture
def store(tmp_path, rng):
    """a/2 has an infinity, b/1 is silent, c/1 is a/3 again, b/2 is a/1 but for its last frame."""
    frames = {pair: rng.random((4, 12), np.float32) for pair in PAIRS}
    frames["a", "2"][3, 7] = np.inf
    frames["b", "1"][:] = 0
    frames["c", "1"] = frames["a", "3"]
    frames["b", "2"] = frames["a", "1"][:3]
    with StoreWriter(tmp_path / "s.h5", name="sick", tracks=PAIRS) as writer:
        writer.add_feature("hpcp", n_frames=[len(frames[p]) for p in PAIRS], settings=SETTINGS)
        for pair in PAIRS:
            writer.write("hpcp", pair, frames[pair])
    return FeatureStore(tmp_path / "s.h5")


def test_a_feature(store):
    report = check_feature(store, "hpcp")
    assert (report.n_bins, report.frame_rate) == (12, 86.13)
    assert report.lengths.tolist() == [4, 4, 4, 4, 3, 4]
    assert report.unreadable == []
    assert report.non_finite == [("a", "2")]
    assert report.silent == [("b", "1")]
    assert report.duplicates == [[("a", "3"), ("c", "1")]]


def test_files_that_cannot_be_read(tmp_path):
    np.save(tmp_path / "w_0.npy", np.ones((3, 12)))
    (tmp_path / "w_1.npy").touch()
    report = check_feature(NpyFolder(tmp_path), "hpcp")
    assert [key for key, _ in report.unreadable] == [("w", "1")]
    assert report.lengths.tolist() == [3, 0]


def test_a_list(store):
    report = check_list(store, [*PAIRS[:4], ("a", "9"), ("d", "1")])
    assert report == (6, {1: 2, 4: 1}, [("a", "9"), ("d", "1")])


def test_sizes_and_shared_works():
    assert sizes_of_works(PAIRS) == {1: 1, 2: 1, 3: 1}
    assert shared_works(PAIRS, [("b", "7"), ("a", "1"), ("e", "1")]) == ["a", "b"]
    assert shared_works(PAIRS, [("e", "1")]) == []
