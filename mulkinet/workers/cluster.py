"""Tasks on a Dask cluster: one item is one task, and its result comes back as soon as it is there.

Few tasks are under way at a time, so that millions of items need little memory here and on the scheduler. Dask runs
again what a lost worker had in hand, up to the scheduler's `allowed-failures` (3). An item that was in hand that often
is not the culprit for sure: when all others are done, each of those runs once more with nothing beside it.
"""

import asyncio
import collections
import concurrent.futures
import contextlib
import functools
import itertools
import logging
import os
import queue
import secrets
from pathlib import Path
from typing import NamedTuple

from mulkinet.errors import MulkinetError, import_extra
from mulkinet.workers import environment
from mulkinet.workers.processes import limit_tensorflow, silence

__all__ = ["Cluster", "connected"]

_LOCAL = "local"
_CONNECT_SEC = 10
_WORKERS_SEC = 60
_LOOK_AROUND_SEC = 2
# A worker's next task is there before it has ended one; and not many more are lost to a bad one beside them.
_TASKS_A_THREAD = 3
_FETCH_SEC = 30
# A worker that died is started again, however long that takes on a busy machine.
_OF_LOCAL = {
    "distributed.deploy.lost-worker-timeout": "1 day",
    "distributed.worker.profile.enabled": False,  # 3 % of the time of an extraction
}
_GONE = (OSError, concurrent.futures.CancelledError, asyncio.CancelledError)


class _Refused(NamedTuple):
    """What a task returns on a worker that has other versions than the caller."""

    address: str
    differences: str


@contextlib.contextmanager
def connected(address, n_workers, shared_output, report):
    """A cluster during a block; see `mulkinet.workers.on_cluster`.

    Yields:
        Cluster, whose workers have been checked.
    """
    distributed = import_extra("distributed", "cluster")
    logger = logging.getLogger("distributed")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # what goes wrong is said in one line, by us
    try:
        with contextlib.ExitStack() as stack:
            if address == _LOCAL:
                stack.enter_context(import_extra("dask", "cluster").config.set(_OF_LOCAL))
                local = stack.enter_context(
                    distributed.LocalCluster(
                        n_workers=n_workers,
                        threads_per_worker=1,
                        host="127.0.0.1",
                        dashboard_address="127.0.0.1:0",
                        memory_limit=0,  # as without a cluster
                        silence_logs=logging.CRITICAL,
                    )
                )
                client = stack.enter_context(distributed.Client(local))
            else:
                client = stack.enter_context(_connect(distributed, address))
            cluster = Cluster(client, shared_output, report, is_local=address == _LOCAL)
            cluster.check()
            yield cluster
    finally:
        logger.setLevel(level)


def _connect(distributed, address):
    try:
        return distributed.Client(address, timeout=_CONNECT_SEC, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise MulkinetError(
            f"expected a Dask scheduler at {address}, found none that answers ({_one_line(error)}); start one with "
            "dask scheduler, and name the address that it prints"
        ) from error


class Cluster:
    """A scheduler with its workers.

    Attributes:
        shared_output: Whether workers write features to the caller's cache.

    Args:
        client: distributed.Client.
        shared_output: See the attribute.
        report: Called with a line to show.
        is_local: Whether the workers are ours alone, and share the terminal.
    """

    def __init__(self, client, shared_output, report, *, is_local=False):
        self.shared_output = shared_output
        self._client = client
        self._report = report
        self._is_local = is_local
        self._address = client.scheduler.address
        self._is_idle = False

    @property
    def n_workers(self):
        """Tasks that run at the same time, now."""
        return sum(self._threads().values())

    def check(self):
        """Compares the scheduler and all workers with this process, and says what there is.

        Raises:
            MulkinetError: No worker, or one with something else installed.
        """
        with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
            self._client.wait_for_workers(1, timeout=_WORKERS_SEC)
        threads = self._threads()
        if not threads:
            raise MulkinetError(
                f"expected workers of the scheduler at {self._address}, found none; start them with dask worker "
                f"{self._address} --nworkers auto --nthreads 1"
            )
        expected = environment.describe()
        try:
            found = {"the scheduler": self._client.run_on_scheduler(_describe)}
        except Exception as error:  # whatever comes of unpickling there
            found = {"the scheduler": error}
        found.update(self._client.run(_describe, on_error="return"))
        wrong = {place: _difference(there, expected) for place, there in found.items()}
        wrong = [f"{place}: {text}" for place, text in wrong.items() if text]
        if wrong:
            raise MulkinetError(
                f"expected the versions of this machine everywhere, found others at {'; '.join(wrong)}; install the "
                "same with install.sh, and start them again"
            )
        self._report(
            f"cluster {self._address}: {len(threads)} workers, dashboard {self._client.dashboard_link}"
        )
        if max(threads.values()) > 1:
            self._report(
                "some workers have several threads, of which extraction uses one at a time: start them with "
                "dask worker --nworkers auto --nthreads 1"
            )

    def check_path(self, path, purpose):
        """Raises MulkinetError where a worker does not see a file or folder; `purpose` says what it is."""
        seen = self._client.run(os.path.exists, os.path.abspath(path))
        blind = [address for address, is_seen in seen.items() if not is_seen]
        if blind:
            raise MulkinetError(
                f"expected {purpose} {path} to be seen by every worker, found that {', '.join(blind)} "
                f"cannot; put it where all machines have it under the same name"
            )

    def run(self, function, items, crashed):
        """As `mulkinet.workers.run_in_processes`, on the cluster; all workers have to see items that are paths.

        `crashed` stands for the result of an item that takes its worker along.
        """
        items = list(items)
        if items and isinstance(items[0], Path) and items[0].exists():
            self.check_path(items[0], "the file")
        call = functools.partial(_call, function, environment.describe(), self._is_local)
        n_done, suspects = 0, []
        for item, result in self._in_flight(call, items, len(items)):
            if result is _killed:
                suspects.append(item)
                continue
            n_done += 1
            yield item, result
        for item in suspects:
            [(_, result)] = self._in_flight(call, [item], len(items), n_done)
            n_done += 1
            yield item, crashed if result is _killed else result

    def _in_flight(self, call, items, total, n_done=0):
        """(item, result or `_killed`) as they end."""
        name, numbers = f"mulkinet-{secrets.token_hex(4)}", itertools.count()
        waiting, under_way, ended = collections.deque(items), {}, queue.SimpleQueue()
        room = self._room()
        try:
            while waiting or under_way:
                while waiting and len(under_way) < room:
                    item = waiting.popleft()
                    # No hash of function and item: a result of another run is not to be met.
                    future = self._client.submit(call, item, key=f"{name}-{next(numbers)}")
                    under_way[future] = item
                    future.add_done_callback(ended.put)
                try:
                    future = ended.get(timeout=_LOOK_AROUND_SEC)
                except queue.Empty:
                    room = self._room()
                    continue
                item = under_way.pop(future)
                result = self._result(future)
                if isinstance(result, _Refused):
                    self._leave_out(result)
                if result is _lost or isinstance(result, _Refused):
                    waiting.append(item)
                    continue
                n_done += result is not _killed
                yield item, result
        except _GONE as error:
            raise MulkinetError(
                f"expected the scheduler at {self._address} to go on, found it gone after {n_done} of {total} tasks; "
                "what was written is kept: start it and run the same command again"
            ) from error
        finally:
            if self._client.status == "running":
                with contextlib.suppress(*_GONE):
                    self._client.cancel(list(under_way))

    def _result(self, future):
        from distributed.scheduler import KilledWorker

        if future.status == "cancelled":
            raise concurrent.futures.CancelledError(future.key)
        if future.status == "lost":
            return _lost
        try:
            return future.result(timeout=_FETCH_SEC)
        except concurrent.futures.TimeoutError:
            return _lost
        except KilledWorker:
            return _killed
        except ImportError as error:
            raise MulkinetError(
                f"expected mulkinet on every worker, found one that joined without ({_one_line(error)}); install it "
                "there, and run the same command again"
            ) from error

    def _room(self):
        """Tasks to have under way, by the workers that there are now."""
        n_threads = self.n_workers
        if not n_threads and not self._is_idle:
            self._report(
                f"no workers are left at {self._address}: waiting for others (Ctrl-C ends, what was written is kept)"
            )
        self._is_idle = not n_threads
        return max(1, _TASKS_A_THREAD * n_threads)

    def _threads(self):
        workers = self._client.scheduler_info()["workers"]
        return {address: worker["nthreads"] for address, worker in workers.items()}

    def _leave_out(self, refused):
        if refused.address in self._threads():
            self._report(f"left out the worker {refused.address}: {refused.differences}")
            self._client.retire_workers([refused.address])


def _killed():
    """Stands for the result of a task whose workers died."""


def _lost():
    """Stands for a result whose worker died before it was fetched: Dask makes it again, but may not say so."""


def _call(function, expected, is_quiet, item):
    """Runs on a worker."""
    differences = environment.differences(environment.describe(), expected)
    if differences:
        from distributed import get_worker

        return _Refused(get_worker().address, differences)
    _prepare(is_quiet)
    return function(item)


@functools.lru_cache(None)
def _prepare(is_quiet):
    """Once in every worker, before TensorFlow is loaded there."""
    limit_tensorflow(1)
    if is_quiet:  # the terminal is the caller's; elsewhere workers have logs of their own
        silence()


def _describe():
    return environment.describe()


def _difference(there, expected):
    if isinstance(there, Exception):
        return f"{type(there).__name__}: {_one_line(there)}"
    return environment.differences(there, expected)


def _one_line(error):
    return " ".join(str(error).split())
