"""What a file promises is what is read: nothing in part without a word, nothing good refused."""

import numpy as np
import pytest
import soundfile

from mulkinet.features.audio import decode
from mulkinet.features.promises import seconds_by_xing
from mulkinet.features.provenance import SR
from tests.features.test_audio import reason
from tests.features.test_formats import chirps, encode


@pytest.fixture
def noise(rng):
    """20 s that no coder makes small."""
    return (0.2 * rng.standard_normal(20 * SR)).clip(-1, 1)


def cut(path, part=0.6):
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])


@pytest.mark.parametrize(("suffix", "subtype"), [("ogg", "VORBIS"), ("opus", "OPUS")])
def test_every_link_of_a_chained_ogg(tmp_path, noise, suffix, subtype):
    links = []
    for i, part in enumerate((noise[: 8 * SR], noise[8 * SR :])):
        link = tmp_path / f"{i}.{suffix}"
        sr = 48000 if subtype == "OPUS" else SR
        soundfile.write(link, part, sr, format="OGG", subtype=subtype)
        links.append(link.read_bytes())
    path = tmp_path / f"chained.{suffix}"
    path.write_bytes(b"".join(links))
    assert decode(path).seconds == pytest.approx(20 * SR / sr, abs=0.1)
    cut(path, 0.8)
    assert "without the mark that ends an Ogg" in reason(path)


def test_a_chained_ogg_that_changes_its_rate_is_not_read_in_part(tmp_path):
    links = []
    for sr in (SR, 22050):
        link = tmp_path / f"{sr}.ogg"
        soundfile.write(link, chirps(sr, 1), sr)
        links.append(link.read_bytes())
    path = tmp_path / "a.ogg"
    path.write_bytes(b"".join(links))
    assert "3.0 s, then FFmpeg reads no further" in reason(path)


@pytest.mark.parametrize("bitrate_mode", ["CONSTANT", "VARIABLE"])
@pytest.mark.parametrize("levels", [(0, 1), (1, 1), (1, 1e-4)])
def test_every_part_of_a_joined_mp3(tmp_path, noise, bitrate_mode, levels):
    parts = []
    for i, (part, level) in enumerate(zip((noise[: 8 * SR], noise[8 * SR :]), levels)):
        soundfile.write(
            tmp_path / f"{i}.mp3",
            level * part,
            SR,
            bitrate_mode=bitrate_mode,
            compression_level=0.1 if level else 0.9,
        )
        parts.append((tmp_path / f"{i}.mp3").read_bytes())
    path = tmp_path / "joined.mp3"
    path.write_bytes(b"".join(parts))
    assert decode(path).seconds == pytest.approx(20, abs=0.2)


@pytest.mark.parametrize(
    ("suffix", "codec", "sr"),
    [
        ("webm", "libopus", 48000),
        ("mkv", "libopus", 48000),
        ("wma", "wmav2", SR),
        ("oga", "flac", SR),
        ("flv", "aac", SR),
        ("avi", "mp2", SR),
        ("tta", "tta", SR),
        ("wv", "wavpack", SR),
    ],
)
def test_half_a_download_says_how_much_is_there(tmp_path, suffix, codec, sr):
    path = tmp_path / f"a.{suffix}"
    encode(path, codec, sr, "stereo")
    cut(path)
    found = reason(path)
    assert "found a truncated file: " in found
    there = float(found.split("truncated file: ")[1].split(" s")[0])
    assert 0.9 < there < 2.2
    audio = decode(path, accept_partial=True)
    assert audio.seconds == pytest.approx(there, abs=0.06)
    assert audio.is_partial
    assert found == f"expected whole audio, found {audio.note}"


def test_the_end_of_a_mov_is_its_table_of_contents(tmp_path):
    path = tmp_path / "a.m4a"
    encode(path, "aac", SR, "stereo")
    cut(path)
    assert "found what FFmpeg cannot read" in reason(path)


def test_flac_with_an_id3v1_tag_behind_it(tmp_path):
    path = tmp_path / "a.flac"
    soundfile.write(path, chirps(SR, 2), SR)
    path.write_bytes(path.read_bytes() + b"TAG" + b"Title".ljust(125, b"\0"))
    assert decode(path).seconds == pytest.approx(3)


def test_mp3_without_a_xing_header_cut_in_its_last_frame_or_with_zeros_behind(tmp_path, noise):
    path = tmp_path / "a.mp3"
    soundfile.write(path, noise, SR, bitrate_mode="CONSTANT")
    content = path.read_bytes()
    second = content.index(content[:2], 4)  # the first frame is the header
    path.write_bytes(content[second:-100])
    assert decode(path).seconds == pytest.approx(20, abs=0.2)
    path.write_bytes(content[second:] + bytes(100_000))
    assert decode(path).seconds == pytest.approx(20, abs=0.2)


@pytest.mark.parametrize("sr", [SR, 48000, 32000, 22050, 16000, 11025])
def test_an_mp3_with_a_xing_header_says_how_long_it_is(tmp_path, noise, sr):
    path = tmp_path / "a.mp3"
    soundfile.write(path, noise[: 6 * sr], sr, bitrate_mode="VARIABLE")
    content = path.read_bytes()
    assert seconds_by_xing(path) == pytest.approx(6, abs=0.2)
    path.write_bytes(content + bytes(50_000))
    assert decode(path).seconds == pytest.approx(6, abs=0.1)
    path.write_bytes(content[: len(content) // 2])
    assert "that its header promises" in reason(path)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
def test_a_wav_whose_sizes_were_never_written(tmp_path, size):
    path = tmp_path / "a.wav"
    soundfile.write(path, chirps(SR, 1), SR)
    content = bytearray(path.read_bytes())
    for at in (4, content.find(b"data") + 4):
        content[at : at + 4] = size.to_bytes(4, "little")
    path.write_bytes(content)
    assert decode(path).seconds == pytest.approx(3)


def test_a_playlist_is_no_audio_and_opens_nothing(tmp_path):
    path = tmp_path / "a.m3u8"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n")
    assert "found what FFmpeg cannot read" in reason(path)


def quiet_files():
    rng = np.random.default_rng(0)
    yield "constant", np.full(SR, 0.1), "PCM_16"
    yield "8-bit zero", np.full(SR, -1 / 128), "PCM_U8"
    yield "dither", rng.integers(-1, 2, SR) / 32768, "PCM_16"


@pytest.mark.parametrize(("name", "y", "subtype"), list(quiet_files()), ids=lambda x: str(x)[:10])
def test_silence_is_what_does_not_move(tmp_path, name, y, subtype):
    path = tmp_path / "a.wav"
    soundfile.write(path, y, SR, subtype=subtype)
    assert "found silence" in reason(path)


def test_channels_that_cancel_are_told_and_the_louder_taken(tmp_path):
    path = tmp_path / "a.wav"
    y = chirps(SR, 1)[:, 0]
    soundfile.write(path, np.stack([0.999 * y, -y], axis=1), SR, subtype="FLOAT")
    audio = decode(path)
    assert audio.note == "its channels cancel each other; channel 2 was taken alone"
    np.testing.assert_allclose(audio.y, -y, atol=1e-6)
