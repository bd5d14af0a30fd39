"""`preprocess.py da-tacos`, `cover1000`, `npy-dir` and `siamese-testset`, as they are typed."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from mulkinet import FeatureStore
from mulkinet.cli.preprocess import main
from mulkinet.data.lists import read_list, write_list
from mulkinet.sources import download
from tests.archive_server import archive_of
from tests.commands import invoke
from tests.sources.feature_files import (
    da_tacos_path,
    write_da_tacos,
    write_npy_dir,
    write_pyjama,
    write_testset,
)

KEYS = [("W_1", "P_1"), ("W_1", "P_2"), ("W_2", "P_3")]


def run(*arguments):
    return invoke(main, *arguments)


def test_help_of_all(repository):
    command = [sys.executable, repository / "preprocess.py", "-h"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for name in ("da-tacos", "cover1000", "npy-dir", "siamese-testset"):
        assert name in shown
        assert "--force" in run(name, "-h").stdout


def test_da_tacos(tmp_path, rng):
    data_dir = tmp_path / "data"
    write_da_tacos(data_dir, "benchmark", KEYS, ["crema", "hpcp"], rng)
    write_da_tacos(data_dir, "coveranalysis", KEYS[:2], ["crema", "hpcp"], rng)
    command = ["da-tacos", "-d", data_dir, "-p", "crema", "-p", "hpcp"]
    done = run(*command, "--list-dir", tmp_path / "meta")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"3 tracks: {tmp_path}/meta/DATACOS-BENCHMARK",
        "14997 of the 15000 tracks of benchmark are missing",
        f"2 tracks: {tmp_path}/meta/DATACOS-COVERANALYSIS",
        "9998 of the 10000 tracks of coveranalysis are missing",
        f"3 tracks of 2 works: {data_dir}/benchmark.h5",
        f"2 tracks of 1 works: {data_dir}/coveranalysis.h5",
    ]
    assert FeatureStore(data_dir / "benchmark.h5").features == ("crema", "hpcp")
    assert read_list(tmp_path / "meta" / "DATACOS-BENCHMARK") == KEYS
    done = run(*command, "--subset", "benchmark")
    assert done.exit_code == 0
    assert done.stdout.endswith("benchmark.h5, an existing store of the same files and settings\n")
    done = run(*command, "-s", "full", "--downsample", 8)
    assert done.exit_code == 1
    assert "Error: expected no store at" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    done = run(*command, "-s", "full", "--downsample", 8, "-o", tmp_path / "move")
    assert done.exit_code == 0
    assert FeatureStore(tmp_path / "move" / "benchmark.h5").settings("crema")["downsample"] == 8


def test_skipped_tracks_make_exit_code_3(tmp_path, rng):
    write_da_tacos(tmp_path, "benchmark", KEYS, ["crema"], rng)
    bad = da_tacos_path(tmp_path, "benchmark", KEYS[1], "crema")
    bad.write_bytes(b"")
    done = run("da-tacos", "-d", tmp_path)
    assert done.exit_code == 3
    assert done.stdout.endswith(f"\n2 tracks of 2 works: {tmp_path}/benchmark.h5\n")
    assert done.stderr.startswith("1 skipped:\n  W_1/P_2: expected an HDF5 file, found a truncated")
    again = run("da-tacos", "-d", tmp_path)
    assert (again.exit_code, again.stderr) == (3, done.stderr)
    assert "existing store" in again.stdout
    assert run("da-tacos", "-d", tmp_path, "--force").exit_code == 3


def test_all_sets_are_checked_before_one_is_converted(tmp_path, rng):
    write_da_tacos(tmp_path, "benchmark", KEYS, ["crema", "hpcp"], rng)
    write_da_tacos(tmp_path, "coveranalysis", KEYS, ["hpcp"], rng)
    done = run("da-tacos", "-d", tmp_path, "-o", tmp_path / "stores")
    assert done.exit_code == 1
    assert "expected da-tacos_coveranalysis_subset_crema" in done.stderr
    write_pyjama(tmp_path, "a", [(1, 1), (1, 2)], rng)
    (tmp_path / "b.pyjama").write_text("no JSON")
    (tmp_path / "b.hdf5").write_bytes(b"")
    done = run("cover1000", "-d", tmp_path, "-o", tmp_path / "stores")
    assert done.exit_code == 1
    assert "b.pyjama, found something else" in done.stderr
    assert not (tmp_path / "stores").exists()


def test_wrong_usage(tmp_path):
    assert run("da-tacos", "-p", "cqt").exit_code == 2
    assert run("npy-dir").exit_code == 2
    done = run("da-tacos", "-d", tmp_path)
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: expected folders such as da-tacos_benchmark_subset_crema")
    done = run("da-tacos", "-d", tmp_path, "--downsample", 8)
    assert done.exit_code == 2
    assert "found 500 and 8; use spect_len full" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_download(tmp_path, rng, server, monkeypatch):
    write_da_tacos(tmp_path / "made", "benchmark", KEYS, ["crema"], rng)
    files = {
        path.relative_to(tmp_path / "made").as_posix(): path.read_bytes()
        for path in (tmp_path / "made").rglob("*.h5")
    }
    server.content = archive_of(files)
    md5 = hashlib.md5(server.content).hexdigest()
    archive = download.Archive("da-tacos_benchmark_subset_crema", server.url, md5)
    monkeypatch.setattr(download, "da_tacos_archives", lambda subsets, features: [archive])
    done = run("da-tacos", "-d", tmp_path / "data", "--subset", "benchmark", "--download")
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "Da-TACOS, Music Technology Group, UPF: licence CC BY-NC-SA 4.0",
        f"{tmp_path}/data/da-tacos_benchmark_subset_crema",
        "14997 of the 15000 tracks of benchmark are missing",
        f"3 tracks of 2 works: {tmp_path}/data/benchmark.h5",
    ]


def test_download_beside_single_files_fetches_the_metadata_alone(tmp_path, rng, monkeypatch):
    write_da_tacos(tmp_path, "benchmark", KEYS, ["crema"], rng, single=True)
    fetched = []
    monkeypatch.setattr(download, "check_room", lambda archives, data_dir: None)
    monkeypatch.setattr(download, "fetch", lambda archive, data_dir: fetched.append(archive.name))
    done = run("da-tacos", "-d", tmp_path, "--subset", "benchmark", "--download")
    assert done.exit_code == 0
    assert fetched == ["da-tacos_metadata"]


def test_cover1000(tmp_path, rng):
    tracks = [(work, 10 * work + i) for work in range(1, 7) for i in range(2)]
    write_pyjama(tmp_path, "cover1000", tracks, rng)
    done = run("cover1000", "-d", tmp_path, "--list-dir", tmp_path / "meta")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"8 tracks: {tmp_path}/meta/COVER1000-TRAIN",
        f"4 tracks: {tmp_path}/meta/COVER1000-VAL",
        f"12 tracks of 6 works: {tmp_path}/cover1000.h5",
    ]
    assert {work for work, _ in read_list(tmp_path / "meta" / "COVER1000-VAL")} == {"1", "6"}
    (tmp_path / "cover1000.pyjama").write_text("no JSON")
    done = run("cover1000", "-d", tmp_path)
    assert done.exit_code == 1
    assert len(done.stderr.splitlines()) == 1


def test_siamese_testset(tmp_path, rng):
    write_testset(tmp_path / "testset.h5", [("W1", "W1-P0"), ("W1", "W1-P1")], rng)
    done = run("siamese-testset", "-f", tmp_path / "testset.h5")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == f"2 tracks of 1 works: {tmp_path}/siamese-testset.h5\n"


@pytest.fixture
def npy_dir(tmp_path, rng):
    """Two of three tracks of a list, and one that it does not name."""
    write_npy_dir(tmp_path / "npy", [("1", "0"), ("1", "1"), ("7", "0")], rng)
    write_list(tmp_path / "TRAIN", [("1", "0"), ("1", "1"), ("1", "2")])
    return tmp_path / "npy"


def test_npy_dir(npy_dir, tmp_path):
    done = run("npy-dir", "-d", npy_dir, "-o", tmp_path)
    assert (done.exit_code, done.stdout) == (0, f"3 tracks of 2 works: {tmp_path}/npy.h5\n")
    command = [
        "npy-dir",
        "-d",
        npy_dir,
        "-o",
        tmp_path,
        "--name",
        "shs",
        "--list",
        tmp_path / "TRAIN",
    ]
    done = run(*command)
    assert done.exit_code == 1
    assert "found 1 of 3 missing (1/2)" in done.stderr
    assert not (tmp_path / "shs.h5").exists()
    done = run(*command, "--skip-missing", "--list-dir", tmp_path / "meta")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"1 tracks of {tmp_path}/TRAIN are missing, 0 more are the only ones left of their works; 2 remain",
        f"2 tracks: {tmp_path}/meta/TRAIN",
        f"2 tracks of 1 works: {tmp_path}/shs.h5",
    ]
    assert read_list(tmp_path / "meta" / "TRAIN") == [("1", "0"), ("1", "1")]


@pytest.mark.parametrize("name", ["../up", ".hidden", "a/b"])
def test_npy_dir_refuses_names_that_are_none(npy_dir, tmp_path, name):
    done = run("npy-dir", "-d", npy_dir, "-o", tmp_path / "out", "--name", name)
    assert done.exit_code == 1
    assert f"expected the name of a data set, which names files, found {name!r}" in done.stderr
    assert not (tmp_path / "out").exists()


def test_npy_dir_does_not_write_over_lists(npy_dir, tmp_path):
    lists, other = tmp_path / "TRAIN", tmp_path / "other" / "TRAIN"
    write_list(other, [("7", "0")])
    content = lists.read_bytes()
    command = ["npy-dir", "-d", npy_dir, "-o", tmp_path, "--skip-missing", "--list", lists]
    done = run(*command, "--list-dir", tmp_path / "other" / "..")
    assert done.exit_code == 2
    assert f"--list-dir would overwrite {lists}" in done.stderr
    done = run(*command, "--list", other, "--list-dir", tmp_path / "meta")
    assert done.exit_code == 2
    assert "--list-dir would write both" in done.stderr
    assert lists.read_bytes() == content
    assert not (tmp_path / "npy.h5").exists()
    assert not (tmp_path / "meta").exists()


def test_lists_lack_what_could_not_be_read(npy_dir, tmp_path):
    (npy_dir / "1_1.npy").write_bytes(b"")
    write_npy_dir(npy_dir, [("2", "0"), ("2", "1")], np.random.default_rng(0))
    write_list(tmp_path / "TRAIN", [("1", "0"), ("1", "1"), ("2", "0"), ("2", "1")])
    done = run(
        *("npy-dir", "-d", npy_dir, "-o", tmp_path, "--list", tmp_path / "TRAIN"),
        *("--list-dir", tmp_path / "meta"),
    )
    assert done.exit_code == 3
    assert read_list(tmp_path / "meta" / "TRAIN") == [("2", "0"), ("2", "1")]
