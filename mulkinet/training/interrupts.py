"""Ctrl-C and SIGTERM end training at once, whatever TensorFlow is computing.

Python's own handlers wait until the main thread is back in Python, a whole training step or more, and
the end of the process for TensorFlow's threads. Files are only ever replaced whole, so that nothing
is lost by not waiting.
"""

import contextlib
import os
import signal
import socket
import threading

__all__ = ["ending_at_once"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def ending_at_once(say):
    """While it lasts, SIGINT and SIGTERM end the process with 128 + their number, as a shell counts.

    In a thread other than the main one, which gets no signals, it does nothing.

    Args:
        say: Called without arguments, in another thread, before the process ends.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    here, there = socket.socketpair()
    there.setblocking(False)

    def watch():
        for number in iter(lambda: here.recv(1), b""):
            if number[0] in handlers:
                try:
                    say()
                finally:
                    os._exit(128 + number[0])

    # What is ignored stays so: a script's background jobs are not to hear its Ctrl-C.
    heard = [number for number in _SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    handlers = {number: signal.signal(number, lambda *_: None) for number in heard}
    before = signal.set_wakeup_fd(there.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        there.close()
        here.close()
