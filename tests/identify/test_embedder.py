"""What a model is given of a recording: the length it was trained on, whatever the trainer noted."""

import sys

import numpy as np
import pytest

from mulkinet import Index, build_model, load_model
from mulkinet.identify.embedder import Embedder
from mulkinet.models.move import MIN_FRAMES
from mulkinet.models.published.move import METADATA
from mulkinet.training.data import TrainingData
from mulkinet.training.recipes import complete
from mulkinet.training.run import train
from tests.patterns import TINY, write_pattern_store

N_FRAMES = 400
MOVE = {"n_filters": 2, "embedding_len": 8}


@pytest.fixture(scope="module")
def store_path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    return write_pattern_store(folder / "patterns.h5", n_tracks=2, n_frames=450)


def write_trained(store_path, folder, monkeypatch, model, n_frames, **network):
    """A model file with everything that the trainer notes."""
    monkeypatch.chdir(folder)
    given = {
        **network,
        "model": model,
        "n_frames": n_frames,
        "max_epoch": 0,
        "batchsize": 8,
        "seed": 1,
    }
    options = {"tag": "t", "gpus": [], "resume": False, "report": lambda line: None}
    _, path = train(
        complete(model, given), lambda: TrainingData.open(store_path, seed=0), **options
    )
    return folder / path


def test_a_trained_move_repeats_what_is_shorter_and_says_so(store_path, tmp_path, monkeypatch):
    path = write_trained(store_path, tmp_path, monkeypatch, "move", N_FRAMES, **MOVE)
    embedder = Embedder(load_model(path))
    assert embedder.model.n_frames is None
    assert embedder.trained_frames == N_FRAMES
    x = np.random.default_rng(0).random((12, 150)).astype(np.float32)
    # 400 frames are 150 + 150 + 100.
    expected = np.concatenate([x, x, x[:, :100]], axis=1)
    np.testing.assert_array_equal(embedder.prepare(embedder.from_features(x)), expected)
    long = np.tile(x, 4)
    np.testing.assert_array_equal(embedder.prepare(embedder.from_features(long)), long)

    index = Index.build(tmp_path / "x.index", store_path, path, progress=False)
    assert index.changes.repeated == 0
    assert index.info()["trained_sec"] == N_FRAMES / 10
    [warning] = index.identify(x).warnings
    assert "15.0 s long and was repeated" in warning
    assert "trained on 40 s" in warning
    assert index.identify(long).warnings == []


def test_the_published_move_was_trained_on_1800_frames():
    model = build_model("move", **MOVE)
    model.metadata = METADATA
    assert Embedder(model).trained_sec == pytest.approx(1800 * 8 * 512 / 44100)


def test_a_model_that_says_no_length_repeats_to_what_the_network_takes(tmp_path):
    model = build_model("move", **MOVE)
    model.metadata = {name: value for name, value in METADATA.items() if name != "training"}
    embedder = Embedder(model)
    assert embedder.trained_sec is None
    # Every 8th frame of 512 samples at 44.1 kHz.
    assert embedder.least_sec == pytest.approx(MIN_FRAMES * 8 * 512 / 44100)
    x = np.ones((12, MIN_FRAMES - 1), np.float32)
    assert embedder.prepare(embedder.from_features(x)).shape == (12, MIN_FRAMES)
    assert embedder.prepare(embedder.from_features(np.tile(x, 2))).shape == (
        12,
        2 * MIN_FRAMES - 2,
    )


def test_short_tracks_of_a_collection_are_counted(tmp_path, monkeypatch):
    short = write_pattern_store(tmp_path / "short.h5", n_tracks=2, n_frames=60)
    path = write_trained(short, tmp_path, monkeypatch, "mulkinet", 100, **TINY_NETWORK)
    index = Index.build(tmp_path / "x.index", short, path, progress=False)
    assert index.changes.repeated == index.changes.embedded == 16


def test_features_are_framed_as_soon_as_they_are_extracted(model_file, library):
    from mulkinet.identify.embedder import read_recordings

    embedder = Embedder(load_model(model_file))
    path = library / "w0" / "p0.wav"
    [(_, raw)] = read_recordings([path], embedder, framed=False)
    [(_, framed)] = read_recordings([path], embedder)
    assert framed.x.shape[1] == -(-raw.x.shape[1] // 16)
    assert framed.seconds == raw.seconds
    np.testing.assert_array_equal(embedder.prepare(framed), embedder.prepare(raw))


def test_embedding_in_chunks_changes_nothing(model_file, monkeypatch):
    embedder = Embedder(load_model(model_file))
    rng = np.random.default_rng(1)
    recordings = [embedder.from_features(rng.random((12, n))) for n in (40, 170, 200, 40, 90)]
    whole = embedder.embed(recordings)
    monkeypatch.setattr("mulkinet.identify.embedder._PREPARED_AT_A_TIME", 2)
    np.testing.assert_allclose(embedder.embed(recordings), whole, atol=1e-6)
    assert embedder.embed([]).shape == (0, embedder.model.embedding_len)


def test_a_store_is_indexed_without_the_packages_for_audio(store_path, tmp_path, monkeypatch):
    path = write_trained(store_path, tmp_path, monkeypatch, "mulkinet", 100, **TINY_NETWORK)
    for name in ("essentia", "crema", "librosa", "soundfile", "soxr"):
        monkeypatch.setitem(sys.modules, name, None)
    index = Index.build(tmp_path / "x.index", store_path, path, progress=False)
    assert len(index) == 16
    assert index.identify(np.ones((12, 100), np.float32)).works
    assert index.calibrate()["tracks"] == 16


TINY_NETWORK = {name: value for name, value in TINY.items() if name != "n_frames"}
