"""HDF5 files on a disk that fills up at every possible place."""

import contextlib
import resource
import subprocess
import sys

import h5py
import numpy as np
import pytest

from mulkinet.errors import MulkinetError
from mulkinet.files.hdf5 import atomic_hdf5


@contextlib.contextmanager
def disk_of(n_bytes):
    """No file can grow beyond `n_bytes`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def write(path):
    with atomic_hdf5(path) as (file, check):
        file.attrs["name"] = "x" * 500
        for i in range(4):
            file.create_dataset(f"group/{i}", data=np.full((100, 12), i, np.float32))
            check()


def test_what_is_written_can_be_read(tmp_path):
    write(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        assert file.attrs["name"] == "x" * 500
        assert [file[f"group/{i}"][99, 11] for i in range(4)] == [0, 1, 2, 3]


def test_a_disk_that_fills_up_anywhere_is_one_line(tmp_path):
    write(tmp_path / "a.h5")
    size = (tmp_path / "a.h5").stat().st_size
    for n_bytes in [*range(0, size, 997), size - 1]:
        with disk_of(n_bytes), pytest.raises(MulkinetError) as caught:
            write(tmp_path / "b.h5")
        assert str(caught.value).endswith(
            "b.h5: File too large; check that the folder is writable and the disk has room"
        )
        assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]
    with disk_of(size):
        write(tmp_path / "b.h5")


def test_an_error_of_the_block_is_passed_on(tmp_path):
    with pytest.raises(KeyError, match="mine"), atomic_hdf5(tmp_path / "a.h5"):
        raise KeyError("mine")
    assert list(tmp_path.iterdir()) == []


READ = """
import sys
from mulkinet import MulkinetError
from mulkinet.files.hdf5 import FileKind, open_checked
try:
    with open_checked(sys.argv[1], FileKind("feature store", "mulkinet-features", 1, "make one")):
        pass
except MulkinetError as error:
    print(error)
"""


def test_a_file_that_is_being_written_is_in_use_and_not_damaged(tmp_path, monkeypatch):
    path = tmp_path / "a.h5"
    write(path)
    monkeypatch.delenv("HDF5_USE_FILE_LOCKING")  # the suite's own, as users do not have it
    command = (
        f"import h5py; file = h5py.File({str(path)!r}, 'a'); print('open', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        other.stdout.readline()
        reading = subprocess.run(
            [sys.executable, "-c", READ, path], check=True, capture_output=True, text=True
        )
        other.communicate(b"\n")
    assert "in use: another process has it open for writing" in reading.stdout
