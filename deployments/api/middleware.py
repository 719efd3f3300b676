"""What every request and answer passes through: an id, limits on the body, security headers, the log, the counts."""

import asyncio
import logging
import math
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from ulid import ULID

from batch_jobs.deployments.api.errors import InputWrong, TooLarge, TooSlow, WrongMediaType, response_to
from batch_jobs.deployments.api.metrics import Metrics
from batch_jobs.deployments.log import begin_facts, log_request, masked_path

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

logger = logging.getLogger("batch_jobs.api")

LARGEST_JSON = 1 << 20  # bytes of a body that is no upload
BODY_SECONDS = 30.0  # without a byte of the body coming
JSON_SECONDS = 60.0  # for the whole of a body that is no upload
LAST_SECONDS = 1.0  # for what is left of a body after its refusal
UPLOADS = ("/admin/uploads", "/admin/uploads/protected", "/uploads/file")
#: A part of an upload that the page sends: ``PATCH`` to one of these.
PART_OF_UPLOAD = re.compile(r"/uploads/[0-9A-Z]{26}")
LARGEST_PART = 1 << 22
#: Refusals before the end of the body, after which the connection is closed: what is left is not waited for.
UNREAD = (401, 403, 408, 413, 429)
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class RequestMiddleware:
    """Wraps the application, outermost.

    Args:
        app: the application.
        metrics: where each request is counted.
        compat: whether errors are answered as Medusa does.
    """

    def __init__(self, app: Asgi, metrics: Metrics, compat: bool) -> None:
        self._app = app
        self._metrics = metrics
        self._compat = compat

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(scope, receive)
        exchange = _Exchange(scope, body, send)
        try:
            body.check_framing()
            await self._app(scope, body.receive, exchange.send)
        except Exception as error:
            if exchange.status:
                logger.exception("%s: the answer broke off", exchange.request_id)
                raise
            await response_to(error, exchange.request_id, self._compat)(scope, receive, exchange.send)
        finally:
            self._note(scope, exchange)

    def _note(self, scope: MutableMapping[str, Any], exchange: "_Exchange") -> None:
        seconds = time.perf_counter() - exchange.begun
        route = getattr(scope.get("route"), "path", None)
        self._metrics.count_request(scope["method"], route or "none", exchange.status, seconds)
        # a path of ours may be a permission, as that of a download is, so the route is logged
        path = None if route else masked_path(scope["path"])
        address = scope["client"][0] if scope.get("client") else None
        log_request(
            {
                "method": scope["method"],
                "route": route or path,
                "status": exchange.status,
                "ms": round(seconds * 1000, 1),
                "request_id": exchange.request_id,
                "address": address,
                **exchange.facts,
            }
        )


class _Body:
    """A request's body as it comes, neither too large nor too slow; a packed one is not read at all."""

    def __init__(self, scope: MutableMapping[str, Any], receive: Receive) -> None:
        headers = Headers(scope=scope)
        self._receive = receive
        self._is_upload = scope["method"] == "POST" and scope["path"] in UPLOADS
        self._is_part = scope["method"] == "PATCH" and bool(PART_OF_UPLOAD.fullmatch(scope["path"]))
        self._is_packed = "content-encoding" in headers
        self._declared = _declared(headers)
        self._is_chunked = "transfer-encoding" in headers
        self._is_ambiguous = self._is_chunked and ("content-length" in headers or scope["http_version"] == "1.0")
        self._finished = not self._declared and not self._is_chunked
        self._seen = 0
        self._until: float | None = None

    @property
    def ends_connection(self) -> bool:
        """Whether nothing may be read of the connection after this request."""
        return self._is_ambiguous

    @property
    def is_unread(self) -> bool:
        """Whether some of it is still to come."""
        return not self._finished

    def check_framing(self) -> None:
        """Refuse a body of which somebody in between may see another end than we do (RFC 9112, 6.1 and 6.3).

        Raises:
            InputWrong: it has both lengths, or is in chunks where the version knows none.
        """
        if self._is_ambiguous:
            raise InputWrong("a body has either a Content-Length or, in HTTP/1.1, a Transfer-Encoding")

    async def receive(self) -> Message:
        """The next part.

        Raises:
            TooLarge: it has too many bytes, or says that it has.
            TooSlow: it does not come.
            WrongMediaType: it is packed.
        """
        if self._finished:  # what is waited for now is the end of the connection
            return await self._receive()
        if self._is_packed:
            raise WrongMediaType("a body with a Content-Encoding is not read; send it as it is")
        self._check_size(self._declared)
        message = await self._in_time()
        self._note(message)
        self._check_size(self._seen)
        return message

    async def drain(self) -> None:
        """Discard what is left, for a moment: a connection closed while bytes come loses the answer too."""
        try:
            async with asyncio.timeout(LAST_SECONDS):
                while not self._finished:
                    self._note(await self._receive())
        except TimeoutError:
            return

    def _note(self, message: Message) -> None:
        self._seen += len(message.get("body", b""))
        self._finished = not message.get("more_body", False)

    def _check_size(self, size: int) -> None:
        largest = LARGEST_PART if self._is_part else LARGEST_JSON
        if size > largest and not self._is_upload:
            raise TooLarge("a body", largest)

    async def _in_time(self) -> Message:
        left = self._seconds_left()
        try:
            async with asyncio.timeout(min(BODY_SECONDS, left)):
                return await self._receive()
        except TimeoutError:
            slow = f"nothing of the body came for {BODY_SECONDS:g} s"
            late = f"the body did not come within {JSON_SECONDS:g} s"
            raise TooSlow(slow if left > BODY_SECONDS else late) from None

    def _seconds_left(self) -> float:
        """An upload may take as long as it goes on."""
        if self._is_upload or self._is_part:
            return math.inf
        now = time.monotonic()
        self._until = self._until or now + JSON_SECONDS
        return self._until - now


class _Exchange:
    """One request's id and what was answered."""

    def __init__(self, scope: MutableMapping[str, Any], body: _Body, send: Send) -> None:
        given = Headers(scope=scope).get("x-request-id", "")
        self.request_id = given if REQUEST_ID.fullmatch(given) else f"req_{ULID()}"
        self.begun = time.perf_counter()
        self.facts = begin_facts()
        self.status = 0
        self._closes = False
        self._body = body
        self._send = send
        scope.setdefault("state", {})["request_id"] = self.request_id

    async def send(self, message: Message) -> None:
        """Pass an answer on, with the headers that every answer has."""
        if message["type"] == "http.response.start":
            self._begin(message)
        elif self._closes and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._body.drain()
            message = {"type": "http.response.body"}
        await self._send(message)

    def _begin(self, message: Message) -> None:
        self.status = message["status"]
        self._closes = (self.status in UNREAD or self._body.ends_connection) and self._body.is_unread
        headers = MutableHeaders(scope=message)
        headers["x-request-id"] = self.request_id
        if self._closes or self._body.ends_connection:
            headers["connection"] = "close"
        for name, value in SECURITY_HEADERS.items():
            headers.setdefault(name, value)


def _declared(headers: Headers) -> int:
    text = headers.get("content-length", "0")
    return int(text) if text.isdigit() else 0
