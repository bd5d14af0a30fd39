"""Weights by name, from a local server: fetched once, checked by git blob hash, refused when they are anything else."""

import gc
import hashlib
import http.server
import multiprocessing
import os
import re

import numpy as np
import pytest

from mulkinet import MulkinetError, build_model, load_model
from mulkinet.cli.evaluate import main as evaluate
from mulkinet.cli.main import main as mulkinet
from mulkinet.cli.weights import main
from mulkinet.data.store_writer import StoreWriter
from mulkinet.features import cqt
from mulkinet.models import weights
from mulkinet.models.published.move import METADATA
from mulkinet.models.weights import Published, fetch, fetched, find_model, is_named
from tests.archive_server import serving
from tests.commands import invoke
from tests.published_files import state_dict_of, write_pt


def blob_of(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.requests.append(self.path)
        if server.status:
            self.send_error(server.status)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(server.promised or len(server.content)))
        self.end_headers()
        self.wfile.write(server.content)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """A small re-MOVE as it would be published."""
    path = tmp_path_factory.mktemp("published") / "model.pt"
    write_pt(path, state_dict_of(build_model("move", n_filters=3, embedding_len=256)))
    return path.read_bytes()


@pytest.fixture
def server(content, monkeypatch):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.content, server.promised, server.status, server.requests = content, None, None, []
    url = f"http://127.0.0.1:{server.server_port}/model.pt"
    published = Published(
        "a system", "data", "crema", "AGPL-3.0", url, blob_of(content), warning="mind this"
    )
    monkeypatch.setitem(weights.PUBLISHED, "re-move", published)
    with serving(server):
        yield server


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MULKINET_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache" / "weights"


def refused(message):
    with pytest.raises(MulkinetError, match=message) as caught:
        fetch("re-move")
    assert "\n" not in str(caught.value)


def kept(cache):
    return [path.name for path in cache.iterdir() if not path.name.endswith(".lock")]


def test_a_name_is_fetched_once_and_told_of(server, cache):
    lines = []
    path = fetch("re-move", report=lines.append)
    assert lines == [
        f"fetching a system (AGPL-3.0) from {weights.PUBLISHED['re-move'].url}",
        "re-move: mind this",
    ]
    assert path == fetched("re-move")
    assert kept(cache) == [path.name]
    server.status = 500
    assert fetch("re-move", report=lines.append) == path
    assert (len(lines), len(server.requests)) == (2, 1)
    model = load_model("re-move")
    assert model.metadata["published"]["licence"] == "AGPL-3.0"
    assert model.embed_batch(np.zeros((1, 12, 330), np.float32)).shape == (1, 256)


def test_a_name_that_is_none_is_told_the_nearest(cache):
    with pytest.raises(
        MulkinetError,
        match=r"the name of one \(covers, .*move.*found no 'movee'; did you mean move\?$",
    ):
        load_model("movee")
    with pytest.raises(MulkinetError, match="found no 'mine'; train.py makes a file of one$"):
        load_model("mine")


@pytest.mark.parametrize("case", ["another file", "half a file", "a page"])
def test_what_is_not_the_published_file_is_refused(server, cache, case):
    good = server.content
    server.content = {
        "another file": good[:-1] + b"x",
        "half a file": good[: len(good) // 2],
        "a page": b"<!DOCTYPE html><html>Sign in</html>",
    }[case]
    found = "a web page" if case == "a page" else blob_of(server.content)[:12]
    refused(
        f"expected git blob {blob_of(good)[:12]} at http.*, found {found} of {len(server.content)} bytes"
    )
    assert kept(cache) == []
    server.content = good
    assert fetch("re-move").is_file()


# requests leaves the sockets of answers that it did not read to the end to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_broken_connection_says_where_to_put_the_file(server, cache, content):
    server.promised = len(content) + 10
    place = cache / f"re-move-{blob_of(content)[:8]}.pt"
    refused(
        f"to answer, found .*; download it elsewhere, put it at {place} and run this command again"
    )
    assert kept(cache) == []
    server.status = 404
    refused("to answer, found 404")
    place.write_bytes(content)
    n_requests = len(server.requests)
    assert fetch("re-move").is_file()
    assert len(server.requests) == n_requests
    assert not place.exists()
    gc.collect()  # those sockets here, where they are no errors, and not in a later test


def test_no_network(server, cache):
    server.shutdown()
    server.server_close()
    refused("expected http://127.0.0.1.* to answer, found .*put it at")


def test_a_file_put_there_is_checked(server, cache, content):
    cache.mkdir(parents=True)
    (cache / f"re-move-{blob_of(content)[:8]}.pt").write_bytes(content[:100])
    refused("expected git blob .*, found .* of 100 bytes")


def _fetch(_):
    return os.fspath(fetch("re-move", report=lambda line: None))


def test_two_processes_at_once(server, cache):
    with multiprocessing.get_context("fork").Pool(2) as pool:
        paths = pool.map(_convertless, range(2))
    assert paths == [os.fspath(fetched("re-move"))] * 2
    assert len(server.requests) == 1


def _convertless(i):
    """TensorFlow does not survive a fork: the conversion is a copy here."""
    weights._convert = lambda published, path, *_: published.replace(path)
    return _fetch(i)


def publish(monkeypatch, server, name, content):
    """Lets a name stand for what the server gives."""
    server.content = content
    url = f"http://127.0.0.1:{server.server_port}/{name}.pth"
    published = Published("a system", "data", "feature", "MIT", url, blob_of(content))
    monkeypatch.setitem(weights.PUBLISHED, name, published)


def write_features(path, feature, n_bins, settings):
    """A store of two works in two performances each, of noise."""
    tracks = [(f"w{work}", str(track)) for work in range(2) for track in range(2)]
    rng = np.random.default_rng(0)
    with StoreWriter(path, name=path.stem, tracks=tracks) as writer:
        writer.add_feature(feature, n_frames=[400] * 4, settings=settings)
        for track in tracks:
            writer.write(feature, track, rng.random((400, n_bins), np.float32))
    return path


def test_a_name_goes_where_a_model_file_does(server, shared, tmp_path, monkeypatch):
    golden = shared / "reference" / "golden" / "cqtnet" / "vinet_ismir_quarter.pth"
    publish(monkeypatch, server, "discogs-vinet", golden.read_bytes())
    store = write_features(tmp_path / "cqt.h5", "cqt_vinet", 84, cqt.settings_of("cqt_vinet"))
    for _ in range(2):
        done = invoke(evaluate, "--model-file", "discogs-vinet", "--data-dir", store)
        assert done.exit_code == 0, done.stderr
        assert "MAP" in done.stdout
    assert server.requests == ["/discogs-vinet.pth"]

    move = tmp_path / "move.pt"
    write_pt(move, state_dict_of(build_model("move", n_filters=3, embedding_len=8)))
    publish(monkeypatch, server, "move", move.read_bytes())
    settings = {**METADATA["feature_settings"], "frame_rate": 44100 / 512 / 8}
    store = write_features(tmp_path / "crema.h5", "crema", 12, settings)
    path = tmp_path / "my.index"
    done = invoke(mulkinet, "index", "build", store, "--model-file", "move", "-o", path)
    assert done.exit_code == 0, done.stderr
    assert invoke(mulkinet, "index", "info", path).stdout.count("move") >= 1
    assert server.requests[1:] == ["/move.pth"]


def test_names_and_files(server, cache, tmp_path):
    assert is_named("re-move")
    assert not is_named("models/re-move")
    (tmp_path / "re-move").write_text("mine")
    assert find_model("re-move").read_text() == "mine"
    with pytest.raises(
        MulkinetError, match="or the name of one .*discogs-vinet.*, found no 'nothing'"
    ):
        find_model("nothing")
    with pytest.raises(MulkinetError, match="expected the name of weights"):
        fetch("nothing")
    with pytest.raises(MulkinetError, match="no lasting address .* mulkinet import FILE -o"):
        fetch("siamese")


def test_the_published_names():
    assert list(weights.PUBLISHED) == [
        "move", "move-4000", "re-move", "cqtnet", "discogs-vinet", "discogs-vinet-mirex", "siamese"
    ]  # fmt: skip
    for name in list(weights.PUBLISHED)[:-1]:
        published = weights.PUBLISHED[name]
        assert len(published.blob) == 40
        assert published.url.startswith("https://raw.githubusercontent.com/")
    assert "mean nothing" in weights.PUBLISHED["discogs-vinet-mirex"].warning


def test_the_command(cache):
    listed = invoke(main, "list")
    assert listed.exit_code == 0
    assert "discogs-vinet-mirex  " in listed.stdout
    assert "AGPL-3.0" in listed.stdout
    assert re.search(r"^discogs-vinet +Discogs-VINet .* MIT +about 62 +no$", listed.stdout, re.M)
    place = fetched("siamese")
    assert f"siamese: no lasting address is known; mulkinet import FILE -o {place}" in listed.stdout
    failed = invoke(main, "get", "nothing", "--cache-dir", cache)
    assert failed.exit_code == 1
    assert failed.stderr.startswith("Error: expected the name of weights")
