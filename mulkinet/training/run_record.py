"""`run.yaml` of a run: what it was made with, to be read, compared and run again.

    command       the command line
    options       every option of train.py by its name (paths absolute); `--config` takes them back
    versions      of mulkinet, Python and the libraries that decide numbers
    git_commit    of mulkinet's own checkout, "-dirty" where it had changes; null where it is installed otherwise
    data          feature, its settings, the fingerprints of the store and of both lists
    best          epoch and validation scores of best.h5; null until the run has ended

Read and written as plain YAML: what it holds is never executed.
"""

import importlib.metadata
import platform
import shlex
import subprocess
import sys
from pathlib import Path

import yaml

import mulkinet
from mulkinet.errors import MulkinetError
from mulkinet.files.atomic import atomic_path

__all__ = ["RECORD", "option_differences", "read_record", "write_record"]

RECORD = "run.yaml"

_LIBRARIES = ("tensorflow", "numpy", "h5py")


def write_record(path, *, options, data, best=None):
    """Writes the record of a run.

    Args:
        path: The file.
        options: dict of option to str, number, bool or None.
        data: dict of str to str or number, as `mulkinet.training.data.TrainingData.provenance` gives it.
        best: dict of the best epoch's number and scores; None before the run has ended.

    Raises:
        MulkinetError: The file cannot be written.
    """
    record = {
        "command": shlex.join(sys.argv),
        "options": options,
        "versions": {
            "mulkinet": mulkinet.__version__,
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in _LIBRARIES},
        },
        "git_commit": _git_commit(),
        "data": data,
        "best": best,
    }
    text = yaml.safe_dump(record, sort_keys=False, allow_unicode=True, width=120)
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_record(path):
    """Reads what `write_record` wrote, or a part of it that somebody wrote by hand.

    dict, of which "options" and "data" are dicts, "best" a dict or None.

    Raises:
        MulkinetError: There is no such file, or it is something else.
    """
    try:
        record = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise MulkinetError(
            f"expected the {RECORD} of a run at {path}, found none: {error.strerror}"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        line = str(error).splitlines()[0]
        raise MulkinetError(f"expected YAML in {path}, found something else: {line}") from error
    if not isinstance(record, dict) or not isinstance(record.get("options"), dict):
        raise MulkinetError(
            f"expected the options of a run in {path}, found none; "
            f"name a {RECORD} that train.py wrote"
        )
    for name, value in record["options"].items():
        if not isinstance(value, (str, int, float, type(None))):
            raise MulkinetError(
                f"expected one value for {name} in {path}, found {type(value).__name__}"
            )
    return {"data": {}, "best": None, **record}


def option_differences(first, second):
    """In which options, and on which data, two runs, as `read_record` gives them, differ.

    list of (name, value of the first, value of the second), in the order of the first; None for an option that
    one does not have.
    """
    sides = [{**record["options"], **record["data"]} for record in (first, second)]
    names = dict.fromkeys(name for side in sides for name in side)
    pairs = [(name, *(side.get(name) for side in sides)) for name in names]
    return [pair for pair in pairs if pair[1] != pair[2]]


def _git_commit():
    root = Path(mulkinet.__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    command = "git describe --always --abbrev=40 --exclude=* --dirty".split()
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
