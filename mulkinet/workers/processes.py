"""Processes of this machine, which may die, and end when their parent does."""

import functools
import os
import signal
import sys
import threading
import time
import warnings
from concurrent.futures.process import BrokenProcessPool

__all__ = ["limit_tensorflow", "prepare_worker", "run", "silence"]

_PR_SET_PDEATHSIG = 1


def run(function, items, n_workers, crashed):
    """As `mulkinet.workers.run_in_processes`, on this machine; `crashed` stands for the result of a dead process.

    What workers print is thrown away. They end as soon as this process does, however it ends.
    """
    if n_workers == 1:  # no joblib: what `prepare_worker` sets is not for this process
        for item in items:
            yield item, function(item)
        return
    import joblib

    # One that has grown is replaced by joblib, which loses nothing and needs nobody to know.
    warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
    threads = max(1, (os.cpu_count() or 1) // n_workers)
    settings = {
        "batch_size": 1,
        "initializer": prepare_worker,
        "initargs": (os.getpid(), threads),
    }
    call = functools.partial(joblib.delayed(_call), function, os.getcwd())
    waiting = list(items)
    while waiting:
        started, ended = [], set()
        pool = joblib.Parallel(n_workers, return_as="generator_unordered", **settings)
        try:
            for item, result in pool(map(call, _noting(waiting, started))):
                ended.add(item)
                yield item, result
        except BrokenProcessPool:
            # Any of those under way may be the cause: each gets a pool to itself.
            for item in started:
                if item not in ended:
                    yield item, _run_alone(call(item), settings, crashed)
        waiting = waiting[len(started) :]


def _noting(items, started):
    """Hands on the items and notes them in `started`: joblib asks for few more than it runs."""
    for item in items:
        started.append(item)
        yield item


def _run_alone(call, settings, crashed):
    import joblib

    try:
        # One job would run in this process, which must outlive it.
        [(_, result)] = joblib.Parallel(2, **settings)([call])
    except BrokenProcessPool:
        return crashed
    return result


def _call(function, folder, item):
    # joblib's processes outlive a run, and this program may have gone elsewhere since.
    os.chdir(folder)
    return item, function(item)


def prepare_worker(parent, threads):
    """Runs once in every worker: it ends with its parent, and what it prints is thrown away.

    joblib limits OpenMP and numba there; TensorFlow has its own variables.

    Args:
        parent: Number of the parent process.
        threads: Threads for TensorFlow.
    """
    _end_with(parent)
    limit_tensorflow(threads)
    silence()


def limit_tensorflow(threads):
    """Before TensorFlow is loaded: so many threads, and no GPU."""
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(threads))
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", str(threads))
    # Several workers cannot share a GPU, of which TensorFlow takes all the memory.
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"


def silence():
    """Throws away what this process prints, C libraries too, which write past `sys.stderr`."""
    sink = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(sink, descriptor)
    os.close(sink)


def _end_with(parent):
    """Makes this process end when its parent does, which may be killed without a chance to say so."""
    if sys.platform == "linux":
        import ctypes

        # The kernel's doing: a thread of ours would have to wait for libraries that hold Python's lock.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:  # it ended before this could be set
        os._exit(1)


def _watch(parent):
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
