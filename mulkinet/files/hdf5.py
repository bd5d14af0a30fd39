"""Our own HDF5 files: whole or not there, also when the disk is full, and checked when opened.

HDF5 cannot be told that a write failed: it keeps what it could not write, fails again when it
closes the file, and may bring the process down when that ends. So it writes to an object that
never fails, which remembers the first error, and the error is raised outside of HDF5.
"""

import contextlib
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from mulkinet.errors import MulkinetError
from mulkinet.files.atomic import atomic_path

__all__ = ["FileKind", "atomic_hdf5", "open_checked", "reason_of"]

# What h5py and numpy raise where a file is not what it should be.
_DAMAGE = (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError)


class FileKind(NamedTuple):
    """A kind of file of ours, known by the root attributes `format` and `version`.

    Attributes:
        name: What to call one.
        format: The attribute `format`.
        version: The newest `version` that can be read, from 1 on.
        advice: What to do where there is none.
    """

    name: str
    format: str
    version: int
    advice: str


@contextlib.contextmanager
def open_checked(path, kind):
    """Opens a file of a FileKind for reading, as a context manager of h5py.File, whose header is right.

    Raises:
        MulkinetError: It is absent, in use, no HDF5 file, of another kind or a newer version, or damaged, which
            may also be found out only when something in it is read within the block.
    """
    path = Path(path)
    expected = f"expected {'an' if kind.name[0] in 'aeiou' else 'a'} {kind.name}"
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no file"
        raise MulkinetError(f"{expected} at {path}, found {found}; {kind.advice}")
    try:
        file = h5py.File(path, "r")
    except BlockingIOError as error:
        raise MulkinetError(
            f"{expected} that can be read, found {path} in use: another process has it open for writing; try again "
            "when it has ended"
        ) from error
    except OSError as error:
        raise MulkinetError(
            f"{expected}, found {path}, which is truncated or no HDF5 file ({reason_of(error)}); "
            f"{kind.advice}"
        ) from error
    with file:
        try:
            found, version = file.attrs.get("format"), file.attrs.get("version")
            if found != kind.format:
                raise MulkinetError(
                    f"{expected} (attribute format = {kind.format!r}), found {path} with "
                    f"format = {found!r}; {kind.advice}"
                )
            if not isinstance(version, np.integer) or version < 1:
                raise ValueError(f"version {version}")
            if version > kind.version:
                raise MulkinetError(
                    f"{expected} of version {kind.version} or older, found {path} of version "
                    f"{version}; upgrade mulkinet"
                )
            yield file
        except _DAMAGE as error:
            raise MulkinetError(
                f"the {kind.name} {path} is damaged: {reason_of(error)}; make it again"
            ) from error


def reason_of(error):
    """The first line of an exception's text, or its kind where it has none."""
    return next(iter(str(error).splitlines()), type(error).__name__)


@contextlib.contextmanager
def atomic_hdf5(path):
    """Opens a new HDF5 file, which gets its name if the block ends well.

    Args:
        path: The file to make. Its folder is made when it is not there.

    Yields:
        (file, check): the h5py.File, and a function that raises OSError if a write has failed, by
        which a long block ends early. It is called once more at the end in any case.

    Raises:
        MulkinetError: The folder cannot be written to, or the disk is full.
    """
    with atomic_path(path) as temporary, open(temporary, "w+b", buffering=0) as raw:
        sink = _Sink(raw)
        try:
            with h5py.File(sink, "w") as file:
                yield file, sink.check
        finally:
            # Whatever else went wrong in the block came after the write that failed.
            sink.check()


class _Sink:
    """The file below HDF5: what h5py asks of a file object, without errors of writing."""

    def __init__(self, raw):
        self.seek = raw.seek
        self.tell = raw.tell
        self.read = raw.read
        self.readinto = raw.readinto
        self._raw = raw
        self._error = None

    def check(self):
        """Raises the OSError of the first write that failed, if one did."""
        if self._error is not None:
            raise self._error

    def write(self, content):
        """Writes all of `content`, unless a write failed before."""
        self._try(self._write_all, content)
        return len(content)

    def truncate(self, size):
        """Sets the length of the file."""
        self._try(self._raw.truncate, size)

    def flush(self):
        """Does nothing: the file has no buffer of its own."""

    def _try(self, function, argument):
        if self._error is None:
            try:
                function(argument)
            except OSError as error:
                self._error = error

    def _write_all(self, content):
        rest = memoryview(content)
        while rest:
            rest = rest[self._raw.write(rest) :]
