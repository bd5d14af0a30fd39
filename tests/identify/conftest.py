"""A small untrained network, a library of chords and its index, made once."""

import shutil

import pytest
import tensorflow as tf

from mulkinet import Index, build_model, save_model
from mulkinet.features.resize import Framing
from mulkinet.identify.extraction import stored_settings
from tests.identify.songs import make_library

WORKS = range(6)


def write_model(path, seed=1):
    tf.keras.utils.set_random_seed(seed)
    model = build_model(
        "mulkinet", ki_block_num=2, ki_out_channel=8, embedding_len=16, tempatt=False, n_frames=160
    )
    settings = stored_settings("hpcp", Framing(downsample=8))
    model.metadata.update(feature="hpcp", feature_settings=settings, n_frames=160, pad="zero")
    save_model(model, path)
    return path


@pytest.fixture(scope="session")
def model_file(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "model.h5")


@pytest.fixture(scope="session")
def other_model_file(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("other") / "model.h5", seed=2)


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
