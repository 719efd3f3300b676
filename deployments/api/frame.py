"""What every request and answer passes: an id, limits on the body, security headers, the log, the counts."""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from ulid import ULID

from deployments.api.errors import TooLarge, TooSlow, WrongMediaType
from deployments.api.failures import answer, as_http
from deployments.api.metrics import Metrics

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

logger = logging.getLogger("batch_jobs.api")

LARGEST_JSON = 1 << 20  # bytes of a body that is no upload
BODY_SECONDS = 30.0  # without a byte of the body coming
UPLOADS = ("/admin/uploads", "/admin/uploads/protected")
UNREAD = (408, 413)
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Frame:
    """Wraps the application, outermost.

    Args:
        app: the application.
        metrics: where each request is counted.
        compat: whether errors are told as Medusa does.
        body_seconds: how long a body may pause.
    """

    def __init__(self, app: Asgi, metrics: Metrics, compat: bool, body_seconds: float = BODY_SECONDS) -> None:
        self._app = app
        self._metrics = metrics
        self._compat = compat
        self._body_seconds = body_seconds

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, send)
        try:
            await self._app(scope, self._bounded(scope, receive), exchange.send)
        except Exception as error:
            if exchange.status:
                logger.exception("%s: the answer broke off", exchange.request_id)
                raise
            await answer(error, exchange.request_id, self._compat)(scope, receive, exchange.send)
        finally:
            self._note(scope, exchange)

    def _bounded(self, scope: MutableMapping[str, Any], receive: Receive) -> Receive:
        """Receive a body that is neither too large nor too slow; a packed one is not read at all."""
        headers = Headers(scope=scope)
        largest = None if scope["method"] == "POST" and scope["path"] in UPLOADS else LARGEST_JSON
        seen = 0
        finished = False

        async def bounded() -> Message:
            nonlocal seen, finished
            if finished:  # what is waited for now is the end of the connection
                return await receive()
            if "content-encoding" in headers:
                raise as_http(WrongMediaType("a body with a Content-Encoding is not read; send it as it is"))
            if largest is not None and _declared(headers) > largest:
                raise as_http(TooLarge("a body", largest))
            message = await self._in_time(receive)
            seen += len(message.get("body", b""))
            finished = not message.get("more_body", False)
            if largest is not None and seen > largest:
                raise as_http(TooLarge("a body", largest))
            return message

        return bounded

    async def _in_time(self, receive: Receive) -> Message:
        try:
            async with asyncio.timeout(self._body_seconds):
                return await receive()
        except TimeoutError:
            raise as_http(TooSlow(self._body_seconds)) from None

    def _note(self, scope: MutableMapping[str, Any], exchange: "_Exchange") -> None:
        seconds = time.perf_counter() - exchange.begun
        route = getattr(scope.get("route"), "path", "none")
        self._metrics.count_request(scope["method"], route, exchange.status, seconds)
        # the path of a download is its permission, so the route is logged
        shown = scope["path"] if "token" not in scope.get("path_params", {}) else route
        logger.info(
            "%s %s %s %d %.0f ms", exchange.request_id, scope["method"], ascii(shown), exchange.status, seconds * 1000
        )


class _Exchange:
    """One request's id and what was answered."""

    def __init__(self, scope: MutableMapping[str, Any], send: Send) -> None:
        given = Headers(scope=scope).get("x-request-id", "")
        self.request_id = given if REQUEST_ID.fullmatch(given) else f"req_{ULID()}"
        self.begun = time.perf_counter()
        self.status = 0
        self._send = send
        scope.setdefault("state", {})["request_id"] = self.request_id

    async def send(self, message: Message) -> None:
        """Pass an answer on, with the headers that every answer has."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = self.request_id
            if self.status in UNREAD:
                headers["connection"] = "close"  # what is left of the body is not waited for
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)


def _declared(headers: Headers) -> int:
    text = headers.get("content-length", "0")
    return int(text) if text.isdigit() else 0
