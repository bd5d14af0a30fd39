"""When a track's feature file is fresh, and what is done again when it is not."""

import os

import h5py
import numpy as np
import pytest

from mulkinet.features import extractor
from mulkinet.features.audio import decode
from mulkinet.sources.layout import Track
from mulkinet.sources.track_files import extract_track, read_feature, read_summary
from tests.sources.audio_folders import write_chord


@pytest.fixture
def track(tmp_path):
    write_chord(tmp_path / "w" / "a.wav")
    return Track("w", "a", tmp_path / "w" / "a.wav")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "features"


def test_what_is_written_is_what_the_extractor_makes(track, folder):
    summary = extract_track(track, folder, ["hpcp"])
    x = read_feature(track, folder, "hpcp")
    np.testing.assert_array_equal(x, extractor("hpcp")(decode(track.path).y))
    assert summary == (1.0, 44100, 1, {"hpcp": x.shape[1]})
    assert read_summary(track, folder, ["hpcp"]) == summary
    assert os.listdir(folder / "w") == ["a.h5"]


def test_a_fresh_file_is_not_decoded_again(track, folder, n_decoded):
    assert extract_track(track, folder, ["hpcp"]) == extract_track(track, folder, ["hpcp"])
    assert len(n_decoded) == 1


def test_a_second_feature_leaves_the_first(track, folder, n_decoded):
    extract_track(track, folder, ["hpcp"])
    both = extract_track(track, folder, ["cqt", "hpcp"])
    assert both.n_frames.keys() == {"cqt", "hpcp"}
    assert read_summary(track, folder, ["cqt", "hpcp"]).n_frames == both.n_frames
    assert len(n_decoded) == 2


def test_other_audio_makes_all_features_stale(track, folder):
    extract_track(track, folder, ["hpcp", "cqt"])
    before = read_feature(track, folder, "hpcp")
    write_chord(track.path, seed=7)
    assert read_summary(track, folder, ["hpcp"]) is None
    extract_track(track, folder, ["hpcp"])
    assert not np.array_equal(before, read_feature(track, folder, "hpcp"))
    assert read_summary(track, folder, ["hpcp", "cqt"]).n_frames.keys() == {"hpcp"}


def test_other_settings_make_a_feature_stale(track, folder, monkeypatch):
    extract_track(track, folder, ["hpcp", "cqt"])
    settings = {**extractor("hpcp").settings, "extractor_version": "another"}
    monkeypatch.setattr(extractor("hpcp"), "settings", settings)
    assert read_summary(track, folder, ["hpcp", "cqt"]).n_frames.keys() == {"cqt"}
    extract_track(track, folder, ["hpcp"])
    assert read_summary(track, folder, ["hpcp", "cqt"]).n_frames.keys() == {"hpcp", "cqt"}


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b"x" * 99), "foreign"])
def test_a_damaged_or_foreign_file_is_made_again(track, folder, damage):
    extract_track(track, folder, ["hpcp"])
    path = folder / "w" / "a.h5"
    if damage == "foreign":
        with h5py.File(path, "w") as file:
            file["hpcp"] = np.zeros(3)
    else:
        damage(path)
    assert read_summary(track, folder, ["hpcp"]) is None
    extract_track(track, folder, ["hpcp"])
    assert read_feature(track, folder, "hpcp").shape[0] == 12


def test_a_file_with_a_damaged_heap_is_made_again(track, folder):
    extract_track(track, folder, ["hpcp"])
    path = folder / "w" / "a.h5"
    path.write_bytes(path.read_bytes().replace(b"HEAP", b"PEAH"))
    assert read_summary(track, folder, ["hpcp"]) is None
