"""The demo set and its network: those that `make demo` made where they are there, made anew otherwise."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from mulkinet import FeatureStore, MulkinetError, load_model
from mulkinet.data.lists import read_list
from mulkinet.embedding import check_compatible

__all__ = ["MODEL", "fits", "make_demo_project"]

MODEL = "models/demo/best.h5"


def fits(folder):
    """Whether a folder holds the demo set, and a network trained on just this one."""
    model_file, store_path = folder / MODEL, folder / "datasets" / "demo.h5"
    lists = [folder / "meta" / f"DEMO-{name}" for name in ("TRAIN", "VAL", "TEST")]
    audio = folder / "datasets" / "demo_audio"
    if not all(path.exists() for path in (model_file, store_path, audio, *lists)):
        return False
    # Made in the same go: a set made anew has other music under the same names.
    hours = (model_file.stat().st_mtime - store_path.stat().st_mtime) / 3600
    trained = model_file.with_name("TRAIN")
    if not 0 < hours or not trained.is_file() or read_list(trained) != read_list(lists[0]):
        return False
    try:
        check_compatible(load_model(model_file), FeatureStore(store_path))
    except MulkinetError:
        return False
    return True


def make_demo_project(folder, repository):
    """Makes the demo set and trains its network in `folder`, as `make demo` does."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    makefile = (repository / "Makefile").read_text().replace("\\\n", " ")
    options = [
        option
        for name in ("DEMO_NETWORK", "DEMO_TRAINING")
        for option in shlex.split(re.search(rf"^{name} := (.*)$", makefile, re.MULTILINE)[1])
    ]
    for command in (["preprocess.py", "demo"], ["train.py", *options, "--tag", "demo"]):
        script, *arguments = command
        subprocess.run(
            [sys.executable, repository / script, *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(repository)},
            check=True,
            stdout=subprocess.DEVNULL,
        )
    return Path(folder)
