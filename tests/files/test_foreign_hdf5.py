"""Arrays out of foreign HDF5 files: the same values as h5py's, and nothing but arrays of numbers."""

import os
import sys
import zlib

import h5py
import numpy as np
import pytest

from mulkinet.errors import SkippedInput
from mulkinet.files.foreign_hdf5 import open_hdf5, read_array, read_text


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file.h5"


def read(path, name="x", n_bins=12):
    with open_hdf5(path) as file:
        return read_array(file, name, n_bins)


@pytest.mark.parametrize(
    "storage",
    [
        {},
        {"compression": 9, "shuffle": True, "chunks": (1, 50)},
        {"compression": 9, "shuffle": True, "chunks": (7, 12)},
        {"compression": 1, "chunks": (7, 5)},
        {"compression": 1, "shuffle": True, "chunks": (4, 30)},
        {"shuffle": True, "chunks": (7, 12)},
        {"compression": "lzf"},
        {"compression": 4, "fletcher32": True},
    ],
)
@pytest.mark.parametrize("dtype", ["<f4", "<f8", ">f4", "i2"])
def test_values_are_those_of_h5py(path, rng, storage, dtype):
    x = (100 * rng.random((12, 50))).astype(dtype)
    x = x.T if storage.get("chunks") == (7, 12) else x
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=x, **storage)
    found = read(path)
    assert found.dtype == x.dtype
    np.testing.assert_array_equal(found, x)


def test_chunks_left_out_or_stored_plain(path, rng):
    x = np.zeros((20, 12), np.float32)
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("x", x.shape, "f4", chunks=(5, 12), compression=4)
        dataset[:5] = x[:5] = rng.random((5, 12))
        x[10:15] = rng.random((5, 12))
        dataset.id.write_direct_chunk((10, 0), x[10:15].tobytes(), filter_mask=1)
    np.testing.assert_array_equal(read(path), x)


@pytest.mark.parametrize("content", [b"no deflate stream", zlib.compress(bytes(10_000_000))])
def test_a_chunk_that_is_not_what_it_should_be(path, content):
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("x", (5, 12), "f4", chunks=(5, 12), compression=4)
        dataset.id.write_direct_chunk((0, 0), content)
    with pytest.raises(SkippedInput, match="truncated or damaged"):
        read(path)


def test_no_hdf5_file(path):
    with pytest.raises(SkippedInput, match="found none of that name"):
        read(path)
    path.write_bytes(b"")
    with pytest.raises(SkippedInput, match="truncated or damaged"):
        read(path)


def test_a_truncated_file(path, rng):
    with h5py.File(path, "w") as file:
        file["x"] = rng.random((100, 12))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(SkippedInput, match=r"truncated or damaged one \(.*\); download it again"):
        read(path)


def test_what_is_no_array_of_numbers(path, tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["x"] = np.zeros((3, 12))
    with h5py.File(path, "w") as file:
        file["numbers"] = np.zeros((3, 12))
        file["group/x"] = np.zeros((3, 12))
        file["soft"] = h5py.SoftLink("/numbers")
        file["outside"] = h5py.ExternalLink("other.h5", "x")
        file.create_dataset("raw", (3, 12), "f4", external=[("raw.bin", 0, 144)])
        layout = h5py.VirtualLayout((3, 12), "f4")
        layout[:] = h5py.VirtualSource("other.h5", "x", (3, 12))
        file.create_virtual_dataset("virtual", layout)
        file["references"] = np.full((3, 12), file["numbers"].ref, h5py.ref_dtype)
        file.create_dataset("text", (3, 12), h5py.string_dtype())
        file["line"] = np.zeros(12)
        file["empty"] = np.zeros((0, 12))
        file["wide"] = np.zeros((3, 1024))
        file.create_dataset("endless", (1 << 40, 12), "f4", chunks=(1024, 12))
        file.create_dataset("chunk", (3, 12), "f4", chunks=(1 << 24, 12), maxshape=(None, 12))
    reasons = {
        "group": "found a group or a link",
        "soft": "found a group or a link",
        "outside": "found a group or a link",
        "raw": "found a group or a link",
        "virtual": "found a group or a link",
        "references": "found object references",
        "text": "found text",
        "line": r"found shape \(12,\)",
        "empty": r"found shape \(0, 12\)",
        "wide": r"an axis of 12 bins, found shape \(3, 1024\)",
        "endless": "at most 24 hours",
        "chunk": r"expected chunks no larger than chunk, found \(16777216, 12\)",
        "absent": "expected absent in it, found chunk, empty, endless, group, line, numbers, outsi",
        "line/x": "expected line/x in it, found chunk",
    }
    for name, reason in reasons.items():
        with pytest.raises(SkippedInput, match=reason):
            read(path, name)
    assert read(path, "numbers").shape == read(path, "group/x").shape == (3, 12)


def test_names_that_are_no_text(path):
    with h5py.File(path, "w") as file:
        file.create_group(b"\xff")
        file["x"] = np.zeros((3, 12))
    with pytest.raises(SkippedInput, match="expected y in it, found x, �"):
        read(path, "y")
    assert read(path).shape == (3, 12)


def test_any_byte_may_be_another(path, rng):
    """One byte of the file after the other changes; each time it is skipped, or values come."""
    with h5py.File(path, "w") as file:
        file.attrs["label"] = np.bytes_("W_1")
        file.create_dataset("x", data=rng.random((12, 40), np.float32), compression=9, shuffle=True)
    whole = path.read_bytes()
    n_open = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
    n_skipped = 0
    with open(path, "r+b") as file:
        for place, change in enumerate(rng.integers(1, 256, len(whole))):
            os.pwrite(file.fileno(), bytes([whole[place] ^ int(change)]), place)
            try:
                with open_hdf5(path) as damaged:
                    read_text(damaged, "label")
                    assert 12 in read_array(damaged, "x", 12).shape
            except SkippedInput:
                n_skipped += 1
            os.pwrite(file.fileno(), whole[place : place + 1], place)
    # Every byte of the values counts, and many of the headers.
    assert len(whole) / 4 < n_skipped < len(whole)
    if sys.platform == "linux":
        assert len(os.listdir("/proc/self/fd")) == n_open


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.bytes_("W_1"), "W_1"),
        ("W_é", "W_é"),
        (np.bytes_("W_é".encode()), "W_é"),
        (np.bytes_(b"W_\xff"), "W_�"),
        (7, "7"),
        ([1, 2], "[1 2]"),
        (np.array([b"W_1"]), "[b'W_1']"),
    ],
)
def test_attributes_of_text(path, value, text):
    with h5py.File(path, "w") as file:
        file.attrs["label"] = value
    with open_hdf5(path) as file:
        assert read_text(file, "label") == text
        assert read_text(file, "track_id") is None
