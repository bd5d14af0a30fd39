"""Every encoding decodes to the sound that went into it: its length, its level, its shape."""

from fractions import Fraction

import av
import numpy as np
import pytest
import soundfile

from mulkinet.features.audio import decode
from mulkinet.features.provenance import SR

SECONDS = 3.0


def chirps(sr, n_channels, seconds=SECONDS):
    """(n_samples, n_channels) float32: in each channel the same sound, so that their mean is it too."""
    t = np.arange(int(sr * seconds)) / sr
    y = 0.4 * np.sin(2 * np.pi * (200 + 200 * t) * t) * (0.6 + 0.4 * np.sin(2 * np.pi * 1.5 * t))
    return np.repeat(y[:, None], n_channels, axis=1).astype(np.float32)


def check(path, sr, n_channels):
    """Length to 0.07 s, level to 1 %, correlation to .98, wherever the coder's delay has put it."""
    audio = decode(path)
    expected = chirps(SR, 1)[:, 0]
    assert (audio.sr, audio.channels) == (sr, n_channels)
    assert audio.seconds == pytest.approx(SECONDS, abs=0.07)
    assert len(audio.y) == pytest.approx(SECONDS * SR, abs=0.07 * SR)
    n = 1 << int(len(expected) + len(audio.y)).bit_length()
    lags = np.fft.irfft(np.fft.rfft(audio.y, n) * np.conj(np.fft.rfft(expected, n)))
    shift = int(np.argmax(lags))
    shift -= n * (shift > n // 2)
    assert abs(shift) < 0.07 * SR
    inner = slice(SR // 2, 5 * SR // 2)
    found = audio.y[inner.start + shift : inner.stop + shift]
    level = np.sqrt(np.mean(found**2) / np.mean(expected[inner] ** 2))
    assert level == pytest.approx(1, abs=0.01)
    assert np.corrcoef(found, expected[inner])[0, 1] > 0.98


SNDFILE = [
    (suffix, format, subtype, sr, n_channels)
    for suffix, format, subtype in [
        ("wav", "WAV", "PCM_U8"),
        ("wav", "WAV", "PCM_16"),
        ("wav", "WAV", "PCM_24"),
        ("wav", "WAV", "PCM_32"),
        ("wav", "WAV", "FLOAT"),
        ("wav", "WAV", "DOUBLE"),
        ("wav", "WAV", "ULAW"),
        ("wav", "WAV", "ALAW"),
        ("wav", "WAV", "IMA_ADPCM"),
        ("wav", "WAV", "MS_ADPCM"),
        ("wave", "WAVEX", "PCM_16"),
        ("rf64", "RF64", "PCM_16"),
        ("w64", "W64", "PCM_24"),
        ("aiff", "AIFF", "PCM_16"),
        ("aif", "AIFF", "PCM_24"),
        ("aifc", "AIFF", "FLOAT"),
        ("aifc", "AIFF", "ULAW"),
        ("caf", "CAF", "PCM_16"),
        ("caf", "CAF", "FLOAT"),
        ("caf", "CAF", "ALAC_16"),
        ("au", "AU", "PCM_16"),
        ("snd", "AU", "FLOAT"),
        ("flac", "FLAC", "PCM_16"),
        ("flac", "FLAC", "PCM_24"),
        ("ogg", "OGG", "VORBIS"),
        ("mp3", "MP3", "MPEG_LAYER_III"),
    ]
    for sr, n_channels in [(SR, 2)]
] + [("opus", "OGG", "OPUS", 48000, 2)]
RATES = [("mp3", "MP3", "MPEG_LAYER_III", sr, 1) for sr in (16000, 48000)] + [
    ("wav", "WAV", "PCM_16", sr, 1) for sr in (8000, 11025, 22050, 96000, 192000, 384000)
]
CHANNELS = [("wav", "WAV", "PCM_16", SR, n_channels) for n_channels in (1, 4, 5, 6, 8, 16)]


@pytest.mark.parametrize(
    ("suffix", "format", "subtype", "sr", "n_channels"), SNDFILE + RATES + CHANNELS
)
def test_what_libsndfile_writes(tmp_path, suffix, format, subtype, sr, n_channels):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, chirps(sr, n_channels), sr, format=format, subtype=subtype)
    check(path, sr, n_channels)


def encode(path, codec, sr, layout):
    """Writes the sound with one of FFmpeg's encoders, into the container that the name's ending says."""
    samples = chirps(sr, av.AudioLayout(layout).nb_channels)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=sr, layout=layout)
        stream.bit_rate = 192000
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples.T), format="fltp", layout=layout
        )
        frame.sample_rate = sr
        frame.time_base = Fraction(1, sr)
        frame.pts = 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


FFMPEG = [
    ("m4a", "aac", SR, "stereo"),
    ("m4a", "alac", SR, "stereo"),
    ("m4a", "aac", 48000, "4.0"),
    ("m4a", "alac", SR, "mono"),
    ("mp4", "aac", 48000, "stereo"),
    ("mov", "pcm_s16le", SR, "stereo"),
    ("aac", "aac", SR, "stereo"),
    ("wma", "wmav2", SR, "stereo"),
    ("asf", "wmav1", SR, "stereo"),
    ("webm", "libopus", 48000, "stereo"),
    ("mkv", "libopus", 48000, "stereo"),
    ("mkv", "flac", SR, "stereo"),
    ("mka", "ac3", 48000, "4.0"),
    ("avi", "mp2", SR, "stereo"),
    ("avi", "pcm_s16le", SR, "stereo"),
    ("flv", "aac", SR, "stereo"),
    ("ts", "mp2", 48000, "stereo"),
    ("mp2", "mp2", SR, "stereo"),
    ("ac3", "ac3", 48000, "stereo"),
    ("wv", "wavpack", SR, "stereo"),
    ("tta", "tta", SR, "stereo"),
    ("oga", "flac", SR, "stereo"),
]


@pytest.mark.parametrize(("suffix", "codec", "sr", "layout"), FFMPEG)
def test_what_ffmpeg_writes(tmp_path, suffix, codec, sr, layout):
    path = tmp_path / f"a.{suffix}"
    encode(path, codec, sr, layout)
    check(path, sr, av.AudioLayout(layout).nb_channels)


@pytest.mark.parametrize("bitrate_mode", ["CONSTANT", "VARIABLE"])
def test_an_mp3_with_half_a_megabyte_of_tags(tmp_path, bitrate_mode):
    path = tmp_path / "a.mp3"
    soundfile.write(path, chirps(SR, 2), SR, bitrate_mode=bitrate_mode)
    n = 500_000  # a comment as long as a picture
    size = bytes(n >> shift & 127 for shift in (21, 14, 7, 0))
    frame = b"COMM" + (n - 10).to_bytes(4, "big") + bytes(2)
    path.write_bytes(b"ID3\x03\x00\x00" + size + frame + b"x" * (n - 10) + path.read_bytes())
    check(path, SR, 2)
