"""Training: it learns, keeps the best, logs, stops, and goes on after a kill as if nothing had been."""

import csv
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.util import event_pb2

import mulkinet
from mulkinet import MulkinetError
from mulkinet.data.lists import write_list
from mulkinet.training.data import TrainingData
from mulkinet.training.log import TensorBoardLog
from mulkinet.training.recipes import complete
from mulkinet.training.run import train
from tests.commands import invoke
from tests.patterns import TINY, TINY_OPTIONS, write_pattern_store


@pytest.fixture(scope="module")
def store_path(tmp_path_factory):
    return write_pattern_store(tmp_path_factory.mktemp("store") / "patterns.h5")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(store_path, report=lambda line: None, network=None, **options):
    run_options = {"tag": "t", "gpus": [], "patience": None, "init_from": None, "resume": False}
    run_options.update(force=True, recorded=None)
    run_options.update({name: options.pop(name) for name in list(options) if name in run_options})
    given = {"batchsize": 8, "max_epoch": 3, "lr": 0.01, "seed": 1, "model": "mulkinet"}
    given.update({**(TINY if network is None else network), **options})
    return train(
        complete(given["model"], given),
        lambda: TrainingData.open(store_path, seed=0),
        report=report,
        **run_options,
    )


def log(folder, tag="t"):
    with open(folder / "log" / tag / "epochs.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        del row["seconds"]
    return rows


def scalar_events(folder):
    """{tag: [(step, value), ...]} of a log folder's TensorBoard events; None for what is no number."""
    found = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = event_pb2.Event.FromString(record.numpy())
            for value in event.summary.value:
                number = tf.make_ndarray(value.tensor)
                number = float(number) if number.shape == () else None
                found.setdefault(value.tag, []).append((event.step, number))
    return found


def weights(folder, name, tag="t"):
    return mulkinet.load_model(folder / "models" / tag / name).get_weights()


def assert_same_run(first, second, tag="t"):
    assert log(first, tag) == log(second, tag)
    for name in ("best.h5", "last.h5"):
        for one, other in zip(weights(first, name, tag), weights(second, name, tag)):
            np.testing.assert_array_equal(one, other)


def copy_after(start, folder):
    """A report that copies what a run has on disk once it says a line: what a kill would leave there."""

    def report(line):
        if line.startswith(start):
            shutil.copytree(Path.cwd(), folder)

    return report


def check_resuming(store_path, tmp_path, monkeypatch, **options):
    """A run, and one that goes on from what that had after its first epoch, end alike: the rows of the log."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    monkeypatch.chdir(whole)
    run(store_path, copy_after("epoch 1/", parts), max_epoch=2, **options)
    monkeypatch.chdir(parts)
    assert len(log(parts)) == 1
    run(store_path, max_epoch=2, resume=True, **options)
    assert_same_run(whole, parts)
    return log(whole)


def test_it_learns(store_path, here):
    # Over several seeds: what one of them does in 45 steps is luck.
    first, last = [], []
    for seed in (1, 2, 3):
        run(store_path, max_epoch=15, lr=0.03, seed=seed)
        rows = [(float(row["loss"]), float(row["accuracy"])) for row in log(here)]
        first.append(rows[0])
        last.append(rows[-1])
    (loss_before, accuracy_before), (loss, accuracy) = np.mean(first, 0), np.mean(last, 0)
    assert loss < 0.7 * loss_before
    assert accuracy > accuracy_before


def test_it_notes_every_epoch_and_keeps_the_best(store_path, here):
    lines = []
    best, path = run(store_path, lines.append, max_epoch=4)
    rows = log(here)
    assert [int(row["epoch"]) for row in rows] == list(range(1, 5))
    assert best["MAP"] == max(float(row["MAP"]) for row in rows)
    assert sum(line.endswith("best") for line in lines) >= 1
    model = mulkinet.load_model(path)
    training = model.metadata["training"]
    assert training["epoch"] == best["epoch"]
    assert training["validation_MAP"] == best["MAP"]
    assert model.metadata["feature"] == "hpcp"
    assert model.metadata["feature_settings"]["hop_length"] == 512
    assert len(model.metadata["classes"]) == 6
    events = scalar_events(here / "log" / "t")
    epochs, steps = list(range(1, 5)), list(range(1, 13))  # of 24 tracks by 8
    assert {name: [step for step, _ in found] for name, found in events.items()} == {
        **dict.fromkeys(set(rows[0]) - {"epoch"}, epochs),
        **dict.fromkeys(("seconds", "cover_distance", "other_distance"), epochs),
        **{f"step/{name}": steps for name in ("loss", "penalty", "accuracy")},
    }
    means = np.reshape([value for _, value in events["step/loss"]], (4, 3)).mean(axis=1)
    np.testing.assert_allclose(means, [float(row["loss"]) for row in rows], rtol=1e-5)
    labels = (here / "log" / "t" / "metadata.tsv").read_text().splitlines()
    assert labels[0] == "work\ttrack"
    assert len(labels) == 9
    assert np.loadtxt(here / "log" / "t" / "embeddings.tsv").shape == (8, 8)
    held_out = (here / "models" / "t" / "VAL").read_text().splitlines()
    assert len(held_out) == 8


def test_the_same_seed_gives_the_same_run(store_path, tmp_path, monkeypatch):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        run(store_path, max_epoch=2, seed=seed)
    assert_same_run(tmp_path / "a", tmp_path / "b")
    assert log(tmp_path / "a") != log(tmp_path / "c")


def test_a_log_that_cannot_be_written_is_one_line(store_path, here):
    (here / "log").touch()
    with pytest.raises(MulkinetError, match="^cannot write the log log/t: Not a directory; check"):
        run(store_path, max_epoch=0)
    assert not list((here / "models").glob("**/*.h5"))


def test_what_tensorflow_says_of_the_log_is_one_line(tmp_path, monkeypatch):
    def fail(_folder):
        message = "{{function_node __wrapped__Create}} no space [Op:Create] name: "
        raise tf.errors.ResourceExhaustedError(None, None, message)

    monkeypatch.setattr(tf.summary, "create_file_writer", fail)
    with pytest.raises(MulkinetError, match=r"^cannot write the log .*: no space; check"):
        TensorBoardLog(tmp_path, {})


def test_crops_longer_than_every_track_are_warned_of(store_path, here):
    lines = []
    run(store_path, lines.append, max_epoch=0)
    assert not [line for line in lines if "warning: crops" in line]
    run(store_path, lines.append, max_epoch=0, n_frames=120)
    assert [
        line
        for line in lines
        if "warning: crops of 120 frames" in line and "longest of 110" in line
    ]


def test_a_run_clears_away_what_a_killed_one_left(store_path, here):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    models, logs = here / "models" / "t", here / "log" / "t"
    for folder, name in ((models, "last.{}.tmp.h5"), (logs, "epochs.{}.tmp.csv")):
        folder.mkdir(parents=True)
        (folder / f".{name.format(process.pid)}").touch()
        os.utime(folder / f".{name.format(process.pid)}", (0, 0))
    run(store_path, max_epoch=0)
    assert not list(here.glob("*/t/.*.tmp*"))


def test_no_epoch_saves_the_untrained_network(store_path, here):
    best, path = run(store_path, max_epoch=0)
    assert best["epoch"] == 0
    assert mulkinet.load_model(path).metadata["training"]["epoch"] == 0
    assert not (here / "models" / "t" / "last.h5").exists()


class Stop(Exception):
    pass


def stop_after(epoch):
    def report(line):
        if line.startswith(f"epoch {epoch}/"):
            raise Stop

    return report


def test_resuming_ends_as_an_uninterrupted_run(store_path, tmp_path, monkeypatch):
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "whole")
    run(store_path, max_epoch=4)
    monkeypatch.chdir(tmp_path / "parts")
    for epoch in (1, 3):
        with pytest.raises(Stop):
            run(store_path, stop_after(epoch), max_epoch=4, resume=epoch > 1)
    run(store_path, max_epoch=4, resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.slow
def test_kill_9_and_resume(store_path, tmp_path, monkeypatch):
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "whole")
    run(store_path, max_epoch=30, lr=1e-3, seed=0)
    command = [sys.executable, "-m", "mulkinet.cli.main", "train", "--data-dir", str(store_path)]
    command += [*TINY_OPTIONS, "--batchsize", "8", "--max-epoch", "30", "--tag", "t"]
    killed = tmp_path / "killed"
    quiet = {"cwd": killed, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **{**quiet, "stdout": subprocess.PIPE}, text=True) as process:
        while not process.stdout.readline().startswith("epoch"):
            assert process.poll() is None
        os.kill(process.pid, signal.SIGKILL)
    assert (
        1
        <= len(mulkinet.load_model(killed / "models/t/last.h5").metadata["training"]["history"])
        < 30
    )
    monkeypatch.chdir(killed)
    run(store_path, max_epoch=30, lr=1e-3, seed=0, resume=True)
    assert_same_run(tmp_path / "whole", killed)


def test_what_a_kill_after_the_last_epoch_prevented_is_written_by_resuming(store_path, here):
    run(store_path, max_epoch=2)
    names = ("epochs.csv", "embeddings.tsv", "metadata.tsv", "projector_config.pbtxt")
    files = [here / "log" / "t" / name for name in names]
    written = [file.read_text() for file in files]
    for file in files:
        file.unlink()
    run(store_path, max_epoch=2, resume=True)
    assert [file.read_text() for file in files] == written


def test_the_events_of_an_epoch_are_there_before_it_counts_as_done(store_path, here, monkeypatch):
    def killed(*arguments):
        raise Stop

    monkeypatch.setattr("mulkinet.training.log.TensorBoardLog.epoch", killed)
    with pytest.raises(Stop):
        run(store_path, max_epoch=1)
    assert not (here / "models" / "t" / "last.h5").exists()


def test_resume_refuses_other_data(store_path, here):
    from mulkinet.cli.train import main

    command = ["--data-dir", store_path, *TINY_OPTIONS, "--max-epoch", "1", "--tag", "t"]
    assert invoke(main, *command).exit_code == 0
    pairs = [(f"w{work}", f"t{track}") for work in range(8) for track in range(4)]
    write_list(here / "TRAIN", pairs[:16])
    write_list(here / "VAL", pairs[16:])
    lists = ["--train-ls", here / "TRAIN", "--val-ls", here / "VAL"]
    result = invoke(main, *command, *lists, "--resume")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert re.search(r"list_TRAIN '24 tracks \(\w+\)', not '16 tracks .*list_VAL '8 tracks", line)
    other = write_pattern_store(here / "other.h5", seed=1)
    assert invoke(main, "--data-dir", other, *command[2:], "--resume").exit_code == 0
    model = here / "models" / "t" / "best.h5"
    result = invoke(main, *command, "--init-from", model, "--resume")
    assert re.search(r"init_from None, not '.*best.h5'", result.stderr)


def test_gradients_are_clipped(store_path, here):
    """Three steps of rate 1, none longer than 0.001: the weights end within 0.003 of the start."""
    options = {"optimizer": "sgd", "lr": 1.0, "schedule": "constant"}
    start = mulkinet.load_model(run(store_path, max_epoch=0, **options)[1])

    def moved(clip_norm):
        end = mulkinet.load_model(run(store_path, max_epoch=1, clip_norm=clip_norm, **options)[1])
        differences = [
            (one - other).numpy().ravel()
            for one, other in zip(start.trainable_variables, end.trainable_variables)
        ]
        return np.linalg.norm(np.concatenate(differences))

    assert 0 < moved(1e-3) <= 3e-3 * (1 + 1e-4)
    assert moved(None) > 0.1


def test_resume_refuses_other_settings(store_path, here):
    run(store_path, max_epoch=1)
    with pytest.raises(MulkinetError, match=r"lr 0\.01, not 0\.1.*seed 1, not 2"):
        run(store_path, max_epoch=1, lr=0.1, seed=2, resume=True)


def test_patience(store_path, here, monkeypatch):
    scores = iter([0.5, 0.7, 0.6, 0.7, 0.9])
    distances = {"cover": np.array([0.1]), "other": np.array([0.9])}
    monkeypatch.setattr(
        "mulkinet.training.trainer.validate",
        lambda *_, **__: ({"MAP": next(scores), "TOP10": 1.0, "MR1": 2.0}, distances),
    )
    lines = []
    best, _ = run(store_path, lines.append, max_epoch=9, patience=2)
    assert best["epoch"] == 2
    assert len(log(here)) == 4
    assert "stopped: no better validation MAP for 2 epochs" in lines


@pytest.mark.parametrize("loss", ["softmax", "triplet", "contrastive"])
def test_a_loss_that_is_not_finite_stops_with_its_batch(store_path, here, loss):
    with pytest.raises(MulkinetError, match=r"finite loss, found nan in epoch 1, batch \d+, with"):
        run(store_path, lr=1e30, loss=loss)
    assert not list((here / "models").glob("**/*.h5"))


def test_weights_that_overflow_in_the_last_batch_stop_with_it(store_path, here):
    message = (
        "finite embeddings, found NaN or infinity after epoch 1, whose last batch, 1, had tracks"
    )
    with pytest.raises(MulkinetError, match=message):
        run(store_path, lr=1e30, batchsize=32)
    assert not list((here / "models").glob("**/*.h5"))
