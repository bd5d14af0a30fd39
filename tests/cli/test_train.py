"""`train.py`: what is wrong is told in a line, before anything is written."""

import re
import shutil

import h5py
import numpy as np
import pytest

import mulkinet
from tests.commands import invoke
from tests.patterns import TINY_OPTIONS, write_pattern_store


@pytest.fixture(scope="module")
def store_path(tmp_path_factory):
    return write_pattern_store(tmp_path_factory.mktemp("store") / "patterns.h5")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--ki-block-num", "5"], "expected one of 1, 2, 3, 4, 6, 12; found 5"),
        (["--block", "foo"], "expected one of simple, bottleneck, wider; found 'foo'"),
        (["--model", "foo"], "expected one of .*found 'foo'"),
        (["--gpu", "x"], "expected --gpu 0"),
        (["--data-dir", "absent.h5"], "found no file"),
        (["--feature", "crema"], "expected crema in .*, found only hpcp"),
        (["--train-ls", "absent"], "No such file"),
        (
            ["--data-dir", "x" * 300],
            "expected a path that can be used, found x+: File name too long",
        ),
        (["--tag", "../t"], "expected a name for --tag, found '../t'"),
        (["--tag", ""], "expected a name for --tag, found ''"),
        (["--tag", "/tmp/t"], "expected a name for --tag, found '/tmp/t'"),
        (["--config", "absent.yaml"], "expected the run.yaml of a run at absent.yaml, found none"),
    ],
)
def test_wrong_options_are_one_line(store_path, here, options, message):
    from mulkinet.cli.train import main

    result = invoke(main, "--data-dir", store_path, *options)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    assert re.search(message, line), line
    assert list(here.iterdir()) == []


def test_a_folder_of_audio_is_told_what_makes_a_store_of_it(here, tmp_path_factory):
    from mulkinet.cli.train import main

    music = tmp_path_factory.mktemp("music")
    (music / "w0").mkdir()
    (music / "w0" / "t0.mp3").touch()
    result = invoke(main, "--data-dir", music)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert (
        f"found the audio in {music}; make a store of it with preprocess.py from-audio-dir" in line
    )
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("options", [["--seed", 2**32], ["--seed", -1], ["--lr", "1e300"]])
def test_numbers_out_of_range_are_wrong_usage(here, options):
    from mulkinet.cli.train import main

    assert invoke(main, *options).exit_code == 2


def test_a_store_with_nan_is_one_line(store_path, here, tmp_path_factory):
    from mulkinet.cli.train import main

    broken = tmp_path_factory.mktemp("broken") / "patterns.h5"
    shutil.copy(store_path, broken)
    store = mulkinet.FeatureStore(broken)
    feature = store.features[0]
    with h5py.File(broken, "r+") as file:
        file[feature]["frames"][store.offsets(feature)[5] + 2, 3] = np.nan
    result = invoke(main, "--data-dir", broken, *TINY_OPTIONS)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert f"work {str(store.work_ids[5])!r}, track {str(store.track_ids[5])!r}" in line
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--block", "foo"], "expected one of simple, bottleneck, wider; found 'foo'"),
        (["--ki-block-num", "5"], "expected one of 1, 2, 3, 4, 6, 12; found 5"),
        (["--init-from", "absent.h5"], "absent.h5"),
        (["--train-ls", "absent"], "expected a list file at absent"),
        (["--val-ls", "absent"], "expected a list file at absent"),
        (["--loss", "foo"], "expected a loss among .*, found 'foo'"),
        (["--loss", "triplet", "--mining", "foo"], "expected --mining .*, found 'foo'"),
        (["--optimizer", "foo"], "expected --optimizer .*, found 'foo'"),
        (["--schedule", "foo"], "expected --schedule .*, found 'foo'"),
        (["--pad", "foo"], "expected --pad .*, found 'foo'"),
        (["--augment", "foo"], "expected --augment .*, found 'foo'"),
    ],
)
def test_wrong_options_are_told_before_the_demo_set_is_made(here, options, message):
    from mulkinet.cli.train import main

    result = invoke(main, *options)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert re.search(message, line), line
    assert list(here.iterdir()) == []


def test_the_demo_set_is_not_made_for_a_feature_that_it_lacks(here):
    from mulkinet.cli.train import main

    result = invoke(main, "--feature", "crema")
    assert result.exit_code == 1
    assert "no data was named, and the demo set would not do: expected crema" in result.stderr
    assert list(here.iterdir()) == []
