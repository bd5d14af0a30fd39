"""Where files are kept that can be made or fetched again. Public names: `cache_folder`."""

import os
from pathlib import Path

__all__ = ["cache_folder"]


def cache_folder(kind):
    """The folder of one kind of files, such as "features"; the user may delete it at any time.

    Returns:
        pathlib.Path in `$MULKINET_CACHE`, or in `~/.cache/mulkinet` where that is not set; not made yet.
    """
    return Path(os.environ.get("MULKINET_CACHE") or Path.home() / ".cache" / "mulkinet") / kind
