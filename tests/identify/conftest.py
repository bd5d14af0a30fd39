"""A network set by hand, a library of chords and its index, made once."""

import shutil

import pytest

from mulkinet import Index
from tests.identify.chord_network import write_model
from tests.identify.songs import CHORDS, make_library

WORKS = range(6)


@pytest.fixture(scope="session")
def model_file(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "model.h5")


@pytest.fixture(scope="session")
def other_model_file(tmp_path_factory):
    order = list(reversed(range(len(CHORDS))))
    return write_model(tmp_path_factory.mktemp("other") / "model.h5", order)


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
