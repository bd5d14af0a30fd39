"""Audio files to mono samples at 44.1 kHz, by FFmpeg's libraries, which PyAV brings along.

Whatever FFmpeg knows is read: every link of a chained Ogg, every part of a joined MP3, the sound of a
video. What was decoded is compared with what the file promises: a header's duration or size, the end
mark of an Ogg's last page. A raw stream (MP3 without a Xing header, MP2, ADTS) promises nothing, so
that a part of one looks whole.

Conventions: (n_samples,) float32 in [-1, 1], the mean of all channels, resampled with soxr's high quality.
Samples come in pieces of some seconds, so that a recording of hours takes no more memory than a song.
"""

import collections
import functools
import itertools
import os
import stat
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mulkinet.errors import SkippedInput
from mulkinet.features.promises import has_ogg_end, promised_bytes, seconds_by_xing
from mulkinet.features.provenance import SR

__all__ = [
    "AUDIO_SUFFIXES",
    "is_audio",
    "MIN_SEC",
    "Audio",
    "AudioFile",
    "Heard",
    "check_file",
    "check_samples",
    "decode",
    "read_tags",
]

# Below this the constant-Q spectrum has no mean of 20 frames, and there is no music to compare.
MIN_SEC = 0.5

# -80 dB of full scale: the dither of a 16-bit file is below it, music is not.
_SILENCE = 1e-4
# A frame of this many samples (93 ms) is silent where its level is 60 dB below the loudest, or that of one bit of 16.
_LEVEL_FRAME = 4096
_QUIETEST_PART = 1e-3
_ONE_BIT = 2.0**-15
# Channels of opposite polarity leave less than this part of their energy in their mean.
_CANCELLED = 1e-4
# Whether channels cancel is decided on this much of the beginning, which is held back until then.
_HELD_BACK_SEC = 300

AUDIO_SUFFIXES = frozenset(
    ".wav .wave .flac .ogg .oga .opus .spx .mp3 .mp2 .mpga .aiff .aif .aifc .au .snd .caf .w64 .rf64 .voc "
    ".m4a .m4b .m4r .mp4 .mov .3gp .aac .wma .asf .ape .wv .tta .mpc .webm .weba .mka .mkv .avi .flv .ts "
    ".ac3 .amr .dsf .dff .ra".split()
)

_WHOLE_PART = 0.99
_FRAMES_AT_A_TIME = 256
# Containers whose duration is what their header says, and not a guess from size and bit rate.
_STATED_DURATION = frozenset(
    "aiff ape asf au caf flac flv matroska,webm mov,mp4,m4a,3gp,3g2,mj2 mpc mpc8 tta w64 wav wv".split()
)
# These name other files or addresses, which FFmpeg would open.
_REFERRING_FORMATS = frozenset(
    ["concat", "concatf", "dash", "hls", "imf", "image2", "rtp", "rtsp", "sap", "sdp", "tty"]
)


def is_audio(path):
    """Whether a pathlib.Path is a file, or a link to nowhere, with the name of a recording."""
    return path.suffix.lower() in AUDIO_SUFFIXES and not path.is_dir()


class Audio(NamedTuple):
    """What a file holds.

    Attributes:
        y: (n_samples,) float32, mono at 44.1 kHz.
        seconds: Duration.
        sr: Sampling rate of the file in Hz.
        channels: Channels of the file.
        is_partial: Whether the file holds less than it promises.
        note: What its user should know of how it was read, "" where there is nothing.
        sound_sec: (start, end) in seconds of what is not leading or trailing silence.
    """

    y: np.ndarray
    seconds: float
    sr: int
    channels: int
    is_partial: bool
    note: str
    sound_sec: tuple


def decode(path, *, accept_partial=False, max_sec=None):
    """Decodes a file as a whole.

    Args:
        path: str or path of an audio file of any sampling rate and number of channels, or of a
            video, of which the first audio stream is taken.
        accept_partial: Take what there is of a truncated or damaged file.
        max_sec: Longest sound to take; no limit by default.

    Returns:
        Audio.

    Raises:
        SkippedInput: The file is empty, truncated, silent, too short, too long, unreadable or no audio.
    """
    file = AudioFile(path, accept_partial=accept_partial, max_sec=max_sec)
    y = np.concatenate([np.zeros(0, np.float32), *file.pieces()])
    facts = file.seconds, file.sr, file.channels, file.is_partial, file.note
    return Audio(y, *facts, file.sound_sec)


class AudioFile:
    """A file of audio, decoded piece by piece.

    Attributes:
        seconds, sr, channels, is_partial, note, sound_sec: As those of `Audio`, once `pieces` has ended.

    Args:
        path, accept_partial, max_sec: As for `decode`.

    Raises:
        SkippedInput: There is no such file, or nothing in it.
    """

    def __init__(self, path, *, accept_partial=False, max_sec=None):
        path = Path(path)
        check_file(path)
        self._path = path
        self._max_sec = max_sec
        self._accept_partial = accept_partial

    def pieces(self):
        """Decodes.

        Yields:
            (n_samples,) float32, mono at 44.1 kHz, of some seconds; all of them are the whole recording.

        Raises:
            SkippedInput: As `decode`; mostly at the end, after all pieces, which are of no use then.
        """
        heard = Heard()
        notes = []
        sound, pieces = self._begin(channel=None)
        if sound.cancels():
            louder = int(np.argmax(sound.energies))
            notes = [f"its channels cancel each other; channel {louder + 1} was taken alone"]
            sound, pieces = self._begin(channel=louder)
        for y in pieces:
            heard.add(y)
            yield y
        missing = _what_is_missing(self._path, sound)
        if missing and not self._accept_partial:
            raise SkippedInput(f"expected whole audio, found {missing}")
        heard.check(SR)
        self.seconds, self.sr, self.channels = sound.seconds, sound.sr or SR, sound.channels
        self.is_partial = bool(missing)
        self.note = "; ".join([missing, *notes] if missing else notes)
        self.sound_sec = heard.sound_sec(SR)

    def _begin(self, channel):
        """(_Sound, iterator over all pieces), after decoding the beginning."""
        sound = _Sound(channel, self._max_sec)
        pieces = _decoded(self._path, sound)
        beginning = collections.deque()
        for y in pieces:
            beginning.append(y)
            if sound.seconds >= _HELD_BACK_SEC:
                break
        # What is handed on is no longer held.
        held = (beginning.popleft() for _ in range(len(beginning)))
        return sound, itertools.chain(held, pieces)


def check_file(path):
    """Raises SkippedInput where a file is absent, empty, unreadable, or none, such as a pipe, which may never end."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise SkippedInput("expected a file of audio, found a pipe, folder or device")
        if found.st_size == 0:
            raise SkippedInput("expected audio, found an empty file")
        with open(path, "rb"):
            pass
    except OSError as error:
        raise SkippedInput(f"cannot read it: {error.strerror}") from error


def check_samples(y, sr):
    """Checks that there is something to hear of (n_samples,) samples in [-1, 1] at a rate in Hz.

    Returns:
        (start, end) in seconds of what is not leading or trailing silence.

    Raises:
        SkippedInput: They are too few, not finite, or silent, a constant included.
    """
    heard = Heard()
    heard.add(np.asarray(y))
    heard.check(sr)
    return heard.sound_sec(sr)


class Heard:
    """How loud samples are that come in pieces."""

    def __init__(self):
        self._n_samples = 0
        self._low, self._high = np.inf, -np.inf
        self._levels = []
        self._rest = np.zeros(0, np.float32)

    def add(self, y):
        """Takes (n_samples,) more.

        Raises:
            SkippedInput: They are not finite.
        """
        if not len(y):
            return
        if not np.isfinite(y).all():
            raise SkippedInput("expected samples that are numbers, found NaN or infinity")
        self._n_samples += len(y)
        self._low, self._high = min(self._low, y.min()), max(self._high, y.max())
        y = np.concatenate([self._rest, y])
        n_whole = len(y) - len(y) % _LEVEL_FRAME
        self._levels.append(y[:n_whole].reshape(-1, _LEVEL_FRAME).std(axis=1))
        self._rest = y[n_whole:].copy()

    def check(self, sr):
        """Checks all of them, as `check_samples` does."""
        n, seconds = self._n_samples, self._n_samples / sr
        if seconds < MIN_SEC:
            raise SkippedInput(
                f"expected at least {MIN_SEC} s of audio, found {n} samples ({seconds:.3f} s)"
            )
        if self._high - self._low < 2 * _SILENCE:
            raise SkippedInput("expected sound, found silence from beginning to end")

    def sound_sec(self, sr):
        """(start, end) in seconds of what is not leading or trailing silence."""
        rest = [self._rest.std(keepdims=True)] if len(self._rest) else []
        levels = np.concatenate(self._levels + rest)
        loud = np.flatnonzero(levels > max(levels.max() * _QUIETEST_PART, _ONE_BIT))
        if not len(loud):
            return 0.0, self._n_samples / sr
        end = min((int(loud[-1]) + 1) * _LEVEL_FRAME, self._n_samples)
        return int(loud[0]) * _LEVEL_FRAME / sr, end / sr


class _Sound:
    """What was decoded of a file so far.

    Attributes:
        sr: Sampling rate of the beginning in Hz; a chained Ogg may change it. None before there is any.
        seconds: Duration.
        channels: Channels of the last frames.
        energies: (channels,) sum of squares of each channel, as long as their number stays.
        format: FFmpeg's name of the container.
        promised_sec: Duration that the header states; None where it is a guess.
        reached_sec: End of the last packet of any stream, where something is promised.
        n_packets, n_damaged: Of audio.
        stopped_by: Why FFmpeg read no further, "" where it came to the end.

    Args:
        channel: The channel to take instead of the mean of all, or None.
        max_sec: Seconds of which more are refused, or None.
    """

    def __init__(self, channel, max_sec):
        self.sr = None
        self.seconds = 0.0
        self.channels = 0
        self.energies = np.zeros(0)
        self.format = ""
        self.promised_sec = None
        self.reached_sec = 0.0
        self.n_packets = self.n_damaged = 0
        self.stopped_by = ""
        self._mono_energy = 0.0
        self._channel = channel
        self._max_sec = max_sec
        self._pending = []
        self._pending_sr = None
        self._resampler = None

    def add(self, x, sr):
        """Takes a frame, (channels, n_samples); they are averaged many at a time, which is much faster.

        Yields:
            (n_samples,) float32, mono at 44.1 kHz: what is ready.
        """
        if self._pending and (len(x) != self.channels or sr != self._pending_sr):
            yield from self.flush(is_last=sr != self._pending_sr)
        if len(x) != self.channels:
            self.channels, self.energies, self._mono_energy = len(x), np.zeros(len(x)), 0.0
        self.sr = self.sr or sr
        self._pending_sr = sr
        self._pending.append(x)
        if len(self._pending) == _FRAMES_AT_A_TIME:
            yield from self.flush()

    def flush(self, is_last=False):
        """Averages and resamples what `add` has taken; `is_last` where the sampling rate ends."""
        x = np.concatenate(self._pending, axis=1) if self._pending else np.zeros((1, 0), np.float32)
        sr, self._pending = self._pending_sr, []
        only = self._channel
        mono = x.mean(axis=0, dtype=np.float32) if only is None else x[min(only, len(x) - 1)].copy()
        if len(x) > 1:
            self.energies += [np.dot(channel, channel) for channel in x]
            self._mono_energy += float(np.dot(mono, mono))
        if sr is None:
            return
        self.seconds += len(mono) / sr
        if self._max_sec is not None and self.seconds > self._max_sec:
            raise SkippedInput(
                f"expected a sound of at most {self._max_sec:g} s, found a longer one"
            )
        if sr != SR:
            import soxr

            self._resampler = self._resampler or soxr.ResampleStream(sr, SR, 1, dtype="float32")
            mono = self._resampler.resample_chunk(mono, last=is_last)
            if is_last:
                self._resampler = None
        yield np.ascontiguousarray(mono, np.float32)

    def cancels(self):
        """Whether the channels' mean has lost what each of them holds."""
        return len(self.energies) > 1 and self._mono_energy < _CANCELLED * self.energies.max()


def read_tags(path):
    """Tags of a file (pathlib.Path): dict of str to str, as they are in it, names in lower case.

    Empty where it cannot be read, which is told when it is decoded.
    """
    import av

    try:
        with _open(path) as container:
            # An Ogg's tags belong to its stream.
            of_streams = [stream.metadata for stream in container.streams.audio[:1]]
            tags = [*of_streams, container.metadata]
            return {name.lower(): value for one in tags for name, value in one.items()}
    except (av.FFmpegError, ValueError):
        return {}


def _open(path):
    """av.container.InputContainer of a file."""
    import av

    # "file:" keeps FFmpeg from taking a name for one of its protocols, and the list of formats a
    # playlist from opening what it names.
    return av.open(
        f"file:{os.fspath(path.absolute())}",
        metadata_errors="ignore",
        options={"format_whitelist": ",".join(_formats())},
    )


def _decoded(path, sound):
    """Decodes a file; yields what `_Sound.add` does, and leaves in `sound` what else there is to know."""
    import av

    try:
        container = _open(path)
    except (av.FFmpegError, ValueError) as error:
        raise SkippedInput(
            f"expected audio, found what FFmpeg cannot read ({_reason(error)})"
        ) from error
    with container:
        if not container.streams.audio:
            raise SkippedInput("expected audio, found a file without a stream of sound")
        stream = container.streams.audio[0]
        stream.thread_type = "NONE"
        sound.format = container.format.name
        sound.promised_sec = _promised_sec(path, container, stream)
        try:
            for packet in container.demux():
                yield from _take(packet, stream, sound)
        except av.FFmpegError as error:
            sound.stopped_by = _reason(error)
        yield from sound.flush(is_last=True)


@functools.cache
def _formats():
    """FFmpeg's names of the containers that hold all that they play."""
    import av

    return sorted(av.formats_available - _REFERRING_FORMATS)


def _take(packet, stream, sound):
    import av

    if sound.promised_sec and packet.pts is not None and packet.time_base:
        ticks, base = packet.pts + (packet.duration or 0), packet.time_base
        sound.reached_sec = max(sound.reached_sec, ticks * base.numerator / base.denominator)
    if packet.stream.index != stream.index:
        return
    sound.n_packets += 1
    try:
        for frame in packet.decode():
            yield from sound.add(_as_float(frame), frame.sample_rate)
    except av.FFmpegError:
        sound.n_damaged += 1


def _as_float(frame):
    """A frame's samples, (channels, n_samples) in [-1, 1]."""
    x = frame.to_ndarray()
    if not frame.format.is_planar:
        x = x.reshape(frame.samples, -1).T
    if x.dtype == np.uint8:
        return (x.astype(np.float32) - 128) / 128
    if x.dtype.kind == "i":
        return (x / 2.0 ** (8 * x.dtype.itemsize - 1)).astype(np.float32)
    return x.astype(np.float32, copy=False)


def _promised_sec(path, container, stream):
    if container.format.name == "mp3":
        return seconds_by_xing(path)
    if container.format.name not in _STATED_DURATION:
        return None
    if stream.duration:
        return float(stream.duration * stream.time_base)
    return container.duration / 1e6 if container.duration else None


def _what_is_missing(path, sound):
    """Says where less was decoded than the file promises, or much of it is damaged; "" where it is whole."""
    there, promised = f"{sound.seconds:.1f} s", sound.promised_sec
    is_reached = promised and max(sound.seconds, sound.reached_sec) >= _WHOLE_PART * promised
    n_promised, n_bytes = promised_bytes(path), path.stat().st_size
    if sound.stopped_by and not is_reached:
        return f"a truncated file: {there}, then FFmpeg reads no further ({sound.stopped_by})"
    if promised and not is_reached:
        return f"a truncated file: {there} of the {promised:.1f} s that its header promises"
    if n_promised and n_bytes < _WHOLE_PART * n_promised:
        return f"a truncated file: {there}, in {n_bytes} of the {n_promised} bytes that its header promises"
    if sound.format == "ogg" and not has_ogg_end(path):
        return f"a truncated file: {there} without the mark that ends an Ogg"
    if sound.n_damaged > 1 + (1 - _WHOLE_PART) * sound.n_packets:
        return f"{sound.n_damaged} damaged packets of {sound.n_packets}"
    return ""


def _reason(error):
    return getattr(error, "strerror", None) or " ".join(str(error).split())
