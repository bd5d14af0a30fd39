"""Fixtures of the whole suite: seeded randomness, and the shared reference material when it is there."""

import os
import random
import sys
from pathlib import Path

os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Until it runs a program of its own, a process that is being started holds HDF5's lock of what its parent reads: a test
# that changes that file a moment later would find it in use.
os.environ["HDF5_USE_FILE_LOCKING"] = "FALSE"

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """Weights that a test or its fixtures draw without a seed are the same in every run."""
    random.seed(0)
    if "tensorflow" in sys.modules:
        sys.modules["tensorflow"].keras.utils.set_random_seed(0)


@pytest.fixture
def rng():
    """A generator with a fixed seed."""
    return np.random.default_rng(20200301)


@pytest.fixture(scope="session")
def repository():
    """The root of the project."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared():
    """The reference material beside the project; absent on a user's machine."""
    folder = REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip("../shared is not here")
    return folder


@pytest.fixture(autouse=True, scope="session")
def no_cache_of_the_user(tmp_path_factory):
    """No test reads or fills the folder in which a user's features are kept."""
    os.environ["MULKINET_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def cache_dir(tmp_path, monkeypatch):
    """An empty cache."""
    monkeypatch.setenv("MULKINET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def server():
    """A server of a small archive of one folder, "set"."""
    from tests.archive_server import CONTENT, ArchiveServer, archive_of, serving

    with serving(ArchiveServer(archive_of(CONTENT))) as server:
        yield server


@pytest.fixture
def n_decoded(monkeypatch):
    """A list that grows by one with every recording that is decoded."""
    from mulkinet.features import cache
    from mulkinet.features.audio import AudioFile
    from mulkinet.identify import embedder

    calls = []

    def counting(path, **options):
        calls.append(path)
        return AudioFile(path, **options)

    for module in (cache, embedder):
        monkeypatch.setattr(module, "AudioFile", counting)
    return calls


@pytest.fixture
def browser():
    """A page in headless chromium."""
    from tests.browser import Browser, chromium

    executable = chromium()
    if not executable:
        pytest.skip("chromium is not installed (apt-get install chromium)")
    with Browser(executable) as browser:
        yield browser
