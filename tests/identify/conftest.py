"""A small network, a library of chords and its index, made once."""

import shutil

import numpy as np
import pytest
import tensorflow as tf

from mulkinet import Index, build_model, save_model
from mulkinet.features.resize import TrackLength
from mulkinet.identify.extraction import Extraction, stored_settings
from tests.identify.songs import make_library, play

WORKS = range(6)


TRAINED_WORKS = range(100, 124)  # none of them is ever indexed
_STEPS = 30


def write_model(path, seed=1, steps=_STEPS):
    """A network that has learnt, in seconds, to tell loops of chords apart wherever they begin."""
    tf.keras.utils.set_random_seed(seed)
    model = build_model(
        "mulkinet", ki_block_num=2, ki_out_channel=16, embedding_len=32, tempatt=False, n_frames=160
    )
    settings = stored_settings("hpcp", TrackLength(downsample=16))
    model.metadata.update(feature="hpcp", feature_settings=settings, n_frames=160, pad="zero")
    train(model, steps)
    save_model(model, path)
    return path


def train(model, steps):
    extraction, rng = Extraction(model), np.random.default_rng(0)
    songs = [extraction.from_samples(play(work, 0, 14)) for work in TRAINED_WORKS]
    classifier = model.classifier(len(songs), seed=0)
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    classifier.compile(tf.keras.optimizers.Adam(3e-3), loss)
    for _ in range(steps):
        seconds = rng.uniform(3, 12, len(songs))
        starts = rng.uniform(0, 14 - seconds)
        crops = [song.cut(a, a + n) for song, a, n in zip(songs, starts, seconds)]
        x = np.stack([extraction.prepare(crop) for crop in crops])
        classifier.train_on_batch(x, np.arange(len(songs)))


@pytest.fixture(scope="session")
def model_file(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "model.h5")


@pytest.fixture(scope="session")
def other_model_file(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("other") / "model.h5", seed=2, steps=0)


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    return make_library(tmp_path_factory.mktemp("library"), WORKS)


@pytest.fixture(scope="session")
def built(tmp_path_factory, library, model_file):
    path = tmp_path_factory.mktemp("index") / "library.index"
    Index.build(path, library, model_file, n_workers=1, progress=False)
    return path


@pytest.fixture
def index_path(built, tmp_path):
    """A copy of the built index, to be changed."""
    return shutil.copy(built, tmp_path / "library.index")
