"""The model file: a network's options, its weights and how it is to be used, in one HDF5 file.

Layout: root attributes `format = "mulkinet-model"`, `version`, and `config`, JSON with `network`,
`options`, `distance`, `metadata` (feature, feature_settings, n_frames, pad, classes, training) and
`package_version`; `/weights/<layer>/<weight>`, one dataset per variable; `/state/<name>/<i>`, arrays
that only a resumed training needs.

Opening a model file never runs anything that is in it: the network is built by this package's own
code from checked options, and the weights are numbers copied into it.
"""

import contextlib
import json

import numpy as np

import mulkinet
from mulkinet.errors import MulkinetError
from mulkinet.files.hdf5 import FileKind, atomic_hdf5, open_checked, reason_of
from mulkinet.models import NETWORKS, build_model
from mulkinet.models.base import EmbeddingNetwork
from mulkinet.models.weights import find_model
from mulkinet.registry import PLUGINS

__all__ = ["FORMAT", "load_model", "load_state", "reason_of", "save_model"]

FORMAT = "mulkinet-model"
_KIND = FileKind(
    "model file", FORMAT, 1, "train.py makes one, mulkinet import converts published weights to one"
)


def save_model(model, path, *, state=None, dtype="float32"):
    """Writes a model file; a file of that name is replaced only when the new one is whole.

    Args:
        model: EmbeddingNetwork, with its `metadata`.
        path: The file.
        state: dict of name to list of arrays, kept for `load_state`: optimizer variables, say.
        dtype: What the weights are kept in; "float16" makes a file of half the size.

    Raises:
        MulkinetError: `model` is not one of this package's networks, or the file cannot be written.

    Examples:
        >>> save_model(mulkinet.build_model("keyconv", n_filters=8, embedding_len=4), "small.h5")
        >>> load_model("small.h5").embedding_len
        4
    """
    if not isinstance(model, EmbeddingNetwork):
        raise MulkinetError(
            f"save_model expects a network of mulkinet.build_model, found {type(model).__name__}; "
            "of a classifier, save the network it was made from"
        )
    config = {
        "network": model.network,
        "options": model.options,
        "distance": model.distance,
        "metadata": model.metadata,
        "package_version": mulkinet.__version__,
    }
    with atomic_hdf5(path) as (file, _):
        file.attrs["format"] = FORMAT
        file.attrs["version"] = _KIND.version
        file.attrs["config"] = json.dumps(config)
        weights = file.create_group("weights")
        for name, variable in named_weights(model).items():
            weights[name] = variable.numpy().astype(dtype)
        for name, arrays in (state or {}).items():
            group = file.create_group(f"state/{name}")
            for i, array in enumerate(arrays):
                group[str(i)] = np.asarray(array)


def load_model(path):
    """Reads a model file.

    Args:
        path: A file that `save_model` wrote, or the name of a model of the package, such as "covers".

    Returns:
        EmbeddingNetwork: with its weights and `metadata`.

    Raises:
        MulkinetError: No such file, not a model file, damaged, or of a newer version.

    Examples:
        >>> model = load_model("covers")
        >>> model.distance, model.embedding_len, model.metadata["feature"]
        ('scaled_cosine', 512, 'crema')
    """
    path = find_model(path)
    with open_checked(path, _KIND) as file:
        config = json.loads(file.attrs["config"])
        if "network" not in config:
            raise ValueError("its config names no network")
        if config["network"] not in NETWORKS.entries():
            raise MulkinetError(
                f"expected {path} to be of a network of {', '.join(NETWORKS.entries())}, found {config['network']!r}; "
                f"import the module that registers it, or name that in {PLUGINS}"
            )
        # Options and metadata that came with a later version of this package keep their defaults.
        metadata = config.get("metadata", {})
        if not isinstance(metadata, dict):
            raise TypeError("its metadata is no JSON object")
        with _damage_told(path):
            model = build_model(config["network"], **config.get("options", {}))
            copy_weights(model, dict(_datasets(file["weights"])))
        model.metadata = metadata
        model.distance = config.get("distance", model.distance)
    return model


def load_state(path):
    """Reads what `save_model` was given as `state`: dict of name to list of arrays, empty when none was kept.

    Raises:
        MulkinetError: No such file, not a model file, damaged, or of a newer version.
    """
    with open_checked(path, _KIND) as file:
        groups = file["state"] if "state" in file else {}
        return {
            name: [groups[name][str(i)][()] for i in range(len(groups[name]))] for name in groups
        }


def named_weights(model):
    """{"<layer>/<weight>": variable} of all variables, in the order of the layers."""
    return {
        f"{layer.name}/{variable.name.rpartition('/')[2].partition(':')[0]}": variable
        for layer in model.layers
        for variable in layer.weights
    }


def copy_weights(model, arrays, name_in_file=str):
    """Sets every variable of a network, by name.

    Args:
        model: EmbeddingNetwork.
        arrays: dict of name to array (or HDF5 dataset).
        name_in_file: Function that gives the name in `arrays` for a network's "<layer>/<weight>".

    Raises:
        MulkinetError: A weight is missing, left over or of another shape; it is named as in `arrays`.
    """
    variables = {name_in_file(name): v for name, v in named_weights(model).items()}
    problems = [f"{name} is missing" for name in variables if name not in arrays]
    problems += [f"{name} is not in a {model.network} of these options" for name in arrays
                 if name not in variables]  # fmt: skip
    problems += [
        f"{name} is {tuple(arrays[name].shape)}, expected {tuple(variable.shape)}"
        for name, variable in variables.items()
        if name in arrays and tuple(arrays[name].shape) != tuple(variable.shape)
    ]
    if problems:
        more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise MulkinetError(f"weights do not fit: {'; '.join(problems[:3])}{more}")
    for name, variable in variables.items():
        variable.assign(np.asarray(arrays[name][()], dtype=variable.dtype.as_numpy_dtype))


def _datasets(group):
    for layer, members in group.items():
        for weight, dataset in members.items():
            yield f"{layer}/{weight}", dataset


@contextlib.contextmanager
def _damage_told(path):
    try:
        yield
    except MulkinetError as error:
        raise MulkinetError(f"the model file {path} is damaged: {error}") from error
