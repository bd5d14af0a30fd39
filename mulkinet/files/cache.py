"""Where files are kept that can be made again. Public names: `cache_folder`."""

import os
from pathlib import Path

__all__ = ["cache_folder"]


def cache_folder(kind):
    """The folder of one kind of files; the user may delete it at any time.

    Args:
        kind: Name of the folder, such as "features".

    Returns:
        pathlib.Path in `$MULKINET_CACHE`, or in `~/.cache/mulkinet` where that is not set. It need not
        exist.
    """
    place = os.environ.get("MULKINET_CACHE") or Path.home() / ".cache" / "mulkinet"
    return Path(place) / kind
