"""`--help` of every command answers at once: nothing heavy is imported to say how a command is used."""

import subprocess
import sys

import click
import pytest

from mulkinet.cli.main import main

_MULKINET = ("-m", "mulkinet.cli.main")


def _below(command):
    """The words after `mulkinet` of a command and of all below it."""
    context = click.Context(command)
    names = command.list_commands(context) if isinstance(command, click.Group) else []
    return [(), *((n, *w) for n in names for w in _below(command.get_command(context, n)))]


_COMMANDS = [
    *((f"{name}.py",) for name in ("preprocess", "train", "evaluate")),
    *((*_MULKINET, *words) for words in _below(main)),
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
