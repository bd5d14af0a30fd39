"""run.yaml: what a run was made with; it is run again, resumed, compared, and not overwritten."""

import re
import signal
import subprocess
import sys

import numpy as np
import pytest
import yaml

from mulkinet import MulkinetError, load_model
from mulkinet.cli.compare import main as compare
from mulkinet.cli.evaluate import main as evaluate
from mulkinet.cli.train import main
from mulkinet.data.lists import write_list
from mulkinet.training import log as logs
from mulkinet.training.log import LogCallback, TensorBoardLog
from mulkinet.training.run_record import option_differences, read_record, write_record
from tests.commands import invoke
from tests.patterns import TINY_OPTIONS, write_pattern_store
from tests.training.test_trainer import assert_same_run, log, run


@pytest.fixture(scope="module")
def store_path(tmp_path_factory):
    return write_pattern_store(tmp_path_factory.mktemp("store") / "patterns.h5")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def succeed(*arguments):
    result = invoke(main, *arguments)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def fail(*arguments):
    result = invoke(main, *arguments)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    return line


def test_a_run_is_recorded_repeated_resumed_and_kept(store_path, here, repository):
    options = ["--data-dir", store_path, *TINY_OPTIONS, "--batchsize", "8", "--gpu", "-1"]
    succeed(*options, "--max-epoch", "2", "--no-chnlatt", "--seed", "3", "--tag", "a")
    record = read_record(here / "models" / "a" / "run.yaml")
    assert record["options"]["data_dir"] == str(store_path)
    assert record["options"]["chnlatt"] is False
    assert record["options"]["seed"] == 3
    assert record["versions"].keys() == {"mulkinet", "python", "tensorflow", "numpy", "h5py"}
    assert record["data"]["list_TRAIN"].startswith("24 tracks (")
    assert record["command"]
    head = ("git", "-C", str(repository), "rev-parse", "HEAD")
    done = subprocess.run(head, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        assert record["git_commit"].removesuffix("-dirty") == done.stdout.strip()
    best = load_model(here / "models" / "a" / "best.h5").metadata["training"]
    assert record["best"]["epoch"] == best["epoch"]
    assert record["best"]["MAP"] == best["validation_MAP"]

    # Again, to the same weights; and with one option of another value.
    config = ("--config", here / "models" / "a" / "run.yaml")
    succeed(*config, "--tag", "a", "--models-dir", "again", "--log-dir", here / "logs")
    for name in ("best.h5", "last.h5"):
        networks = [load_model(here / folder / "a" / name) for folder in ("models", "again")]
        for one, other in zip(*(network.get_weights() for network in networks)):
            np.testing.assert_array_equal(one, other)
    assert (here / "logs" / "a" / "epochs.csv").is_file()
    succeed(*config, "--tag", "b", "--max-epoch", "1", "--loss", "triplet", "--chnlatt")
    other = read_record(here / "models" / "b" / "run.yaml")
    differences = {name: values for name, *values in option_differences(record, other)}
    assert differences == {
        "chnlatt": [False, True],
        "clique_rule": [None, "move"],
        "loss": ["softmax", "triplet"],
        "max_epoch": [2, 1],
        "tag": ["a", "b"],
        "margin": [None, 1.0],
        "mining": [None, "hard"],
        "tracks_per_work": [None, 4],
    }

    for tag in ("a", "b"):
        model = here / "models" / tag / "best.h5"
        arguments = (
            "--model-file",
            model,
            "--data-dir",
            store_path,
            "--json",
            here / f"{tag}.json",
        )
        assert invoke(evaluate, *arguments).exit_code == 0
    compared = invoke(compare, here / "a.json", here / "b.json").stdout
    assert "8 options of the training differ" in compared
    assert re.search(r"^loss +softmax +triplet$", compared, re.MULTILINE)

    # What is there is not overwritten, and resumed with its own options, and further than before.
    before = (here / "models" / "a" / "last.h5").read_bytes()
    assert "expected no run in models/a, found models/a/best.h5" in fail(*options, "--tag", "a")
    assert (here / "models" / "a" / "last.h5").read_bytes() == before
    assert "max_epoch 2, not 1; give the same" in fail("--tag", "a", "--resume", "--max-epoch", "1")
    assert read_record(here / "models" / "a" / "run.yaml") == record
    assert "resuming after epoch 2" in succeed("--tag", "a", "--resume", "--max-epoch", "3")
    assert len(log(here, "a")) == 3
    assert read_record(here / "models" / "a" / "run.yaml")["options"]["max_epoch"] == 3
    succeed("--config", here / "models" / "b" / "run.yaml", "--force")


def test_resuming_before_the_first_epoch_ended_starts_anew(store_path, here):
    options = ["--data-dir", store_path, *TINY_OPTIONS, "--max-epoch", "1", "--tag", "t"]
    said = succeed(*options, "--resume")
    assert "no epoch of models/t has ended: starting anew" in said
    assert len(log(here)) == 1


def test_raised_epochs_and_other_patience_resume(store_path, tmp_path, monkeypatch):
    """With a constant rate, a run that is resumed to be longer is the longer run."""
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        if name == "parts":
            run(store_path, max_epoch=1, schedule="constant", patience=1)
        resumed = name == "parts"
        run(store_path, max_epoch=3, schedule="constant", resume=resumed, patience=9)
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


def test_the_record_is_plain_text(tmp_path):
    path = tmp_path / "run.yaml"
    write_record(path, options={"tag": "a", "lr": 0.1, "clip_norm": None}, data={"feature": "hpcp"})
    assert yaml.safe_load(path.read_text())["options"] == {
        "tag": "a",
        "lr": 0.1,
        "clip_norm": None,
    }
    assert read_record(path)["best"] is None
    for text, message in (
        ("a: [", "expected YAML"),
        ("options: 3", "expected the options of a run"),
        ("options: {lr: [1]}", "expected one value for lr"),
        ("options: !!python/object/apply:os.getcwd []", "expected YAML"),
    ):
        path.write_text(text)
        with pytest.raises(MulkinetError, match=message):
            read_record(path)


def test_a_config_of_unknown_options_is_one_line(here):
    (here / "mine.yaml").write_text("options: {epochs: 3}")
    assert "expected options of train.py in mine.yaml, found epochs" in fail(
        "--config", "mine.yaml"
    )


def test_few_queries_are_warned_of(store_path, here):
    lines = []
    run(store_path, lines.append, max_epoch=0)
    assert [line for line in lines if "chosen by the MAP of 8 queries" in line]
    many = write_pattern_store(here / "many.h5", n_works=80)
    lines.clear()
    run(many, lines.append, max_epoch=0)
    assert not [line for line in lines if "warning" in line]


class Told(LogCallback):
    """What a log is told, in the order of it."""

    calls = []  # noqa: RUF012

    def begin(self, history):
        self.calls.append(("begin", len(history)))

    def epoch(self, row, steps, distances):
        self.calls.append((row["epoch"], len(steps), sorted(distances)))

    def end(self, embeddings, work_ids, track_ids):
        self.calls.append(("end", len(embeddings), len(work_ids)))


def test_a_log_can_be_added(store_path, here, monkeypatch):
    monkeypatch.setattr(logs, "LOGS", [*logs.LOGS, Told])
    run(store_path, max_epoch=2)
    distances = ["cover", "other"]
    assert Told.calls == [("begin", 0), (1, 3, distances), (2, 3, distances), ("end", 8, 8)]


def test_the_projector_is_small_and_keeps_the_distances(tmp_path, rng):
    """200 tracks of MOVE's 16000 numbers fit 256 axes without loss: they span 199."""
    points = rng.normal(size=(200, 16000)).astype(np.float32)
    names = np.asarray([f"w{i}" for i in range(1200)])
    TensorBoardLog(tmp_path, {}).end(points, names[:200], names[:200])
    path = tmp_path / "embeddings.tsv"
    assert path.stat().st_size < 1e6
    projected = np.loadtxt(path)
    np.testing.assert_allclose(
        np.linalg.norm(projected[0] - projected[1:], axis=1),
        np.linalg.norm(points[0] - points[1:], axis=1),
        rtol=1e-3,
    )
    TensorBoardLog(tmp_path, {}).end(rng.normal(size=(1200, 300)), names, names)
    assert np.loadtxt(path).shape == (1000, 256)
    assert len((tmp_path / "metadata.tsv").read_text().splitlines()) == 1001


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_what_it_keeps(store_path, here, number):
    command = [sys.executable, "-m", "mulkinet.cli.main", "train", "--data-dir", str(store_path)]
    command += [*TINY_OPTIONS, "--batchsize", "8", "--max-epoch", "100000", "--tag", "t"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    # As in a terminal: what starts the suite may have its signals ignored.
    pipes["preexec_fn"] = lambda: signal.signal(number, signal.SIG_DFL)
    with subprocess.Popen(command, cwd=here, **pipes) as process:
        for line in process.stdout:
            if line.startswith("epoch"):
                break
        process.send_signal(number)
        said = process.stdout.read()
    assert process.returncode == 128 + number
    kept = re.search(r"interrupted: models/t has the run up to epoch (\d+), .* --resume", said)
    training = load_model(here / "models" / "t" / "last.h5").metadata["training"]
    assert int(kept[1]) <= len(training["history"]) <= int(kept[1]) + 1


def test_other_lists_on_resume_are_told(store_path, here):
    succeed("--data-dir", store_path, *TINY_OPTIONS, "--max-epoch", "1", "--tag", "t")
    write_list(
        here / "TRAIN", [(f"w{work}", f"t{track}") for work in range(4) for track in range(4)]
    )
    assert "list_TRAIN '24 tracks" in fail("--tag", "t", "--resume", "--train-ls", here / "TRAIN")
