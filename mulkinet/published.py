"""Weights that others published, read into this package's own networks.

A file is recognised by what it is, not by its name, and nothing in it is executed: of a Keras model
only names, shapes and numbers are used, and of a pickle only tensors and containers are admitted.

Public names: `import_weights`.
"""

from pathlib import Path

import h5py

from mulkinet.errors import MulkinetError
from mulkinet.modelfile import FORMAT
from mulkinet.published_keras import import_keras

__all__ = ["import_weights"]


def import_weights(path):
    """Reads published weights.

    Args:
        path: A whole-model Keras HDF5 file of MulKINet.

    Returns:
        EmbeddingNetwork: of the options that the file's shapes imply; its `metadata` says which
        feature it needs.

    Raises:
        MulkinetError: The file is none of these, damaged, or its shapes do not fit.
    """
    path = Path(path)
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no file"
        raise MulkinetError(f"expected a file of published weights at {path}, found {found}")
    if h5py.is_hdf5(path):
        return _import_hdf5(path)
    raise MulkinetError(
        f"expected MulKINet's Keras .h5, found {path}, which is not one; download it again"
    )


def _import_hdf5(path):
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") == FORMAT:
                raise MulkinetError(f"{path} is a model file already; use it with --model-file")
            return import_keras(file, path)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise MulkinetError(
            f"expected a whole Keras model, found {path}, which is truncated or damaged "
            f"({str(error).splitlines()[0]}); download it again"
        ) from error
