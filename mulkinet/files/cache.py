"""Where files are kept that can be made or fetched again. Public names: `CACHE`, `cache_root`, `cache_folder`."""

import os
from pathlib import Path

__all__ = ["CACHE", "cache_root", "cache_folder"]

# The variable that names another place.
CACHE = "MULKINET_CACHE"


def cache_root():
    """`$MULKINET_CACHE`, or `~/.cache/mulkinet` where that is not set: pathlib.Path, not made yet."""
    return Path(os.environ.get(CACHE) or Path.home() / ".cache" / "mulkinet")


def cache_folder(kind):
    """The folder of one kind of files, such as "features"; the user may delete it at any time."""
    return cache_root() / kind
