"""A network and a loss from outside the package: registered, listed, trained, evaluated, by the real commands."""

import json
import os
import subprocess
import sys

import pytest

from mulkinet import MulkinetError, register_loss, register_network
from mulkinet.cli.main import main
from tests.commands import invoke
from tests.patterns import write_pattern_store
from tests.printed import blocks

PLUGIN = '''
import tensorflow as tf

import mulkinet
from mulkinet.losses.objective import Objective
from mulkinet.losses.plans import clique_plan
from mulkinet.models.base import EmbeddingNetwork


@mulkinet.register_network("mean-pitch")
class MeanPitch(EmbeddingNetwork):
    """A linear map of the mean pitch classes.

    Args:
        size: Size of the embedding. It may be any.
        centred: Zero mean of every embedding.
    """

    recipes = {"quick": {"loss": "spread", "n_frames": 40, "max_epoch": 2, "size": 6}}
    distance = "cosine"

    def __init__(self, *, size=4, centred=True):
        inputs = tf.keras.Input((12, None))
        x = tf.keras.layers.Dense(size, name="map")(tf.reduce_mean(inputs, axis=2))
        x = x - tf.reduce_mean(x, axis=1, keepdims=True) if centred else x
        super().__init__(inputs, x, options={"size": size, "centred": centred})


@mulkinet.register_loss("spread")
class Spread(Objective):
    """Works apart from the mean of the batch.

    Args:
        weight: Weight of the spread.
    """

    def __init__(self, network, rows, work_ids, *, weight=0.5, **run):
        self.weight = weight
        super().__init__(network, rows, work_ids, **run)

    def plan_steps(self, rows, labels, epoch):
        sizes = {"batch_size": self.batchsize, "tracks_per_work": 2}
        return clique_plan(rows, labels, seed=self.seed, epoch=epoch, **sizes)

    def loss(self, x, targets, step):
        x = self.model(x, training=True)
        means = tf.repeat(tf.reduce_mean(tf.reshape(x, (-1, 2, x.shape[1])), axis=1), 2, axis=0)
        within = tf.reduce_mean((x - means) ** 2)
        between = tf.math.reduce_variance(means, axis=0)
        return within - self.weight * tf.reduce_mean(tf.tanh(between)), {"within": within}
'''


@pytest.fixture
def project(tmp_path):
    """A folder with `toy.py`, a store, and a function that runs a command there: (exit code, stdout, stderr)."""
    (tmp_path / "toy.py").write_text(PLUGIN)
    write_pattern_store(tmp_path / "patterns.h5")
    return tmp_path


def call(repository, folder, *command, plugins="toy"):
    paths = [str(folder), str(repository)]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "MULKINET_PLUGINS": plugins,
    }
    return subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )


# Several commands in one new interpreter, which prints [exit code, stdout, stderr] of each.
RUNNER = """
import json, sys
from tests.commands import invoke
from mulkinet.cli.main import main
done = [invoke(main, *command) for command in json.loads(sys.argv[1])]
print("results", json.dumps([(one.exit_code, one.stdout, one.stderr) for one in done]))
"""


def test_a_network_and_a_loss_from_outside_train(repository, project, monkeypatch):
    train = ("train", "--data-dir", "patterns.h5", "--gpu", "-1")
    evaluate = ("evaluate", "--model-file", "models/test/best.h5", "--data-dir", "patterns.h5")
    commands = [
        (*train, "--model", "mean-pitch", "--weight", "0.25"),
        (*train, "--tag", "u", "--init-from", "models/test/best.h5"),
        (*train, "--recipe", "quick", "--tag", "u"),
        evaluate,
        (*train, "--model", "mean-pitch", "--tag", "p", "--loss", "all-pairs", "--gap", "0.5"),
    ]
    guide = (repository / "docs" / "guides" / "training.md").read_text(encoding="utf-8")
    (of_the_guide,) = (code for _, code, _ in blocks(guide) if "register_loss" in code)
    (project / "all_pairs.py").write_text(of_the_guide)
    plugins = "toy,all_pairs"
    done = call(repository, project, "-c", RUNNER, json.dumps(commands), plugins=plugins)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout.rpartition("results ")[2])
    trained, refused, by_recipe, evaluated, by_the_guide = results
    assert trained[0] == by_recipe[0] == evaluated[0] == by_the_guide[0] == 0, results
    assert "mean-pitch: 78 parameters" in trained[1]
    assert refused[0] == 1
    assert "fit a mulkinet, found none" in refused[2]
    assert "MAP" in evaluated[1]
    # This process does not know the network.
    monkeypatch.chdir(project)
    unknown = invoke(main, *evaluate)
    assert unknown.exit_code == 1
    assert "found 'mean-pitch'; import the module that registers it" in unknown.stderr
    assert "damaged" not in unknown.stderr


def test_help_has_the_options_of_what_is_registered(repository, project):
    done = call(repository, project, repository / "train.py", "--help")
    text = " ".join(done.stdout.split())
    assert "--size INTEGER Size of the embedding. [mean-pitch: 4]" in text
    assert "--centred / --no-centred Zero mean of every embedding. [mean-pitch: True]" in text
    assert "--weight FLOAT Weight of the spread. [spread: 0.5]" in text
    assert "siamese, quick" in text
    done = call(repository, project, repository / "train.py", "--help", plugins="absent")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: expected modules in MULKINET_PLUGINS, found no module absent")


def test_a_script_that_registers_is_a_command_too(repository, project):
    (project / "mine.py").write_text(
        PLUGIN
        + "\n\nfrom mulkinet.cli.main import main\n\nif __name__ == '__main__':\n    main()\n"
    )
    done = call(
        repository,
        project,
        "mine.py",
        "train",
        "--recipe",
        "quick",
        "--show",
        plugins="",
    )
    assert done.returncode == 0, done.stderr
    shown = dict(map(str.strip, line.split(" ", 1)) for line in done.stdout.splitlines())
    assert {
        "size": "6",
        "centred": "True",
        "weight": "0.5",
        "loss": "spread",
    }.items() <= shown.items()


def test_a_name_is_taken_once():
    for register, name in ((register_network, "move"), (register_loss, "triplet")):
        with pytest.raises(MulkinetError, match=f"found '{name}', which another one has"):
            register(name)(type("Mine", (), {}))
