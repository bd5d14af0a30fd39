"""Bodies of requests: not too large, not too slow, and not too many at once.

Public names: `BodyLimits`.
"""

import asyncio

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

__all__ = ["BodyLimits"]

# What is left unread cannot be told from the next request.
_CLOSE = {"connection": "close"}


class BodyLimits:
    """ASGI middleware that ends a request with 413 where its body is too large, with 408 where it is too slow.

    Args:
        app: ASGI application.
        max_bytes: Largest body.
        max_open: Requests with a body that may be open at once; 503 beyond.
        patience_sec: Seconds in which a body may bring nothing.
        bytes_per_sec: Pace that it has to keep beyond those.
    """

    def __init__(self, app, *, max_bytes, max_open=64, patience_sec=10.0, bytes_per_sec=20_000):
        self._app = app
        self._max_open = max_open
        self._n_open = 0
        self._max_bytes = max_bytes
        self._patience_sec = patience_sec
        self._bytes_per_sec = bytes_per_sec

    async def __call__(self, scope, receive, send):
        """Serves a request."""
        headers = dict(scope.get("headers", ()))
        if scope["type"] != "http" or not {b"content-length", b"transfer-encoding"} & set(headers):
            return await self._app(scope, receive, send)
        # The server has checked that it is a number.
        error = self._refusal(int(headers.get(b"content-length", b"0")))
        if error:
            response = JSONResponse({"detail": error.detail}, error.status_code, error.headers)
            return await response(scope, receive, send)
        self._n_open += 1
        try:
            return await self._app(scope, self._limited(receive), send)
        finally:
            self._n_open -= 1

    def _refusal(self, declared):
        if declared > self._max_bytes:
            return self._too_large(f"{declared} bytes declared")
        if self._n_open >= self._max_open:
            detail = (
                f"expected fewer than {self._max_open} requests at once; try again in a few seconds"
            )
            return HTTPException(503, detail, {**_CLOSE, "retry-after": "5"})
        return None

    def _limited(self, receive):
        loop = asyncio.get_running_loop()
        start, received, has_more = loop.time(), 0, True

        async def limited():
            nonlocal received, has_more
            if not has_more:
                return await receive()  # the client hanging up
            due = start + self._patience_sec + received / self._bytes_per_sec
            try:
                message = await asyncio.wait_for(receive(), due - loop.time())
            except asyncio.TimeoutError:
                raise HTTPException(
                    408, f"expected a body without pauses, found {received} bytes so far", _CLOSE
                ) from None
            received += len(message.get("body", b""))
            has_more = message.get("more_body", False)
            if received > self._max_bytes:
                raise self._too_large("more")
            return message

        return limited

    def _too_large(self, found):
        limit = f"{self._max_bytes / 1e6:g} MB"
        return HTTPException(413, f"expected a body of at most {limit}, found {found}", _CLOSE)
