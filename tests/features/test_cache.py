"""When a feature that was extracted before is used, and when it is extracted again."""

import os
import subprocess
import sys

import h5py
import numpy as np
import pytest

from mulkinet.errors import MulkinetError, SkippedInput
from mulkinet.features import blocks, extractor
from mulkinet.features.audio import AudioFile, decode
from mulkinet.features.cache import FOLDER, extract_all, look_up, read_frames
from mulkinet.files.cache import cache_folder
from tests.sources.audio_folders import write_chord


@pytest.fixture
def path(tmp_path):
    write_chord(tmp_path / "w" / "a.wav")
    return tmp_path / "w" / "a.wav"


def extract(path, *features):
    [(_, found)] = extract_all([path], features, 1)
    return found


def test_what_is_kept_is_what_the_extractor_makes(path, cache_dir):
    found = extract(path, "hpcp")
    x = read_frames(path, "hpcp")
    np.testing.assert_array_equal(x, extractor("hpcp")(decode(path).y))
    assert found == {"hpcp": (x.shape[1], 1.0, 44100, 1, False, "", (0, 1))}
    assert look_up(path, "hpcp") == found["hpcp"]
    assert len(os.listdir(cache_dir / "features")) == 1


def test_the_cache_is_where_the_variable_says(monkeypatch, tmp_path):
    monkeypatch.setenv("MULKINET_CACHE", str(tmp_path / "there"))
    assert cache_folder(FOLDER) == tmp_path / "there" / "features"
    monkeypatch.delenv("MULKINET_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder(FOLDER) == tmp_path / ".cache" / "mulkinet" / "features"


def test_what_is_kept_is_not_decoded_again(path, n_decoded, monkeypatch):
    assert extract(path, "hpcp") == extract(path, "hpcp")
    monkeypatch.chdir(path.parent)
    assert look_up(path.relative_to(path.parent), "hpcp")
    assert len(n_decoded) == 1


def test_another_feature_leaves_the_first(path, n_decoded):
    extract(path, "hpcp")
    both = extract(path, "cqt", "hpcp")
    assert both.keys() == {"cqt", "hpcp"}
    extract(path, "hpcp", "cqt")
    assert len(n_decoded) == 2


def test_other_audio_makes_all_features_outdated(path):
    extract(path, "hpcp", "cqt")
    before = read_frames(path, "hpcp")
    write_chord(path, seed=7)
    assert look_up(path, "hpcp") is look_up(path, "cqt") is None
    extract(path, "hpcp")
    assert not np.array_equal(before, read_frames(path, "hpcp"))
    assert look_up(path, "cqt") is None


def test_other_settings_make_a_feature_outdated(path, monkeypatch):
    extract(path, "hpcp", "cqt")
    settings = {**extractor("hpcp").settings, "extractor_version": "another"}
    monkeypatch.setattr(extractor("hpcp"), "settings", settings)
    assert look_up(path, "hpcp") is None
    assert look_up(path, "cqt")
    extract(path, "hpcp")
    assert look_up(path, "hpcp")


@pytest.mark.parametrize("damage", ["text", "foreign", "heap"])
def test_a_damaged_or_foreign_file_is_made_again(path, cache_dir, damage):
    extract(path, "hpcp")
    [file_path] = (cache_dir / "features").iterdir()
    if damage == "foreign":
        with h5py.File(file_path, "w") as file:
            file["frames"] = np.zeros(3)
    elif damage == "heap":
        file_path.write_bytes(file_path.read_bytes().replace(b"HEAP", b"PEAH"))
    else:
        file_path.write_bytes(b"x" * 99)
    assert look_up(path, "hpcp") is None
    extract(path, "hpcp")
    assert read_frames(path, "hpcp").shape[0] == 12


def test_tuned_and_as_recorded_are_kept_beside_each_other(path, n_decoded):
    extract(path, "hpcp")
    [(_, tuned)] = extract_all([path], ["hpcp"], 1, is_tuned=True)
    assert look_up(path, "hpcp")
    assert look_up(path, "hpcp", True)
    assert tuned["hpcp"].n_frames == read_frames(path, "hpcp", True).shape[1]
    assert len(n_decoded) == 2


def test_a_broken_environment_ends_the_run_before_a_file_is_read(path, monkeypatch):
    def broken(_self, _y):
        raise RuntimeError("cannot cache function\n'__o_fold'")

    def unread(_self):
        raise AssertionError
        yield

    extract(path, "cqt")
    monkeypatch.setattr(type(extractor("hpcp")), "part", broken)
    monkeypatch.setattr(AudioFile, "pieces", unread)
    blocks._try_out.cache_clear()
    with pytest.raises(
        MulkinetError, match="an environment in which hpcp .*cannot cache function '__o"
    ) as caught:
        extract(path, "hpcp")
    assert not isinstance(caught.value, SkippedInput)
    assert extract(path, "cqt")  # what is kept needs no extractor


def test_without_a_home_the_cache_is_among_temporary_files(monkeypatch):
    monkeypatch.delenv("MULKINET_CACHE")
    monkeypatch.setenv("HOME", "/proc/none")
    assert cache_folder(FOLDER).parent.name == f"mulkinet-{os.getuid()}"


@pytest.mark.slow
def test_a_read_only_installation_and_no_home(path, tmp_path):
    """As in a container of another user: everything that can be written to is the folder of temporary files."""
    prefix = sys.prefix
    command = (
        f"mount --bind {prefix} {prefix} && mount -o remount,bind,ro {prefix} && exec env -u XDG_CACHE_HOME "
        f"-u MULKINET_CACHE -u NUMBA_CACHE_DIR HOME=/proc/none TMPDIR={tmp_path} {sys.executable} -m mulkinet "
        f"preprocess from-audio-dir -a {path.parents[1]} -o {tmp_path / 'out'} --name a -p hpcp -p cqt -p crema"
    )
    try:
        run = subprocess.run(
            ["unshare", "-m", "sh", "-c", command], capture_output=True, text=True, timeout=900
        )
    except FileNotFoundError:
        pytest.skip("no unshare")
    if "unshare" in run.stderr or "mount" in run.stderr:
        pytest.skip(f"may not mount: {run.stderr}")
    assert run.returncode == 0, run.stderr
    assert "1 tracks of 1 works" in run.stdout
