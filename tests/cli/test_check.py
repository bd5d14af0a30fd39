"""`mulkinet check` as it is typed."""

import numpy as np
import pytest

from mulkinet.cli.check import main
from mulkinet.data.lists import write_list
from mulkinet.data.store_writer import StoreWriter
from tests.commands import invoke
from tests.sources.feature_files import write_npy_dir
from tests.stores import SETTINGS

PAIRS = [(f"w{i // 2}", str(i)) for i in range(8)]


@pytest.fixture
def path(tmp_path, rng):
    """A store of four works of two tracks, with nothing wrong."""
    with StoreWriter(tmp_path / "good.h5", name="good", tracks=PAIRS) as writer:
        writer.add_feature("hpcp", n_frames=range(10, 18), settings=SETTINGS)
        for i, pair in enumerate(PAIRS):
            writer.write("hpcp", pair, rng.random((10 + i, 12)))
    return tmp_path / "good.h5"


def test_nothing_is_wrong(path, tmp_path):
    write_list(tmp_path / "TRAIN", PAIRS[:4])
    write_list(tmp_path / "TEST", PAIRS[4:])
    done = invoke(main, path, "--list", tmp_path / "TRAIN", "--list", tmp_path / "TEST")
    assert done.exit_code == 0
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0][:6] == ["good:", "8", "tracks", "of", "4", "works"]
    assert ["2", "4"] in lines
    assert ["hpcp", "12", "A", "86.130", "10", "14", "17", "0", "0", "0", "0"] in lines
    assert [str(tmp_path / "TEST"), "4", "2", "0", "2", "0"] in lines
    assert lines[-1] == ["no", "problems", "found"]


def test_leakage_and_missing_tracks(path, tmp_path):
    write_list(tmp_path / "TRAIN", PAIRS[:5])
    write_list(tmp_path / "TEST", [*PAIRS[4:], ("w9", "1")])
    done = invoke(main, path, "--list", tmp_path / "TRAIN", "--list", tmp_path / "TEST")
    assert done.exit_code == 1
    assert done.stderr.splitlines() == [
        f"{tmp_path}/TEST, missing from {path}: w9/1",
        f"{tmp_path}/TRAIN and {tmp_path}/TEST share works (leakage): w2",
    ]


def test_a_sick_folder(tmp_path, rng):
    folder = tmp_path / "npy"
    write_npy_dir(folder, PAIRS, rng)
    for i in range(7):
        np.save(folder / f"same_{i}.npy", np.ones((5 + i // 4, 12)))
        np.save(folder / f"silent_{i}.npy", np.zeros((5, 12)))
    np.save(folder / "nan_0.npy", np.full((5, 12), np.nan))
    (folder / "empty_0.npy").touch()
    np.save(folder / "odd.npy", np.zeros((5, 12)))
    done = invoke(main, folder)
    assert done.exit_code == 1
    assert "24 tracks of 8 works" in done.stdout
    found = done.stderr.splitlines()
    assert found[0] == f"{folder}/odd.npy: expected a name such as <song>_<version>.npy"
    assert found[1].startswith("hpcp of empty/0: ")
    assert found[2:] == [
        "hpcp, NaN or infinite: nan/0",
        "hpcp, silent: silent/0, silent/1, silent/2, silent/3, silent/4, ... (7 in all)",
        "hpcp, identical values: same/0, same/1, same/2, same/3",
        "hpcp, identical values: same/4, same/5, same/6",
    ]


def test_sizes_of_many_kinds_are_binned(tmp_path):
    pairs = [(f"w{size}", str(i)) for size in range(1, 40) for i in range(size)]
    with StoreWriter(tmp_path / "s.h5", name="s", tracks=pairs) as writer:
        writer.add_feature("hpcp", n_frames=[1] * len(pairs), settings=SETTINGS)
        for number, pair in enumerate(pairs):
            writer.write("hpcp", pair, np.full((1, 12), number + 1))
    lines = [line.split("  ") for line in invoke(main, tmp_path / "s.h5").stdout.splitlines()]
    sizes = {cells[0].strip(): int(cells[-1]) for cells in lines[4:12]}
    assert sizes == {
        "1": 1,
        "2": 1,
        "3": 1,
        "4 - 5": 2,
        "6 - 9": 4,
        "10 - 17": 8,
        "18 - 33": 16,
        "34 - 65": 6,
    }


def test_what_is_no_data(tmp_path):
    done = invoke(main, tmp_path / "absent.h5")
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: expected a feature store at")


def test_decibels_are_told(tmp_path, rng):
    write_npy_dir(tmp_path / "npy", PAIRS[:2], rng, feature="cqt")
    np.save(tmp_path / "npy" / "w9_1.NPY", -80 * rng.random((84, 30)))
    (tmp_path / "npy" / "w9_1.NPY.npy").rename(tmp_path / "npy" / "w9_1.NPY")
    done = invoke(main, tmp_path / "npy")
    assert done.exit_code == 1
    assert "cqt, negative (dB?): w9/1" in done.stderr
