"""Files that are whole or not there, and what killed processes leave behind."""

import os
import re
import subprocess
import sys
import threading
import time

import pytest

from mulkinet import MulkinetError
from mulkinet.files import atomic
from mulkinet.files.atomic import atomic_path, remove_leftovers

_KILLED = """
import os, signal, sys
from mulkinet.files.atomic import atomic_path
with atomic_path(sys.argv[1]) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "file.txt"


@pytest.fixture
def left(path):
    """What a killed process left in the place of `path`."""
    subprocess.run([sys.executable, "-c", _KILLED, path], check=False)
    [left] = path.parent.iterdir()
    return left


def write_and_fail(path, error):
    with atomic_path(path) as temporary:
        temporary.write_text("new")
        raise error


@pytest.mark.parametrize("path", [".", "/", ""])
def test_what_has_no_name_is_no_file(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MulkinetError, match="expected a file, found a folder"), atomic_path(path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_file_has_its_name_when_it_is_whole(path):
    for text in ("first", "second"):
        with atomic_path(path) as temporary:
            temporary.write_text(text)
            assert temporary.parent == path.parent
            assert temporary.suffix == ".txt"
            assert not path.exists() or path.read_text() == "first"
        assert path.read_text() == text
        assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("error", "raised"),
    [(ValueError("mine"), ValueError), (OSError(28, "No space left on device"), MulkinetError)],
)
def test_a_failure_leaves_the_file_as_it_was(path, error, raised):
    with atomic_path(path) as temporary:
        temporary.write_text("old")
    with pytest.raises(raised, match="mine|cannot write .*file.txt: No space left on device; "):
        write_and_fail(path, error)
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_what_a_killed_process_left_is_removed(path, left):
    with atomic_path(path) as temporary:
        temporary.write_text("in the making")
        remove_leftovers(path.parent)
        assert not left.exists()
        assert temporary.exists()


def test_of_another_machine_only_what_is_old_is_removed(path, left):
    """The process of that number may well live there."""
    machine = re.search(r"\.(\w+)-\d", left.name)[1]
    foreign = left.rename(left.with_name(left.name.replace(machine, machine[::-1] + "0")))
    remove_leftovers(path.parent)
    assert foreign.exists()
    two_days_ago = time.time() - 2 * 24 * 3600
    os.utime(foreign, (two_days_ago, two_days_ago))
    remove_leftovers(path.parent)
    assert not foreign.exists()


def test_what_is_no_leftover_stays(tmp_path):
    names = [".hidden.tmp", "file.1.tmp.h5", ".notes.tmp.txt"]
    for name in names:
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted(names)
    remove_leftovers(tmp_path / "absent")


def test_a_path_below_a_file_is_one_line(path):
    path.parent.write_text("no folder")

    def write():
        with atomic_path(path):
            pass

    with pytest.raises(MulkinetError, match="^cannot write .*; check that the folder is writable"):
        write()


def test_two_threads_write_one_file_each_whole(path):
    both = threading.Barrier(2)

    def write(letter):
        with atomic_path(path) as temporary:
            temporary.write_text(letter * 9)
            both.wait()
            with open(temporary, "a") as file:
                file.write(letter)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() in ("a" * 10, "b" * 10)
    assert list(path.parent.iterdir()) == [path]


def test_a_container_is_another_machine(path, left, monkeypatch):
    monkeypatch.setattr("os.readlink", lambda path: "pid:[another]")
    atomic._machine.cache_clear()
    remove_leftovers(path.parent)
    monkeypatch.undo()
    atomic._machine.cache_clear()
    assert left.exists()
    remove_leftovers(path.parent)
    assert not left.exists()
