"""Errors as pages: the statuses and sentences of the API, in a frame that leads on."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from batch_jobs.deployments.api.errors import STATUSES, NotLoggedIn, explain
from batch_jobs.deployments.web.rendering import fragment, page

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


def add_error_pages(app: FastAPI) -> None:
    """Let every error of a view be answered here."""
    for kind in (*STATUSES, HTTPException, RequestValidationError):
        if kind is not Exception:
            app.add_exception_handler(kind, _show)
    app.add_middleware(_CatchAll)


def is_fragment(request: Request) -> bool:
    """Whether the answer is put into a page that is open."""
    return request.headers.get("hx-request") == "true"


def show_message(request: Request, status: int, message: str) -> Response:
    """A sentence about what went wrong, as a page or in the page that is open."""
    if not is_fragment(request):
        return page(request, "error.html", {"message": message}, status)
    made = fragment(request, "error.html", "message", {"message": message}, status)
    made.headers["hx-retarget"] = "#message"
    made.headers["hx-reswap"] = "innerHTML show:top"
    return made


async def _show(request: Request, error: Exception) -> Response:
    if isinstance(error, NotLoggedIn):
        return _to_sign_in(request)
    if isinstance(error, HTTPException):
        return show_message(request, error.status_code, f"{error.detail}.".replace("..", "."))
    if isinstance(error, RequestValidationError):
        return show_message(request, 404, "There is no such page.")
    status, message = explain(error, request.state.request_id)
    return show_message(request, status.status, message)


def _to_sign_in(request: Request) -> Response:
    if not is_fragment(request):
        return RedirectResponse(_sign_in_before(request.url.path), 303)
    shown = urlsplit(request.headers.get("hx-current-url", "")).path
    return Response(status_code=401, headers={"hx-redirect": _sign_in_before(shown)})


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
