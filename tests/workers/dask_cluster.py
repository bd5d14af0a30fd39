"""A Dask cluster on the loopback for the tests, and tasks that behave badly on it."""

import contextlib
import logging
import os
import signal
import time
from pathlib import Path

import dask
import distributed

__all__ = [
    "AnotherVersion",
    "CrashingDecoder",
    "local_cluster",
    "crash_at_five",
    "die_once",
    "nap",
    "note_and_nap",
    "say",
    "sleep_and_tell",
]

# Two deaths are as good as four, and take half the time.
_SETTINGS = {
    "distributed.scheduler.allowed-failures": 1,
    "distributed.worker.multiprocessing-method": "forkserver",  # workers that start fast
    "distributed.deploy.lost-worker-timeout": "1 day",
}


@contextlib.contextmanager
def local_cluster(n_workers):
    """A LocalCluster of so many processes, with a scheduler in this one."""
    with dask.config.set(_SETTINGS):
        with distributed.LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            memory_limit=0,
            silence_logs=logging.CRITICAL,
        ) as cluster:
            yield cluster


class CrashingDecoder(distributed.WorkerPlugin):
    """Ends the worker that decodes a file named crash.wav, as a fault in a C library would."""

    name = "crashing decoder"

    def setup(self, worker):
        from mulkinet.features import cache

        audio_file = cache.AudioFile

        def crash(path, **options):
            if Path(path).name == "crash.wav":
                os.kill(os.getpid(), signal.SIGKILL)
            return audio_file(path, **options)

        cache.AudioFile = crash


class AnotherVersion(distributed.WorkerPlugin):
    """Workers that join later than the known ones say that they have another version.

    Args:
        known: Names of those that are there.
    """

    name = "another version"

    def __init__(self, known):
        self.known = known

    def setup(self, worker):
        from mulkinet.workers import environment

        described = {**environment.describe(), "av": "0.1"}
        if worker.name not in self.known:
            environment.describe = lambda: described


def nap(item):
    time.sleep(0.1)
    return item**2


def sleep_and_tell(item):
    time.sleep(0.2)
    return os.getpid()


def crash_at_five(item):
    if item == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return nap(item)


def die_once(folder, item):
    """The worker that has item 3 is killed in the middle of it, the first time."""
    if item == 3:
        with contextlib.suppress(FileExistsError):
            (folder / "died").touch(exist_ok=False)
            os.kill(os.getpid(), signal.SIGKILL)
    return nap(item)


def note_and_nap(folder, item):
    """Notes which process has the item, and computes for a second."""
    (folder / f"{item}-{os.getpid()}").touch()
    time.sleep(1)
    return item


def say(item):
    os.write(2, b"noise")
    return item
