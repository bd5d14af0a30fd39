"""Audio files to mono samples at 44.1 kHz.

libsndfile reads WAV, FLAC, Ogg, MP3, AIFF and their kin; what it cannot open (M4A, WMA, ...) goes
through ffmpeg where that is installed.

Conventions: (n_samples,) float32 in [-1, 1], channels averaged, resampled with soxr's high quality.

Public names: `Audio`, `decode`, `check_file`, `check_samples`, `MIN_SEC`, `AUDIO_SUFFIXES`.
"""

import contextlib
import os
import re
import shutil
import stat
import subprocess
import threading
from typing import NamedTuple

import numpy as np

from mulkinet.errors import SkippedInput
from mulkinet.features.provenance import SR, quiet

__all__ = ["Audio", "decode", "check_file", "check_samples", "MIN_SEC", "AUDIO_SUFFIXES"]

# Below this the constant-Q spectrum has no mean of 20 frames, and there is no music to compare.
MIN_SEC = 0.5

# 16-bit audio cannot hold anything as quiet as this, so it is no recording.
_SILENCE = 1e-5

AUDIO_SUFFIXES = frozenset(
    ".wav .flac .ogg .oga .opus .mp3 .mp2 .aiff .aif .aifc .au .snd .caf .w64 .rf64 "
    ".m4a .mp4 .m4b .aac .wma .ape .wv .webm .mka .mpc .tta .ac3 .amr".split()
)

_BLOCK_FRAMES = 1 << 20
# A header that promises this many bytes or more was written by a program that did not know.
_UNKNOWN_BYTES = 0x7FFFF000
_TRUNCATED_PART = 0.99
# libsndfile's number of frames of a file that does not say.
_UNKNOWN_FRAMES = 0x7FFFFFFFFFFFFFFF


class Audio(NamedTuple):
    """What a file holds.

    Attributes:
        y: (n_samples,) float32, mono at 44.1 kHz.
        seconds: Duration.
        sr: Sampling rate of the file in Hz; 0 where ffmpeg decoded it.
        channels: Channels of the file; 0 where ffmpeg decoded it.
    """

    y: np.ndarray
    seconds: float
    sr: int
    channels: int


def decode(path):
    """Decodes a file.

    Args:
        path: pathlib.Path of an audio file of any sampling rate and number of channels.

    Returns:
        Audio.

    Raises:
        SkippedInput: The file is empty, truncated, silent, too short, unreadable or no audio.
    """
    check_file(path)
    y, sr, channels = _decode_libsndfile(path)
    check_samples(y, sr or SR)
    seconds = len(y) / (sr or SR)
    if sr not in (0, SR):
        import soxr

        y = soxr.resample(y, sr, SR)
    return Audio(np.ascontiguousarray(y, dtype=np.float32), seconds, sr, channels)


def check_file(path):
    """Checks that there is something to read.

    Args:
        path: pathlib.Path of a file.

    Raises:
        SkippedInput: It is absent, empty, unreadable, or no file, such as a pipe, which may never end.
    """
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
    """Checks that there is something to hear.

    Args:
        y: (n_samples,) samples in [-1, 1].
        sr: Their sampling rate in Hz.

    Raises:
        SkippedInput: They are too few, not finite, or silent.
    """
    seconds = len(y) / sr
    if seconds < MIN_SEC:
        raise SkippedInput(
            f"expected at least {MIN_SEC} s of audio, found {len(y)} samples ({seconds:.3f} s)"
        )
    if not np.isfinite(y).all():
        raise SkippedInput("expected samples that are numbers, found NaN or infinity")
    if np.abs(y).max() < _SILENCE:
        raise SkippedInput("expected sound, found silence from beginning to end")


def _decode_libsndfile(path):
    import soundfile

    # mpg123, which libsndfile reads MP3 with, comments on a damaged file on stderr.
    with quiet():
        try:
            file = _open(path)
        except soundfile.LibsndfileError as error:
            return _decode_ffmpeg(path, _reason(error)), 0, 0
        with file:
            _check_whole(file.extra_info)
            try:
                y = np.concatenate(list(_mono_blocks(file)))
            except soundfile.LibsndfileError as error:
                raise SkippedInput(
                    f"expected whole audio, found a truncated or damaged file ({_reason(error)})"
                ) from error
            if file.frames != _UNKNOWN_FRAMES and len(y) < _TRUNCATED_PART * file.frames:
                raise _truncated(file.frames / file.samplerate, len(y) / file.samplerate, "s")
            return y, file.samplerate, file.channels


def _open(path):
    """A soundfile.SoundFile to be read from beginning to end."""
    import soundfile

    class Sequential(soundfile.SoundFile):
        def seekable(self):
            # SoundFile.read seeks to where it is, which fails in a FLAC that does not say its length.
            return False

    file = Sequential(path)
    if file.format == "MP3":
        # Where an MP3 does not say its length, libsndfile guesses it by the first frame and reads no
        # further. From a pipe it does not guess.
        piped = Sequential(_pipe(path))
        if piped.frames == _UNKNOWN_FRAMES:
            file.close()
            return piped
        piped.close()
    return file


def _pipe(path):
    """A file descriptor from which a file comes that cannot be sought in."""
    reading, writing = os.pipe()

    def feed():
        with open(path, "rb") as source, open(writing, "wb") as sink:
            with contextlib.suppress(BrokenPipeError):
                shutil.copyfileobj(source, sink)

    threading.Thread(target=feed, daemon=True).start()
    return reading


def _mono_blocks(file):
    # Not SoundFile.blocks: where a truncated MP3 ends, that goes on with what the buffer held.
    while True:
        block = file.read(_BLOCK_FRAMES, dtype="float32", always_2d=True)
        yield block.mean(axis=1)
        if not len(block):
            return


def _reason(error):
    return error.error_string.split("Error : ")[-1].strip().rstrip(".")


def _check_whole(log):
    """Reads in libsndfile's log of the header whether the file is shorter than it promises."""
    for promised, found in re.findall(r": (\d+) \(should be (\d+)\)", log):
        if int(found) < _TRUNCATED_PART * int(promised) and int(promised) < _UNKNOWN_BYTES:
            raise _truncated(int(promised), int(found), "bytes")
    if re.search("Junk after the last page|without an End-Of-Stream flag", log):
        raise SkippedInput("expected whole audio, found a truncated file: it ends within a page")


def _truncated(promised, found, unit):
    return SkippedInput(
        f"expected whole audio, found a truncated file: {found:.6g} {unit} "
        f"of the {promised:.6g} that its header promises"
    )


def _decode_ffmpeg(path, reason):
    program = shutil.which("ffmpeg")
    if program is None:
        raise SkippedInput(
            f"expected audio, found what libsndfile cannot read ({reason}); "
            "if it is audio, convert it to FLAC or install ffmpeg"
        )
    # "file:" keeps ffmpeg from taking a name for one of its protocols.
    options = ["-nostdin", "-v", "error", "-xerror", "-i", f"file:{path.absolute()}"]
    output = ["-map", "0:a:0", "-ac", "1", "-ar", str(SR), "-f", "f32le", "pipe:1"]
    done = subprocess.run([program, *options, *output], capture_output=True, check=False)
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise SkippedInput(
            "expected audio, found what neither libsndfile nor ffmpeg can read: "
            + lines[-1].replace(f"file:{path.absolute()}", "").lstrip(": ")
        )
    return np.frombuffer(done.stdout, dtype="<f4")
