"""What every view asks first: who is there, what they may, and whether a change was asked for by our own page."""

import hmac
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request, params
from starlette.concurrency import run_in_threadpool

from batch_jobs.deployments.api.auth import Caller, Right
from batch_jobs.deployments.api.errors import NotLoggedIn, NotPermitted
from batch_jobs.deployments.web.sessions import Session, Sessions

SAFE = ("GET", "HEAD")
CSRF_FIELD, CSRF_HEADER = "csrf", "x-csrf"
#: Forms that carry it are small; what is large comes with the header.
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
#: The one form that may be large; its view reads it, and looks at what it repeats with ``check_repeated``.
FILE_FORM = "/uploads/file"


class ForeignPage(NotPermitted):
    """A change that no form of ours asked for."""

    def __init__(self) -> None:
        super().__init__("this form is too old or not ours; open the page again, and nothing was changed")


def visits(right: Right) -> params.Depends:
    """A view's ``dependencies``: there has to be a session whose key has a right, and a change has to be our page's."""

    async def check(request: Request) -> None:
        sessions: Sessions = request.app.state.sessions
        session = await run_in_threadpool(sessions.of, request)
        if session is None:
            raise NotLoggedIn
        if request.method not in SAFE:
            check_origin(request)
            await _check_token(request, session)
        session.caller.require(right)
        request.state.session = session

    depends: params.Depends = Depends(check)
    return depends


def check_origin(request: Request) -> None:
    """Refuse a change that a page of another origin asks for.

    Raises:
        ForeignPage: it is such a one.
    """
    asked_by = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if asked_by is not None and asked_by not in ("same-origin", "none"):
        raise ForeignPage
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise ForeignPage


def check_repeated(shown: str, session: Session) -> None:
    """Refuse a form that does not repeat the session's secret.

    Raises:
        ForeignPage: it does not.
    """
    if not hmac.compare_digest(shown.encode(errors="replace"), session.csrf.encode()):
        raise ForeignPage


async def _check_token(request: Request, session: Session) -> None:
    if request.url.path == FILE_FORM:
        return
    shown = request.headers.get(CSRF_HEADER, "")
    if not shown and request.headers.get("content-type", "").partition(";")[0] in FORMS:
        shown = str((await request.form()).get(CSRF_FIELD, ""))
    if not hmac.compare_digest(shown.encode(), session.csrf.encode()):
        raise ForeignPage


async def _session_of(request: Request) -> Session:
    session: Session = request.state.session
    return session


async def _caller_of(request: Request) -> Caller:
    session: Session = request.state.session
    return session.caller


#: Whoever is signed in, in a view with ``visits``.
CurrentSession = Annotated[Session, Depends(_session_of)]
CurrentVisitor = Annotated[Caller, Depends(_caller_of)]
