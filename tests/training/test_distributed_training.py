"""Training on several devices and by several workers: the numbers of one."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

from tests.patterns import write_pattern_store
from tests.training.test_trainer import log, run

# No batch normalisation and no dropout: devices and workers add up to the same numbers but for the
# order of sums.
PLAIN_MOVE = {"n_filters": 4, "embedding_len": 8, "final_activation": "none"}
PLAIN = {"model": "move", "n_frames": 330, "augment": "none", "lr": 0.01, "batchsize": 16}

MIRRORED = """
import sys
import numpy as np
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
import mulkinet
import mulkinet.training.devices
mulkinet.training.devices.strategy_of = lambda gpus, report: strategy
from tests.patterns import TINY
from tests.training.test_distributed_training import PLAIN, PLAIN_MOVE
from tests.training.test_trainer import run
for loss in ("triplet", "contrastive", "nt-xent"):
    run(sys.argv[1], network=PLAIN_MOVE, max_epoch=2, loss=loss, tag=loss, **PLAIN)

# Batch moments are those of the tracks on a device.
with strategy.scope():
    network = mulkinet.build_model("mulkinet", **TINY)
x = np.random.default_rng(0).random((8, 12, TINY["n_frames"])).astype(np.float32)
halves = np.split(x, 2)
shares = strategy.experimental_distribute_values_from_function(
    lambda context: tf.constant(halves[context.replica_id_in_sync_group])
)
seen = strategy.run(tf.function(lambda x: network(x, training=True)), args=(shares,))
alone = mulkinet.build_model("mulkinet", **TINY)
alone.set_weights(network.get_weights())
for share, half in zip(strategy.experimental_local_results(seen), halves):
    np.testing.assert_allclose(share, alone(half, training=True), atol=1e-5)
together = np.concatenate(strategy.experimental_local_results(seen))
assert np.abs(together - alone(x, training=True)).max() > 1e-2
"""


@pytest.mark.slow
def test_two_mirrored_devices_train_as_one(tmp_path, repository, monkeypatch):
    """Triplets are mined over both devices; the mean distances of pairs are those of both.

    Batch moments are per device, as the script shows.
    """
    store_path = write_pattern_store(tmp_path / "patterns.h5", n_frames=340)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    script = [sys.executable, "-c", MIRRORED, str(store_path)]
    subprocess.run(script, cwd=tmp_path / "two", env=environment, check=True, capture_output=True)
    monkeypatch.chdir(tmp_path / "one")
    for loss in ("triplet", "contrastive", "nt-xent"):
        run(store_path, network=PLAIN_MOVE, max_epoch=2, loss=loss, tag=loss, **PLAIN)
        assert_near(tmp_path / "one", tmp_path / "two", loss)


def assert_near(first, second, tag):
    """Every number of the training batches, epoch by epoch."""
    one, two = log(first, tag), log(second, tag)
    names = set(one[0]) - {"epoch", "MAP", "TOP10", "MR1"}
    assert len(names) >= 4
    for name in names:
        found, expected = ([float(row[name]) for row in rows] for rows in (two, one))
        np.testing.assert_allclose(found, expected, rtol=1e-3, err_msg=name)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def run_workers(store_path, folder, kinds, options):
    """Two processes of one cluster on this machine, each with one CPU; the first of them writes."""
    cluster = {}
    for kind in kinds:
        cluster.setdefault(kind, []).append(f"127.0.0.1:{free_port()}")
    command = [sys.executable, "-m", "mulkinet.cli.main", "train", "--data-dir", str(store_path)]
    command += ["--max-epoch", "3", "--tag", "t", "--gpu", "-1", *options]
    processes = []
    for number, kind in enumerate(kinds):
        task = {"type": kind, "index": kinds[:number].count(kind)}
        environment = {**os.environ, "TF_CONFIG": json.dumps({"cluster": cluster, "task": task})}
        process = {"cwd": folder, "env": environment, "stdout": subprocess.PIPE, "text": True}
        processes.append(subprocess.Popen(command, **process))
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    return outputs


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kinds", "settings"),
    [
        (["worker", "worker"], {"loss": "softmax"}),
        # Triplets are mined over the batch of both; the second process begins the second stage
        # with what the first one wrote.
        (["chief", "worker"], {"loss": "triplet", "pretrain_epochs": 2}),
    ],
)
def test_two_workers_train_as_one(tmp_path, monkeypatch, kinds, settings):
    store_path = write_pattern_store(tmp_path / "patterns.h5", n_frames=340)
    settings = {**PLAIN, **settings}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "one")
    run(store_path, network=PLAIN_MOVE, seed=0, **settings)
    options = [
        f"--{name.replace('_', '-')}={value}" for name, value in {**PLAIN_MOVE, **settings}.items()
    ]
    chief, other = run_workers(store_path, tmp_path / "two", kinds, options)
    assert "best: epoch" in chief
    assert "epoch 1/3" not in other
    assert_near(tmp_path / "one", tmp_path / "two", "t")
