"""Training that is killed at random moments and resumed ends as training that was left alone."""

import csv
import signal
import statistics
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.patterns import TINY_OPTIONS, write_pattern_store
from tests.training.test_trainer import assert_same_run

TRIPLETS = [*TINY_OPTIONS, "--loss", "triplet", "--mining", "random", "--batchsize", "16"]
STAGES = {
    "softmax": [*TINY_OPTIONS, "--batchsize", "8", "--max-epoch", "60"],
    "triplet": [*TRIPLETS, "--optimizer", "lookahead-adam", "--max-epoch", "60"],
    "twin": [
        "--model",
        "siamese",
        "--embedding-len",
        "8",
        "--n-frames",
        "240",
        "--max-epoch",
        "60",
    ],
    "two stages": [*TRIPLETS, "--pretrain-epochs", "25", "--max-epoch", "35"],
}
KILLS = 10


def kill_somewhere(command, folder, lines, seconds):
    """Starts a command, waits for it to say so many lines, then a moment, and kills it."""
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(command, cwd=folder, **quiet) as process:
        for _ in range(lines):
            process.stdout.readline()
        time.sleep(seconds)
        process.kill()
        assert process.wait() == -signal.SIGKILL, "it had ended before it could be killed"


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_ten_kills_change_nothing(tmp_path, stage):
    store = write_pattern_store(tmp_path / "patterns.h5", n_tracks=3, n_frames=260)
    command = [sys.executable, "-m", "mulkinet.cli.main", "train", "--data-dir", str(store)]
    command += ["--tag", "t", "--gpu", "-1", *STAGES[stage]]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    subprocess.run(command, cwd=whole, check=True, capture_output=True)
    with open(whole / "log/t/epochs.csv", newline="") as file:
        epoch_seconds = statistics.median(float(row["seconds"]) for row in csv.DictReader(file))

    rng = np.random.default_rng(list(STAGES).index(stage))
    resumed = []
    for number in range(KILLS):
        resumed.append(any(killed.glob("models/**/last.h5")))
        # The first line comes before training; the first kill is to leave nothing to resume.
        lines = 1 if number == 0 else int(rng.integers(1, 7))
        seconds = 0.0 if number == 0 else rng.uniform(0, 2 * epoch_seconds)
        kill_somewhere([*command, *["--resume"] * resumed[-1]], killed, lines, seconds)
    assert resumed[:2] == [False, False]
    assert sum(resumed) >= KILLS / 2
    subprocess.run([*command, "--resume"], cwd=killed, check=True, capture_output=True)

    assert_same_run(whole, killed)
    if stage == "two stages":
        assert_same_run(whole, killed, "t/pretrain")
    for name in ("embeddings.tsv", "metadata.tsv"):
        assert (whole / "log/t" / name).read_text() == (killed / "log/t" / name).read_text()
