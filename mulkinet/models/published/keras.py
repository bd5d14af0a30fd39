"""Whole Keras models in HDF5: MulKINet's classifier and the Siamese release's twin.

Only datasets (weights, by layer name) and, for the length of MulKINet's input, one number of the JSON description are
read. Lambdas and custom objects in the description are never looked at.
"""

import json
import re

import h5py

from mulkinet.errors import MulkinetError
from mulkinet.models import build_model
from mulkinet.models.model_file import copy_weights, reason_of
from mulkinet.models.siamese import FILTERS, LOST_FRAMES

__all__ = ["import_keras"]

# SHS100K2's HPCP: sums of 20 frames of hop 1024 at 44.1 kHz.
MULKINET_METADATA = {
    "feature": "hpcp",
    "n_frames": 400,
    "pad": "zero",
    "feature_settings": {
        "n_bins": 12,
        "bin0": "A",
        "sr": 44100,
        "hop_length": 1024,
        "frame_rate": 44100 / 1024 / 20,
    },
}
SIAMESE_METADATA = {
    "feature": "crema",
    "pad": "wrap",
    "feature_settings": {"n_bins": 12, "bin0": "C", "sr": 44100, "hop_length": 512},
}
SIAMESE_LAYERS = {"conv2d": 7, "batch_normalization": 4, "dense": 2}
# Ours, in the order in which Keras numbered theirs.
SIAMESE_NAMES = {
    "conv2d": ("conv0", "conv1_0", "conv1_1", "conv2_0", "conv2_1", "conv3_0", "conv3_1"),
    "batch_normalization": ("bn0", "bn1", "bn2", "bn3"),
    "dense": ("dense", "head"),
}


def import_keras(file, path):
    """EmbeddingNetwork of an open whole-model HDF5 file, whose `metadata` says what features it needs.

    Raises:
        MulkinetError: It is another network, or a weight is missing, left over or mis-shaped.
    """
    if "model_weights" not in file:
        raise MulkinetError(
            f"expected a whole Keras model (group model_weights), found {path} with "
            f"{', '.join(file) or 'nothing'}; save the model whole"
        )
    weights = _weights(file["model_weights"])
    layers = sorted({name.partition("/")[0] for name in weights})
    try:
        if {"Embedding/kernel", "Temporal_0_Conv/kernel"} <= set(weights):
            return _import_mulkinet(weights, _input_frames(file))
        if {kind: len(names) for kind, names in _numbered(weights).items()} == SIAMESE_LAYERS:
            return _import_siamese(weights)
    except MulkinetError as error:
        raise MulkinetError(f"{path} does not fit: {error}") from error
    raise MulkinetError(
        f"expected MulKINet's layers (Temporal_0_Conv, Embedding, ...) or the Siamese twin's (7 conv2d, "
        f"4 batch_normalization, 2 dense), found {path} with {', '.join(layers[:4]) or 'no weights'}"
    )


def _weights(group):
    """{"<layer>/<weight>": h5py.Dataset} of every dataset, whatever models the layer is nested in."""
    weights = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset):
            layer, _, weight = name.rpartition("/")
            weights[f"{layer.rpartition('/')[2]}/{weight.partition(':')[0]}"] = item

    group.visititems(visit)
    return weights


def _input_frames(file):
    """Frames of the model's input, (batch, 23, frames, 1), from its JSON description."""
    try:
        description = json.loads(file.attrs["model_config"])
    except (KeyError, ValueError) as error:
        raise MulkinetError(
            f"its attribute model_config is no JSON ({reason_of(error)}); save the model whole"
        ) from error
    try:
        shape = tuple(description["config"]["layers"][0]["config"]["batch_input_shape"])
    except (LookupError, TypeError) as error:
        raise MulkinetError(
            "its model_config describes no input layer (config.layers[0].config.batch_input_shape)"
        ) from error
    if len(shape) != 4 or shape[1] != 23:
        raise MulkinetError(f"expected an input of 23 rows and some frames, found {shape}")
    return shape[2]


def _array(weights, name, n_axes):
    """The dataset of that name, which options are read off."""
    if name not in weights:
        raise MulkinetError(f"{name} is missing")
    if len(weights[name].shape) != n_axes:
        raise MulkinetError(f"{name}: expected {n_axes} axes, found {weights[name].shape}")
    return weights[name]


def _import_mulkinet(weights, n_frames):
    model = build_model("mulkinet", **_mulkinet_options(weights), n_frames=n_frames)
    # The softmax layer goes: its classes are somebody's list of works, which the file does not hold.
    trunk = {name: array for name, array in weights.items() if name != "Classification/kernel"}
    copy_weights(model, trunk, _mulkinet_name)
    model.metadata = {**MULKINET_METADATA, "n_frames": n_frames}
    return model


def _mulkinet_name(name):
    # An attention's two dense kernels are two layers there and two weights of one layer here.
    return re.sub(r"_(ChnlAtt|TempAtt)/layer([12])$", r"_\1_Layer\2/kernel", name)


def _mulkinet_options(weights):
    """The options that the names and shapes imply."""
    stages = [re.match(r"KI_(?:[A-Za-z_]*)(\d+)(?:_\d)?_Conv/kernel$", name) for name in weights]
    n_stages = 1 + max((int(match[1]) for match in stages if match), default=0)
    block, narrow = "simple", None
    for name, kernel in (
        ("bottleneck", "KI_Bottleneck1_0_Conv/kernel"),
        ("wider", "KI_Wider_Bottleneck0_1_Conv/kernel"),
    ):
        if kernel in weights:
            block, narrow = name, _array(weights, kernel, 4).shape[3]
    first_name = "KI_Wider_Bottleneck0_0_Conv" if block == "wider" else "KI_0_Conv"
    first = _array(weights, f"{first_name}/kernel", 4)
    channels = first.shape[3]
    return {
        "block": block,
        "ki_block_num": n_stages,
        "chnlatt": any("_ChnlAtt_" in name for name in weights),
        "tempatt": any("_TempAtt_" in name for name in weights),
        "ki_out_channel": channels,
        "bn_ratio": channels // narrow if narrow else 4,
        "time_field": first.shape[1] * n_stages,
        "embedding_len": _array(weights, "Embedding/kernel", 2).shape[1],
    }


def _numbered(weights):
    """{kind: [layer names]} of the layers that Keras named by kind and number, in the order of their numbers."""
    layers = {name.partition("/")[0] for name in weights}
    found = {kind: [] for kind in SIAMESE_LAYERS}
    for layer in sorted(layers, key=lambda name: int(re.search(r"\d*$", name)[0] or 0)):
        kind = re.sub(r"_\d+$", "", layer)
        found.setdefault(kind, []).append(layer)
    return found


def _import_siamese(weights):
    layers = {
        ours: theirs
        for kind, numbered in _numbered(weights).items()
        for ours, theirs in zip(SIAMESE_NAMES[kind], numbered)
    }
    n_inputs, embedding_len = _array(weights, f"{layers['dense']}/kernel", 2).shape
    n_frames = n_inputs // FILTERS[1] + LOST_FRAMES
    model = build_model("siamese", n_frames=n_frames, embedding_len=embedding_len)

    def name_in_file(name):
        layer, _, weight = name.partition("/")
        return f"{layers[layer]}/{weight}"

    copy_weights(model, weights, name_in_file)
    settings = {**SIAMESE_METADATA["feature_settings"], "spect_len": n_frames}
    model.metadata = {**SIAMESE_METADATA, "n_frames": n_frames, "feature_settings": settings}
    return model
