"""One server of a small library, in a process of its own as a user's is."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from mulkinet import Index
from tests.identify.chord_network import write_model
from tests.identify.songs import write_song

WORKS = range(6)


@pytest.fixture(scope="session")
def served_library(tmp_path_factory):
    """Songs that are long enough to be aligned."""
    folder = tmp_path_factory.mktemp("served library")
    for work in WORKS:
        for performance in range(2):
            path = folder / f"w{work}" / f"p{performance}.wav"
            write_song(path, work, performance, seconds=16)
    return folder


@pytest.fixture(scope="session")
def served_index(tmp_path_factory, served_library):
    model_file = write_model(tmp_path_factory.mktemp("model") / "model.h5")
    path = tmp_path_factory.mktemp("index") / "library.index"
    Index.build(path, served_library, model_file, n_workers=1, progress=False)
    return path


class Served:
    """`mulkinet serve` in a process.

    Attributes:
        process: subprocess.Popen.
        address: Where it answers.
        uploads: Folder in which it makes its own.
    """

    def __init__(self, index, uploads, *options):
        self.uploads = uploads
        arguments = ["serve", "--index", index, "--port", "0", *options]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mulkinet.cli.main", *map(str, arguments)],
            env={**os.environ, "TMPDIR": str(uploads)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        self.address = line.split(" at ")[1].split()[0]

    @property
    def port(self):
        return int(self.address.rsplit(":", 1)[1])

    def client(self, **options):
        """An httpx.Client of it, which asks no proxy."""
        options = {"timeout": 60, **options}
        return httpx.Client(base_url=self.address, trust_env=False, **options)

    def left(self):
        """Files of uploads that are there."""
        return list(self.uploads.glob("mulkinet-serve-*/*"))

    def stop(self):
        """Exit status after SIGTERM."""
        self.process.terminate()
        try:
            return self.process.wait(60)
        finally:
            self.process.kill()
            self.process.stdout.close()
            self.process.stderr.close()


@pytest.fixture(scope="session")
def served(served_index, served_library, tmp_path_factory):
    options = ["--max-mb", "8", "--max-sec", "20", "--decode-sec", "5", "--queue", "4"]
    server = Served(served_index, tmp_path_factory.mktemp("uploads"), *options)
    yield server
    # It is stopped once, so that is tested here: by a request that is under way then.
    with ThreadPoolExecutor(1) as pool, server.client() as client:
        song = (served_library / "w1" / "p0.wav").read_bytes()
        answer = pool.submit(client.post, "/identify", files={"audio": song})
        with server.client() as other:
            while other.get("/health").json()["pending"] == 0 and not answer.done():
                pass
        status = server.stop()
    assert answer.result().status_code == 200
    assert status in (0, -15)  # uvicorn raises the signal again once it has stopped
    assert list(server.uploads.glob("mulkinet-serve-*")) == []


@pytest.fixture
def client(served):
    with served.client() as client:
        yield client
