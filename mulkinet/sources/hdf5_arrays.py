"""Numbers out of other people's HDF5 files: what is not a plain array of numbers is turned down.

Conventions: files are opened read-only; links to other files, references and storage outside of
the file are never followed.

Most of the time that a gzip-compressed data set takes to read goes into zlib and into HDF5's own
un-shuffling. `read_array` takes the compressed chunks as they are, inflates them by libdeflate,
about three times as fast as zlib, and un-shuffles into the result.

Public names: `open_hdf5`, `read_text`, `names_in`, `find_dataset`, `find_array`, `read_array`.
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

__all__ = ["open_hdf5", "read_text", "names_in", "find_dataset", "find_array", "read_array"]

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
        h5py.File.

    Raises:
        SkippedInput: It is absent, truncated, damaged or no HDF5 file, which may also be found out
            only when something in it is read within the block.
    """
    try:
        # What h5py.File does, but for properties that would be made anew for each file.
        file = h5py.File(h5py.h5f.open(os.fsencode(path), h5py.h5f.ACC_RDONLY, _access()))
        try:
            yield file
        finally:
            # The File counts as a user of its own: while it is open, so is the descriptor.
            file.id.close()
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
        file: h5py.File.
        name: Name of the attribute.

    Returns:
        str, or None where there is no such attribute.
    """
    if not h5py.h5a.exists(file.id, name.encode()):
        return None
    attribute = h5py.h5a.open(file.id, name.encode())
    if attribute.shape or attribute.dtype.kind != "S":
        value = file.attrs[name]
    else:
        # Bytes of a fixed length, as deepdish writes ids: h5py's own way takes twice as long.
        value = np.empty((), attribute.dtype)
        attribute.read(value)
        value = value.item()
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
    found = group.id
    for part in name.encode().split(b"/"):
        if not isinstance(found, h5py.h5g.GroupID) or not found.links.exists(part):
            held = ", ".join(itertools.islice(names_in(group), 8)) or "nothing"
            raise SkippedInput(f"expected {name} in it, found {held}")
        is_hard = found.links.get_info(part).type == h5py.h5l.TYPE_HARD
        found = h5py.h5o.open(found, part) if is_hard else None
    if not isinstance(found, h5py.h5d.DatasetID) or not _is_inside(found):
        raise SkippedInput(f"expected {name} to be an array, found a group or a link")
    return h5py.Dataset(found)


def find_array(group, name, n_bins):
    """A data set of numbers, by its name.

    Args:
        group: h5py.Group or File.
        name: Name of a data set in it.
        n_bins: Length of one of its axes.

    Returns:
        h5py.Dataset of two axes, floating point or integer, of at most 24 hours.

    Raises:
        SkippedInput: There is none, it lies outside of the file, or it is no array of that kind.
    """
    found = find_dataset(group, name)
    if found.dtype.kind not in "fiu":
        raise SkippedInput(f"expected {name} to hold numbers, found {_kind(found.dtype)}")
    shape = found.shape
    if len(shape) != 2 or 0 in shape:
        raise SkippedInput(f"expected {name} of two axes, found shape {shape}")
    if n_bins not in shape:
        raise SkippedInput(f"expected {name} with an axis of {n_bins} bins, found shape {shape}")
    if max(shape) > _MAX_FRAMES:
        raise SkippedInput(f"expected {name} of at most 24 hours, found shape {shape}")
    n_values = math.prod(found.chunks or ())
    if n_values > max(_MAX_CHUNK, math.prod(shape)):
        raise SkippedInput(f"expected chunks no larger than {name}, found {found.chunks}")
    return found


def _is_inside(dataset_id):
    creation = dataset_id.get_create_plist()
    is_virtual = creation.get_layout() == h5py.h5d.VIRTUAL
    return not is_virtual and not creation.get_external_count()


def read_array(dataset):
    """All values of a data set, as h5py's `dataset[()]`, but faster where it is gzip-compressed.

    Args:
        dataset: h5py.Dataset of numbers.

    Returns:
        numpy.ndarray of the data set's shape and type.

    Raises:
        OSError: The file is damaged.
    """
    creation = dataset.id.get_create_plist()
    filters = [creation.get_filter(i)[0] for i in range(creation.get_nfilters())]
    if dataset.chunks is None or filters not in _INFLATED:
        return dataset[()]
    chunks = dataset.chunks
    # Whole chunks, so that each is written to its place in one go; the margin is cut off.
    array = np.empty([-(-n // c) * c for n, c in zip(dataset.shape, chunks)], dataset.dtype)
    stored = []
    dataset.id.chunk_iter(stored.append)
    if len(stored) * math.prod(chunks) != array.size or any(one.filter_mask for one in stored):
        # Some were never written, or stored without their filters.
        return dataset[()]
    file = h5py.h5i.get_file_id(dataset.id).get_vfd_handle(_access())
    for one in stored:
        inflated = _inflate(
            os.pread(file, one.size, one.byte_offset), math.prod(chunks) * array.itemsize
        )
        place = array[tuple(slice(at, at + n) for at, n in zip(one.chunk_offset, chunks))]
        if len(filters) == 1:
            place[:] = np.frombuffer(inflated, array.dtype).reshape(chunks)
        elif place.flags.c_contiguous:
            _unshuffle(inflated, place)
        else:
            unshuffled = np.empty(chunks, array.dtype)
            _unshuffle(inflated, unshuffled)
            place[:] = unshuffled
    return array[tuple(map(slice, dataset.shape))]


def _inflate(compressed, n_bytes):
    try:
        # Inflates to this many bytes and no more: what would go on without end is an error.
        inflated = deflate.zlib_decompress(compressed, n_bytes)
    except deflate.DeflateError as error:
        raise OSError(f"a chunk that does not inflate to {n_bytes} bytes") from error
    if len(inflated) != n_bytes:
        raise OSError(f"a chunk of {len(inflated)} instead of {n_bytes} bytes")
    return inflated


def _unshuffle(inflated, values):
    """Bytes sorted by their place in a value (HDF5's shuffle) into the contiguous `values`."""
    places = values.reshape(-1, 1).view(np.uint8)
    planes = np.frombuffer(inflated, np.uint8).reshape(values.itemsize, values.size)
    for byte, plane in enumerate(planes):
        places[:, byte] = plane


def _kind(dtype):
    if h5py.check_ref_dtype(dtype):
        return "object references"
    return "text" if h5py.check_string_dtype(dtype) else str(dtype)
