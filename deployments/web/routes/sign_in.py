"""Signing in with a key, once, and out again; the choice of a language."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from batch_jobs.deployments.api.auth import Right
from batch_jobs.deployments.api.errors import NotLoggedIn
from batch_jobs.deployments.web.guard import check_origin, visits
from batch_jobs.deployments.web.languages import COOKIE as LANGUAGE_COOKIE
from batch_jobs.deployments.web.languages import LANGUAGES
from batch_jobs.deployments.web.rendering import page
from batch_jobs.deployments.web.sessions import Sessions

YEAR = 365 * 24 * 3600

router = APIRouter()


@router.get("/sign-in")
def form(request: Request, next: str = "/") -> Response:
    """The form for a key; whoever sits at a machine without one goes on at once."""
    sessions: Sessions = request.app.state.sessions
    if request.headers.get("sec-fetch-site") == "cross-site":  # the cookie comes with what our own page asks for only
        return page(request, "going_on.html", {"next": _ours(next)})
    if sessions.of(request) is not None:
        return RedirectResponse(_ours(next), 303)
    owner = request.app.state.api.authentication.owner()
    if owner is not None and sessions.may_be_owner(request):
        response = RedirectResponse(_ours(next), 303)
        sessions.begin(response, request, owner)
        return response
    return page(request, "sign_in.html", {"next": _ours(next), "refused": False, "needs_key": owner is not None})


@router.post("/sign-in")
async def sign_in(request: Request, key: Annotated[str, Form()] = "", next: Annotated[str, Form()] = "/") -> Response:
    """Begin a session with a key."""
    check_origin(request)
    authentication = request.app.state.api.authentication
    address = request.client.host if request.client else "unknown"
    try:
        caller = await authentication.caller(_sent(key), address)
    except NotLoggedIn:
        return page(request, "sign_in.html", {"next": _ours(next), "refused": True, "needs_key": False}, 401)
    response = RedirectResponse(_ours(next), 303)
    await run_in_threadpool(request.app.state.sessions.begin, response, request, caller)
    return response


@router.post("/sign-out", dependencies=[visits(Right.READ)])
def sign_out(request: Request) -> Response:
    """End the session."""
    response = RedirectResponse("/sign-in", 303)
    request.app.state.sessions.end(response, request)
    return response


@router.post("/language")
def choose_language(
    request: Request, code: Annotated[str, Form()] = "", back: Annotated[str, Form()] = "/"
) -> Response:
    """Speak another language to this browser."""
    check_origin(request)
    response = RedirectResponse(_ours(back), 303)
    if code in LANGUAGES:
        response.set_cookie(LANGUAGE_COOKIE, code, max_age=YEAR, path="/", httponly=True, samesite="lax")
    return response


def _sent(key: str) -> str:
    """A key as it was typed or pasted; what holds anything that no key has is none."""
    return key.strip() if key.isascii() else ""


def _ours(path: str) -> str:
    """A path on this site, never an address elsewhere."""
    is_ours = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() and path.isascii()
    return path if is_ours else "/"
