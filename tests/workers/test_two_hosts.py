"""Two hosts, as network namespaces: a scheduler and two workers each, one killed, and 10 s without a network.

Nothing leaves the namespaces, which the test makes and removes.
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

pytestmark = pytest.mark.slow

_HEAD, _OTHER = "10.213.0.1", "10.213.0.2"
_PARTITION_SEC = 10
# A second a track, so that the run lasts longer than the partition; tracks themselves are short.
_SLOW = """
import time
from mulkinet.features import cache
_decode = cache.decode
def decode(path, **options):
    time.sleep(1)
    return _decode(path, **options)
cache.decode = decode
"""


def ip(*words):
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=True)


@pytest.fixture
def hosts():
    """Names of two namespaces joined by a cable."""
    names = [f"mulkinet-{os.getpid()}-{number}" for number in (0, 1)]
    try:
        for name in names:
            ip("netns", "add", name)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", "") or str(error)
        pytest.skip(f"network namespaces are not allowed here: {reason.strip()}")
    try:
        ip("-n", names[0], *"link add cable type veth peer name cable netns".split(), names[1])
        for name, address in zip(names, (_HEAD, _OTHER)):
            ip("-n", name, "addr", "add", f"{address}/24", "dev", "cable")
            for device in ("lo", "cable"):
                ip("-n", name, "link", "set", device, "up")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


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
            ["ip", "netns", "exec", host, sys.executable, *map(str, words)],
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        processes.append(process)
        return process

    address = f"tcp://{_HEAD}:8786"
    dask = ("-m", "dask")
    worker = (*dask, "worker", address, "--nthreads", 1, "--preload", "slow", "--no-dashboard")
    command = ("-m", "mulkinet", "preprocess", "from-audio-dir", "-a", audio, "-s", "50")
    try:
        start(hosts[0], "head", *dask, "scheduler", "--host", _HEAD, "--no-dashboard")
        start(hosts[0], "head", *worker, "--nworkers", 2, "--host", _HEAD)
        two = [start(hosts[1], "other", *worker, "--host", _OTHER) for _ in range(2)]
        run = start(hosts[0], "head", *command, "-o", tmp_path / "there", "--cluster", address)
        features = tmp_path / "head" / "features"
        while run.poll() is None and len(list(features.glob("*.h5"))) < 4:
            time.sleep(0.1)
        assert run.poll() is None, (tmp_path / "log").read_text()
        os.killpg(two[0].pid, signal.SIGKILL)
        ip("-n", hosts[1], "link", "set", "cable", "down")
        time.sleep(_PARTITION_SEC)
        ip("-n", hosts[1], "link", "set", "cable", "up")
        assert run.poll() is None, "it was over before the network was back"
        assert run.wait(timeout=300) == 0, (tmp_path / "log").read_text()
        here = start(hosts[0], "alone", *command, "-o", tmp_path / "here", "-n", 2)
        assert here.wait(timeout=300) == 0, (tmp_path / "log").read_text()
    finally:
        for process in reversed(processes):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        log.close()
    assert contents(tmp_path / "there" / "audio.h5") == contents(tmp_path / "here" / "audio.h5")
    assert not list((tmp_path / "other").rglob("*.h5"))
