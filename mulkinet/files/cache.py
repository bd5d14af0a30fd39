"""Where files are kept that can be made or fetched again."""

import os
import tempfile
from pathlib import Path

__all__ = ["cache_folder", "is_writable"]


def cache_folder(kind):
    """The folder of one kind of files, such as "features"; the user may delete it at any time.

    Returns:
        pathlib.Path in `$MULKINET_CACHE`, or in `~/.cache/mulkinet` where that is not set; in the folder of
        temporary files where there is no home that can be written to. Not made yet.
    """
    return Path(os.environ.get("MULKINET_CACHE") or _own_folder()) / kind


def is_writable(path):
    """Whether a folder (pathlib.Path) can be written to, or made."""
    path = path.absolute()
    existing = next((place for place in (path, *path.parents) if place.exists()), None)
    return existing is not None and existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)


def _own_folder():
    try:
        folder = Path.home() / ".cache" / "mulkinet"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # RuntimeError: a user without a home, as in containers
        folder = None
    if folder and is_writable(folder):
        return folder
    return Path(tempfile.gettempdir()) / f"mulkinet-{os.getuid()}"
