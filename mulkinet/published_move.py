"""MOVE's published PyTorch weights, as a network of this package.

Public names: `import_move`.
"""

import numpy as np

from mulkinet.errors import MulkinetError
from mulkinet.modelfile import copy_weights, named_weights
from mulkinet.models import build_model
from mulkinet.published_torch import read_state_dict

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
}
# PyTorch counts the batches its moving averages have seen; a mean without this network's use for it is left aside.
IGNORED = ("lin_bn.num_batches_tracked",)
KERNEL_AXES = {4: (2, 3, 1, 0), 2: (1, 0)}


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
        model = build_model("move", **{**_implied_options(tensors), **options})
        copy_weights(model, _renamed(tensors, model))
    except MulkinetError as error:
        raise MulkinetError(f"{path} does not fit: {error}") from error
    model.metadata = dict(METADATA)
    return model


def _implied_options(tensors):
    """The options that keys and shapes imply; the paper's where attention leaves two possibilities."""
    needed = {"conv1.weight": 4, "conv5.weight": 4, "lin1.weight": 2}
    for key, n_axes in needed.items():
        if key not in tensors:
            raise MulkinetError(f"expected MOVE's key {key}, found {_some(tensors)}")
        if tensors[key].ndim != n_axes:
            raise MulkinetError(f"{key}: expected {n_axes} axes, found {tensors[key].shape}")
    n_filters = tensors["conv1.weight"].shape[0]
    implied = {"n_filters": n_filters, "embedding_len": tensors["lin1.weight"].shape[0]}
    if tensors["conv5.weight"].shape[0] == 2 * n_filters:
        implied["sum_method"] = "adaptive-attention"
    if "lin1.bias" not in tensors:
        implied["final_activation"] = "batch-norm"
    return implied


def _renamed(tensors, model):
    """{our name: array in our layout} of all tensors."""
    expected = {_their_name(name): name for name in named_weights(model)}
    variables = named_weights(model)
    unused = {*IGNORED, *(["autopool_p"] if "autopool_p" not in expected else [])}
    problems = [f"{key} is missing" for key in expected if key not in tensors]
    problems += [
        f"{key} is left over" for key in tensors if key not in expected and key not in unused
    ]
    arrays = {}
    for key, name in expected.items():
        if key in tensors:
            shape = tuple(variables[name].shape)
            ours = _our_layout(tensors[key], shape)
            if ours is None:
                problems.append(f"{key} is {tensors[key].shape}, which does not give {shape}")
            arrays[name] = ours
    if problems:
        more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise MulkinetError(f"{'; '.join(problems[:3])}{more}")
    return arrays


def _our_layout(tensor, shape):
    """Kernels from (out, in, ...) to (..., in, out), a slope (1,) to (1, 1, 1); None if it cannot be `shape`."""
    array = np.transpose(tensor, KERNEL_AXES[tensor.ndim]) if tensor.ndim in KERNEL_AXES else tensor
    if array.size == 1 and array.ndim <= 1:
        array = array.reshape((1,) * len(shape))
    return array if array.shape == shape else None


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


def _some(tensors):
    return ", ".join(list(tensors)[:4]) or "no tensors"
