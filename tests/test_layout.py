"""The folders import one way: the contract in setup.cfg, checked by import-linter."""

import subprocess
import sys

from tests.conftest import REPOSITORY

LINT = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports('setup.cfg', no_cache=True))"


def test_a_folder_imports_only_from_those_below_it():
    done = subprocess.run(
        [sys.executable, "-c", LINT], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
