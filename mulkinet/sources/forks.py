"""Short work on many items in processes that start at once.

Reading a track of a data set takes a millisecond: what `workers` does for audio, one message to and
fro for each item and half a second to start, would cost more than the work. Here the processes are
forked (on Linux; spawned elsewhere), take the next item off a shared counter and keep what they
make; only what is skipped comes back.

Public names: `CRASHED`, `n_cores`, `run_in_forks`.
"""

import multiprocessing
import multiprocessing.connection
import os
import signal
import sys

__all__ = ["CRASHED", "n_cores", "run_in_forks"]

# Why an item is skipped when the process that read it died.
CRASHED = "the process that read it died (a crash in the HDF5 library, or out of memory)"
_PROGRESS_SEC = 0.2


def n_cores():
    """int: cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_in_forks(work, n_items, n_workers, on_progress):
    """Shares out the numbers 0 to `n_items` - 1 among processes.

    A process that dies takes only the item it was at along; another goes on in its place.

    Args:
        work: Function of an iterator of numbers, called once in each process; it yields
            (number, reason) for those it skips. Elsewhere than on Linux it must be picklable.
        n_items: How many items there are.
        n_workers: Processes, at least 1; with 1 it runs in this process.
        on_progress: Called now and then with how many more are done.

    Returns:
        list of (number, reason) of the skipped, in order.

    Raises:
        Exception: What `work` raised in any process; the others are ended.
    """
    if n_workers == 1:
        return list(work(_noting(range(n_items), on_progress)))
    crew = _Crew(work, n_items, n_workers)
    try:
        return crew.wait(on_progress)
    finally:
        crew.end()


def _noting(numbers, on_progress):
    for number in numbers:
        yield number
        on_progress(1)


class _Crew:
    """The processes, and what they share: the next number, who is where, how much is done."""

    def __init__(self, work, n_items, n_workers):
        self._context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
        self._work = work
        self._n_items = n_items
        self._next = self._context.Value("q", 0)
        self._at = self._context.Array("q", n_workers, lock=False)
        self._done = self._context.Array("q", n_workers, lock=False)
        self._workers = {}
        for place in range(n_workers):
            self._start(place)

    def wait(self, on_progress):
        """The skipped of all, when all are done."""
        skipped, seen = [], 0
        while self._workers:
            for pipe in multiprocessing.connection.wait(self._workers, _PROGRESS_SEC):
                try:
                    message = pipe.recv()
                except EOFError:
                    self._note_end(pipe, skipped)
                    continue
                if isinstance(message, Exception):
                    raise message
                skipped.append(message)
            done = sum(self._done)
            on_progress(done - seen)
            seen = done
        return sorted(skipped)

    def end(self):
        """Ends the processes that still run."""
        for pipe, (process, _) in self._workers.items():
            process.terminate()
            process.join()
            pipe.close()

    def _start(self, place):
        receiving, sending = self._context.Pipe(duplex=False)
        shared = self._next, self._at, self._done
        arguments = (self._work, self._n_items, shared, place, sending, os.getpid())
        process = self._context.Process(target=_run, args=arguments, daemon=True)
        process.start()
        # This end belongs to the process alone, so that its death closes the pipe.
        sending.close()
        self._workers[receiving] = process, place

    def _note_end(self, pipe, skipped):
        process, place = self._workers.pop(pipe)
        process.join()
        pipe.close()
        if process.exitcode:
            skipped.append((self._at[place], CRASHED))
            self._done[place] += 1
            self._start(place)


def _run(work, n_items, shared, place, pipe, parent):
    """The life of one process."""
    # Ctrl-C reaches all: the parent tells its children, which would only print a traceback each.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        for skipped in work(_claims(n_items, shared, place, parent)):
            pipe.send(skipped)
    except Exception as error:
        pipe.send(error)
    pipe.close()


def _claims(n_items, shared, place, parent):
    """Numbers nobody else has, until none are left or the parent is gone."""
    following, at, done = shared
    while os.getppid() == parent:
        with following.get_lock():
            number = following.value
            following.value += 1
        if number >= n_items:
            return
        at[place] = number
        yield number
        done[place] += 1
