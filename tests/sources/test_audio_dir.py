"""From a folder of audio to a store: what is in it, what is skipped, and what survives a kill."""

import csv
import importlib.metadata
import json
import os
import resource
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
import soundfile

import mulkinet
from mulkinet import features
from mulkinet.errors import MulkinetError
from mulkinet.features import cache, extractor
from mulkinet.features.audio import AudioFile, decode
from mulkinet.features.provenance import SR
from mulkinet.features.resize import TrackLength
from mulkinet.sources.audio_dir import preprocess_audio_dir
from tests.sources.audio_folders import make_works, write_chord

COMMAND = (
    "import sys; from mulkinet.sources.audio_dir import preprocess_audio_dir as run; "
    "run(sys.argv[1], sys.argv[2], run_mode='single', spect_len=None, progress=False)"
)


def preprocess(audio, output, **options):
    return preprocess_audio_dir(
        audio, output, **{"run_mode": "single", "progress": False, **options}
    )


def files_of(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def contents(path):
    """dict of every data set and attribute of an HDF5 file."""
    found = {}

    def visit(name, item):
        found.update({f"{name}@{key}": value for key, value in item.attrs.items()})
        if isinstance(item, h5py.Dataset):
            found[name] = item[:].tobytes() if item.dtype.kind != "O" else item[:].tolist()

    with h5py.File(path) as file:
        visit("/", file)
        file.visititems(visit)
    return found


def test_the_store_holds_the_resized_features(tmp_path):
    audio = make_works(tmp_path / "audio", n_works=2, n_tracks=1)
    result = preprocess(audio, tmp_path / "out", features=["hpcp", "cqt"], spect_len=50)
    assert (result.n_works, result.n_tracks, result.skipped) == (2, 2, [])
    store = mulkinet.FeatureStore(result.store_path)
    assert (store.name, store.features) == ("audio", ("cqt", "hpcp"))
    assert store.work_ids.tolist() == ["work0", "work1"]
    assert store.metadata["path"].tolist() == ["work0/track0.wav", "work1/track0.wav"]
    y = decode(audio / "work1" / "track0.wav").y
    for feature in store.features:
        made = extractor(feature, is_tuned=True)
        # Frames lie as rows in a track's file, and the order in memory decides about the last bit.
        frames = np.asfortranarray(made(y))
        expected = TrackLength(50).apply(frames, made.settings["frame_rate"])
        np.testing.assert_array_equal(store.get(("work1", "track0"), feature), expected)
        assert store.settings(feature)["bin0"] == made.settings["bin0"]
        assert store.settings(feature)["spect_len"] == 50
    versions = json.loads(store.attributes["versions"])
    assert {"essentia", "librosa", "av"} <= versions.keys()
    assert store.attributes["mulkinet_version"] == mulkinet.__version__


def test_full_length_downsampled(tmp_path):
    audio = make_works(tmp_path / "audio", n_works=1, n_tracks=1, seconds=2)
    result = preprocess(audio, tmp_path / "out", spect_len=None, downsample=8, name="small")
    assert files_of(tmp_path / "out") == ["small.h5", "small_annotations.csv"]
    x = extractor("hpcp", is_tuned=True)(decode(audio / "work0" / "track0.wav").y)
    stored = mulkinet.FeatureStore(result.store_path)
    np.testing.assert_array_equal(stored.get("track0", "hpcp"), x[:, ::8])
    assert stored.settings("hpcp")["downsample"] == 8


def test_annotations(tmp_path):
    write_chord(tmp_path / "audio" / "w é, 1" / "a b.wav", seconds=1.5, sr=8000, channels=2)
    result = preprocess(tmp_path / "audio", tmp_path / "out")
    with open(result.annotations_path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [
        {
            "work_id": "w é, 1",
            "track_id": "a b",
            "path": "w é, 1/a b.wav",
            "seconds": "1.500",
            "sr": "8000",
            "channels": "2",
            "note": "",
        }
    ]


def test_bad_inputs_are_skipped_each_with_its_reason(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    audio = make_works(tmp_path / "mÿ audio", n_works=1, n_tracks=2)
    work = audio / "work0"
    write_chord(work / "track1.flac")
    write_chord(work / "stereo.wav", sr=8000, channels=2)
    (work / "empty.wav").touch()
    (work / "words.mp3").write_text("no audio " * 1000)
    soundfile.write(work / "silent.wav", np.zeros(44100), 44100)
    soundfile.write(work / "sample.wav", np.ones(1), 44100)
    write_chord(work / "cut.wav")
    (work / "cut.wav").write_bytes((work / "cut.wav").read_bytes()[:30000])
    (work / "gone.wav").symlink_to("nowhere.wav")
    (audio / "nothing").mkdir()
    result = preprocess(audio, tmp_path / "out")
    store = mulkinet.FeatureStore(result.store_path)
    assert store.track_ids.tolist() == ["stereo", "track0", "track1"]
    assert {path.parts[0] for path, _ in result.skipped} == {"work0", "nothing"}
    reasons = {path.name: reason for path, reason in result.skipped}
    assert reasons.pop("nothing").endswith("found none")
    expected = {
        "track1.wav": "track1.flac before",
        "empty.wav": "empty file",
        "words.mp3": "FFmpeg cannot read",
        "silent.wav": "silence",
        "sample.wav": "1 samples",
        "cut.wav": "truncated",
        "gone.wav": "No such file",
    }
    assert reasons.keys() == expected.keys()
    for name, part in expected.items():
        assert part in reasons[name]


def test_what_a_library_throws_is_a_skip(tmp_path, monkeypatch):
    audio = make_works(tmp_path / "audio")

    def failing(path, **options):
        if path.stem == "track0":
            raise RuntimeError("strange\n  file")
        return AudioFile(path, **options)

    monkeypatch.setattr(cache, "AudioFile", failing)
    result = preprocess(audio, tmp_path / "out")
    assert result.n_tracks == 2
    assert [reason for _, reason in result.skipped] == ["RuntimeError: strange file"] * 2


def test_nothing_is_left_when_no_track_can_be_used(tmp_path):
    (tmp_path / "audio" / "w").mkdir(parents=True)
    (tmp_path / "audio" / "w" / "a.wav").touch()
    with pytest.raises(MulkinetError, match="found none, 1 skipped, the first .*empty file"):
        preprocess(tmp_path / "audio", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"features": []}, "at least one feature"),
        ({"features": ["mfcc"]}, "found 'mfcc'"),
        ({"run_mode": "cluster"}, "found 'cluster'"),
        ({"run_mode": "parallel", "n_workers": 0}, "found 0"),
        ({"downsample": 8}, "use spect_len full"),
        ({"name": "a/b"}, "found 'a/b'"),
        ({"name": os.fsdecode(b"\xff")}, r"in UTF-8, found b'\\xff'; try --name"),
        ({"audio_dir": "missing"}, "No such file"),
        ({"output": "audio/work0/track0.wav/out"}, "cannot be; choose another"),
    ],
)
def test_wrong_settings_write_nothing(tmp_path, options, message):
    make_works(tmp_path / "audio", n_works=1, n_tracks=1)
    audio = tmp_path / options.pop("audio_dir", "audio")
    output = tmp_path / options.pop("output", "out")
    with pytest.raises(MulkinetError, match=message):
        preprocess(audio, output, **options)
    assert files_of(tmp_path) == ["audio/work0/track0.wav"]


@pytest.mark.parametrize("run_mode", ["single", "parallel"])
def test_without_the_extra_audio_its_name_is_told(tmp_path, monkeypatch, run_mode):
    def absent(package):
        raise importlib.metadata.PackageNotFoundError(package)

    audio = make_works(tmp_path / "audio", n_works=1, n_tracks=1)
    features._extractor.cache_clear()
    monkeypatch.setattr(importlib.metadata, "version", absent)
    monkeypatch.setitem(sys.modules, "joblib", None)
    with pytest.raises(MulkinetError, match=r"pip install 'mulkinet\[audio\]'"):
        preprocess(audio, tmp_path / "out", run_mode=run_mode)
    assert not (tmp_path / "out").exists()


def test_the_audio_folder_as_output_is_no_work_the_second_time(tmp_path):
    audio = make_works(tmp_path / "audio", n_works=2, n_tracks=1)
    first = preprocess(audio, audio)
    again = preprocess(audio, audio, features=["hpcp", "chroma_cens"])
    assert (again.n_tracks, again.skipped) == (2, [])
    assert again.store_path == first.store_path
    assert mulkinet.FeatureStore(again.store_path).features == ("chroma_cens", "hpcp")


def test_a_store_that_holds_more_is_not_replaced_unless_forced(tmp_path):
    audio = make_works(tmp_path / "audio", n_works=2, n_tracks=1)
    path = preprocess(audio, tmp_path / "out", features=["hpcp", "chroma_cens"]).store_path
    content = path.read_bytes()
    with pytest.raises(MulkinetError, match="holds chroma_cens, which this run would remove; .*-p"):
        preprocess(audio, tmp_path / "out")
    other = {"features": ["hpcp", "chroma_cens"], "spect_len": None}
    with pytest.raises(MulkinetError, match="holds chroma_cens at 2.778 frames/s, hpcp at 2.778"):
        preprocess(audio, tmp_path / "out", **other)
    assert path.read_bytes() == content
    preprocess(audio, tmp_path / "out", force=True)
    assert mulkinet.FeatureStore(path).features == ("hpcp",)
    path.write_text("precious")
    with pytest.raises(MulkinetError, match="no HDF5 file.*--force overwrites it"):
        preprocess(audio, tmp_path / "out")
    assert path.read_text() == "precious"


def test_parallel_equals_single(tmp_path):
    audio = make_works(tmp_path / "audio", n_works=3)
    single = preprocess(audio, tmp_path / "single")
    parallel = preprocess(audio, tmp_path / "parallel", run_mode="parallel", n_workers=2)
    assert contents(parallel.store_path) == contents(single.store_path)


def test_a_run_killed_in_the_middle_resumes(tmp_path, cache_dir, monkeypatch):
    audio = make_works(tmp_path / "audio", n_works=4, n_tracks=4, seconds=15)
    output = tmp_path / "killed"
    command = [sys.executable, "-c", COMMAND, str(audio), str(output)]
    with subprocess.Popen(command) as process:
        while len(list(cache_dir.glob("features/[!.]*.h5"))) < 3:
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    made = {path: path.stat().st_mtime_ns for path in cache_dir.glob("features/[!.]*")}
    assert 3 <= len(made) < 16
    result = preprocess(audio, output, spect_len=None)
    assert {path: path.stat().st_mtime_ns for path in made} == made
    assert not list(cache_dir.glob("features/.*"))
    monkeypatch.setenv("MULKINET_CACHE", str(tmp_path / "another"))
    whole = preprocess(audio, tmp_path / "whole", spect_len=None)
    assert contents(result.store_path) == contents(whole.store_path)


def test_another_name_or_folder_extracts_nothing_again(tmp_path, n_decoded):
    audio = make_works(tmp_path / "audio", n_works=1)
    preprocess(audio, tmp_path / "out")
    n_tracks = len(n_decoded)
    assert n_tracks > 0
    preprocess(audio, tmp_path / "elsewhere", name="another", spect_len=50)
    assert len(n_decoded) == n_tracks


@pytest.mark.parametrize(("most_bytes", "file"), [(20_000, ""), (150_000, "audio")])
def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(
    tmp_path, cache_dir, most_bytes, file
):
    audio = make_works(tmp_path / "audio", n_works=1, n_tracks=3, seconds=15)
    output = tmp_path / "out"

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

    command = [sys.executable, "-c", COMMAND, str(audio), str(output)]
    done = subprocess.run(command, preexec_fn=limit, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("mulkinet.errors.MulkinetError: cannot write")
    assert f"{file}.h5: File too large; check" in last
    assert files_of(output) == []
    assert len(list(cache_dir.glob("features/*"))) == (3 if file else 0)
    assert not list(cache_dir.glob("features/.*"))


def test_a_truncated_file_is_taken_only_when_asked_for_and_noted(tmp_path):
    path = tmp_path / "in" / "w" / "cut.flac"
    path.parent.mkdir(parents=True)
    y = 0.1 * np.random.default_rng(0).standard_normal(4 * SR)
    soundfile.write(path, y, SR)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    options = {"run_mode": "single", "progress": False}
    partial = preprocess_audio_dir(
        tmp_path / "in", tmp_path / "out", accept_partial=True, **options
    )
    [(name, note)] = partial.notes
    assert name == "w/cut.flac"
    assert "of the 4.0 s that its header promises" in note
    assert note in partial.annotations_path.read_text()
    # What was accepted once is in the cache, and still no whole file.
    with pytest.raises(MulkinetError, match="that its header promises"):
        preprocess_audio_dir(tmp_path / "in", tmp_path / "out", **options)


def test_a_store_says_whether_it_was_tuned_and_trimmed(tmp_path):
    audio = make_works(tmp_path / "audio", n_works=1, n_tracks=1)
    by_default, published = (
        mulkinet.FeatureStore(preprocess(audio, tmp_path / name, **options).store_path)
        for name, options in [("a", {}), ("b", {"is_tuned": False})]
    )
    assert by_default.settings("hpcp")["tuning"] == "estimated"
    assert not {"tuning", "trimmed"} & published.settings("hpcp").keys()
    with pytest.raises(MulkinetError, match="holds hpcp as recorded .--tuning as-recorded., which"):
        preprocess(audio, tmp_path / "b")
    with pytest.raises(MulkinetError, match="holds hpcp with silence"):
        preprocess(audio, tmp_path / "b", is_tuned=False, is_trimmed=True)


def test_silence_is_trimmed_when_asked_for_and_refused_where_it_is_all_that_is_used(tmp_path):
    y = 0.2 * np.sin(2 * np.pi * 440 * np.arange(3 * 8000) / 8000)
    (tmp_path / "audio" / "w").mkdir(parents=True)
    for name, seconds in [("late", 185), ("early", 5)]:
        silence = np.zeros(seconds * 8000)
        soundfile.write(
            tmp_path / "audio" / "w" / f"{name}.wav", np.concatenate([silence, y]), 8000
        )
    result = preprocess(tmp_path / "audio", tmp_path / "out")
    assert [(str(path), reason[:37]) for path, reason in result.skipped] == [
        ("w/late.wav", "expected sound in the first 180 s, wh")
    ]
    whole = preprocess(tmp_path / "audio", tmp_path / "full", spect_len=None, is_trimmed=True)
    store = mulkinet.FeatureStore(whole.store_path)
    assert store.settings("hpcp")["trimmed"]
    assert store.n_frames("hpcp") / 86.13 == pytest.approx([3, 3], abs=0.15)
    assert (store.get("late", "hpcp").max(axis=0) > 0).mean() > 0.95
