"""MOVE's published PyTorch weights, as a network of this package.

Public names: `import_move`.
"""

import copy

import numpy as np

from mulkinet.errors import MulkinetError
from mulkinet.models import build_model
from mulkinet.models.model_file import copy_weights, named_weights
from mulkinet.models.published.torch import read_state_dict

__all__ = ["import_move"]

# cremaPCP of the whole track, every 8th frame.
METADATA = {
    "feature": "crema",
    "n_frames": None,
    "pad": "zero",
    "feature_settings": {
        "n_bins": 12,
        "bin0": "C",
        "sr": 44100,
        "hop_length": 512,
        "downsample": 8,
    },
    # What the whole tracks of an evaluation are not: the patches it was trained on.
    "training": {"settings": {"n_frames": 1800}},
}
# PyTorch counts the batches that its moving averages have seen; autopool's p is there whatever the summary.
UNUSED = ("lin_bn.num_batches_tracked", "autopool_p")
# From their axes to ours: (out, in, height, width) to (height, width, in, out), and (out, in) to (in, out).
TRANSPOSITION = {4: (2, 3, 1, 0), 2: (1, 0)}


def import_move(path, **options):
    """Reads MOVE's weights from a state_dict file.

    Args:
        path: A .pt file.
        **options: Options of `move` that shapes do not tell: `sum_method` where it is not the paper's,
            `final_activation` where the linear layer has a bias, `invariance`.

    Returns:
        EmbeddingNetwork: with the file's weights, and `metadata` that says what features it needs.

    Raises:
        MulkinetError: The file is refused (see `read_state_dict`), a key is missing, left over or mis-shaped, or an
            option is missing or contradicts the file.
    """
    tensors = read_state_dict(path)
    try:
        model = build_model("move", **_options(tensors, options))
        _check_keys(tensors, model)
    except MulkinetError as error:
        raise MulkinetError(f"{path} does not fit: {error}") from error
    copy_weights(
        model,
        {
            name: _our_layout(tensors[_their_name(name)], variable)
            for name, variable in named_weights(model).items()
        },
    )
    model.metadata = copy.deepcopy(METADATA)
    return model


def _options(tensors, given):
    """The options of the network: as given, else as keys and shapes imply, else the paper's."""
    needed = {"conv1.weight": 4, "conv5.weight": 4, "lin1.weight": 2}
    for key, n_axes in needed.items():
        if key not in tensors:
            found = ", ".join(list(tensors)[:4]) or "no tensors"
            raise MulkinetError(f"expected MOVE's key {key}, found {found}")
        if tensors[key].ndim != n_axes:
            raise MulkinetError(f"{key}: expected {n_axes} axes, found {tensors[key].shape}")
    n_filters = tensors["conv1.weight"].shape[0]
    is_doubled = tensors["conv5.weight"].shape[0] == 2 * n_filters
    ambiguous = {
        "sum_method": () if is_doubled else ("max", "mean", "autopool"),
        "final_activation": ("none", "sigmoid", "tanh") if "lin1.bias" in tensors else (),
    }
    for name, values in ambiguous.items():
        if values and name not in given:
            raise MulkinetError(
                f"{name}: the weights' shapes leave several; name one of {', '.join(values)}"
            )
    return {"n_filters": n_filters, "embedding_len": tensors["lin1.weight"].shape[0], **given}


def _check_keys(tensors, model):
    """Raises MulkinetError, naming keys and shapes as PyTorch does, when the file is not of this network."""
    expected = {
        _their_name(name): _their_shape(variable) for name, variable in named_weights(model).items()
    }
    problems = [f"{key} is missing" for key in expected if key not in tensors]
    problems += [f"{key} is left over" for key in tensors if key not in {*expected, *UNUSED}]
    problems += [
        f"{key} is {tensors[key].shape}, expected {shape}"
        for key, shape in expected.items()
        if key in tensors and tensors[key].shape != shape
    ]
    if problems:
        more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise MulkinetError(f"{'; '.join(problems[:3])}{more}")


def _their_shape(variable):
    """Kernels are (out, in, ...) there, and a shared slope is (1,)."""
    shape = tuple(variable.shape)
    if len(shape) in TRANSPOSITION and "kernel" in variable.name:
        return tuple(shape[axis] for axis in np.argsort(TRANSPOSITION[len(shape)]))
    return (1,) if "alpha" in variable.name else shape


def _our_layout(tensor, variable):
    if "kernel" in variable.name:
        return np.transpose(tensor, TRANSPOSITION[tensor.ndim])
    return tensor.reshape(variable.shape)


def _their_name(name):
    layer, _, weight = name.partition("/")
    if weight == "autopool_p":
        return weight
    weight = {
        "kernel": "weight",
        "alpha": "weight",
        "moving_mean": "running_mean",
        "moving_variance": "running_var",
    }.get(weight, weight)
    return f"{layer}.{weight}"
