"""PyTorch's files of tensors (.pt, .pth), read without torch: the zip of today, and the pickle stream of before 1.6.

Such a file holds a pickle, a small program that names what to make, and the tensors' numbers as raw bytes. The
program is run by Python's own `Unpickler` with a list of admitted names: tensors and containers. Any other name (a
date, a NumPy number, a class) becomes an empty stand-in, whose call does nothing, so that a checkpoint that holds
more than weights can be read; a stand-in among the weights is an error that tells its name. Numbers are read of the
weights only, one tensor at a time as they are asked for, so that a file is never in memory whole.
"""

import collections
import contextlib
import math
import pickle
import zipfile
import zlib
from typing import NamedTuple

import numpy as np

from mulkinet.errors import MulkinetError
from mulkinet.models.model_file import reason_of

__all__ = ["LEGACY_START", "open_state_dict"]

STORAGES = {
    "torch.DoubleStorage": "f8",
    "torch.FloatStorage": "f4",
    "torch.HalfStorage": "f2",
    "torch.LongStorage": "i8",
    "torch.IntStorage": "i4",
    "torch.ShortStorage": "i2",
    "torch.CharStorage": "i1",
    "torch.ByteStorage": "u1",
    "torch.BoolStorage": "?",
}
# Where checkpoints that hold more than weights keep these.
WEIGHT_KEYS = ("model_state_dict", "state_dict")
# What a pickle stream begins with: its magic number, itself pickled.
LEGACY_START = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
_LENGTH_BYTES = 8

# What a damaged file or a malformed program ends in.
_DAMAGE = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    RuntimeError,
    ArithmeticError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    ImportError,
    MemoryError,
)


class _Storage(NamedTuple):
    """Raw numbers somewhere in the file: their NumPy type (or a stand-in), key there, and how many."""

    dtype: object
    key: str
    n: int


class _Tensor(NamedTuple):
    """A view of a storage, not yet read; offset and strides in numbers."""

    storage: _Storage
    offset: int
    shape: tuple
    strides: tuple


class _StandIn:
    """In the place of what is not admitted: takes whatever the pickle does to it, and does nothing."""

    __slots__ = ()
    name = None

    def __new__(cls, *_, **__):
        return object.__new__(cls)

    def __setstate__(self, _):
        pass

    def __setitem__(self, _, __):
        pass

    def extend(self, _):
        pass

    append = add = extend


class _Unpickler(pickle.Unpickler):
    """Makes containers and unread tensors.

    Attributes:
        refused: Names that were stood in for.
        storages: {key: _Storage} that tensors were made of.
    """

    def __init__(self, file):
        super().__init__(file, encoding="utf-8")
        self.refused = []
        self.storages = {}

    def find_class(self, module, name):
        name = f"{module}.{name}"
        # Bound methods and built-in types: a pickle can set attributes of neither.
        admitted = {
            "collections.OrderedDict": collections.OrderedDict,
            "torch._utils._rebuild_tensor_v2": self._tensor,
            "torch._utils._rebuild_parameter": self._parameter,
            **STORAGES,
        }
        if name in admitted:
            return admitted[name]
        self.refused.append(name)
        return type("StandIn", (_StandIn,), {"__slots__": (), "name": name})

    def persistent_load(self, pid):
        kind, dtype, key, _, n, *view = pid
        if kind != "storage" or any(view):
            raise ValueError("it refers to something other than a whole storage")
        self.storages[key] = _Storage(dtype, key, n)
        return self.storages[key]

    def _tensor(self, storage, offset, shape, strides, *_):
        if not isinstance(storage, _Storage):
            raise ValueError("a tensor without a storage")
        return _Tensor(storage, offset, tuple(shape), tuple(strides))

    def _parameter(self, tensor, *_):
        return tensor


class _Stored:
    """A tensor of an open file: `numpy.asarray` reads its numbers, in this machine's byte order.

    Attributes:
        shape: tuple.
    """

    def __init__(self, tensor, read, order):
        _check_place(tensor)
        self.shape = tensor.shape
        self._tensor, self._read, self._order = tensor, read, order

    def __array__(self, dtype=None):
        array = _array(self._tensor, self._read, self._order)
        return array if dtype is None else array.astype(dtype, copy=False)


@contextlib.contextmanager
def open_state_dict(path):
    """Opens a state_dict, by itself or as `model_state_dict` or `state_dict` of a checkpoint.

    Args:
        path: A file that `torch.save` wrote.

    Yields:
        dict of key to what has a shape, and is read by `numpy.asarray` within the block.

    Raises:
        MulkinetError: It is damaged, which may be found out only within the block, its weights are anything but
            tensors (the first such name is told), or it has no weights.
    """
    open_kind = _open_zip if zipfile.is_zipfile(path) else _open_stream
    try:
        with open(path, "rb") as file, open_kind(file, path) as tensors:
            yield tensors
    except _DAMAGE as error:
        raise MulkinetError(
            f"expected a PyTorch state_dict, found {path}, which is truncated or damaged "
            f"({reason_of(error)}); "
            "download it again"
        ) from error


@contextlib.contextmanager
def _open_zip(file, path):
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        programs = [name for name in names if name.rpartition("/")[2] == "data.pkl"]
        if len(programs) != 1 or any(name.endswith("/constants.pkl") for name in names):
            raise MulkinetError(
                f"{path} is refused: expected a zip file of one state_dict (data.pkl and data/), "
                f"found {', '.join(names[:3]) or 'an empty one'}"
            )
        root = programs[0].rpartition("/")[0]
        is_big = f"{root}/byteorder" in names and archive.read(f"{root}/byteorder") == b"big"
        with archive.open(programs[0]) as program:
            weights = _weights(_Unpickler(program), path)

        def read(storage):
            return archive.read(f"{root}/data/{storage.key}")

        order = ">" if is_big else "<"
        yield {key: _Stored(tensor, read, order) for key, tensor in weights.items()}


@contextlib.contextmanager
def _open_stream(file, path):
    """Magic number, version and facts of the machine, the object, its storages' keys, then these in that order."""
    _, _, machine = (_Unpickler(file).load() for _ in range(3))
    order, endian = ("<", "little") if machine["little_endian"] else (">", "big")
    unpickler = _Unpickler(file)
    weights = _weights(unpickler, path)
    starts = {}
    for key in _Unpickler(file).load():
        storage = unpickler.storages[key]
        n = int.from_bytes(file.read(_LENGTH_BYTES), endian)
        if n != storage.n:
            raise ValueError(f"a storage of {n} numbers where {storage.n} were expected")
        starts[key] = file.tell()
        file.seek(n * np.dtype(storage.dtype).itemsize, 1)
    missing = file.tell() - file.seek(0, 2)
    if missing > 0:
        raise ValueError(f"{missing} bytes are missing at its end")

    def read(storage):
        file.seek(starts[storage.key])
        return file.read(storage.n * np.dtype(storage.dtype).itemsize)

    yield {key: _Stored(tensor, read, order) for key, tensor in weights.items()}


def _weights(unpickler, path):
    """{key: _Tensor} of the state_dict that a pickle describes."""
    try:
        found = unpickler.load()
    except _DAMAGE as error:
        if unpickler.refused:
            raise _refusal(path, unpickler.refused[0]) from error
        raise
    if isinstance(found, dict):
        found = next((found[key] for key in WEIGHT_KEYS if key in found), found)
    values = found.values() if isinstance(found, dict) else [found]
    for value in values:
        dtype = value.storage.dtype if isinstance(value, _Tensor) else value
        kind = dtype if isinstance(dtype, type) else type(dtype)
        if issubclass(kind, _StandIn):
            raise _refusal(path, kind.name)
    if not isinstance(found, dict) or not all(
        isinstance(key, str) and isinstance(value, _Tensor) for key, value in found.items()
    ):
        raise MulkinetError(
            f"expected a state_dict (a dictionary of tensors), found {path}, which holds something "
            "else; in PyTorch, torch.save(model.state_dict(), file)"
        )
    return found


def _refusal(path, name):
    return MulkinetError(
        f"{path} is refused: it holds {name}; only tensors and containers are admitted"
    )


def _check_place(tensor):
    """Raises ValueError unless the tensor lies inside its storage."""
    storage, offset, shape, strides = tensor
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides))
    size = math.prod(shape)
    inside = offset >= 0 and len(shape) == len(strides) and min((*strides, *shape, 0)) == 0
    if not inside or size > storage.n or (size and last >= storage.n):
        raise ValueError(f"a tensor of {shape} does not fit its storage of {storage.n}")


def _array(tensor, read, order):
    """The tensor's numbers; `read` gives its storage's bytes."""
    storage, offset, shape, strides = tensor
    dtype = np.dtype(order + storage.dtype)
    data = read(storage)
    if len(data) != storage.n * dtype.itemsize:
        raise ValueError(f"{len(data)} bytes for {storage.n} numbers of {dtype}")
    numbers = np.frombuffer(data, dtype).astype(dtype.newbyteorder("="), copy=False)
    bytes_ = [stride * dtype.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(numbers[offset:], shape, bytes_, writeable=False)
