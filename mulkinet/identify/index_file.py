"""The index of a collection: one HDF5 file, readable with h5py alone.

Layout: root attributes `format = "mulkinet-index"`, `version`, `mulkinet_version`, `digest`, `config` and, once
calibrated, `calibration` (both JSON). `/work_id`, `/track_id`, `/title`, `/path`, `/content`, `/stamp` (N,) UTF-8,
where content is the SHA-256 of the audio file (or of a store's frames), by which an unchanged track is known again,
and stamp the file's size and time of change, which spare reading it (older indexes have none); `/embedding` (N,
embedding_len) float32, as the network gives them. Large indexes have `/cells/centroids` (n_cells, embedding_len) and
`/cells/cell` (N,), see `cells.py`. `/survey` spares a search that opens a pass over all embeddings: `are_units`,
whether all are of length 1, and for "scaled_cosine" `nearest` (N,) float64 with a `digest` of its own, see
`evaluation/scaling.py`; older indexes have none. Where queries can be aligned there are `/chroma/frames`
(total_frames, 12) uint8, contiguous, and `/chroma/offsets` (N + 1,) int64.

`config` holds model_file, fingerprint, network, distance, feature, feature_settings and trained_sec; and what is done
to audio before, is_tuned and is_trimmed (see `embedder.Embedder`), which older indexes lack: neither was done.
`digest` is the SHA-256 of config, calibration, tracks and cells, not of chroma, which is read as it is asked for, nor
of the survey, which older versions of mulkinet do not know: a file that was damaged is refused. Of a large index
nothing is read but what is asked for: embeddings are mapped, so that processes share them, names are read when first
needed, and the digest is compared before the index is changed.

A writer holds the lock `<index>.lock` from reading to renaming: writers follow each other, readers see
the file before or after. The lock belongs to the process and dies with it.
"""

import hashlib
import json
import os
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import h5py
import numpy as np

import mulkinet
from mulkinet.errors import MulkinetError
from mulkinet.files import locks
from mulkinet.files.hdf5 import FileKind, atomic_hdf5, open_checked
from mulkinet.identify.chroma import KeptChroma

__all__ = [
    "IndexData",
    "Cells",
    "Survey",
    "digest_of",
    "read_index",
    "write_index",
    "locked",
    "fingerprint",
]

_KIND = FileKind("index", "mulkinet-index", 1, "make one with mulkinet index build")
# Tracks of an index that is opened without reading it: two seconds' worth.
LARGE = 200_000
IDS = ("work_id", "track_id", "title", "path", "content", "stamp")
_OPTIONAL = ("stamp",)
HEARING = ("is_tuned", "is_trimmed")
_CELLS_FACTS = ("probes", "recall", "trained_on")
_STRINGS = h5py.string_dtype("utf-8")
_CONFIG = (
    *("model_file", "fingerprint", "network", "distance", "feature"),
    *("feature_settings", "trained_sec"),
)


@dataclass(frozen=True)
class Cells:
    """The division of an index into cells, for approximate search.

    Attributes:
        centroids: (n_cells, embedding_len) float32.
        cell: (N,) int32, each track's cell.
        probes: Cells that a search looks into.
        recall: Share of the exact 10 nearest that it finds, as measured; None where tracks were
            removed since, until `search.with_cells` measures it again.
        trained_on: Number of tracks when the centroids were chosen.
    """

    centroids: np.ndarray
    cell: np.ndarray
    probes: int
    recall: Optional[float]
    trained_on: int


@dataclass(frozen=True)
class Survey:
    """What a search would have to look through all embeddings for when it opens.

    Attributes:
        are_units: Whether all are of length 1.
        nearest: (N,) float64, `scaling.to_nearest` of each to the cohort of all; None where the distance is not
            "scaled_cosine".
    """

    are_units: bool
    nearest: Optional[np.ndarray] = None


@dataclass(frozen=True)
class IndexData:
    """What an index file holds.

    Attributes:
        config: dict, see the module.
        ids: dict of each of `IDS` to (N,) object arrays of str.
        embeddings: (N, embedding_len) float32.
        calibration: dict of `calibration.calibrate`, or None.
        cells: Cells, or None.
        chroma: KeptChroma, or None where queries cannot be aligned.
        survey: Survey of these embeddings, or None where it was not made: `search.prepare` makes it.
    """

    config: dict
    ids: dict
    embeddings: np.ndarray
    calibration: Optional[dict] = None
    cells: Optional[Cells] = None
    chroma: Optional[KeptChroma] = None
    survey: Optional[Survey] = None

    def __len__(self):
        return len(self.embeddings)


def write_index(path, data):
    """Writes IndexData; a file of that name is replaced when the new one is whole.

    Raises:
        MulkinetError: It cannot be written.
    """
    with atomic_hdf5(path) as (file, check):
        file.attrs["format"] = _KIND.format
        file.attrs["version"] = _KIND.version
        file.attrs["mulkinet_version"] = mulkinet.__version__
        file.attrs["digest"] = digest_of(data)
        file.attrs["config"] = json.dumps(data.config)
        if data.calibration is not None:
            file.attrs["calibration"] = json.dumps(data.calibration)
        for name in IDS:
            file.create_dataset(name, data=data.ids[name].tolist(), dtype=_STRINGS)
        file["embedding"] = data.embeddings
        if data.chroma is not None and len(data.chroma.frames):
            file["chroma/frames"] = data.chroma.frames
            file["chroma/offsets"] = data.chroma.offsets
        check()
        if data.cells is not None:
            file["cells/centroids"] = data.cells.centroids
            file["cells/cell"] = data.cells.cell
            for name in _CELLS_FACTS:
                file["cells"].attrs[name] = getattr(data.cells, name)
        if data.survey is not None:
            _write_survey(file.create_group("survey"), data.survey)


def read_index(path, *, whole=False, digest=None):
    """Reads and checks an index.

    Args:
        path: A file that `write_index` wrote.
        whole: Whether to read all of a large index too, and compare it with its digest.
        digest: The digest that it has to have; any by default.

    Returns:
        IndexData.

    Raises:
        MulkinetError: No such file, no index, of a newer version, damaged, or another than was expected.
    """
    with open_checked(path, _KIND) as file:
        if digest is not None and file.attrs["digest"] != digest:
            raise MulkinetError(
                f"expected {path} as it was when the command opened it, found another index; run the command again, "
                "and see that all machines have the same file under this name"
            )
        data = _read(file)
        if (whole or len(data) < LARGE) and digest_of(data) != file.attrs["digest"]:
            raise ValueError("its content is not what was written")
    return data


def locked(path, report):
    """Context manager that holds the lock of an index, which need not exist; `report` gets a line when it waits."""
    path = Path(path)
    return locks.locked(
        path.with_name(path.name + ".lock"),
        lambda: report(f"another process is writing {path}; waiting"),
    )


def fingerprint(model):
    """What tells one trained network from another, whatever file it is in.

    SHA-256, in hexadecimal digits, of options, distance, feature settings and weights.
    """
    from mulkinet.models.model_file import named_weights

    settings = model.metadata.get("feature_settings", {})
    description = {
        "network": model.network,
        "options": model.options,
        "distance": model.distance,
        "feature": model.metadata.get("feature"),
        "feature_settings": settings,
        "n_frames": model.metadata.get("n_frames"),
    }
    sha = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
    for name, variable in named_weights(model).items():
        sha.update(name.encode())
        sha.update(np.ascontiguousarray(variable.numpy()).tobytes())
    return sha.hexdigest()


def _read(file):
    config = json.loads(file.attrs["config"])
    missing = [name for name in _CONFIG if name not in config]
    if missing:
        raise ValueError(f"its config lacks {', '.join(missing)}")
    stored = file["embedding"]
    names = [name for name in IDS if name in file or name not in _OPTIONAL]
    lengths = {len(file[name]) for name in ("embedding", *names)}
    if stored.ndim != 2 or stored.dtype != np.float32 or len(lengths) != 1:
        raise ValueError(f"embeddings of shape {stored.shape} for {sorted(lengths)} tracks")
    if len(stored) < LARGE or stored.id.get_offset() is None:
        embeddings, ids = stored[:], {name: _read_names(file, name) for name in IDS}
        if not np.isfinite(embeddings).all():
            raise ValueError("embeddings that are not finite")
    else:
        embeddings, ids = _map(stored), _Names(file)
    calibration = file.attrs.get("calibration")
    return IndexData(
        config,
        ids,
        embeddings,
        None if calibration is None else json.loads(calibration),
        _read_cells(file["cells"]) if "cells" in file else None,
        _read_chroma(file["chroma"], len(embeddings)) if "chroma" in file else None,
        _read_survey(file["survey"], len(embeddings)) if "survey" in file else None,
    )


def _read_chroma(group, n_tracks):
    frames, offsets = group["frames"], group["offsets"][:]
    if (
        frames.dtype != np.uint8
        or frames.shape[1:] != (12,)
        or len(offsets) != n_tracks + 1
        or offsets[0] != 0
        or offsets[-1] != len(frames)
        or (np.diff(offsets) < 0).any()
        or frames.id.get_offset() is None
    ):
        raise ValueError(f"chroma of shape {frames.shape} for {n_tracks} tracks")
    return KeptChroma(_map(frames), offsets)


def _map(dataset):
    # Of the file that is open, which another writer may have replaced under its name.
    with os.fdopen(os.dup(dataset.file.id.get_vfd_handle()), "rb") as file:
        offset, shape = dataset.id.get_offset(), dataset.shape
        return np.memmap(file, dataset.dtype, mode="r", offset=offset, shape=shape)


def _read_names(file, name):
    if name not in file:
        return np.full(len(file["embedding"]), "", object)
    return file[name].asstr()[:]


class _Names(Mapping):
    """`IndexData.ids` of a large index, each column read when it is first asked for."""

    def __init__(self, file):
        # By number: the name may soon be that of another file.
        self._descriptor = os.dup(file.id.get_vfd_handle())
        weakref.finalize(self, os.close, self._descriptor)
        self._columns = {}

    def __getitem__(self, name):
        if name not in self._columns:
            with os.fdopen(os.dup(self._descriptor), "rb") as raw, h5py.File(raw, "r") as file:
                self._columns[name] = _read_names(file, name)
        return self._columns[name]

    def __iter__(self):
        return iter(IDS)

    def __len__(self):
        return len(IDS)


def _read_cells(group):
    facts = {name: group.attrs[name].item() for name in _CELLS_FACTS}
    return Cells(group["centroids"][:], group["cell"][:], **facts)


def _write_survey(group, survey):
    group.attrs["are_units"] = survey.are_units
    if survey.nearest is not None:
        group["nearest"] = survey.nearest
        group.attrs["digest"] = hashlib.sha256(survey.nearest.data).hexdigest()


def _read_survey(group, n_tracks):
    are_units = bool(group.attrs["are_units"])
    if "nearest" not in group:
        return Survey(are_units)
    nearest = group["nearest"][:]
    if nearest.shape != (n_tracks,) or nearest.dtype != np.float64:
        raise ValueError(f"neighbourhoods of shape {nearest.shape} for {n_tracks} tracks")
    if hashlib.sha256(nearest.data).hexdigest() != group.attrs["digest"]:
        raise ValueError("its neighbourhoods are not what was written")
    return Survey(are_units, nearest)


def digest_of(data):
    """What tells the content (IndexData) of one index from another's: `digest` of its file, hexadecimal digits."""
    sha = hashlib.sha256(json.dumps([data.config, data.calibration]).encode())
    for name in IDS:
        if name in _OPTIONAL:  # or indexes would not open that were made before there were any
            continue
        sha.update("\0".join(data.ids[name]).encode())
    sha.update(np.ascontiguousarray(data.embeddings).data)
    if data.cells is not None:
        sha.update(np.ascontiguousarray(data.cells.centroids).data)
        sha.update(np.ascontiguousarray(data.cells.cell).data)
        sha.update(json.dumps([getattr(data.cells, name) for name in _CELLS_FACTS]).encode())
    return sha.hexdigest()
