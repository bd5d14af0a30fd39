"""Runs one function over many items: in processes of this machine, or on a Dask cluster.

    >>> from mulkinet import Index
    >>> from mulkinet.workers import on_cluster
    >>> with on_cluster("tcp://10.0.0.1:8786"):                            # doctest: +SKIP
    ...     Index.build("library.index", "library/")

Who asks for a run need not know where it happens: within `on_cluster`, `run_in_processes` hands its tasks to the
cluster.
"""

import contextlib
import contextvars
import logging

from mulkinet.errors import MulkinetError, SkippedInput
from mulkinet.workers import processes
from mulkinet.workers.processes import prepare_worker

__all__ = [
    "CRASHED",
    "count_workers",
    "current_cluster",
    "on_cluster",
    "prepare_worker",
    "reason_or_result",
    "run_in_processes",
]

# What stands for the result of an item whose process died.
CRASHED = "the worker process died (a crash in a library, or out of memory)"

_cluster = contextvars.ContextVar("cluster", default=None)
_log = logging.getLogger("mulkinet")


def count_workers(n_workers):
    """Number of processes, at least 1; -1 is one per core, -2 leaves a core free, as joblib's.

    Raises:
        MulkinetError: 0 was asked for.
    """
    import joblib

    if n_workers == 0:
        raise MulkinetError("expected n_workers of 1 or more, or -1 for all cores, found 0")
    return joblib.effective_n_jobs(n_workers)


@contextlib.contextmanager
def on_cluster(address, *, n_workers=-1, shared_output=False, report=_log.warning):
    """Hands what runs within a block to a Dask cluster.

    Args:
        address: Address of a scheduler, such as "tcp://10.0.0.1:8786"; or "local", which starts a scheduler and
            workers on this machine for as long as the block lasts; None leaves everything as it is.
        n_workers: Workers of "local"; -1 is one per core.
        shared_output: Whether workers write features themselves, to the caller's cache, which has to be a folder that
            all of them see. By default they send them, and this process writes.
        report: Called with a line to show.

    Raises:
        MulkinetError: There is no such scheduler, no worker, or one of other versions than here.
    """
    if address is None:
        yield
        return
    from mulkinet.workers.cluster import connected

    with connected(address, count_workers(n_workers), shared_output, report) as cluster:
        token = _cluster.set(cluster)
        try:
            yield
        finally:
            _cluster.reset(token)


def current_cluster():
    """The `mulkinet.workers.cluster.Cluster` of `on_cluster`; None outside of it."""
    return _cluster.get()


def run_in_processes(function, items, n_workers):
    """Calls `function(item)` for every item in worker processes, here or on the cluster of `on_cluster`.

    A process that dies takes only its own item along: those that ran beside it run again.

    Args:
        function: A function that can be sent to another process.
        items: Hashable items.
        n_workers: Number of processes, at least 1; with 1 they run in this process. A cluster has its own number.

    Yields:
        (item, result) as they end; the result is `CRASHED` where the process died.

    Raises:
        MulkinetError: Raised by the function; or the cluster's scheduler is gone.
    """
    cluster = current_cluster()
    if cluster is None:
        yield from processes.run(function, items, n_workers, CRASHED)
    else:
        yield from cluster.run(function, items, CRASHED)


def reason_or_result(function, item):
    """`function(item)`, or the reason (str) why the item cannot be used, so that others go on.

    Raises:
        MulkinetError: What ends a run of thousands, such as a full disk; it is not the item's fault.
    """
    try:
        return function(item)
    except SkippedInput as error:
        return str(error)
    except MulkinetError:
        raise
    except Exception as error:
        # Whatever a library makes of a strange file.
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
