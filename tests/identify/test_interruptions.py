"""Real processes: killed while they build and add, and two that add at once."""

import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from mulkinet import Index, MulkinetError
from mulkinet.identify.index_file import locked, read_index
from tests.identify.songs import make_library


def start(*arguments):
    command = [sys.executable, "-m", "mulkinet", *map(str, arguments), "-n", "1"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def kill_after_extracting(process, cache_dir, n_files):
    """Kills a process as soon as the cache holds so many features."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if len(list(cache_dir.glob("features/[!.]*"))) >= n_files:
            break
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def test_killed_while_building_and_while_adding(
    tmp_path, library, model_file, built, cache_dir, n_decoded
):
    path = tmp_path / "library.index"
    build = ["index", "build", library, "--model-file", model_file, "-o", path]
    kill_after_extracting(start(*build), cache_dir, 3)
    assert not path.exists()
    index = Index.build(path, library, model_file, n_workers=1, progress=False)
    assert 0 < len(n_decoded) <= 9
    np.testing.assert_allclose(index.data.embeddings, read_index(built).embeddings, atol=1e-6)

    before = path.read_bytes()
    more = make_library(tmp_path / "more", range(20, 26))
    n_decoded.clear()
    kill_after_extracting(start("index", "add", more, "--index", path), cache_dir, 12 + 3)
    assert path.read_bytes() == before
    assert Index.open(path).add(more, n_workers=1, progress=False).added == 12
    assert 0 < len(n_decoded) <= 9
    assert sorted(entry.name for entry in tmp_path.glob("*.index*")) == [
        "library.index",
        "library.index.lock",
    ]


def test_two_processes_adding_at_once_lose_nothing(tmp_path, built):
    path = shutil.copy(built, tmp_path / "library.index")
    folders = [make_library(tmp_path / str(n), range(n, n + 3)) for n in (30, 40)]
    with locked(path, print):
        # Both are waiting for the lock when it is let go.
        processes = [start("index", "add", folder, "--index", path) for folder in folders]
        for process in processes:
            assert any("waiting" in line for line in process.stderr)
    for process in processes:
        _, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, stderr
    index = Index.open(path)
    assert len(index) == 24
    assert {"w30", "w42"} <= set(index.data.ids["work_id"])


@pytest.mark.parametrize("where", ["folder", "lock"])
def test_a_folder_that_cannot_be_written_to_is_one_line(tmp_path, where):
    blocked = tmp_path / "file"
    blocked.write_text("")
    path = blocked / "x.index" if where == "folder" else tmp_path / "x.index"
    if where == "lock":
        (tmp_path / "x.index.lock").mkdir()
    with pytest.raises(MulkinetError, match="cannot write"), locked(path, print):
        pass
