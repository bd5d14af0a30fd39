"""Decoding: what every file becomes, and the reason for each that cannot be used."""

import struct

import av
import numpy as np
import pytest
import soundfile

from mulkinet.errors import SkippedInput
from mulkinet.features.audio import AudioFile, decode, read_tags
from mulkinet.features.provenance import SR


def sine(sr=SR, seconds=2.0, hz=440):
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(int(sr * seconds)) / sr)


@pytest.fixture
def music(rng):
    """20 s that MP3 and Ogg cannot make small."""
    return (0.2 * rng.standard_normal(20 * SR)).clip(-1, 1)


def reason(path):
    with pytest.raises(SkippedInput) as caught:
        decode(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff"])
def test_formats_decode_to_the_same_samples(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, sine(), SR)
    audio = decode(path)
    assert (audio.sr, audio.channels) == (SR, 1)
    assert audio.seconds == pytest.approx(2, abs=0.1)
    assert audio.y.dtype == np.float32
    np.testing.assert_allclose(audio.y[: SR // 2], sine()[: SR // 2], atol=0.05)


def test_stereo_is_averaged(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.stack([sine(), np.zeros(2 * SR)], axis=1), SR, subtype="FLOAT")
    audio = decode(path)
    assert audio.channels == 2
    np.testing.assert_allclose(audio.y, sine() / 2, atol=1e-6)


@pytest.mark.parametrize("sr", [8000, 22050, 48000])
def test_other_rates_are_resampled(tmp_path, sr):
    path = tmp_path / "a.wav"
    soundfile.write(path, sine(sr), sr)
    audio = decode(path)
    assert audio.sr == sr
    assert len(audio.y) == 2 * SR
    middle = slice(SR // 2, SR)
    np.testing.assert_allclose(audio.y[middle], sine()[middle], atol=1e-3)


def test_empty_silent_short_and_broken_samples(tmp_path):
    path = tmp_path / "a.wav"
    path.touch()
    assert reason(path) == "expected audio, found an empty file"
    soundfile.write(path, np.zeros(SR), SR)
    assert "found silence" in reason(path)
    soundfile.write(path, sine()[:1] + 0.1, SR)
    assert "at least 0.5 s of audio, found 1 samples" in reason(path)
    soundfile.write(path, np.where(np.arange(SR) == 9, np.nan, 0.1), SR, subtype="FLOAT")
    assert "found NaN or infinity" in reason(path)
    assert "No such file" in reason(tmp_path / "b.wav")


@pytest.mark.parametrize("content", [b"no audio, but words\n" * 500, bytes(range(256)) * 100])
def test_no_audio_named_mp3(tmp_path, capfd, content):
    path = tmp_path / "a.mp3"
    path.write_bytes(content)
    assert "found what FFmpeg cannot read (Invalid data" in reason(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff"])
def test_truncated(tmp_path, suffix, music):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, music, SR)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "found a truncated" in reason(path)


def test_a_wav_of_unknown_length_is_no_truncated_one(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, sine(), SR)
    content = bytearray(path.read_bytes())
    for position in (4, content.find(b"data") + 4):
        content[position : position + 4] = struct.pack("<I", 0xFFFFFFFF)
    path.write_bytes(content)
    assert len(decode(path).y) == 2 * SR


def test_a_flac_of_unknown_length_is_read_to_its_end(tmp_path):
    path = tmp_path / "a.flac"
    soundfile.write(path, sine(), SR)
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0  # the 36 bits of STREAMINFO that count samples
    content[22:26] = bytes(4)
    path.write_bytes(content)
    assert len(decode(path).y) == 2 * SR


@pytest.mark.parametrize("is_loud_first", [False, True])
def test_an_mp3_that_does_not_say_its_length_is_read_to_its_end(tmp_path, music, is_loud_first):
    path = tmp_path / "a.mp3"
    music[: len(music) // 2] *= is_loud_first
    music[len(music) // 2 :] *= not is_loud_first
    soundfile.write(path, music, SR, bitrate_mode="VARIABLE")
    content = path.read_bytes()
    rates = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320]
    n_bytes = 144_000 * rates[content[2] >> 4] // SR + (content[2] >> 1 & 1)
    assert b"Xing" in content[:n_bytes]
    path.write_bytes(content[n_bytes:])
    assert abs(soundfile.info(path).duration - 20) > 2  # what the first frame suggests
    assert decode(path).seconds == pytest.approx(20, abs=0.1)


def test_leading_and_trailing_silence(tmp_path):
    path = tmp_path / "a.wav"
    noise = 2e-5 * np.random.default_rng(0).standard_normal(3 * SR)
    y = np.concatenate([noise + 0.1, sine(), np.zeros(SR // 2), sine(), noise])
    soundfile.write(path, y, SR, subtype="FLOAT")
    assert decode(path).sound_sec == pytest.approx((3, 7.5), abs=0.1)
    soundfile.write(path, sine(), SR)
    assert decode(path).sound_sec == pytest.approx((0, 2), abs=0.1)


def test_pieces_are_the_whole_and_take_little_memory(tmp_path):
    path = tmp_path / "a.flac"
    soundfile.write(path, sine(48000, seconds=60), 48000)
    file = AudioFile(path)
    pieces = list(file.pieces())
    assert max(map(len, pieces)) < 30 * SR
    np.testing.assert_array_equal(np.concatenate(pieces), decode(str(path)).y)
    assert (file.seconds, file.sr, file.note) == (pytest.approx(60), 48000, "")


@pytest.mark.parametrize("suffix", ["mp3", "flac", "m4a", "ogg"])
def test_tags(tmp_path, suffix):
    path, tags = tmp_path / f"a.{suffix}", {"title": "Una canción", "artist": "A\x1b[31m"}
    if suffix == "ogg":
        with soundfile.SoundFile(path, "w", SR, 1) as file:
            file.title, file.artist = tags.values()
            file.write(sine())
    else:
        with av.open(str(path), "w") as file:
            file.metadata.update(tags)
            stream = file.add_stream({"m4a": "aac"}.get(suffix, suffix), rate=SR)
            samples = sine()[None].astype(np.float32)
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            frame.sample_rate = SR
            as_coded = av.AudioResampler(stream.format.name, "mono", SR).resample(frame)
            for one in [*as_coded, None]:
                file.mux(list(stream.encode(one)))
    found = read_tags(path)
    assert {name: found[name] for name in tags} == tags
    path.write_bytes(b"nothing")
    assert read_tags(path) == {}
