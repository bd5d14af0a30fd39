"""Bodies of requests: not too large, not too slow, and not too many at once."""

import asyncio
import contextlib

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

__all__ = ["BodyLimits"]

# What is left unread cannot be told from the next request.
_CLOSE = {"connection": "close"}
_LINGER_SEC = 3.0


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
        body = _Body(receive, self._max_bytes, self._patience_sec, self._bytes_per_sec)
        # The server has checked that it is a number.
        error = self._refusal(int(headers.get(b"content-length", b"0")))
        if error:
            response = JSONResponse({"detail": error.detail}, error.status_code, error.headers)
            return await response(scope, receive, body.until_read(send))
        self._n_open += 1
        try:
            return await self._app(scope, body.receive, body.until_read(send))
        finally:
            self._n_open -= 1

    def _refusal(self, declared):
        if declared > self._max_bytes:
            return _too_large(self._max_bytes, f"{declared} bytes declared")
        if self._n_open >= self._max_open:
            detail = (
                f"expected fewer than {self._max_open} requests at once; try again in a few seconds"
            )
            return HTTPException(503, detail, {**_CLOSE, "retry-after": "5"})
        return None


class _Body:
    """A request's body: what the application reads of it, and what it leaves."""

    def __init__(self, receive, max_bytes, patience_sec, bytes_per_sec):
        self._receive = receive
        self._max_bytes = max_bytes
        self._patience_sec = patience_sec
        self._bytes_per_sec = bytes_per_sec
        self._start = asyncio.get_running_loop().time()
        self._received = 0
        self._has_more = True

    async def receive(self):
        if not self._has_more:
            return await self._receive()  # the client hanging up
        due = self._start + self._patience_sec + self._received / self._bytes_per_sec
        try:
            message = await self._next(due)
        except asyncio.TimeoutError:
            raise HTTPException(
                408, f"expected a body without pauses, found {self._received} bytes so far", _CLOSE
            ) from None
        if self._received > self._max_bytes:
            raise _too_large(self._max_bytes, "more")
        return message

    def until_read(self, send):
        """`send` that ends the answer once the client has sent its body, or after a while.

        A connection closed with bytes unread is reset, and who is still sending never sees the answer.
        """

        async def sending(message):
            ends = message["type"] == "http.response.body" and not message.get("more_body", False)
            if ends and self._has_more:
                await send({**message, "more_body": True})
                await self._drop()
                message = {"type": "http.response.body"}
            await send(message)

        return sending

    async def _drop(self):
        due = asyncio.get_running_loop().time() + _LINGER_SEC
        with contextlib.suppress(asyncio.TimeoutError):
            while self._has_more:
                await self._next(due)

    async def _next(self, due):
        message = await asyncio.wait_for(self._receive(), due - asyncio.get_running_loop().time())
        self._received += len(message.get("body", b""))
        self._has_more = message.get("more_body", False)
        return message


def _too_large(max_bytes, found):
    return HTTPException(
        413, f"expected a body of at most {max_bytes / 1e6:g} MB, found {found}", _CLOSE
    )
