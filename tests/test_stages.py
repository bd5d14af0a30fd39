"""Every stage trains its network, resumes to the same end, and refuses what it cannot train."""

import numpy as np
import pytest

import mulkinet
from mulkinet import MulkinetError
from mulkinet.recipes import RECIPES, complete
from tests.patterns import TINY, write_pattern_store
from tests.test_training import Stop, assert_same_run, log, run, stop_after

MOVE = {"n_filters": 4, "embedding_len": 8}
STAGES = {
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
}


@pytest.fixture(scope="module")
def store_path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    return write_pattern_store(folder / "patterns.h5", n_frames=340)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_trains_and_resumes(store_path, tmp_path, monkeypatch, stage):
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "whole")
    run(store_path, max_epoch=3, **STAGES[stage])
    rows = log(tmp_path / "whole")
    assert all(np.isfinite(float(row["loss"])) for row in rows)
    expected = {
        "triplet": {"active_triplets", "violating_anchors", "mean_positive_distance"},
        "twin": {"accuracy"},
        "contrastive": {"mean_positive_distance", "mean_negative_distance"},
    }
    assert expected[stage] < set(rows[0])
    monkeypatch.chdir(tmp_path / "parts")
    with pytest.raises(Stop):
        run(store_path, stop_after(2), max_epoch=3, **STAGES[stage])
    run(store_path, max_epoch=3, resume=True, **STAGES[stage])
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


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


def test_a_two_stage_run_resumes_in_either_stage(store_path, tmp_path, monkeypatch):
    options = {"network": TINY, "loss": "triplet", "batchsize": 16}
    options.update(pretrain_epochs=2, max_epoch=3)
    for name in ("whole", "first", "second"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "whole")
    run(store_path, **options)

    def stop_in(stage_epochs, epoch):
        def report(line):
            if line.startswith(f"epoch {epoch}/{stage_epochs} "):
                raise Stop

        return report

    for name, stage_epochs in (("first", 2), ("second", 3)):
        monkeypatch.chdir(tmp_path / name)
        with pytest.raises(Stop):
            run(store_path, stop_in(stage_epochs, 1), **options)
        run(store_path, resume=True, **options)
        assert_same_run(tmp_path / "whole", tmp_path / name)


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
    with pytest.raises(MulkinetError, match="whose weights fit a move, found none"):
        run(store_path, model="move", network=MOVE, n_frames=330, init_from=path, augment="none")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"network": TINY, "loss": "twin"}, "network with a twin"),
        ({"network": TINY, "loss": "foo"}, "expected a loss of softmax, triplet, twin"),
        ({"network": TINY, "margin": 1.0}, "no --margin with --loss softmax"),
        ({"network": TINY, "loss": "triplet", "mining": "foo"}, "mining"),
        ({"network": TINY, "loss": "triplet", "batchsize": 4}, "raise --batchsize"),
        (
            {"model": "siamese", "network": {}, "n_frames": 250, "loss": "triplet"},
            "train it with --loss twin",
        ),
    ],
)
def test_what_cannot_be_trained(store_path, here, options, message):
    with pytest.raises(MulkinetError, match=message):
        run(store_path, **options)


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes_have_every_option(recipe):
    assert set(RECIPES[recipe]) == set(RECIPES["mulkinet"])
    assert complete(recipe, {"lr": None}) == RECIPES[recipe]
    assert complete(recipe, {"lr": 0.5})["lr"] == 0.5


def test_another_loss_brings_its_own_defaults():
    settings = complete("mulkinet", {"loss": "triplet", "margin": 0.2})
    assert (settings["mining"], settings["margin"], settings["tracks_per_work"]) == ("hard", 0.2, 4)
    settings = complete("move", {"loss": "softmax"})
    assert settings["mining"] is settings["margin"] is settings["tracks_per_work"] is None
