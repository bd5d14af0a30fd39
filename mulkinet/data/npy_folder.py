"""A folder of `<song>_<version>.npy`, as SHS100K's features come, read as a store is.

Conventions: a file is one track of a single array: HPCP, (n_frames, 12), or a constant-Q spectrum,
(84, n_frames), floating point. Its name up to the last "_" is the work_id, what follows the
track_id. HPCP is essentia's, a hop of 1024 samples at 44.1 kHz, sums of 20 frames divided by their
maximum, bin 0 is A; the spectrum is that of CQTNet (Yu et al., ICASSP 2020), bin 0 is C. Both have
2.153 frames per second. Nothing is ever unpickled.
"""

from pathlib import Path

import numpy as np

from mulkinet.data.arrays import frames_as_rows, refuse_values
from mulkinet.data.store import FeatureStore, natural_key, why_no_id
from mulkinet.errors import MulkinetError, SkippedInput
from mulkinet.features import cqt
from mulkinet.features.audio import is_audio
from mulkinet.files.numpy_files import UNREADABLE

__all__ = ["NpyFolder", "open_data", "open_npy", "read_npy"]

_HPCP_SETTINGS = {
    "extractor": "essentia",
    "extractor_version": "that of the data set",
    "n_bins": 12,
    "bin0": "A",
    "sr": 44100,
    "hop_length": 1024,
    "frame_rate": 44100 / (1024 * 20),
    "frame_size": 4096,
    "window": "blackmanharris92",
    "peaks": "at most 30 of 40-5000 Hz by magnitude, threshold 1e-5",
    "profile": "7 harmonics, 40-5000 Hz, squared cosine of 4/3",
    "sum_of_frames": 20,
    "normalisation": "maximum",
}
_CQT_SETTINGS = {
    "extractor": "librosa",
    "extractor_version": "that of the data set",
    **cqt.SETTINGS,
}
_SETTINGS = {"hpcp": _HPCP_SETTINGS, "cqt": _CQT_SETTINGS}


def open_data(path):
    """A FeatureStore, or as if it were one a folder of `.npy` files (NpyFolder).

    Raises:
        MulkinetError: It is neither.
    """
    return NpyFolder(path) if Path(path).is_dir() else FeatureStore(path)


class NpyFolder(FeatureStore):
    """A folder of `<song>_<version>.npy`, read as a store is.

    The files' headers are read when the lengths of tracks are first asked for. A file that cannot
    be used matters only when its track is: `check_finite` and `read` name it then.

    Attributes:
        path, name, attributes, work_ids, track_ids, features, metadata: As of a FeatureStore.
        foreign: list of (path, reason) of `.npy` files whose names are not `<song>_<version>.npy`, or
            no ids.

    Args:
        path: The folder.

    Raises:
        MulkinetError: There is no such folder, no file of that kind in it, or none can be read.
    """

    def __init__(self, path):
        self.path = Path(path)
        self.name = self.path.resolve().name
        self.attributes = {"source": "npy-dir"}
        self.metadata = {}
        self.foreign = []
        self._files = {}
        self._rows = None
        self._offsets = None
        keys = sorted(self._find(), key=lambda key: tuple(map(natural_key, key)))
        self.work_ids = np.asarray([work for work, _ in keys])
        self.track_ids = np.asarray([track for _, track in keys])
        self.features = (self._tell_feature(),)

    def file(self, row):
        """The pathlib.Path of a track's file."""
        return self._files[self.work_ids[row], self.track_ids[row]]

    def settings(self, feature):
        """See FeatureStore."""
        self._check_feature(feature)
        return dict(_SETTINGS[feature])

    def offsets(self, feature):
        """See FeatureStore; a file that cannot be used counts as empty."""
        self._check_feature(feature)
        if self._offsets is None:
            lengths = [self._n_frames_in_file(row) for row in range(len(self))]
            self._offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        return self._offsets

    def frames(self, feature):
        """Not there: the frames of a folder lie in as many files as it has tracks."""
        raise MulkinetError(
            f"expected a store to map as one array, found the folder {self.path}; "
            "make a store of it with preprocess.py npy-dir, or use read"
        )

    def release(self):
        """Does nothing: the map of a file goes with what was read of it."""

    def read(self, feature, row, start=0, n_frames=None):
        """See FeatureStore; a memory map of the track's own file."""
        self._check_feature(feature)
        try:
            frames = read_npy(self.file(row), feature)
        except SkippedInput as error:
            raise MulkinetError(
                f"{self.file(row)}: {error}; take the track out of the list"
            ) from error
        return frames[start : None if n_frames is None else start + n_frames]

    def check_finite(self, feature, rows=None):
        """See FeatureStore; also raises where a track's file cannot be used."""
        for row in range(len(self)) if rows is None else rows:
            try:
                refuse_values(self.read(feature, row), feature)
            except SkippedInput as error:
                raise MulkinetError(
                    f"{self.file(row)}: {error}; extract it again or take it out of the list"
                ) from error

    def _find(self):
        if not self.path.is_dir():
            raise MulkinetError(f"expected a folder of .npy files at {self.path}, found none")
        keys = []
        for file in sorted(self.path.glob("[!.]*")):
            if file.suffix.lower() != ".npy":
                continue
            work, _, track = file.stem.rpartition("_")
            reason = why_no_id(file.stem)
            if not (work and track):
                reason = "expected a name such as <song>_<version>.npy"
            elif (work, track) in self._files:
                reason = (
                    f"expected one file of a name, found {self._files[work, track].name} before"
                )
            if reason:
                self.foreign.append((file, reason))
            else:
                keys.append((work, track))
                self._files[work, track] = file
        if not keys and any(is_audio(path) for path in self.path.glob("*/*")):
            raise MulkinetError(
                f"expected a feature store or files <song>_<version>.npy, found the audio in {self.path}; "
                f"make a store of it with preprocess.py from-audio-dir -a {self.path}"
            )
        if not keys:
            raise MulkinetError(
                f"expected files <song>_<version>.npy in {self.path}, found none; "
                "name the folder that holds them, or a feature store"
            )
        return keys

    def _tell_feature(self):
        """That of the first file whose shape leaves no doubt: (84, 12) could be either."""
        first = None
        for row in range(len(self)):
            try:
                shape = open_npy(self.file(row)).shape
            except SkippedInput as error:
                first = first or (self.file(row), error)
                continue
            if (12 in shape) != (84 in shape):
                return "hpcp" if 12 in shape else "cqt"
            first = first or (
                self.file(row),
                f"expected (n_frames, 12) or (84, n_frames), found {shape}",
            )
        raise MulkinetError(
            f"expected arrays of hpcp or cqt in {self.path}, found none, the first {first[0].name}: {first[1]}"
        )

    def _n_frames_in_file(self, row):
        try:
            return len(read_npy(self.file(row), self.features[0]))
        except SkippedInput:
            return 0

    def _check_feature(self, feature):
        if feature not in self.features:
            raise MulkinetError(
                f"expected {feature} in {self.path}, found only {self.features[0]}; name a folder or "
                "store that has it"
            )


def open_npy(path):
    """A `.npy` file as a read-only numpy.memmap of two axes, floating point, with at least one value.

    Raises:
        SkippedInput: It is absent, damaged, holds objects, or is of another kind.
    """
    try:
        x = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise SkippedInput("expected a .npy file, found none of that name") from error
    except UNREADABLE as error:
        reason = " ".join(str(error).split())
        raise SkippedInput(
            f"expected a .npy file of numbers, found something else ({reason})"
        ) from error
    if not isinstance(x, np.ndarray):
        x.close()
        raise SkippedInput("expected a .npy file, found an .npz archive of that name")
    if x.dtype.kind != "f":
        raise SkippedInput(f"expected floating point, found {x.dtype}")
    if x.ndim != 2 or not x.size:
        raise SkippedInput(f"expected an array of two axes, found shape {x.shape}")
    return x


def read_npy(path, feature):
    """Frames of a track's `.npy` file of "hpcp" or "cqt": (n_frames, n_bins) float32.

    Raises:
        SkippedInput: See `open_npy`; or the file is of another feature.
    """
    n_bins = _SETTINGS[feature]["n_bins"]
    return frames_as_rows(open_npy(path), feature, n_bins, when_square=feature == "hpcp")
