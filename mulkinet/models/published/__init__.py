"""Weights that others published, read into this package's own networks.

A file is recognised by what it is, not by its name, and nothing in it is executed: of a Keras model only names, shapes
and numbers are used, and of a pickle only tensors and containers are admitted.
"""

import zipfile
from pathlib import Path

import h5py

from mulkinet.errors import MulkinetError
from mulkinet.models.model_file import FORMAT, reason_of
from mulkinet.models.published.cqtnet import FIRST_KEYS as CQTNET_KEYS
from mulkinet.models.published.cqtnet import import_cqtnet
from mulkinet.models.published.keras import import_keras
from mulkinet.models.published.move import FIRST_KEYS as MOVE_KEYS
from mulkinet.models.published.move import import_move
from mulkinet.models.published.torch import LEGACY_START, open_state_dict

__all__ = ["import_weights"]

# torch.save's very first format, of before 0.1.10, was a tar archive.
_TAR, _TAR_PLACE = b"ustar", 257


def import_weights(path, **options):
    """Reads published weights.

    Args:
        path: PyTorch's state_dict or checkpoint (.pt, .pth) of MOVE, re-MOVE, CQTNet or Discogs-VINet, MulKINet's
            whole Keras model (.h5), or the Siamese release's (.hdf5).
        **options: Options of the network where the file does not tell them, for MOVE: `sum_method`,
            `final_activation`, `invariance`.

    Returns:
        EmbeddingNetwork: of the options that the file's shapes imply; its `metadata` says which feature it needs.

    Raises:
        MulkinetError: The file is none of these, damaged, holds anything but weights, or its shapes do not fit.

    Examples:
        >>> import_weights("README.md")
        Traceback (most recent call last):
            ...
        mulkinet.errors.MulkinetError: expected a file of published weights at README.md, found no file
        >>> model = import_weights("model_move.pt")  # doctest: +SKIP
    """
    path = Path(path)
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no file"
        raise MulkinetError(f"expected a file of published weights at {path}, found {found}")
    try:
        if h5py.is_hdf5(path):
            return _import_hdf5(path, options)
        with open(path, "rb") as file:
            start = file.read(512)
        if zipfile.is_zipfile(path) or start.startswith(LEGACY_START):
            return _import_torch(path, options)
    except OSError as error:
        raise MulkinetError(f"cannot read {path}: {error.strerror or error}") from error
    if start[_TAR_PLACE:].startswith(_TAR):
        raise MulkinetError(
            f"expected a zip or a pickle stream of PyTorch, found {path}, a tar archive of before 0.1.10; "
            "in a newer PyTorch, torch.save(torch.load(file), new_file)"
        )
    raise MulkinetError(
        f"expected PyTorch's .pt or .pth, MulKINet's .h5 or the Siamese release's .hdf5, found {path}, "
        "which is neither a PyTorch nor an HDF5 file or is truncated; download it again"
    )


def _import_torch(path, options):
    with open_state_dict(path) as tensors:
        try:
            return _of_tensors(tensors, path, options)
        except MulkinetError as error:
            raise MulkinetError(f"{path} does not fit: {error}") from error


def _of_tensors(tensors, path, options):
    if any(key in tensors for key in CQTNET_KEYS):
        _refuse(options, path, "CQTNet's or Discogs-VINet's weights")
        return import_cqtnet(tensors)
    if any(key in tensors for key in MOVE_KEYS):
        return import_move(tensors, **options)
    expected = ", ".join((*MOVE_KEYS, *CQTNET_KEYS))
    found = ", ".join(list(tensors)[:4]) or "no tensors"
    raise MulkinetError(
        f"expected the first key of MOVE, CQTNet or Discogs-VINet ({expected}), found {found}"
    )


def _refuse(options, path, what):
    if options:
        raise MulkinetError(
            f"{', '.join(sorted(options))}: expected for MOVE's weights only, found with {path}, "
            f"{what}, whose shapes tell everything"
        )


def _import_hdf5(path, options):
    _refuse(options, path, "a Keras model")
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
