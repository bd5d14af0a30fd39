"""PyTorch's state_dicts against this package's networks: names and shapes checked, axes reordered, weights copied."""

import numpy as np

from mulkinet.errors import MulkinetError
from mulkinet.models.model_file import named_weights

__all__ = ["check_axes", "copy_state_dict"]

# From their axes to ours: (out, in, height, width) to (height, width, in, out), and (out, in) to (in, out).
TRANSPOSITION = {4: (2, 3, 1, 0), 2: (1, 0)}
WEIGHTS = {
    "kernel": "weight",
    "alpha": "weight",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def check_axes(tensors, needed):
    """Raises MulkinetError unless {key: number of axes} of `needed`, which options are read off, are in `tensors`."""
    for key, n_axes in needed.items():
        if key not in tensors:
            raise MulkinetError(f"{key} is missing")
        if len(tensors[key].shape) != n_axes:
            raise MulkinetError(f"{key}: expected {n_axes} axes, found {tensors[key].shape}")


def copy_state_dict(model, tensors, their_layer=str, unused=()):
    """Copies weights into a network.

    Args:
        model: EmbeddingNetwork.
        tensors: {key: array, or what `open_state_dict` gave}; batches counted (`num_batches_tracked`) are passed over.
        their_layer: Function from our layer's name to theirs; "" where the weight stands alone.
        unused: Keys that may be there and are passed over.

    Raises:
        MulkinetError: A key is missing, left over or mis-shaped; up to three are named as in PyTorch.
    """
    keys = {name: _their_key(name, their_layer) for name in named_weights(model)}
    expected = {
        keys[name]: _their_shape(variable) for name, variable in named_weights(model).items()
    }
    known = {*expected, *unused}
    problems = [f"{key} is missing" for key in expected if key not in tensors]
    problems += [
        f"{key} is left over"
        for key in tensors
        if key not in known and not key.endswith(".num_batches_tracked")
    ]
    problems += [
        f"{key} is {tensors[key].shape}, expected {shape}"
        for key, shape in expected.items()
        if key in tensors and tensors[key].shape != shape
    ]
    if problems:
        more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise MulkinetError(f"{'; '.join(problems[:3])}{more}")
    # The largest first: what is freed of smaller ones lies in pieces, and is not given back.
    by_size = sorted(
        named_weights(model).items(), key=lambda item: item[1].shape.num_elements(), reverse=True
    )
    for name, variable in by_size:
        _assign(variable, _ours(np.asarray(tensors[keys[name]]), variable))


def _assign(variable, array):
    """Sets a variable, a kernel place by place: assigning takes memory for two copies of what is assigned."""
    if array.ndim < 4:
        variable.assign(array)
        return
    for place in np.ndindex(array.shape[:2]):
        variable.scatter_nd_update([place], np.ascontiguousarray(array[place])[None])


def _their_key(name, their_layer):
    layer, _, weight = name.partition("/")
    layer = their_layer(layer)
    return f"{layer}.{WEIGHTS.get(weight, weight)}" if layer else weight


def _their_shape(variable):
    """Kernels are (out, in, ...) there, and a shared slope is (1,)."""
    shape = tuple(variable.shape)
    if len(shape) in TRANSPOSITION and "kernel" in variable.name:
        return tuple(shape[axis] for axis in np.argsort(TRANSPOSITION[len(shape)]))
    return (1,) if "alpha" in variable.name else shape


def _ours(tensor, variable):
    if "kernel" in variable.name:
        return np.transpose(tensor, TRANSPOSITION[tensor.ndim])
    return tensor.reshape(variable.shape)
