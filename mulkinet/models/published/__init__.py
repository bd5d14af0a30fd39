"""Weights that others published, read into this package's own networks.

A file is recognised by what it is, not by its name, and nothing in it is executed: of a Keras model only names, shapes
and numbers are used, and of a pickle only tensors and containers are admitted.

Public names: `import_weights`.
"""

import zipfile
from pathlib import Path

import h5py

from mulkinet.errors import MulkinetError
from mulkinet.models.model_file import FORMAT, reason_of
from mulkinet.models.published.keras import import_keras
from mulkinet.models.published.move import import_move

__all__ = ["import_weights"]

# How torch.save began before 1.6: a pickled magic number, or a tar archive.
LEGACY_TORCH = (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19", b"ustar")
_TAR_MAGIC = 257


def import_weights(path, **options):
    """Reads published weights.

    Args:
        path: MOVE's PyTorch state_dict (.pt), MulKINet's whole Keras model (.h5), or the Siamese release's (.hdf5).
        **options: Options of the network where the file does not tell them, for MOVE: `sum_method`,
            `final_activation`, `invariance`.

    Returns:
        EmbeddingNetwork: of the options that the file's shapes imply; its `metadata` says which feature it needs.

    Raises:
        MulkinetError: The file is none of these, damaged, holds anything but weights, or its shapes do not fit.
    """
    path = Path(path)
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no file"
        raise MulkinetError(f"expected a file of published weights at {path}, found {found}")
    try:
        if h5py.is_hdf5(path):
            return _import_hdf5(path, options)
        if zipfile.is_zipfile(path):
            return import_move(path, **options)
        start = _start_of(path)
    except OSError as error:
        raise MulkinetError(f"cannot read {path}: {error.strerror or error}") from error
    if start.startswith(LEGACY_TORCH[0]) or start[_TAR_MAGIC:].startswith(LEGACY_TORCH[1]):
        raise MulkinetError(
            f"expected PyTorch's zip format, found {path} in the legacy one of before 1.6; "
            "in a newer PyTorch, torch.save(torch.load(file), new_file)"
        )
    raise MulkinetError(
        f"expected MOVE's .pt, or MulKINet's .h5 or the Siamese release's .hdf5, found {path}, "
        "which is neither a zip nor an HDF5 file or is truncated; download it again"
    )


def _import_hdf5(path, options):
    if options:
        raise MulkinetError(
            f"{', '.join(sorted(options))}: expected for MOVE's weights only, found with {path}, "
            "a Keras model, whose shapes tell everything"
        )
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") == FORMAT:
                raise MulkinetError(f"{path} is a model file already; use it with --model-file")
            return import_keras(file, path)
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError) as error:
        raise MulkinetError(
            f"expected a whole Keras model, found {path}, which is truncated or damaged "
            f"({reason_of(error)}); download it again"
        ) from error


def _start_of(path):
    with open(path, "rb") as file:
        return file.read(512)
