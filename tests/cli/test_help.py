"""`--help` of every command answers at once: nothing heavy is imported to say how a command is used."""

import subprocess
import sys

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
        for name in (
            "compare",
            "index",
            "identify",
            "setlist",
            "calibrate",
            "check",
            "import",
            "serve",
        )
    ),
    *((*_MULKINET, "index", name) for name in ("build", "add", "remove")),
]
# Each of them takes a tenth of a second to import, or seconds.
_HEAVY = set(
    "crema essentia faiss fastapi h5py joblib keras librosa matplotlib numba numpy pandas pooch scipy sklearn "
    "soundfile tensorflow tensorflow_addons tqdm uvicorn".split()
)


@pytest.mark.parametrize("command", _COMMANDS, ids=" ".join)
def test_help_imports_nothing_heavy(repository, command):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *command, "--help"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("Usage: ")
    imported = {line.split("|")[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert {"click", "mulkinet"} < imported
    assert not imported & _HEAVY
