"""The recipes of CQTNet and Discogs-VINet, and CLEWS, take their steps: networks as narrow as can be."""

import numpy as np
import pytest
import tensorflow as tf

from mulkinet import load_model
from mulkinet.cli.train import main
from mulkinet.data.store_writer import StoreWriter
from mulkinet.features.cqt import SETTINGS
from mulkinet.training.recipes import complete, crop_lengths
from tests.commands import invoke
from tests.sources.charts.songs import write_songs

RECIPES = {
    "cqtnet": ["--batchsize", 8],
    "discogs-vinet": ["--batchsize", 8],
    "discogs-vinet-mirex": ["--batchsize", 16],
}


@pytest.fixture(scope="module")
def spectra(tmp_path_factory):
    """Six works of three tracks of noise, each work in its own bins."""
    path = tmp_path_factory.mktemp("store") / "spectra.h5"
    tracks = [(f"w{work}", str(track)) for work in range(6) for track in range(3)]
    rng = np.random.default_rng(0)
    with StoreWriter(path, name="spectra", tracks=tracks) as writer:
        writer.add_feature("cqt", n_frames=[210] * len(tracks), settings=SETTINGS)
        for track in tracks:
            loud = np.ones(84)
            loud[int(track[0][1:]) * 12 :][:12] = 4
            writer.write("cqt", track, rng.random((210, 84)) * loud)
    return path


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_trains(spectra, tmp_path, monkeypatch, recipe):
    monkeypatch.chdir(tmp_path)
    small = ["--width", 1, "--embedding-len", 4, "--max-epoch", 1, "--gpu", -1, *RECIPES[recipe]]
    done = invoke(main, "--recipe", recipe, "--data-dir", spectra, *small)
    assert done.exit_code == 0, done.stderr
    assert "best: epoch 1" in done.stdout
    model = load_model(tmp_path / "models" / "test" / "best.h5")
    settings = model.metadata["training"]["settings"]
    assert settings["optimizer"] == ("adamw" if recipe == "discogs-vinet" else "adam")
    assert model.distance == ("cosine" if recipe == "cqtnet" else "euclidean")
    x = tf.random.stateless_uniform((1, 84, 200), (0, 0))
    assert np.isfinite(model.embed_batch(x.numpy())).all()


def test_clews_trains(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    charts = write_songs(tmp_path / "songs.jsonl.gz", 12)
    small = ["--n-filters", 4, "--embedding-len", 8, "--n-frames", 40, "--max-epoch", 1]
    loss = ["--loss", "clews", "--n-segments", 2, "--tracks-per-work", 2, "--batchsize", 16]
    done = invoke(main, "--recipe", "covers", "--data-dir", charts, "--gpu", -1, *small, *loss)
    assert done.exit_code == 0, done.stderr
    assert "best: epoch 1" in done.stdout
    wrong = invoke(
        main,
        "--recipe",
        "cqtnet",
        "--loss",
        "clews",
        "--data-dir",
        charts,
        "--feature",
        "cqt",
        "--force",
    )
    assert wrong.exit_code == 1
    assert "expects at least 172 frames, found 50; name a longer crop" in wrong.stderr


def test_lengths_of_crops():
    assert crop_lengths(complete("cqtnet", {})) == (200, 300, 400)
    assert crop_lengths(complete("cqtnet", {"n_frames": 250})) == (250,)
    assert crop_lengths(complete("move", {"longer_crops": "1900"})) == (1800, 1900)
    for longer in ("300,200", "a", "200", "300,,400"):
        done = invoke(main, "--recipe", "cqtnet", "--longer-crops", longer, "--show")
        assert done.exit_code == 1
        assert "expected --longer-crops to rise from --n-frames 200" in done.stderr
    done = invoke(main, "--recipe", "discogs-vinet", "--clique-rule", "songs", "--max-epoch", 1)
    assert "expected --clique-rule among move, works, tracks, found 'songs'" in done.stderr
