"""A connection that does not wait for ever for the end of a request's headers."""

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["Connection", "HEADERS_SEC"]

HEADERS_SEC = 10.0
_TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class Connection(H11Protocol):
    """uvicorn's, which has a time limit between requests but none within their headers."""

    _timer = None

    def connection_made(self, transport):
        """Begins to wait for headers."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data):
        """Takes what has arrived."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc):
        """Ends."""
        super().connection_lost(exc)
        self._unwatch()

    def _watch(self):
        if self.conn.their_state is not h11.IDLE:
            self._unwatch()
        elif self._timer is None:
            self._timer = self.loop.call_later(HEADERS_SEC, self._give_up)

    def _unwatch(self):
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self):
        self._timer = None
        # Between two requests it is uvicorn's to close.
        if not self.transport.is_closing() and self.conn.their_state is h11.IDLE:
            self.transport.write(_TIMEOUT)
            self.transport.close()
