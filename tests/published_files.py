"""Files as others publish them, made by hand: PyTorch's zip of a pickle and storages, without torch.

Public names: `checkpoint_of`, `read_state_dict`, `state_dict_of`, `pickle_of`, `write_pt`.
"""

import struct
import zipfile

import numpy as np

from mulkinet.models.model_file import named_weights
from mulkinet.models.published.torch import open_state_dict


def read_state_dict(path):
    """A state_dict whole: dict of key to array."""
    with open_state_dict(path) as tensors:
        return {key: np.asarray(tensor) for key, tensor in tensors.items()}


def state_dict_of(model):
    """MOVE's weights under the names and in the layout of its PyTorch state_dict."""
    names = {"kernel": "weight", "alpha": "weight"}
    names.update(moving_mean="running_mean", moving_variance="running_var")
    tensors = {}
    for name, variable in named_weights(model).items():
        layer, _, weight = name.partition("/")
        array = variable.numpy()
        if weight == "kernel":
            array = array.transpose({4: (3, 2, 0, 1), 2: (1, 0)}[array.ndim])
        if weight == "alpha":
            array = array.reshape(1)
        key = weight if layer == "summary" else f"{layer}.{names.get(weight, weight)}"
        tensors[key] = np.array(array, order="C")
    tensors["lin_bn.num_batches_tracked"] = np.int64(7)
    return tensors


def pickle_of(tensors):
    """The pickle (protocol 2) that torch.save writes for a dictionary of tensors."""
    items = b"".join(
        _text(key) + _tensor(i, array) for i, (key, array) in enumerate(tensors.items())
    )
    return b"\x80\x02ccollections\nOrderedDict\n)R(" + items + b"u."


def checkpoint_of(weights, moments):
    """The pickle of a checkpoint: weights, and an optimizer's state, whose storages follow theirs.

    Both are dictionaries of tensors; `write_pt` takes them joined.
    """
    items = [_tensor(i, array) for i, array in enumerate([*weights.values(), *moments.values()])]
    keyed = [_text(key) + item for key, item in zip([*weights, *moments], items)]
    parts = {
        "model_state_dict": keyed[: len(weights)],
        "optimizer_state_dict": keyed[len(weights) :],
    }
    inside = b"".join(_text(name) + b"}(" + b"".join(part) + b"u" for name, part in parts.items())
    return b"\x80\x02}(" + _text("epoch") + _int(49) + inside + b"u."


def write_pt(path, tensors, pickle=None):
    """Writes a .pt file; `pickle` replaces the program that belongs to the tensors."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", pickle_of(tensors) if pickle is None else pickle)
        for i, array in enumerate(tensors.values()):
            archive.writestr(f"model/data/{i}", np.asarray(array).tobytes())
        archive.writestr("model/version", "3\n")


def _text(text):
    data = text.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def _int(value):
    return b"J" + struct.pack("<i", value)


def _tuple(values):
    return b"(" + b"".join(map(_int, values)) + b"t"


def _tensor(i, array):
    array = np.asarray(array)
    storage = {"f": b"Float", "i": b"Long"}[array.dtype.kind]
    strides = [n // array.itemsize for n in array.strides]
    reference = b"(" + _text("storage") + b"ctorch\n" + storage + b"Storage\n"
    reference += _text(str(i)) + _text("cpu") + _int(array.size) + b"tQ"
    arguments = reference + _int(0) + _tuple(array.shape) + _tuple(strides)
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"\x89ccollections\nOrderedDict\n)RtR"
    )
