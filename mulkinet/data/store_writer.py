"""Writing a feature store (`store.py` has its layout), track by track."""

import contextlib
import json
import os
from pathlib import Path

import h5py
import numpy as np

import mulkinet
from mulkinet.data.store import KIND, REQUIRED_SETTINGS, natural_key, why_no_id
from mulkinet.errors import MulkinetError
from mulkinet.files.hdf5 import atomic_hdf5

__all__ = ["StoreWriter", "as_stored", "check_name"]

_STRINGS = h5py.string_dtype("utf-8")


def check_name(name):
    """The name of a data set; raises MulkinetError where it cannot be that of its files."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise MulkinetError(
            f"expected the name of a data set in UTF-8, found {os.fsencode(name)!r}; try --name"
        ) from error
    if not name or name.startswith(".") or "/" in name or os.sep in name:
        raise MulkinetError(
            f"expected the name of a data set, which names files, found {name!r}; try --name"
        )
    return name


class StoreWriter:
    """Writes a feature store, track by track, as a context manager.

    The file gets its name when the block ends well; until then, and if it fails, nothing of that
    name is made or changed.

    Args:
        path: The file to make.
        name: Name of the data set.
        tracks: (work_id, track_id) pairs, in any order, each once.
        attributes: dict of what made the file (numbers, strings, or anything JSON can hold).
        metadata: dict of field to one str per track, in the order of `tracks`.

    Raises:
        MulkinetError: No tracks, a pair twice, an id that cannot be one, a track not written, a wrong
            shape, or a file that cannot be written.
    """

    def __init__(self, path, *, name, tracks, attributes=None, metadata=None):
        self.path = Path(path)
        tracks = [(str(work), str(track)) for work, track in tracks]
        if not tracks:
            raise MulkinetError(f"expected at least one track for {self.path}, found none")
        for key in tracks:
            reason = why_no_id(key[0]) or why_no_id(key[1])
            if reason:
                raise MulkinetError(f"work {key[0]!r}, track {key[1]!r}: {reason}")
        self._order = sorted(
            range(len(tracks)), key=lambda i: tuple(natural_key(part) for part in tracks[i])
        )
        self._tracks = [tracks[i] for i in self._order]
        self._row_of = {key: row for row, key in enumerate(self._tracks)}
        if len(self._row_of) < len(tracks):
            twice = next(key for key in tracks if tracks.count(key) > 1)
            raise MulkinetError(
                f"expected every track once, found work {twice[0]!r}, track {twice[1]!r} twice"
            )
        self._name = name
        self._attributes = dict(attributes or {})
        self._metadata = dict(metadata or {})
        self._datasets = {}
        self._offsets = {}
        self._written = {}

    def __enter__(self):
        self._stack = contextlib.ExitStack()
        self._file, self._check_disk = self._stack.enter_context(atomic_hdf5(self.path))
        try:
            self._write_header()
        except BaseException as error:
            if not self._stack.__exit__(type(error), error, error.__traceback__):
                raise
        return self

    def __exit__(self, kind, error, traceback):
        if error is None:
            try:
                self._check_complete()
            except MulkinetError as incomplete:
                self._stack.__exit__(MulkinetError, incomplete, incomplete.__traceback__)
                raise
        return self._stack.__exit__(kind, error, traceback)

    def add_feature(self, feature, *, n_frames, settings, dtype="float32"):
        """Makes room for a feature.

        Args:
            feature: Its name.
            n_frames: int for each track, in the order of the writer's `tracks`.
            settings: dict with n_bins, bin0, sr (Hz), hop_length (samples), frame_rate (frames per
                second) and whatever else the extraction depended on.
            dtype: "float32" or "float16".
        """
        missing = [key for key in ("n_bins", *REQUIRED_SETTINGS) if key not in settings]
        if missing:
            raise MulkinetError(f"expected settings of {feature} with {', '.join(missing)}")
        n_frames = np.asarray(n_frames, dtype=np.int64)
        if n_frames.shape != (len(self._tracks),) or (n_frames < 1).any():
            raise MulkinetError(
                f"expected {len(self._tracks)} numbers of frames from 1 for {feature}, "
                f"found {n_frames.size}, the least {n_frames.min(initial=0)}"
            )
        offsets = np.concatenate([[0], np.cumsum(n_frames[self._order])])
        group = self._file.create_group(feature)
        group.create_dataset("offsets", data=offsets)
        shape = (int(offsets[-1]), int(settings["n_bins"]))
        self._datasets[feature] = group.create_dataset("frames", shape, dtype)
        _set_attributes(group.attrs, settings)
        self._offsets[feature] = offsets
        self._written[feature] = np.zeros(len(self._tracks), bool)

    @property
    def tracks(self):
        """List of (work_id, track_id) in the order of the store."""
        return list(self._tracks)

    def write(self, feature, track, frames):
        """Writes one track's frames.

        Args:
            feature: A feature that was added.
            track: (work_id, track_id).
            frames: (n_frames, n_bins): frames are rows.
        """
        self.write_run(feature, [track], frames)

    def write_run(self, feature, tracks, frames):
        """Writes tracks that follow each other in the store, in one go.

        Args:
            feature: A feature that was added.
            tracks: (work_id, track_id) pairs, in the order of the store.
            frames: (their n_frames, n_bins): frames are rows.
        """
        first = self._row_of[tuple(tracks[0])]
        last = first + len(tracks)
        start, end = self._offsets[feature][[first, last]]
        dataset = self._datasets[feature]
        if frames.shape != (end - start, dataset.shape[1]):
            raise MulkinetError(
                f"expected {feature} of {tracks[0]} as {(end - start, dataset.shape[1])}, "
                f"found {frames.shape}"
            )
        dataset[start:end] = frames
        self._check_disk()
        self._written[feature][first:last] = True

    def _write_header(self):
        _set_attributes(self._file.attrs, {"mulkinet_version": mulkinet.__version__})
        _set_attributes(self._file.attrs, self._attributes)
        header = {"format": KIND.format, "version": KIND.version, "name": self._name}
        _set_attributes(self._file.attrs, header)
        works, tracks = zip(*self._tracks)
        self._file.create_dataset("work_id", data=list(works), dtype=_STRINGS)
        self._file.create_dataset("track_id", data=list(tracks), dtype=_STRINGS)
        for field, values in self._metadata.items():
            ordered = [_text(values[i]) for i in self._order]
            self._file.create_dataset(f"metadata/{field}", data=ordered, dtype=_STRINGS)

    def _check_complete(self):
        for feature, written in self._written.items():
            if not written.all():
                work, track = self._tracks[int(np.argmin(written))]
                raise MulkinetError(
                    f"{feature} of work {work!r}, track {track!r} was never written to {self.path}"
                )


def _text(value):
    # HDF5 takes neither bytes that are no UTF-8 nor zero bytes.
    return str(value).encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


def as_stored(value):
    """A setting as a store keeps it: what HDF5 has no type for is JSON, which h5py alone can still show."""
    is_plain = isinstance(value, (str, bool, int, float, np.generic))
    return value if is_plain else json.dumps(value)


def _set_attributes(attributes, values):
    attributes.update({key: as_stored(value) for key, value in values.items()})
