"""Runs one function over many items in processes that may die.

Public names: `CRASHED`, `count_workers`, `run_in_processes`.
"""

import functools
import os
from concurrent.futures.process import BrokenProcessPool

from mulkinet.errors import MulkinetError

__all__ = ["CRASHED", "count_workers", "run_in_processes"]

# What stands for the result of an item whose process died.
CRASHED = "the worker process died (a crash in a library, or out of memory)"


def count_workers(n_workers):
    """Number of processes.

    Args:
        n_workers: 1 or more; or negative, joblib's way: -1 is one per core, -2 leaves a core free.

    Returns:
        int, at least 1.

    Raises:
        MulkinetError: It is 0.
    """
    import joblib

    if n_workers == 0:
        raise MulkinetError("expected n_workers of 1 or more, or -1 for all cores, found 0")
    return joblib.effective_n_jobs(n_workers)


def run_in_processes(function, items, n_workers):
    """Calls `function(item)` for every item in worker processes.

    A process that dies takes only its own item along: those it shared the pool with run again.

    Args:
        function: A function that can be sent to another process.
        items: Hashable items.
        n_workers: Number of processes, at least 1; with 1 they run in this process.

    Yields:
        (item, result) as they end; the result is `CRASHED` where the process died.
    """
    import joblib

    if n_workers == 1:  # no joblib: what `_call` sets is not for this process
        for item in items:
            yield item, function(item)
        return
    threads = max(1, (os.cpu_count() or 1) // n_workers)
    call = functools.partial(joblib.delayed(_call), function, threads)
    waiting = list(items)
    while waiting:
        started, ended = [], set()
        pool = joblib.Parallel(n_workers, return_as="generator_unordered", batch_size=1)
        try:
            for item, result in pool(map(call, _noting(waiting, started))):
                ended.add(item)
                yield item, result
        except BrokenProcessPool:
            # Any of those under way may be the cause: each gets a pool to itself.
            for item in started:
                if item not in ended:
                    yield item, _run_alone(call(item))
        waiting = waiting[len(started) :]


def _noting(items, started):
    """Hands on the items and notes them in `started`: joblib asks for few more than it runs."""
    for item in items:
        started.append(item)
        yield item


def _run_alone(call):
    import joblib

    try:
        # One job would run in this process, which must outlive it.
        [(_, result)] = joblib.Parallel(2, batch_size=1)([call])
    except BrokenProcessPool:
        return CRASHED
    return result


def _call(function, threads, item):
    """Runs in the worker. joblib limits OpenMP and numba there; TensorFlow has its own variables."""
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(threads))
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", str(threads))
    # Several workers cannot share a GPU, of which TensorFlow takes all the memory.
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    return item, function(item)
