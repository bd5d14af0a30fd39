"""Two hosts: a scheduler and two workers, and two more workers; one is killed, and 10 s are without a network.

Hosts are network namespaces, which the test makes and removes; and, where it may not, folders of their own on this one,
whose workers are stopped for as long, which looks the same from outside.
"""

import os
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip("distributed")

from tests.sources.audio_folders import make_works
from tests.sources.test_audio_dir import contents
from tests.training.test_distributed_training import free_port

pytestmark = pytest.mark.slow

_PARTITION_SEC = 10
# A second a track, so that the run lasts longer than the partition; tracks themselves are short.
_SLOW = """
import time
from mulkinet.features import cache
_AudioFile = cache.AudioFile
def slowly(path, **options):
    time.sleep(1)
    return _AudioFile(path, **options)
cache.AudioFile = slowly
"""


def ip(*words):
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=True)


class Namespaces:
    """Two network namespaces joined by a cable."""

    addresses = "10.213.0.1", "10.213.0.2"

    def __init__(self):
        self._names = [f"mulkinet-{os.getpid()}-{number}" for number in (0, 1)]

    def __enter__(self):
        names = self._names
        try:
            for name in names:
                ip("netns", "add", name)
        except (OSError, subprocess.CalledProcessError) as error:
            self.__exit__()
            reason = getattr(error, "stderr", "") or str(error)
            pytest.skip(f"network namespaces are not allowed here: {reason.strip()}")
        ip("-n", names[0], *"link add cable type veth peer name cable netns".split(), names[1])
        for name, address in zip(names, self.addresses):
            ip("-n", name, "addr", "add", f"{address}/24", "dev", "cable")
            for device in ("lo", "cable"):
                ip("-n", name, "link", "set", device, "up")
        return self

    def __exit__(self, *_):
        for name in self._names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)

    def on(self, host):
        """How a command begins that runs on a host."""
        return ["ip", "netns", "exec", self._names[host]]

    def connect(self, is_up, _workers):
        """Plugs the cable in, or out."""
        ip("-n", self._names[1], "link", "set", "cable", "up" if is_up else "down")


class Folders:
    """This machine twice."""

    addresses = "127.0.0.1", "127.0.0.1"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def on(self, _host):
        """See `Namespaces`."""
        return []

    def connect(self, is_up, workers):
        """Lets the other host's workers go on, or stops them."""
        for worker in workers:
            os.killpg(worker.pid, signal.SIGCONT if is_up else signal.SIGSTOP)


@pytest.fixture(params=[Namespaces, Folders])
def hosts(request):
    with request.param() as hosts:
        yield hosts


def test_a_killed_worker_and_a_partition_change_nothing(hosts, repository, tmp_path):
    audio = make_works(tmp_path / "audio", n_works=12, n_tracks=4)
    (tmp_path / "slow.py").write_text(_SLOW)
    processes = []
    log = open(tmp_path / "log", "w", encoding="utf-8")  # noqa: SIM115 - closed when all have ended

    def start(host, cache, *words):
        environment = {
            **os.environ,
            "PYTHONPATH": f"{repository}{os.pathsep}{tmp_path}",
            "MULKINET_CACHE": str(tmp_path / cache),
        }
        process = subprocess.Popen(
            [*hosts.on(host), sys.executable, *map(str, words)],
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        processes.append(process)
        return process

    port = free_port()
    (head, other), address = hosts.addresses, f"tcp://{hosts.addresses[0]}:{port}"
    dask = ("-m", "dask")
    worker = (*dask, "worker", address, "--nthreads", 1, "--preload", "slow", "--no-dashboard")
    command = ("-m", "mulkinet", "preprocess", "from-audio-dir", "-a", audio, "-s", "50")
    try:
        scheduler = (*dask, "scheduler", "--host", head, "--port", port, "--no-dashboard")
        start(0, "head", *scheduler)
        start(0, "head", *worker, "--nworkers", 2, "--host", head)
        two = [start(1, "other", *worker, "--host", other) for _ in range(2)]
        run = start(0, "head", *command, "-o", tmp_path / "there", "--cluster", address)
        features = tmp_path / "head" / "features"
        while run.poll() is None and len(list(features.glob("*.h5"))) < 4:
            time.sleep(0.1)
        assert run.poll() is None, (tmp_path / "log").read_text()
        os.killpg(two[0].pid, signal.SIGKILL)
        hosts.connect(False, two[1:])
        time.sleep(_PARTITION_SEC)
        hosts.connect(True, two[1:])
        assert run.poll() is None, "it was over before the network was back"
        assert run.wait(timeout=300) == 0, (tmp_path / "log").read_text()
        here = start(0, "alone", *command, "-o", tmp_path / "here", "-n", 2)
        assert here.wait(timeout=300) == 0, (tmp_path / "log").read_text()
    finally:
        for process in reversed(processes):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        log.close()
    assert contents(tmp_path / "there" / "audio.h5") == contents(tmp_path / "here" / "audio.h5")
    assert not list((tmp_path / "other").rglob("*.h5"))
