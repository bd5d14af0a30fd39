"""The feature store: one HDF5 file for a data set, readable with h5py alone.

Conventions: a track's key is the pair (work_id, track_id); SHS100K has a version 0 in every song.
Arrays shown to a person are (n_bins, n_frames); on disk frames are rows, so that a crop is one
read. Every feature is one contiguous dataset, so it can be memory-mapped.

Layout: root attributes `format`, `version`, `name` and what made the file; `/work_id`, `/track_id`
(N,) UTF-8, sorted by work and then track in natural order; `/metadata/<field>` (N,) UTF-8; per
feature a group with `frames` (total_frames, n_bins), `offsets` (N + 1,) int64 and its settings as
attributes (`n_bins`, `bin0`, `sr`, `hop_length`, `frame_rate`, ...). `store_writer.py` makes them.
"""

import mmap
import re
from pathlib import Path

import h5py
import numpy as np

from mulkinet.errors import MulkinetError
from mulkinet.files.hdf5 import FileKind, open_checked

__all__ = ["FeatureStore", "natural_key", "why_no_id"]

KIND = FileKind("feature store", "mulkinet-features", 1, "make one with preprocess.py")
REQUIRED_SETTINGS = ("bin0", "sr", "hop_length", "frame_rate")
_FINITE_CHECK_FRAMES = 1 << 16
_SPANS_HELD = 64


def natural_key(text):
    """Sorting key in which "track10" comes after "track9"."""
    parts = re.split(r"(\d+)", text)
    # The text itself last: "01" and "1" are equal as numbers, and the order must be total.
    return tuple((int(p), "") if p.isdecimal() else (-1, p) for p in parts), text


def why_no_id(name):
    """Why a name cannot be an id in a store and a list file; None if it can."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return "expected a name in UTF-8, found other bytes; rename it"
    if "\t" in name or "\0" in name or len(name.splitlines()) != 1:
        return "expected a name without tabs, line ends and zero bytes; rename it"
    return None


# What stores say they were made of, where that is no recordings.
_SYNTHETIC = ("charts", "demo")


class FeatureStore:
    """A data set's features, opened for reading.

    The file is checked when it is opened (format, version, ids, shapes, offsets); the values of a
    feature on demand, by `check_finite`.

    Attributes:
        path: pathlib.Path of the file.
        name: Name of the data set.
        attributes: dict, what made the file: package and extractor versions, every setting.
        work_ids: (N,) array of str.
        track_ids: (N,) array of str.
        features: tuple of str, the features it holds.
        metadata: dict of field to (N,) array of str (title, artist, ...); may be empty.

    Args:
        path: An HDF5 file that `StoreWriter` made.

    Raises:
        MulkinetError: The file is absent, no HDF5 file, not a store, newer than this package, or
            contradicts itself.

    Examples:
        >>> from mulkinet import FeatureStore
        >>> store = FeatureStore("sample.h5")
        >>> list(zip(store.work_ids.tolist(), store.track_ids.tolist()))
        [('a', '9'), ('a', '10'), ('b', '1')]
        >>> store.get(("a", "9"), "hpcp").shape
        (12, 5)
    """

    def __init__(self, path):
        self.path = Path(path)
        self._maps = {}
        self._rows = None
        with open_checked(self.path, KIND) as file:
            self._read_header(file)
            self._groups = {name: self._read_group(file, name) for name in self.features}

    @property
    def is_synthetic(self):
        """Whether it holds music that a program played."""
        return self.attributes.get("source") in _SYNTHETIC

    def __len__(self):
        return len(self.track_ids)

    def __repr__(self):
        return (
            f"FeatureStore({str(self.path)!r}: {len(self)} tracks of "
            f"{len(set(self.work_ids))} works, {', '.join(self.features)})"
        )

    def get(self, track, feature):
        """One track's feature.

        Args:
            track: A track_id, or a pair (work_id, track_id) where several works have that track_id.
            feature: One of `features`.

        Returns:
            (n_bins, n_frames) float32.

        Raises:
            MulkinetError: There is no such track or feature, or the track_id is ambiguous.
        """
        frames = self.read(feature, self.row(track))
        return np.ascontiguousarray(frames.T, dtype=np.float32)

    def read(self, feature, row, start=0, n_frames=None):
        """A crop of one track, as it lies in the file: one read.

        Args:
            feature: One of `features`.
            row: Row of the track.
            start: First frame.
            n_frames: How many; by default all to the end, and never beyond it.

        Returns:
            (at most n_frames, n_bins) view of the memory map: frames are rows.
        """
        first, end = self.offsets(feature)[row : row + 2]
        stop = end if n_frames is None else min(first + start + n_frames, end)
        return self.frames(feature)[first + start : stop]

    def n_frames(self, feature):
        """(N,) int64: frames of each track."""
        return np.diff(self.offsets(feature))

    def row(self, track):
        """Row of a track in `work_ids`, `track_ids` and the offsets.

        Args:
            track: A track_id or a pair (work_id, track_id).

        Returns:
            int.

        Raises:
            MulkinetError: There is no such track, or the track_id alone is ambiguous.
        """
        if not isinstance(track, str):
            rows = [self.rows_by_key.get(tuple(track))]
        else:
            rows = np.flatnonzero(self.track_ids == track).tolist() or [None]
        if rows[0] is None:
            raise MulkinetError(
                f"expected a track of {self.path}, found {track!r}, which it does not hold; "
                "see FeatureStore.track_ids"
            )
        if len(rows) > 1:
            raise MulkinetError(
                f"track_id {track!r} is in {len(rows)} works of {self.path}; "
                f"name one as a pair, such as ({str(self.work_ids[rows[0]])!r}, {track!r})"
            )
        return rows[0]

    @property
    def rows_by_key(self):
        """Dict of (work_id, track_id) to row."""
        if self._rows is None:
            keys = zip(self.work_ids.tolist(), self.track_ids.tolist())
            self._rows = {key: row for row, key in enumerate(keys)}
        return self._rows

    def frames(self, feature):
        """All tracks' frames as a read-only memory map.

        Args:
            feature: One of `features`.

        Returns:
            (total_frames, n_bins) float32 or float16; track i is rows offsets[i] to offsets[i + 1].
        """
        group = self._group(feature)
        if feature not in self._maps:
            self._maps[feature] = np.memmap(
                self.path, group["dtype"], "r", group["position"], group["shape"]
            )
        return self._maps[feature]

    def release(self):
        """Gives back the memory of what was read from the maps; the system's cache may keep it.

        Pages of a mapped file count as this process's memory from the first time they are read.
        """
        for frames in self._maps.values():
            frames.base.madvise(mmap.MADV_DONTNEED)

    def offsets(self, feature):
        """(N + 1,) int64: where each track's frames begin and end in `frames`."""
        return self._group(feature)["offsets"]

    def settings(self, feature):
        """Dict of what the feature is and how it was made (`n_bins`, `bin0`, `sr`, ...)."""
        return dict(self._group(feature)["settings"])

    def check_finite(self, feature, rows=None):
        """Checks that every value of a feature is finite.

        Args:
            feature: One of `features`.
            rows: Rows of the tracks to look at; all by default.

        Raises:
            MulkinetError: A track has NaN or infinite values; it is named.
        """
        offsets = self.offsets(feature)
        frames = self.frames(feature)
        if rows is None:
            spans = [
                (start, min(start + _FINITE_CHECK_FRAMES, len(frames)))
                for start in range(0, len(frames), _FINITE_CHECK_FRAMES)
            ]
        else:
            spans = [(offsets[row], offsets[row + 1]) for row in rows]
        for number, (start, end) in enumerate(spans):
            if number % _SPANS_HELD == 0:
                self.release()
            finite = np.isfinite(frames[start:end]).all(axis=1)
            if not finite.all():
                row = np.searchsorted(offsets, start + np.argmin(finite), side="right") - 1
                raise MulkinetError(
                    f"expected finite values in {self.path}, found NaN or infinity in {feature} of "
                    f"work {self.work_ids[row]!r}, track {self.track_ids[row]!r}; "
                    "extract that track again or leave it out of the list"
                )

    def _group(self, feature):
        if feature not in self._groups:
            raise MulkinetError(
                f"expected {feature} in {self.path}, found only {', '.join(self.features)}; "
                "name a store that has it, or make this one again with it"
            )
        return self._groups[feature]

    def _read_header(self, file):
        self.name = str(file.attrs["name"])
        self.attributes = _plain(file.attrs)
        self.work_ids = file["work_id"].asstr()[:].astype(str)
        self.track_ids = file["track_id"].asstr()[:].astype(str)
        if self.work_ids.shape != self.track_ids.shape or self.work_ids.ndim != 1:
            raise ValueError(f"{self.work_ids.shape} work_ids for {self.track_ids.shape} track_ids")
        fields = file["metadata"] if "metadata" in file else {}
        self.metadata = {field: fields[field].asstr()[:].astype(str) for field in fields}
        self.features = tuple(
            name for name in file if isinstance(file[name], h5py.Group) and "frames" in file[name]
        )

    def _read_group(self, file, feature):
        frames, offsets = file[feature]["frames"], file[feature]["offsets"][:]
        if frames.ndim != 2 or frames.dtype not in (np.float32, np.float16):
            raise ValueError(f"{feature}/frames is {frames.dtype} of shape {frames.shape}")
        if frames.chunks is not None or frames.id.get_offset() is None:
            raise ValueError(f"{feature}/frames is not contiguous")
        if (
            offsets.shape != (len(self) + 1,)
            or offsets[0] != 0
            or offsets[-1] != len(frames)
            or (np.diff(offsets) < 1).any()
        ):
            raise ValueError(
                f"{feature}/offsets do not divide {len(frames)} frames into {len(self)} tracks"
            )
        settings = _plain(file[feature].attrs)
        missing = [key for key in ("n_bins", *REQUIRED_SETTINGS) if key not in settings]
        if missing or settings["n_bins"] != frames.shape[1]:
            raise ValueError(f"{feature} lacks {', '.join(missing) or 'the right n_bins'}")
        return {
            "offsets": offsets.astype(np.int64),
            "settings": settings,
            "position": frames.id.get_offset(),
            "shape": frames.shape,
            "dtype": frames.dtype,
        }


def _plain(attributes):
    # Numpy's scalars become Python's, so that settings can be compared and written as JSON.
    return {
        key: value.item() if isinstance(value, np.generic) else value
        for key, value in attributes.items()
    }
