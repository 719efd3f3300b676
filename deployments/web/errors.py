"""Errors as pages: the statuses and sentences of the API, in a frame that leads on."""

from collections.abc import Mapping, MutableMapping
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from batch_jobs.deployments.api.errors import STATUSES, NotLoggedIn, TooManyRequests, TooManyStreams, explain, shortened
from batch_jobs.deployments.api.middleware import Asgi, Message, Receive, Send
from batch_jobs.deployments.web.rendering import fragment, page

SAFE = ("GET", "HEAD")
NO_SUCH_PAGE = "There is no such page."
UNREAD = "This form cannot be read. Open the page again; nothing was changed."


def add_error_pages(app: FastAPI) -> None:
    """Let every error of a view be answered here."""
    for kind in (*STATUSES, HTTPException, RequestValidationError):
        if kind is not Exception:
            app.add_exception_handler(kind, _show)
    app.add_middleware(_CatchAll)


def is_fragment(request: Request) -> bool:
    """Whether the answer is put into a page that is open."""
    return request.headers.get("hx-request") == "true"


def show_message(request: Request, status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """A sentence about what went wrong, as a page or in the page that is open."""
    if is_fragment(request):
        made = fragment(request, "error.html", "message", {"message": message}, status)
        made.headers.update({"hx-retarget": "#message", "hx-reswap": "innerHTML show:top"})
    else:
        made = page(request, "error.html", {"message": message}, status)
    made.headers.update(headers or {})
    return made


async def _show(request: Request, error: Exception) -> Response:
    if isinstance(error, NotLoggedIn):
        return _to_sign_in(request)
    if isinstance(error, HTTPException):
        return show_message(request, error.status_code, f"{error.detail}.".replace("..", "."), error.headers)
    if isinstance(error, RequestValidationError | UnicodeError):
        is_asked = request.method in SAFE
        return show_message(request, *((404, NO_SUCH_PAGE) if is_asked else (400, UNREAD)))
    status, message = explain(error, request.state.request_id)
    later = {"retry-after": str(error.seconds)} if isinstance(error, TooManyRequests | TooManyStreams) else {}
    return show_message(request, status.status, shortened(message), later)


def _to_sign_in(request: Request) -> Response:
    """To the form, and after it back to the page that is shown; what was to be changed is not tried again."""
    if is_fragment(request):
        return Response(status_code=401, headers={"hx-redirect": _sign_in_before(_shown(request, "hx-current-url"))})
    if request.method not in SAFE:
        return RedirectResponse(_sign_in_before(_shown(request, "referer")), 303)
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(_sign_in_before(f"{request.url.path}{query}"), 303)


def _shown(request: Request, header: str) -> str:
    """The path of the page that a browser says it shows; where that leads is looked at when it is gone to."""
    host, _, path = request.headers.get(header, "").partition("://")[2].partition("/")
    return f"/{path}" if host == request.headers.get("host") else "/"


def _sign_in_before(path: str) -> str:
    return f"/sign-in?{urlencode({'next': path})}" if path.startswith("/") and path != "/" else "/sign-in"


class _CatchAll:
    """Answers what nobody foresaw, too, as long as no answer has begun."""

    def __init__(self, app: Asgi) -> None:
        self._app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        has_begun = False

        async def note(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, note)
        except Exception as error:
            if has_begun or scope["type"] != "http":
                raise
            response = await _show(Request(scope), error)
            await response(scope, receive, send)
