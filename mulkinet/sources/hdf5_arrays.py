"""Numbers out of other people's HDF5 files: what is not a plain array of numbers is turned down.

Conventions: files are opened read-only; links to other files, references and storage outside of
the file are never followed.

Most of the time that a gzip-compressed data set takes to read goes into zlib and into HDF5's own
un-shuffling. `read_array` takes the compressed chunks as they are, inflates them by libdeflate,
about three times as fast as zlib, and un-shuffles into the result. What remains is mostly h5py's
making of an object for every id, so each property of a file is asked for once.

Public names: `open_hdf5`, `read_text`, `names_in`, `find_dataset`, `read_array`.
"""

import contextlib
import functools
import itertools
import math
import os

import deflate
import h5py
import numpy as np

from mulkinet.errors import SkippedInput

__all__ = ["open_hdf5", "read_text", "names_in", "find_dataset", "read_array"]

# 24 hours of frames at a hop of 512 samples: what claims to be larger is damaged or hostile.
_MAX_FRAMES = 24 * 3600 * 44100 // 512
# A chunk of more values than this, and than its array has, is damaged or hostile too.
_MAX_CHUNK = 1 << 24
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
_INFLATED = ([h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE], [h5py.h5z.FILTER_DEFLATE])


@contextlib.contextmanager
def open_hdf5(path):
    """Opens an HDF5 file for reading.

    Args:
        path: The file.

    Yields:
        h5py.Group: the root.

    Raises:
        SkippedInput: It is absent, truncated, damaged or no HDF5 file, which may also be found out
            only when something in it is read within the block.
    """
    try:
        # What h5py.File does, but for properties and an id that would be made anew for each file.
        file = h5py.h5f.open(os.fsencode(path), h5py.h5f.ACC_RDONLY, _access())
        try:
            yield h5py.Group(file)
        finally:
            # The file's own close looks through every id of the process for those that are now
            # void, a third of the time of opening and closing; h5py asks HDF5 when it uses one.
            h5py.h5g.GroupID.close(file)
    except FileNotFoundError as error:
        raise SkippedInput("expected an HDF5 file, found none of that name") from error
    except _DAMAGE as error:
        reason = " ".join(str(error).split())
        raise SkippedInput(
            f"expected an HDF5 file, found a truncated or damaged one ({reason}); get it again"
        ) from error


@functools.cache
def _access():
    properties = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    # Whatever is still open in the file is closed with it.
    properties.set_fclose_degree(h5py.h5f.CLOSE_STRONG)
    return properties


def read_text(file, name):
    """A root attribute of text.

    Args:
        file: The root, as `open_hdf5` yields it.
        name: Name of the attribute.

    Returns:
        str, or None where there is no such attribute.
    """
    if not h5py.h5a.exists(file.id, name.encode()):
        return None
    attribute = h5py.h5a.open(file.id, name.encode())
    kind = attribute.get_type()
    n_bytes = kind.get_size()
    is_fixed = kind.get_class() == h5py.h5t.STRING and not kind.is_variable_str()
    if is_fixed and attribute.get_storage_size() == n_bytes and attribute.shape == ():
        # As deepdish writes ids: h5py's own way takes four times as long.
        value = np.empty((), f"S{n_bytes}")
        attribute.read(value, kind)
        value = value.item()
    else:
        value = file.attrs[name]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def names_in(group):
    """Names of what a group holds.

    Args:
        group: h5py.Group or File.

    Yields:
        str; what is not UTF-8 in it is replaced, so that it names nothing.
    """
    for name in group.id:
        yield name.decode("utf-8", "replace")


def find_dataset(group, name):
    """A data set of whatever kind, if it is in the file itself.

    Args:
        group: h5py.Group or File.
        name: Name of a data set in it; groups on the way to it are divided by "/".

    Returns:
        h5py.Dataset.

    Raises:
        SkippedInput: There is none, or it lies outside of the file.
    """
    return h5py.Dataset(_find(group, name)[0])


def _find(group, name):
    """(DatasetID, its creation properties)."""
    found = group.id
    for part in name.encode().split(b"/"):
        if not isinstance(found, h5py.h5g.GroupID) or not found.links.exists(part):
            held = ", ".join(itertools.islice(names_in(group), 8)) or "nothing"
            raise SkippedInput(f"expected {name} in it, found {held}")
        is_hard = found.links.get_info(part).type == h5py.h5l.TYPE_HARD
        found = h5py.h5o.open(found, part) if is_hard else None
    creation = found.get_create_plist() if isinstance(found, h5py.h5d.DatasetID) else None
    if creation is None or not _is_inside(creation):
        raise SkippedInput(f"expected {name} to be an array, found a group or a link")
    return found, creation


def _is_inside(creation):
    return creation.get_layout() != h5py.h5d.VIRTUAL and not creation.get_external_count()


def read_array(file, name, n_bins):
    """All values of a data set of numbers, as h5py has them, but faster where it is compressed.

    Args:
        file: The root, as `open_hdf5` yields it.
        name: Name of a data set in it; groups on the way to it are divided by "/".
        n_bins: Length of one of its axes.

    Returns:
        numpy.ndarray of the data set's shape, which has two axes and at most 24 hours, and of its
        type, floating point or integer.

    Raises:
        SkippedInput: There is none, it lies outside of the file, or it is no array of that kind.
        OSError: The file is damaged.
    """
    found, creation = _find(file, name)
    shape, dtype = found.shape, found.dtype
    chunks = creation.get_chunk() if creation.get_layout() == h5py.h5d.CHUNKED else None
    _check_array(name, n_bins, shape, dtype, chunks)
    filters = [creation.get_filter(i)[0] for i in range(creation.get_nfilters())]
    stored = []
    if chunks and filters in _INFLATED:
        found.chunk_iter(stored.append)
    # Whole chunks, so that each is written to its place in one go; the margin is cut off.
    whole = [-(-n // c) * c for n, c in zip(shape, chunks or shape)]
    n_values = math.prod(chunks or ())
    if len(stored) * n_values != math.prod(whole) or any(one.filter_mask for one in stored):
        # It is not compressed, or some chunks were never written, or stored without their filters.
        return h5py.Dataset(found)[()]
    array = np.empty(whole, dtype)
    descriptor = file.id.get_vfd_handle(_access())
    (height, width), is_shuffled = chunks, len(filters) == 2
    for one in stored:
        compressed = os.pread(descriptor, one.size, one.byte_offset)
        inflated = _inflate(compressed, n_values * array.itemsize)
        top, left = one.chunk_offset
        _place(inflated, array[top : top + height, left : left + width], is_shuffled)
    return array[: shape[0], : shape[1]]


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


def _inflate(compressed, n_bytes):
    try:
        # Inflates to this many bytes and no more: what would go on without end is an error.
        inflated = deflate.zlib_decompress(compressed, n_bytes)
    except deflate.DeflateError as error:
        raise OSError(f"a chunk that does not inflate to {n_bytes} bytes") from error
    if len(inflated) != n_bytes:
        raise OSError(f"a chunk of {len(inflated)} instead of {n_bytes} bytes")
    return inflated


def _place(inflated, place, is_shuffled):
    """The bytes of a chunk into its place in the array."""
    if not is_shuffled:
        place[:] = np.frombuffer(inflated, place.dtype).reshape(place.shape)
    elif place.flags.c_contiguous:
        _unshuffle(inflated, place)
    else:
        unshuffled = np.empty(place.shape, place.dtype)
        _unshuffle(inflated, unshuffled)
        place[:] = unshuffled


def _unshuffle(inflated, values):
    """Bytes sorted by their place in a value (HDF5's shuffle) into the contiguous `values`."""
    planes = np.frombuffer(inflated, np.uint8).reshape(values.itemsize, *values.shape)
    places = values.reshape(*values.shape, 1).view(np.uint8)
    n_done = 0
    if values.itemsize in (2, 4, 8):
        # The first bytes as whole numbers, in a third of the time: the bytes above them follow.
        values.view(f"<u{values.itemsize}")[:] = planes[0]
        n_done = 1
    for byte in range(n_done, values.itemsize):
        places[..., byte] = planes[byte]


def _kind(dtype):
    if h5py.check_ref_dtype(dtype):
        return "object references"
    return "text" if h5py.check_string_dtype(dtype) else str(dtype)
