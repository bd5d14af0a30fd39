"""The socket: from start to a stop that lets requests end."""

import contextlib
import ipaddress
import socket

import numpy as np
import uvicorn

from mulkinet.errors import MulkinetError
from mulkinet.features.provenance import SR
from mulkinet.serve.app import make_app
from mulkinet.serve.connection import Connection

__all__ = ["serve"]

_STOP_SEC = 60
_WARM_UP_SEC = 15.0


def serve(index, *, host="127.0.0.1", port=8000, limits=None, show_paths=False, report=print):
    """Serves an index until the process is told to stop, by SIGINT or SIGTERM.

    Args:
        index: Index, opened.
        host: Address to listen at.
        port: Port; 0 for any that is free.
        limits: Limits, or None for the defaults.
        show_paths: Whether paths of the collection are told.
        report: Called with the address once it answers.

    Raises:
        MulkinetError: The address cannot be listened at.
    """
    hosts = ["localhost", "127.0.0.1", "[::1]", host] if _is_loopback(host) else ["*"]
    app = make_app(index, limits=limits, show_paths=show_paths, hosts=hosts)
    with _listen(host, port) as listening, contextlib.suppress(KeyboardInterrupt):
        # All that the first request would wait for: the model, what extracts its feature, what numba compiles.
        noise = np.random.default_rng(0).normal(0, 0.1, int(_WARM_UP_SEC * SR))
        index.identify(noise.astype(np.float32))
        config = uvicorn.Config(
            app,
            http=Connection,
            ws="none",
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=_STOP_SEC,
        )
        # It raises KeyboardInterrupt again once it has stopped.
        _Server(config, listening, report).run([listening])


def _listen(host, port):
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET
        )
    except (OSError, OverflowError) as error:
        raise MulkinetError(
            f"expected an address to listen at, found {host}, port {port}: {error}; try another --port"
        ) from error


class _Server(uvicorn.Server):
    """uvicorn's, which says where it listens once the model is loaded."""

    def __init__(self, config, listening, report):
        super().__init__(config)
        self._listening = listening
        self._report = report

    async def startup(self, sockets=None):
        """Starts to answer."""
        await super().startup(sockets)
        if self.started:
            host, port = self._listening.getsockname()[:2]
            self._report(f"http://{f'[{host}]' if ':' in host else host}:{port}")


def _is_loopback(host):
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
