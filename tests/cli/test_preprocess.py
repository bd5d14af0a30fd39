"""`preprocess.py` and its sub-command `from-audio-dir`, as they are typed."""

import h5py
import numpy as np
import pytest
import soundfile

import mulkinet
from mulkinet.cli.preprocess import main
from mulkinet.sources.demo.performer import perform
from mulkinet.sources.demo.renderer import SR, render
from tests.commands import invoke
from tests.sources.audio_folders import make_works


def run(*arguments):
    return invoke(main, *arguments)


@pytest.fixture
def audio(tmp_path):
    """Two works of one track each."""
    return make_works(tmp_path / "audio", n_works=2, n_tracks=1)


def test_help_shows_defaults():
    shown = " ".join(run("from-audio-dir", "-h").output.split())
    for default in ("hpcp", "parallel", "-1", "500", "datasets"):
        assert f"[default: {default}" in shown


@pytest.fixture
def demo_audio(tmp_path):
    """Two works of the demo set, one performance of 2 seconds each."""
    for work in range(2):
        path = tmp_path / "audio" / f"work{work}" / "track0.flac"
        path.parent.mkdir(parents=True)
        soundfile.write(path, render(perform(0, work, 0, length_sec=(2.0, 2.0))), SR)
    return tmp_path / "audio"


def test_all_features_give_a_store_that_h5py_alone_opens(demo_audio, tmp_path):
    features = ["hpcp", "crema", "chroma_cens", "cqt"]
    chosen = [part for feature in features for part in ("-p", feature)]
    done = run("from-audio-dir", "-a", demo_audio, "-o", tmp_path / "out", "-r", "single", *chosen)
    assert done.exit_code == 0
    assert done.stdout == f"2 tracks of 2 works: {tmp_path}/out/audio.h5\n"
    with h5py.File(tmp_path / "out" / "audio.h5") as file:
        assert file["work_id"].asstr()[:].tolist() == ["work0", "work1"]
        for feature, n_bins in zip(features, (12, 12, 12, 84)):
            assert file[feature]["frames"].shape == (1000, n_bins)
            assert file[feature]["offsets"][:].tolist() == [0, 500, 1000]
            assert np.isfinite(file[feature]["frames"]).all()
            assert file[feature].attrs["bin0"] == ("A" if feature == "hpcp" else "C")


def test_skipped_inputs_are_listed_and_the_exit_code_is_3(audio, tmp_path):
    (audio / "work0" / "bad.wav").touch()
    (audio / "work0" / "of two\nlines.wav").touch()
    (audio / "work2").mkdir()
    done = run("from-audio-dir", "-a", audio, "-o", tmp_path / "out", "-r", "single")
    assert done.exit_code == 3
    listed = done.stderr.splitlines()[-4:]
    assert listed[0] == "3 skipped:"
    assert "of two\\nlines.wav: expected a name without tabs, line ends" in listed[1]
    assert listed[2].endswith("work2: expected audio files in the work folder, found none")
    assert listed[3].endswith("bad.wav: expected audio, found an empty file")


def test_full_length_downsampled_under_another_name(audio, tmp_path):
    arguments = ["-s", "full", "--downsample", "8", "--name", "other", "-r", "single"]
    done = run("from-audio-dir", "-a", audio, "-o", tmp_path, *arguments)
    assert done.exit_code == 0
    store = mulkinet.FeatureStore(tmp_path / "other.h5")
    assert store.settings("hpcp")["downsample"] == 8
    assert store.n_frames("hpcp").tolist() == [11, 11]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["-a", "x", "-p", "mfcc"],
        ["-a", "x", "-r", "cluster"],
        ["-a", "x", "-s", "many"],
        ["-a", "x", "-s", "0"],
        ["-a", "x", "--downsample", "0"],
        ["-a", "x", "-n", "two"],
        ["-a", "x", "--downsample", "4"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments):
    assert run("from-audio-dir", *arguments).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-a", "/no/such/folder"], "No such file or directory"),
        (["-n", "0"], "found 0"),
        (["-o", "x" * 300], "File name too long"),
    ],
)
def test_errors_are_one_line_and_exit_code_1(audio, tmp_path, arguments, message):
    done = run("from-audio-dir", "-a", audio, "-o", tmp_path / "out", *arguments)
    assert done.exit_code == 1
    assert len(done.stderr.splitlines()) == 1
    assert message in done.stderr
    assert not (tmp_path / "out").exists()


def test_an_unknown_source_is_wrong_usage():
    assert run("from-the-moon").exit_code == 2
