"""HDF5 files that are whole or not there, also when the disk is full.

HDF5 cannot be told that a write failed: it keeps what it could not write, fails again when it
closes the file, and may bring the process down when that ends. So it writes to an object that
never fails, which remembers the first error, and the error is raised outside of HDF5.

Public names: `atomic_hdf5`.
"""

import contextlib

import h5py

from mulkinet.files.atomic import atomic_path

__all__ = ["atomic_hdf5"]


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
