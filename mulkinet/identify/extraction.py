"""Audio and features, prepared as the index's model was trained to see them.

Conventions: features are (n_bins, n_frames) float32; "raw" ones are the extractor's, at full length;
"stored" ones have been resized or downsampled as the model's metadata says, as a store holds them.
What is shorter than the model was trained to see is repeated from its beginning, in the index as in
the query, so that the same excerpt gives the same embedding. Zeros at the end, which training may
have used, would make all short recordings look alike.

Public names: `Extraction`, `Recording`, `read_recordings`, `stored_settings`.
"""

import functools
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mulkinet.embedding import check_compatible, embed_arrays, prepare_track
from mulkinet.errors import MulkinetError, SkippedInput
from mulkinet.features import FEATURES, extractor
from mulkinet.features.audio import check_samples, decode
from mulkinet.features.provenance import SR, quiet
from mulkinet.features.resize import TrackLength, wrap
from mulkinet.workers import run_in_processes

__all__ = ["Extraction", "Recording", "read_recordings", "stored_settings"]

# Windows of long recordings are prepared in chunks, so that memory does not grow with their number.
_PREPARED_AT_A_TIME = 1024


@dataclass(frozen=True)
class Recording:
    """One query or one track of a collection.

    Attributes:
        x: (n_bins, n_frames) float32.
        frame_rate: Frames per second of `x`.
        is_stored: Whether `x` has its stored length already.
        seconds: Duration, as far as frames tell it.
    """

    x: np.ndarray
    frame_rate: float
    is_stored: bool
    seconds: float

    def cut(self, start_sec, end_sec):
        """The part between two times, at least one frame."""
        first, end = round(start_sec * self.frame_rate), round(end_sec * self.frame_rate)
        first = min(first, self.x.shape[1] - 1)
        x = self.x[:, first : max(end, first + 1)]
        return replace(self, x=x, seconds=x.shape[1] / self.frame_rate)


class Extraction:
    """The road from a recording to the embedding of one model.

    Attributes:
        model: EmbeddingNetwork.
        feature: Name of the feature the model was trained on.
        track_length: TrackLength, how raw features become stored ones.
        frame_rate: Stored frames per second.
        trained_frames: Stored frames that the model saw of a track in training; None if unknown.

    Args:
        model: EmbeddingNetwork whose metadata names the feature and its settings.

    Raises:
        MulkinetError: The metadata does not say which feature, or how it was made.
    """

    def __init__(self, model):
        self.model = model
        metadata = model.metadata
        self.feature = metadata.get("feature")
        if self.feature is None:
            raise MulkinetError(
                f"expected a model that says which feature it was trained on, found a {model.network} "
                "without; train it, or import published weights with mulkinet import"
            )
        self._settings = metadata.get("feature_settings", {})
        self.track_length = TrackLength(
            self._settings.get("spect_len"),
            self._settings.get("downsample", 1),
            self._settings["frame_rate"] if self._settings.get("averaged") else None,
        )
        self.frame_rate = self._settings.get("frame_rate") or self._stored_rate()
        # A network of any length says it where the trainer noted the options of the run.
        trained = metadata.get("training", {}).get("settings", {}).get("n_frames")
        self.trained_frames = model.n_frames or metadata.get("n_frames") or trained

    def _stored_rate(self):
        missing = [name for name in ("sr", "hop_length") if name not in self._settings]
        if missing:
            raise MulkinetError(
                f"expected a model that says how its {self.feature} was made, found a "
                f"{self.model.network} without {', '.join(missing)}; train it on a feature store"
            )
        raw = {"frame_rate": self._settings["sr"] / self._settings["hop_length"]}
        return self.track_length.settings(raw)["frame_rate"]

    @functools.cached_property
    def raw_frame_rate(self):
        """Frames per second of the extractor.

        Raises:
            MulkinetError: The model's feature cannot be extracted from audio, or only with settings
                other than the model's.
        """
        if self.feature not in FEATURES:
            raise MulkinetError(
                f"expected a model of a feature that audio gives ({', '.join(FEATURES)}), found one "
                f"trained on {self.feature!r}; index a feature store instead of audio"
            )
        made = extractor(self.feature).settings
        found = stored_settings(self.feature, self.track_length)
        check_compatible(self.model, _AsExtracted(self.feature, found))
        return made["frame_rate"]

    @property
    def trained_sec(self):
        """Length in seconds that the model saw of a track in training; None if unknown."""
        return self.trained_frames / self.frame_rate if self.trained_frames else None

    @property
    def least_sec(self):
        """Length in seconds up to which a recording is repeated."""
        return (self.trained_frames or self.model.min_frames) / self.frame_rate

    def from_samples(self, y):
        """Features of audio in memory.

        Args:
            y: (n_samples,) float32, mono at 44.1 kHz.

        Returns:
            Recording.

        Raises:
            SkippedInput: The samples are too few or silent, or they or the features are not finite.
        """
        rate = self.raw_frame_rate
        y = np.asarray(y, np.float32)
        check_samples(y, SR)
        x = _extract(y, self.feature)
        return Recording(x, rate, False, x.shape[1] / rate)

    def from_features(self, x):
        """Features in memory, as a store holds them.

        Args:
            x: (n_bins, n_frames), made with the model's settings.

        Returns:
            Recording.
        """
        x = np.asarray(x, np.float32)
        return Recording(x, self.frame_rate, True, x.shape[1] / self.frame_rate)

    def embed(self, recordings, batch_size=32):
        """Embeds recordings in batches.

        Args:
            recordings: list of Recording.
            batch_size: Recordings at a time; it changes speed and memory, not the result.

        Returns:
            (len(recordings), embedding_len) float32.
        """
        parts = [np.empty((0, self.model.embedding_len), np.float32)]
        for start in range(0, len(recordings), _PREPARED_AT_A_TIME):
            chunk = recordings[start : start + _PREPARED_AT_A_TIME]
            inputs = [self.prepare(recording) for recording in chunk]
            parts.append(embed_arrays(self.model, inputs, batch_size=batch_size))
        return np.concatenate(parts)

    def prepare(self, recording):
        """What the network is given of a recording.

        Args:
            recording: Recording.

        Returns:
            (n_bins, frames) float32.
        """
        x = recording.x
        if not recording.is_stored:
            x = self.track_length.apply(x, recording.frame_rate)
        if self.trained_frames and x.shape[1] < self.trained_frames:
            x = wrap(x, self.trained_frames)
        return prepare_track(self.model, x, pad="wrap")


class _AsExtracted:
    """What `check_compatible` asks of a store, answered for audio."""

    path = "this audio"

    def __init__(self, feature, settings):
        self.features = (feature,)
        self._settings = settings

    def settings(self, _feature):
        """Settings of the stored frames."""
        return self._settings


def stored_settings(feature, track_length):
    """Settings of a feature extracted from audio, as a store gives them back.

    Args:
        feature: One of `mulkinet.features.FEATURES`.
        track_length: TrackLength.

    Returns:
        dict; what HDF5 has no type for is JSON, as it is in a store.
    """
    return {
        name: value if isinstance(value, (str, bool, int, float)) else json.dumps(value)
        for name, value in track_length.settings(extractor(feature).settings).items()
    }


def read_recordings(paths, extraction, n_workers=1, *, framed=True):
    """Decodes audio files and extracts the model's feature, in processes where there are many.

    Args:
        paths: list of pathlib.Path, each once.
        extraction: Extraction.
        n_workers: Processes, at least 1.
        framed: Whether to bring features to their stored length; raw ones can be cut exactly, but
            take many times the memory.

    Yields:
        (path, Recording, or str with the reason why it cannot be used), as they end.
    """
    rate = extraction.raw_frame_rate
    track_length = extraction.track_length if framed else None
    task = functools.partial(
        _read_one, feature=extraction.feature, rate=rate, track_length=track_length
    )
    n_workers = min(n_workers, len(paths))
    if n_workers <= 1:
        results = ((path, task(path)) for path in paths)
    else:
        results = run_in_processes(task, paths, n_workers)
    for path, found in results:
        if isinstance(found, str):
            yield path, found
        else:
            x, seconds = found
            yield path, Recording(x, extraction.frame_rate if framed else rate, framed, seconds)


def _read_one(path, feature, rate, track_length):
    """Features and their duration, or the reason why there are none. Runs in a worker."""
    try:
        _check_name(path)
        with quiet():
            x = _extract(decode(Path(path)).y, feature)
        seconds = x.shape[1] / rate
        return x if track_length is None else track_length.apply(x, rate), seconds
    except SkippedInput as error:
        return str(error)
    except Exception as error:
        # Whatever a library makes of a strange file must not end a run of thousands.
        return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _check_name(path):
    try:
        os.fspath(path).encode("utf-8")
    except UnicodeEncodeError as error:
        raise SkippedInput("expected a name in UTF-8, found other bytes; rename it") from error


def _extract(y, feature):
    x = extractor(feature)(y)
    if not np.isfinite(x).all():
        raise SkippedInput(f"expected finite values, found NaN or infinity in its {feature}")
    return x
