"""From recordings to the embeddings of one model.

Conventions: features are (n_bins, n_frames) float32; "raw" ones are the extractor's, at full length;
"stored" ones have been resized or downsampled as the model's metadata says, as a store holds them.
"""

import functools
import os
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Optional

import numpy as np

from mulkinet.data.store_writer import as_stored
from mulkinet.embedding import (
    check_compatible,
    embed_arrays,
    fixed_frames,
    least_frames,
    prepare_track,
    trained_frames,
)
from mulkinet.errors import MulkinetError, SkippedInput
from mulkinet.features import FEATURES, extractor
from mulkinet.features.audio import AudioFile, check_samples
from mulkinet.features.blocks import whole_features
from mulkinet.features.provenance import SR
from mulkinet.features.resize import CROP_SEC, TrackLength, trim
from mulkinet.workers import reason_or_result, run_in_processes

__all__ = ["Embedder", "Recording", "read_recordings", "stored_settings"]

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
        note: What its user should know of how the file was read, "" where there is nothing.
        sound_sec: (start, end) in seconds of what is embedded of it as a whole; None for all. Times are the file's
            throughout, so that silence is not cut from `x`.
    """

    x: np.ndarray
    frame_rate: float
    is_stored: bool
    seconds: float
    note: str = ""
    sound_sec: Optional[tuple] = None

    def cut(self, start_sec, end_sec):
        """The part between two times, at least one frame."""
        first, end = round(start_sec * self.frame_rate), round(end_sec * self.frame_rate)
        first = min(first, self.x.shape[1] - 1)
        x = self.x[:, first : max(end, first + 1)]
        return replace(self, x=x, seconds=x.shape[1] / self.frame_rate, sound_sec=None)


class Embedder:
    """A model, and what it has to be given of a recording.

    Attributes:
        model: EmbeddingNetwork.
        feature: Name of the feature the model was trained on.
        track_length: TrackLength, how raw features become stored ones.
        frame_rate: Stored frames per second.
        trained_frames: Stored frames that the model saw of a track in training; None if unknown.
        is_tuned: Whether features are extracted with the recording's tuning corrected.
        is_trimmed: Whether leading and trailing silence of recordings is left out.

    Args:
        model: EmbeddingNetwork whose metadata names the feature and its settings.
        is_tuned: As the attribute.
        is_trimmed: As the attribute.

    Raises:
        MulkinetError: The metadata does not say which feature, or how it was made.
    """

    def __init__(self, model, *, is_tuned=False, is_trimmed=False):
        self.model = model
        self.is_tuned, self.is_trimmed = is_tuned, is_trimmed
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
        self.trained_frames = trained_frames(model)
        self._fixed_frames = fixed_frames(model)

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
        # What is asked of a store, answered for audio.
        audio = SimpleNamespace(
            path="this audio", features=(self.feature,), settings=lambda _feature: found
        )
        check_compatible(self.model, audio)
        return made["frame_rate"]

    @property
    def trained_sec(self):
        """Length in seconds that the model saw of a track in training; None if unknown."""
        return self.trained_frames / self.frame_rate if self.trained_frames else None

    def heard_sec(self, seconds):
        """Seconds, from the beginning, that the model takes of a recording of a length."""
        limits = [seconds]
        if self.track_length.spect_len is not None:
            limits.append(CROP_SEC)
        if self._fixed_frames:
            limits.append(self._fixed_frames / self.frame_rate)
        return min(limits)

    @property
    def least_sec(self):
        """Length in seconds up to which a recording is repeated."""
        return least_frames(self.model) / self.frame_rate

    def from_samples(self, y):
        """Recording of audio in memory, (n_samples,) float32, mono at 44.1 kHz.

        Raises:
            SkippedInput: The samples are too few or silent, or they or the features are not finite.
        """
        self.raw_frame_rate  # noqa: B018 - a model that cannot hear audio is refused first
        y = np.asarray(y, np.float32)
        sound_sec = check_samples(y, SR)
        x = whole_features([y], [self.feature], self.is_tuned)[self.feature]
        return self.from_raw(x, sound_sec)

    def from_raw(self, x, sound_sec, note=""):
        """Recording of features as the extractor gives them.

        Args:
            x: (n_bins, n_frames), at full length.
            sound_sec: (start, end) in seconds of what is not leading or trailing silence.
            note: As of a Recording.
        """
        rate = self.raw_frame_rate
        x, sound_sec = _sound(x, sound_sec if self.is_trimmed else None, rate, self.track_length)
        return Recording(x, rate, False, x.shape[1] / rate, note, sound_sec)

    def from_features(self, x):
        """Recording of features as a store holds them: (n_bins, n_frames), made with the model's settings."""
        x = np.asarray(x, np.float32)
        return Recording(x, self.frame_rate, True, x.shape[1] / self.frame_rate)

    def embed(self, recordings, batch_size=32):
        """(n, embedding_len) float32 of a list of n Recordings; the batch size changes speed and memory only."""
        parts = [np.empty((0, self.model.embedding_len), np.float32)]
        for start in range(0, len(recordings), _PREPARED_AT_A_TIME):
            chunk = recordings[start : start + _PREPARED_AT_A_TIME]
            inputs = [self.prepare(recording) for recording in chunk]
            parts.append(embed_arrays(self.model, inputs, batch_size=batch_size))
        return np.concatenate(parts)

    def prepare(self, recording):
        """What the network is given of a Recording: (n_bins, frames) float32."""
        x = recording.x
        if not recording.is_stored:
            x = self.track_length.apply(x, recording.frame_rate)
        if recording.sound_sec is not None:
            x = trim(x, recording.sound_sec, self.frame_rate)
        return prepare_track(self.model, x)


def stored_settings(feature, track_length):
    """Settings (dict) of a feature extracted from audio, as a store gives them: JSON of what HDF5 has no type for."""
    settings = track_length.settings(extractor(feature).settings)
    return {name: as_stored(value) for name, value in settings.items()}


def read_recordings(paths, embedder, n_workers=1, *, framed=True, accept_partial=False):
    """Decodes audio files and extracts the model's feature, in processes where there are many.

    Args:
        paths: list of pathlib.Path, each once.
        embedder: Embedder.
        n_workers: Processes, at least 1.
        framed: Whether to bring features to their stored length; raw ones can be cut exactly, but
            take many times the memory.
        accept_partial: As for `mulkinet.features.audio.decode`.

    Yields:
        (path, Recording, or str with the reason why it cannot be used), as they end.
    """
    rate = embedder.raw_frame_rate
    read = functools.partial(
        _read_one,
        feature=embedder.feature,
        is_tuned=embedder.is_tuned,
        is_trimmed=embedder.is_trimmed,
        rate=rate,
        track_length=embedder.track_length,
        framed=framed,
        accept_partial=accept_partial,
    )
    task = functools.partial(reason_or_result, read)
    for path, found in run_in_processes(task, paths, max(1, min(n_workers, len(paths)))):
        if isinstance(found, str):
            yield path, found
        else:
            yield (
                path,
                Recording(found[0], embedder.frame_rate if framed else rate, framed, *found[1:]),
            )


def _read_one(path, feature, is_tuned, is_trimmed, rate, track_length, framed, accept_partial):
    """Features, their duration, a note and where there is sound. Runs in a worker."""
    _check_name(path)
    file = AudioFile(Path(path), accept_partial=accept_partial)
    x = whole_features(file.pieces(), [feature], is_tuned)[feature]
    seconds = x.shape[1] / rate
    x, sound_sec = _sound(x, file.sound_sec if is_trimmed else None, rate, track_length)
    return track_length.apply(x, rate) if framed else x, seconds, file.note, sound_sec


def _sound(x, sound_sec, rate, track_length):
    """Raw features, and what is to be embedded of them: where only their beginning is used, silence goes before."""
    if sound_sec is None or track_length.spect_len is None:
        return x, sound_sec
    return trim(x, sound_sec, rate), None


def _check_name(path):
    try:
        os.fspath(path).encode("utf-8")
    except UnicodeEncodeError as error:
        raise SkippedInput("expected a name in UTF-8, found other bytes; rename it") from error
