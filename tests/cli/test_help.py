"""`--help` of every command answers at once: nothing heavy is imported to say how a command is used."""

import subprocess
import sys
import time

import pytest

_MULKINET = ("-m", "mulkinet.cli.main")
_SOURCES = ("from-audio-dir", "da-tacos", "cover1000", "npy-dir", "siamese-testset", "demo")
_COMMANDS = [
    ("preprocess.py",),
    *(("preprocess.py", source) for source in _SOURCES),
    ("train.py",),
    ("evaluate.py",),
    _MULKINET,
    *(
        (*_MULKINET, name)
        for name in ("compare", "index", "identify", "calibrate", "check", "import")
    ),
    *((*_MULKINET, "index", name) for name in ("build", "add", "remove")),
]


def seconds_to_help(command, folder):
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *command, "--help"], cwd=folder, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("Usage: ")
    return time.perf_counter() - began


@pytest.mark.parametrize("command", _COMMANDS, ids=" ".join)
def test_help_answers_at_once(repository, command):
    # The better of two, since a loaded machine may be slow once.
    assert any(seconds_to_help(command, repository) < 1.5 for _ in range(2))
