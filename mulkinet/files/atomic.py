"""Files that are whole or not there: written under a temporary name, then renamed."""

import contextlib
import functools
import hashlib
import os
import re
import socket
import threading
import time
import uuid
from pathlib import Path

from mulkinet.errors import MulkinetError

__all__ = ["atomic_path", "remove_leftovers"]

# Whatever machine writes a file, it does not pause for so long.
_ABANDONED_SEC = 24 * 3600


@contextlib.contextmanager
def atomic_path(path):
    """Yields a temporary path beside `path`; renames it to `path` if the block ends well.

    Args:
        path: The file to make. Its folder is made when it is not there.

    Yields:
        Path: a name in the same folder and with the same ending, unique to this thread of this
        process of this machine.

    Raises:
        MulkinetError: `path` names no file, the folder cannot be written to, or the disk is full.
    """
    path = Path(path)
    if not path.name:
        raise MulkinetError(f"cannot write {path}: expected a file, found a folder; name a file")
    owner = f"{_machine()}-{os.getpid()}-{threading.get_native_id()}"
    temporary = path.with_name(f".{path.stem}.{owner}.tmp{path.suffix}")
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
        with contextlib.suppress(OSError):  # it may be why there is nothing to remove
            temporary.unlink()


def remove_leftovers(folder):
    """Removes temporary files of processes that were killed before they could do it.

    Process numbers say something about this machine's own files only. Those of other machines and
    containers, which may be at work in the same folder, go when nobody has written to them for a day.

    Args:
        folder: The folder to look in, not below; it need not exist.
    """
    for path in Path(folder).glob(".*.tmp*"):
        with contextlib.suppress(FileNotFoundError):  # another process removes them too
            if _is_abandoned(path):
                path.unlink()


def _is_abandoned(path):
    found = re.search(r"\.(?:(\w+)-)?(\d+)(?:-\d+)?\.tmp(\.[^.]+)?$", path.name)
    if not found:
        return False
    if found[1] == _machine():
        return not _is_running(int(found[2]))
    return time.time() - path.stat().st_mtime > _ABANDONED_SEC


@functools.cache
def _machine():
    """A name of this machine, or of this container, as far as process numbers are told apart by it."""
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        namespace = ""
    identity = f"{socket.gethostname()} {uuid.getnode()} {namespace}"
    return hashlib.sha256(identity.encode()).hexdigest()[:8]


def _is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
