"""Locks between processes, which end with the process that holds them."""

import contextlib
import fcntl
from pathlib import Path

from mulkinet.errors import MulkinetError

__all__ = ["locked"]


@contextlib.contextmanager
def locked(path, when_taken):
    """Holds a lock during the block.

    Args:
        path: The lock file; it and its folder are made where they are not there, and stay.
        when_taken: Called when another process holds the lock; where it returns, its end is waited for.

    Raises:
        MulkinetError: The file cannot be written to.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "a")
    except OSError as error:
        raise MulkinetError(
            f"cannot write {path}: {error.strerror}; check that the folder is writable"
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            when_taken()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
