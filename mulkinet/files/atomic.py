"""Files that are whole or not there: written under a temporary name, then renamed.

Public names: `atomic_path`, `remove_leftovers`.
"""

import contextlib
import os
import re
from pathlib import Path

from mulkinet.errors import MulkinetError

__all__ = ["atomic_path", "remove_leftovers"]


@contextlib.contextmanager
def atomic_path(path):
    """Yields a temporary path beside `path`; renames it to `path` if the block ends well.

    Args:
        path: The file to make. Its folder is made when it is not there.

    Yields:
        Path: a name in the same folder and with the same ending, unique to this process.

    Raises:
        MulkinetError: `path` names no file, the folder cannot be written to, or the disk is full.
    """
    path = Path(path)
    if not path.name:
        raise MulkinetError(f"cannot write {path}: expected a file, found a folder; name a file")
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise MulkinetError(
            f"cannot write {path}: {error.strerror or error}; "
            "check that the folder is writable and the disk has room"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder):
    """Removes temporary files of processes that were killed before they could do it.

    Args:
        folder: The folder to look in, not below; it need not exist.
    """
    for path in Path(folder).glob(".*.tmp*"):
        found = re.search(r"\.(\d+)\.tmp(\.[^.]+)?$", path.name)
        if found and not _is_running(int(found[1])):
            path.unlink(missing_ok=True)


def _is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
