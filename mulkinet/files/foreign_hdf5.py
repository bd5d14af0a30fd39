"""Numbers out of other people's HDF5 files: what is not a plain array of numbers is refused.

Conventions: files are opened read-only; links, references and storage outside of the file are
never followed.
"""

import contextlib
import itertools
import math

import h5py

from mulkinet.errors import SkippedInput

__all__ = ["open_hdf5", "read_text", "names_in", "find_dataset", "read_array"]

# 24 hours of frames at a hop of 512 samples: what claims to be larger is damaged or hostile.
_MAX_FRAMES = 24 * 3600 * 44100 // 512
# A chunk of more values than this, and than its array has, is damaged or hostile too.
_MAX_CHUNK = 1 << 24
# Filters make small chunks a little longer at most.
_MAX_OVERHEAD = 64
# What h5py and numpy raise where bytes of a file are not what they should be.
_DAMAGE = (
    OSError,
    RuntimeError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    ArithmeticError,
    MemoryError,
)


@contextlib.contextmanager
def open_hdf5(path):
    """Opens an HDF5 file for reading, as a context manager of h5py.File.

    Raises:
        SkippedInput: It is absent, truncated, damaged or no HDF5 file, which may also be found out
            only when something in it is read within the block.
    """
    try:
        with h5py.File(path, "r") as file:
            yield file
    except FileNotFoundError as error:
        raise SkippedInput("expected an HDF5 file, found none of that name") from error
    except _DAMAGE as error:
        reason = " ".join(str(error).split())
        raise SkippedInput(
            f"expected an HDF5 file, found a truncated or damaged one ({reason}); download it again"
        ) from error


def read_text(file, name):
    """A root attribute of text; None where there is none of that name."""
    value = file.attrs.get(name)
    if value is None:
        return None
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def names_in(group):
    """Names (str) of what a group holds; what is not UTF-8 in one is replaced, so that it names nothing."""
    for name in group.id:
        yield name.decode("utf-8", "replace")


def find_dataset(group, name):
    """A data set of whatever kind, if it is in the file itself; groups on the way to it are divided by "/".

    Raises:
        SkippedInput: There is none, or it lies outside of the file.
    """
    found = group
    for part in name.split("/"):
        if not isinstance(found, h5py.Group) or not found.id.links.exists(part.encode()):
            held = ", ".join(itertools.islice(names_in(group), 8)) or "nothing"
            raise SkippedInput(f"expected {name} in it, found {held}")
        link = found.id.links.get_info(part.encode())
        found = found[part] if link.type == h5py.h5l.TYPE_HARD else None
    if not isinstance(found, h5py.Dataset) or not _is_inside(found.id.get_create_plist()):
        raise SkippedInput(f"expected {name} to be an array, found a group or a link")
    return found


def _is_inside(creation):
    return creation.get_layout() != h5py.h5d.VIRTUAL and not creation.get_external_count()


def read_array(file, name, n_bins):
    """All values of a data set of numbers, named as for `find_dataset`, an axis of which has `n_bins`.

    numpy.ndarray of its shape, two axes and at most 24 hours, and of its type, floating point or integer.

    Raises:
        SkippedInput: There is none, it lies outside of the file, or it is no array of that kind.
        OSError: The file is damaged.
    """
    found = find_dataset(file, name)
    _check_array(name, n_bins, found.shape, found.dtype, found.chunks)
    if found.id.get_storage_size() > _most_bytes(found):
        raise OSError(f"the compressed values of {name} are longer than the values themselves")
    return found[()]


def _check_array(name, n_bins, shape, dtype, chunks):
    if dtype.kind not in "fiu":
        raise SkippedInput(f"expected {name} to hold numbers, found {_kind(dtype)}")
    if len(shape) != 2 or 0 in shape:
        raise SkippedInput(f"expected {name} of two axes, found shape {shape}")
    if n_bins not in shape:
        raise SkippedInput(f"expected {name} with an axis of {n_bins} bins, found shape {shape}")
    if max(shape) > _MAX_FRAMES:
        raise SkippedInput(f"expected {name} of at most 24 hours, found shape {shape}")
    if math.prod(chunks or ()) > max(_MAX_CHUNK, math.prod(shape)):
        raise SkippedInput(f"expected chunks no larger than {name}, found {chunks}")


def _most_bytes(dataset):
    """What a data set takes on disk at most: more would inflate to more than it says."""
    chunks = dataset.chunks or dataset.shape
    n_chunks = math.prod(-(-length // chunk) for length, chunk in zip(dataset.shape, chunks))
    n_bytes = math.prod(chunks) * dataset.dtype.itemsize
    return n_chunks * (n_bytes + n_bytes // 16 + _MAX_OVERHEAD)


def _kind(dtype):
    if h5py.check_ref_dtype(dtype):
        return "object references"
    return "text" if h5py.check_string_dtype(dtype) else str(dtype)
