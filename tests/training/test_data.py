"""The tracks of a run: from a store or a folder, without what is missing, with a word on leakage."""

import numpy as np
import pytest

from mulkinet import MulkinetError
from mulkinet.cli.check import main as check
from mulkinet.data.lists import write_list
from mulkinet.evaluation.inputs import open_tracks
from mulkinet.sources.npy_dir import convert_npy_dir
from mulkinet.training.data import TrainingData
from tests.commands import invoke
from tests.sources.feature_files import write_npy_dir

TRAIN = [("1", "0"), ("1", "1"), ("1", "2"), ("2", "0"), ("2", "1")]
VAL = [("2", "1"), ("2", "2"), ("3", "0"), ("3", "1")]
MISSING = "1 tracks of {} are missing, 0 more are the only ones left of their works; {} remain"


@pytest.fixture
def folder(tmp_path, rng):
    """A folder without 1/2, and lists that share work 2."""
    write_npy_dir(tmp_path / "npy", [p for p in dict.fromkeys(TRAIN + VAL) if p != ("1", "2")], rng)
    write_list(tmp_path / "TRAIN", TRAIN)
    write_list(tmp_path / "VAL", VAL)
    return tmp_path


def test_a_folder_with_dead_links(folder):
    arguments = folder / "npy", folder / "TRAIN", folder / "VAL"
    with pytest.raises(MulkinetError, match=r"found 1 of 5 missing \(1/2\)"):
        TrainingData.open(*arguments)
    data = TrainingData.open(*arguments, skip_missing=True)
    assert data.feature == "hpcp"
    assert data.lists == {"TRAIN": [p for p in TRAIN if p != ("1", "2")], "VAL": VAL[2:]}
    assert data.store.work_ids[data.train_rows].tolist() == ["1", "1", "2", "2"]
    assert data.store.work_ids[data.validation_rows].tolist() == ["3", "3"]
    assert data.notes == [
        MISSING.format(folder / "TRAIN", 4),
        "warning: 1 works are in the training and in the validation list, such as 2: "
        "their 2 tracks are left out of validation",
    ]


@pytest.mark.parametrize("left", [[], [("3", "0")]], ids=["none", "one track"])
def test_nothing_left_to_validate_with(folder, left):
    write_list(folder / "TRAIN", TRAIN[:2] + TRAIN[3:])
    write_list(folder / "VAL", VAL[:2] + left)
    with pytest.raises(MulkinetError, match="2 or more tracks .*VAL, of whose works 1 are in the"):
        TrainingData.open(folder / "npy", folder / "TRAIN", folder / "VAL")


def test_what_a_store_lacks_stays_with_what_is_made_of_it(folder):
    store = folder / "npy.h5"
    convert_npy_dir(
        folder / "npy",
        store,
        lists=[folder / "TRAIN", folder / "VAL"],
        skip_missing=True,
        progress=False,
    )
    write_list(folder / "TRAIN", TRAIN[:2])
    note = f"when {store} was made, 1 tracks of its lists were missing"
    assert TrainingData.open(store, folder / "TRAIN", folder / "VAL").notes == [note]
    assert open_tracks(store, folder / "TRAIN").names["missing"] == note
    done = invoke(check, store)
    assert done.stdout.splitlines()[1] == note


def test_nothing_to_say(folder):
    write_list(folder / "TRAIN", TRAIN[:2])
    write_list(folder / "VAL", VAL[2:])
    data = TrainingData.open(folder / "npy", folder / "TRAIN", folder / "VAL")
    assert data.notes == []


def test_a_bad_file_of_a_list_is_named_before_training(folder):
    np.save(folder / "npy" / "2_0.npy", np.zeros((5, 13)))
    with pytest.raises(MulkinetError, match="2_0.npy: expected hpcp with an axis of 12 bins"):
        TrainingData.open(folder / "npy", folder / "TRAIN", folder / "VAL", skip_missing=True)


def test_evaluation_leaves_out_the_same_and_says_so(folder):
    with pytest.raises(MulkinetError, match=r"found 1 of 5 missing \(1/2\)"):
        open_tracks(folder / "npy", folder / "TRAIN")
    tracks = open_tracks(folder / "npy", folder / "TRAIN", skip_missing=True)
    assert tracks.store.track_ids[tracks.rows].tolist() == ["0", "1", "0", "1"]
    assert tracks.names["missing"] == MISSING.format(folder / "TRAIN", 4)
    assert "missing" not in open_tracks(folder / "npy", folder / "VAL").names


def test_the_demo_set_is_not_made_for_a_feature_that_it_lacks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MulkinetError, match="the demo set would not do: expected crema"):
        TrainingData.open(feature="crema")
    assert not list(tmp_path.iterdir())
