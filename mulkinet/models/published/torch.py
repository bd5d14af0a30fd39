"""PyTorch's zip files of tensors (.pt), read without torch and without unpickling.

Such a file holds a pickle, a small program that names what to make, and the tensors' storages as raw bytes. The
program is interpreted here, by a machine that knows numbers, strings, containers and tensors. It looks no name up and
calls nothing: a name other than those of tensors and containers ends the reading with an error that tells it.

Public names: `read_state_dict`.
"""

import contextlib
import pickletools
import zipfile
import zlib

import numpy as np

from mulkinet.errors import MulkinetError
from mulkinet.models.model_file import reason_of

__all__ = ["read_state_dict"]

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
ORDERED_DICT = "collections.OrderedDict"
REBUILD_TENSOR = "torch._utils._rebuild_tensor_v2"
REBUILD_PARAMETER = "torch._utils._rebuild_parameter"
ADMITTED = {*STORAGES, ORDERED_DICT, REBUILD_TENSOR, REBUILD_PARAMETER}

_LITERALS = {
    "BINUNICODE",
    "SHORT_BINUNICODE",
    "BININT",
    "BININT1",
    "BININT2",
    "LONG1",
    "BINFLOAT",
}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY = {"EMPTY_TUPLE": tuple, "EMPTY_LIST": list, "EMPTY_DICT": dict}

# What a damaged archive or a malformed program ends in.
_DAMAGE = (
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
)


class _Name(str):
    """A name that the pickle mentions; nothing stands behind it."""


def read_state_dict(path):
    """Reads a state_dict.

    Args:
        path: A file that `torch.save` wrote, of the zip format (torch 1.6 and later).

    Returns:
        dict of key to array, in this machine's byte order.

    Raises:
        MulkinetError: It is damaged, holds anything but tensors and containers (the first such name is told), or no
            dictionary of tensors.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            result = _Machine(_Storages(archive)).run(archive.read(_pickle_name(archive, path)))
    except _DAMAGE as error:
        raise MulkinetError(
            f"expected a PyTorch state_dict, found {path}, which is truncated or damaged "
            f"({reason_of(error)}); "
            "download it again"
        ) from error
    except MulkinetError as error:
        raise MulkinetError(f"{path} is refused: {error}") from error
    if not isinstance(result, dict) or not all(
        isinstance(key, str) and isinstance(value, np.ndarray) for key, value in result.items()
    ):
        raise MulkinetError(
            f"expected a state_dict (a dictionary of tensors), found {path}, which holds something "
            "else; in PyTorch, torch.save(model.state_dict(), file)"
        )
    return result


def _pickle_name(archive, path):
    names = [name for name in archive.namelist() if name.rpartition("/")[2] == "data.pkl"]
    if len(names) != 1 or any(name.endswith("/constants.pkl") for name in archive.namelist()):
        raise MulkinetError(
            "expected a zip file of one state_dict (data.pkl and data/), found "
            f"{', '.join(archive.namelist()[:3]) or 'an empty one'}"
        )
    return names[0]


class _Storages:
    """The raw arrays of the zip file."""

    def __init__(self, archive):
        self._archive = archive
        self._root = None
        for name in archive.namelist():
            if name.rpartition("/")[2] == "data.pkl":
                self._root = name.rpartition("/")[0]
        self._order = "<"
        with contextlib.suppress(KeyError):
            if archive.read(f"{self._root}/byteorder") == b"big":
                self._order = ">"

    def load(self, reference):
        """(n,) array of a pickle's reference: ("storage", type, key, device, n)."""
        kind, name, key, _, n = reference
        if kind != "storage" or name not in STORAGES:
            raise MulkinetError(f"it refers to {name}, which is no storage of numbers")
        dtype = np.dtype(self._order + STORAGES[name])
        member = self._archive.getinfo(f"{self._root}/data/{key}")
        if member.file_size != n * dtype.itemsize:
            raise ValueError(f"{member.file_size} bytes for {n} numbers of {dtype}")
        return np.frombuffer(self._archive.read(member), dtype).astype(STORAGES[name], copy=False)


class _Machine:
    """Interprets the opcodes that state_dicts are made of; every other one is an error."""

    def __init__(self, storages):
        self._storages = storages
        self._stack = []
        self._marks = []
        self._memo = {}

    def run(self, program):
        """The object that the pickle `program` describes."""
        for opcode, argument, _ in pickletools.genops(program):
            if opcode.name == "STOP":
                return self._stack.pop()
            self._step(opcode.name, argument)
        raise ValueError("the pickle has no end")

    def _step(self, name, argument):
        stack = self._stack
        if name in _LITERALS:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self._memo[argument])
        elif name == "MARK":
            self._marks.append(len(stack))
        elif name in ("GLOBAL", "INST"):
            stack.append(_admit(argument.replace(" ", ".")))
        elif name == "STACK_GLOBAL":
            attribute, module = stack.pop(), stack.pop()
            stack.append(_admit(f"{module}.{attribute}"))
        elif name not in ("PROTO", "FRAME"):
            self._container(name)

    def _container(self, name):
        stack = self._stack
        if name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name == "TUPLE":
            stack.append(tuple(self._pop_mark()))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            n = int(name[-1])
            stack[-n:] = [tuple(stack[-n:])]
        elif name == "SETITEM":
            value, key = stack.pop(), stack.pop()
            stack[-1][key] = value
        elif name == "SETITEMS":
            items = self._pop_mark()
            stack[-1].update(zip(items[::2], items[1::2]))
        elif name == "APPENDS":
            items = self._pop_mark()
            stack[-1].extend(items)
        elif name == "BINPERSID":
            stack.append(self._storages.load(stack.pop()))
        elif name == "REDUCE":
            arguments, function = stack.pop(), stack.pop()
            stack.append(_call(function, arguments))
        elif name == "BUILD":
            stack.pop()  # attributes of the dictionary: versions of the layers
        else:
            raise MulkinetError(f"its pickle uses {name}, which no state_dict needs")

    def _pop_mark(self):
        start = self._marks.pop()
        items = self._stack[start:]
        del self._stack[start:]
        return items


def _admit(name):
    if name not in ADMITTED:
        raise MulkinetError(f"it holds {name}; only tensors and containers are admitted")
    return _Name(name)


def _call(function, arguments):
    """What the admitted names make of their arguments."""
    if not isinstance(function, _Name):
        raise ValueError("something is called that is no name")
    if function == ORDERED_DICT:
        return dict(*arguments)
    if function == REBUILD_TENSOR:
        return _tensor(*arguments[:4])
    if function == REBUILD_PARAMETER:
        return arguments[0]
    raise MulkinetError(f"it calls {function}, which is no function")


def _tensor(storage, offset, shape, strides):
    """A view of a storage, checked to lie inside it."""
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides))
    size = int(np.prod(shape, dtype=np.int64))
    inside = offset >= 0 and len(shape) == len(strides) and min((*strides, *shape, 0)) == 0
    if not inside or size > storage.size or (size and last >= storage.size):
        raise ValueError(f"a tensor of {shape} does not fit its storage of {storage.size}")
    bytes_ = [stride * storage.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, bytes_).copy()
