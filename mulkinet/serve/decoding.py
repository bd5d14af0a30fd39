"""Uploads to samples, in a process that is killed where it takes too long or too much."""

import multiprocessing
import signal
import sys
from pathlib import Path

import numpy as np

from mulkinet.errors import SkippedInput
from mulkinet.workers import CRASHED, prepare_worker, reason_or_result

__all__ = ["Decoder"]

_START_SEC = 120
_STOP_SEC = 5
_MEMORY = 4 << 30


class Decoder:
    """A process that decodes one file after the other; it starts with the first.

    Args:
        max_sec: Longest sound to take.
        limit_sec: Time limit of a file.
    """

    def __init__(self, max_sec, limit_sec):
        self._max_sec = max_sec
        self._limit_sec = limit_sec
        self._process = self._pipe = None

    def decode(self, path):
        """Samples of a file (pathlib.Path): (n_samples,) float32 at 44.1 kHz.

        Raises:
            SkippedInput: It is no whole sound, too long, or took too much time or memory.
        """
        if self._process is None or not self._process.is_alive():
            self._start()
        try:
            self._pipe.send_bytes(str(path).encode())
            if not self._pipe.poll(self._limit_sec):
                self.close()
                raise SkippedInput(
                    f"expected a file that is decoded in {self._limit_sec:g} s, found one that takes longer"
                )
            kind, found = self._pipe.recv_bytes(), self._pipe.recv_bytes()
        except (EOFError, OSError):
            self.close()
            raise SkippedInput(CRASHED) from None
        if kind != b"samples":
            raise SkippedInput(found.decode())
        return np.frombuffer(found, np.float32)

    def close(self):
        """Ends the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join(_STOP_SEC)
            self._pipe.close()
            self._process = None

    def _start(self):
        self.close()
        # Nothing of this process, which holds a model and sockets, is to be there.
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_decode_on, args=(theirs, self._max_sec, multiprocessing.current_process().pid)
        )
        self._process.daemon = True
        self._process.start()
        theirs.close()
        if not self._pipe.poll(_START_SEC):
            raise SkippedInput("expected a decoder, found one that does not start")
        self._pipe.recv_bytes()


def _decode_on(pipe, max_sec, parent):
    """Runs in the process, until its pipe is closed. Bytes come back, never pickled objects."""
    from mulkinet.features.audio import decode

    prepare_worker(parent, threads=1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server ends it, after the request
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    pipe.send_bytes(b"ready")
    while True:
        try:
            path = Path(pipe.recv_bytes().decode())
        except EOFError:
            return
        found = reason_or_result(lambda path: decode(path, max_sec=max_sec).y, path)
        if isinstance(found, str):
            pipe.send_bytes(b"reason")
            pipe.send_bytes(found.encode("utf-8", "backslashreplace"))
        else:
            pipe.send_bytes(b"samples")
            pipe.send_bytes(memoryview(found).cast("B"))
        del found
