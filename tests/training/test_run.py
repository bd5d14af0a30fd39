"""Every loss trains its network, resumes to the same end, and refuses what it cannot train."""

import os
import signal

import numpy as np
import pytest
import tensorflow as tf

import mulkinet
from mulkinet import FeatureStore, MulkinetError, build_model
from mulkinet.data.lists import read_list, write_list
from mulkinet.files.locks import locked
from mulkinet.losses import MININGS
from mulkinet.losses.triplet import TripletObjective
from mulkinet.losses.twin import TwinObjective
from mulkinet.models import NETWORKS
from mulkinet.training.data import TrainingData
from mulkinet.training.optimizers import build_optimizer, prepare_optimizer
from mulkinet.training.recipes import TRAINING_DEFAULTS, complete, recipe_names
from tests.commands import invoke
from tests.gpu_kernels import host_trips
from tests.patterns import TINY, write_pattern_store
from tests.training.test_trainer import (
    Stop,
    assert_same_run,
    check_resuming,
    copy_after,
    log,
    run,
    scalar_events,
    stop_after,
)

MOVE = {"n_filters": 4, "embedding_len": 8}
LOSSES = {
    "triplet": {
        "model": "move",
        "network": MOVE,
        "n_frames": 330,
        "augment": "none",
        "mining": "random",
        "batchsize": 16,
    },
    "twin": {
        "model": "siamese",
        "network": {"embedding_len": 8},
        "n_frames": 250,
        "augment": "none",
        "lr": 1e-4,
    },
    "contrastive": {"network": TINY, "loss": "contrastive", "optimizer": "lookahead-sgd"},
    "nt-xent": {"network": TINY, "loss": "nt-xent", "weight_average": 0.9},
}


@pytest.fixture(scope="module")
def store_path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    return write_pattern_store(folder / "patterns.h5", n_frames=340)


@pytest.fixture(scope="module")
def pairs_path(tmp_path_factory):
    """Two tracks of a work: as few pairs as there can be."""
    folder = tmp_path_factory.mktemp("pairs")
    return write_pattern_store(folder / "patterns.h5", n_tracks=2, n_frames=260)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss_trains_and_resumes(store_path, pairs_path, tmp_path, monkeypatch, loss):
    path = pairs_path if loss in ("twin", "contrastive") else store_path
    rows = check_resuming(path, tmp_path, monkeypatch, **LOSSES[loss])
    assert all(np.isfinite(float(row["loss"])) for row in rows)
    expected = {
        "triplet": {"active_triplets", "violating_anchors", "mean_positive_distance"},
        "twin": {"accuracy"},
        "contrastive": {"mean_positive_distance", "mean_negative_distance"},
        "nt-xent": {"accuracy", "mean_negative_similarity"},
    }
    assert expected[loss] < set(rows[0])


def test_pretraining_starts_the_triplet_stage(store_path, here):
    options = {"network": TINY, "loss": "triplet", "batchsize": 16}
    lines = []
    run(store_path, lines.append, pretrain_epochs=2, max_epoch=2, **options)
    assert (here / "models" / "t" / "pretrain" / "best.h5").is_file()
    assert len(log(here, "t/pretrain")) == len(log(here)) == 2
    assert "accuracy" in log(here, "t/pretrain")[0]
    assert "active_triplets" in log(here)[0]
    (said,) = [line for line in lines if line.startswith("started from")]
    assert "pretrain/best.h5: 32 of 32 weights; the classifier is not taken over" in said


def stop_in(phase_epochs, epoch):
    def report(line):
        if line.startswith(f"epoch {epoch}/{phase_epochs} "):
            raise Stop

    return report


def test_a_run_with_pretraining_resumes_in_either_phase(store_path, tmp_path, monkeypatch):
    options = {"network": TINY, "loss": "triplet", "batchsize": 16}
    options.update(pretrain_epochs=2, max_epoch=3)
    (tmp_path / "whole").mkdir()
    monkeypatch.chdir(tmp_path / "whole")
    copies = [
        copy_after(f"epoch 1/{n} ", tmp_path / name) for n, name in ((2, "first"), (3, "second"))
    ]
    run(store_path, lambda line: [copy(line) for copy in copies], **options)
    for name in ("first", "second"):
        monkeypatch.chdir(tmp_path / name)
        run(store_path, resume=True, **options)
        assert_same_run(tmp_path / "whole", tmp_path / name)


def test_a_rerun_is_not_resumed_in_the_stage_of_the_run_before(store_path, here):
    options = {"network": TINY, "loss": "triplet", "batchsize": 16}
    run(store_path, max_epoch=1, lr=0.02, **options)
    assert (here / "models" / "t" / "last.h5").is_file()
    with pytest.raises(Stop):
        run(store_path, stop_after(1), pretrain_epochs=2, **options)
    assert [path.parent.name for path in here.glob("models/**/last.h5")] == ["pretrain"]


def test_finished_pretraining_is_not_resumed(store_path, here, monkeypatch):
    # No epoch is better than the first: pre-training ends before its time.
    monkeypatch.setattr(
        "mulkinet.training.trainer.Validation.measure",
        lambda self, network, embeddings: (
            {"MAP": 0.5, "TOP10": 1.0, "MR1": 2.0},
            {"cover": np.zeros(1), "other": np.ones(1)},
        ),
    )
    options = {"network": TINY, "loss": "triplet", "batchsize": 16}
    options.update(pretrain_epochs=6, max_epoch=2)
    with pytest.raises(Stop):
        run(store_path, stop_in(2, 1), patience=1, **options)
    pretrained = (here / "models" / "t" / "pretrain" / "last.h5").read_bytes()
    assert len(log(here, "t/pretrain")) == 2
    lines = []
    run(store_path, lines.append, resume=True, **options)
    assert (here / "models" / "t" / "pretrain" / "last.h5").read_bytes() == pretrained
    assert [line for line in lines if "resuming" in line] == ["resuming after epoch 1"]


def test_an_interrupted_rerun_leaves_its_own_lists_beside_its_best(store_path, here):
    def interrupt(line):
        if line.startswith("epoch 1/"):
            os.kill(os.getpid(), signal.SIGINT)

    for name in ("TRAIN", "VAL"):
        write_list(here / "models" / "t" / name, [("another", "run")])
    # As in a terminal: what starts the suite may have its signals ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        # In a process that is no command's, such as a notebook's, Ctrl-C is an exception as any other.
        with pytest.raises(KeyboardInterrupt):
            run(store_path, interrupt, network=TINY)
    finally:
        signal.signal(signal.SIGINT, before)
    lists = TrainingData.open(store_path, seed=0).lists
    for name in ("TRAIN", "VAL"):
        assert read_list(here / "models" / "t" / name) == lists[name]


def test_a_rerun_begins_its_events_anew(store_path, here):
    run(store_path, network=TINY, max_epoch=3)
    run(store_path, network=TINY, max_epoch=2)
    events = scalar_events(here / "log" / "t")["MAP"]
    assert [step for step, _ in events] == [1, 2]


def test_one_run_of_a_name_at_a_time(store_path, here):
    run(store_path, network=TINY, max_epoch=1)
    before = (here / "models" / "t" / "last.h5").read_bytes()
    with locked(here / "models" / "t" / ".lock", pytest.fail):
        for resume in (False, True):
            with pytest.raises(
                MulkinetError, match="another run is already training models/t; wait"
            ):
                run(store_path, network=TINY, max_epoch=1, resume=resume)
    assert (here / "models" / "t" / "last.h5").read_bytes() == before


def test_init_from_says_what_fits(store_path, here):
    _, path = run(store_path, network=TINY, max_epoch=0)
    lines = []
    network = {**TINY, "embedding_len": 4}
    _, started = run(
        store_path, lines.append, network=network, init_from=path, tag="u", max_epoch=0
    )
    (said,) = [line for line in lines if line.startswith("started from")]
    assert "27 of 32 weights; not Embedding/kernel, Embedding_BN/gamma" in said
    one, other = mulkinet.load_model(path), mulkinet.load_model(started)
    np.testing.assert_array_equal(
        one.get_layer("KI_0_Conv").kernel, other.get_layer("KI_0_Conv").kernel
    )
    training = other.metadata["training"]
    assert training["settings"]["init_from"] == str(path.absolute())
    with pytest.raises(MulkinetError, match="whose weights fit a move, found none"):
        run(store_path, model="move", network=MOVE, n_frames=330, init_from=path, augment="none")


def test_init_from_warns_of_other_features(store_path, here, monkeypatch):
    _, path = run(store_path, max_epoch=0)
    lines = []
    run(store_path, lines.append, init_from=path, tag="u", max_epoch=0)
    assert not [line for line in lines if "instead of" in line]
    settings = FeatureStore.settings
    monkeypatch.setattr(
        FeatureStore, "settings", lambda self, name: {**settings(self, name), "hop_length": 256}
    )
    run(store_path, lines.append, init_from=path, tag="u", max_epoch=0)
    (warning,) = [line for line in lines if "instead of" in line]
    assert "found hop_length 256 instead of 512" in warning


SIAMESE = {"model": "siamese", "network": {}, "n_frames": 250}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"network": TINY, "loss": "twin"}, "network with a twin"),
        ({"network": TINY, "loss": "twin", "pretrain_epochs": 30}, "network with a twin"),
        ({"network": TINY, "loss": "triplet", "margin": -1.0}, "--margin >= 0, found -1"),
        ({"network": TINY, "loss": "contrastive", "margin": 0.0}, "--margin > 0, found 0"),
        ({"network": TINY, "clip_norm": 0.0}, "--clip-norm > 0, found 0"),
        ({**SIAMESE, "loss": "softmax"}, "train it with --loss twin"),
        ({**SIAMESE, "pretrain_epochs": 1}, "train it with --loss twin"),
        ({**SIAMESE, "loss": "contrastive"}, "train it with --loss twin"),
        (
            {"network": TINY, "loss": "triplet", "batchsize": 4, "pretrain_epochs": 1},
            "raise --batchsize",
        ),
        ({"network": TINY, "loss": "foo"}, "expected a loss among .*softmax, triplet, twin"),
        ({"network": TINY, "margin": 1.0}, "no --margin with --loss softmax"),
        ({"network": TINY, "loss": "triplet", "mining": "foo"}, "mining"),
        ({"network": TINY, "loss": "triplet", "batchsize": 4}, "raise --batchsize"),
        ({**SIAMESE, "loss": "triplet"}, "train it with --loss twin"),
    ],
)
def test_what_cannot_be_trained_is_told_before_anything_is_written(
    store_path, here, options, message
):
    with pytest.raises(MulkinetError, match=message):
        run(store_path, **options)
    assert list(here.iterdir()) == []


RUN = {"seed": 1, "batchsize": 16}


@pytest.mark.parametrize("mining", MININGS)
def test_a_step_of_triplets_never_waits_for_the_host(mining):
    """Of the whole loss: the network, the mining with its seed from the optimizer's step, the gradient."""
    network = build_model("move", **MOVE)
    works = np.repeat(["a", "b", "c", "d"], 4)
    objective = TripletObjective(network, np.arange(16), works, mining=mining, **RUN)
    optimizer = build_optimizer("adam", 0.1)
    prepare_optimizer(optimizer, network.trainable_variables)

    @tf.function
    def step(x, targets):
        with tf.GradientTape() as tape:
            loss, logged = objective.loss(x, targets, optimizer.iterations)
        return logged, tape.gradient(loss, network.trainable_variables)

    inputs = tf.TensorSpec((16, 12, 330)), tf.TensorSpec((16, 2), tf.int32)
    assert host_trips(step.get_concrete_function(*inputs)) == []


def test_every_dropout_is_seeded_again_by_epoch():
    """Of the network's own too, which a model made of the network holds inside."""
    network = build_model("siamese", n_frames=240, embedding_len=8)
    objective = TwinObjective(network, np.arange(4), ["a", "a", "b", "b"], **RUN)
    x = np.random.default_rng(0).random((2, 12, 240)).astype(np.float32)
    drawn = []
    for epoch in (3, 4, 3):
        objective.plan(epoch)
        drawn.append(objective.model([x, x], training=True).numpy().tolist())
    assert drawn[0] == drawn[2] != drawn[1]


def recipe_of(name):
    (recipe,) = [e.recipes[name] for e in NETWORKS.entries().values() if name in e.recipes]
    return recipe


@pytest.mark.parametrize("recipe", recipe_names())
def test_a_recipe_is_shown_with_the_network_it_trains(recipe):
    from mulkinet.cli.train import main

    result = invoke(main, "--recipe", recipe, "--show", "--embedding-len", "77")
    assert result.exit_code == 0
    shown = dict(map(str.strip, line.split(" ", 1)) for line in result.stdout.splitlines())
    for name, value in {**recipe_of(recipe), "embedding_len": 77}.items():
        assert shown.pop(name.replace("_", "-")) == str(value)
    assert shown.pop("seed") == "0"
    network = {
        "mulkinet": {"block": "wider", "ki-block-num": "4", "strict-invariance": "False"},
        "move": {"n-filters": "256", "sum-method": "adaptive-attention"},
        "siamese": {},
        "rescnn": {"width": "64", "depth": "3"},
        "covers": {"n-filters": "128"},
        "cqtnet": {"width": "32", "bias": "True"},
        "discogs-vinet": {"width": "32"},
        "discogs-vinet-mirex": {"clip-norm": "None"},
    }[recipe]
    assert network.items() <= shown.items()


@pytest.mark.parametrize("recipe", recipe_names())
def test_recipes_have_every_option(recipe):
    settings = complete(recipe, {"lr": None})
    assert settings.keys() >= {"model", *TRAINING_DEFAULTS}
    assert recipe_of(recipe).items() <= settings.items()
    assert complete(recipe, {"lr": 0.5}) == {**settings, "lr": 0.5}


def test_another_loss_brings_its_own_defaults():
    settings = complete("mulkinet", {"loss": "triplet", "margin": 0.2})
    assert (settings["mining"], settings["margin"], settings["tracks_per_work"]) == ("hard", 0.2, 4)
    settings = complete("move", {"loss": "softmax"})
    assert not {"mining", "margin", "tracks_per_work"} & set(settings)
    assert complete("rescnn", {})["margin"] == 0.3
    assert complete("rescnn", {"loss": "contrastive"})["margin"] == 1.0


def test_another_network_by_a_recipe_keeps_its_own_options():
    settings = complete("move", {"model": "rescnn", "width": 8})
    assert (settings["model"], settings["width"], settings["depth"]) == ("rescnn", 8, 3)
    assert (settings["n_frames"], settings["augment"]) == (1800, "move")
    with pytest.raises(MulkinetError, match="rescnn has no option block; it has width, depth"):
        complete("move", {"model": "rescnn", "block": "wider"})
