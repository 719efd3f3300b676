"""What every view asks first: who is there, what they may, and whether a change was asked for by our own page."""

import hmac
from contextlib import suppress
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request, params
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData

from batch_jobs.deployments.api.auth import Authentication, Caller, Right
from batch_jobs.deployments.api.errors import NotPermitted
from batch_jobs.deployments.web.errors import SAFE
from batch_jobs.deployments.web.sessions import Session, Sessions

#: What ``Sec-Fetch-Site`` says of requests that no page of ours asks for.
ELSEWHERE = ("cross-site", "same-site")
CSRF_FIELD, CSRF_HEADER = "csrf", "x-csrf"
#: Forms that carry it are small; what is large comes with the header.
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
#: Of a form for each column of a wide file; its bytes are limited beside.
MOST_FIELDS = 20_000
#: The one form that may be large; its view reads it, and looks at what it repeats with ``check_repeated``.
FILE_FORM = "/uploads/file"


class ForeignPage(NotPermitted):
    """A change that no form of ours asked for."""

    def __init__(self) -> None:
        super().__init__("this form is too old or not ours; open the page again, and nothing was changed")


def visits(*rights: Right) -> params.Depends:
    """A view's ``dependencies``: a session whose key has these rights, and where it is a change, a form of our own."""

    async def check(request: Request) -> None:
        check_asked_here(request)
        sessions: Sessions = request.app.state.sessions
        session = await run_in_threadpool(sessions.of, request)
        if session is None:
            authentication: Authentication = request.app.state.api.authentication
            authentication.refuse(request.client.host if request.client else "unknown")
        if request.method not in SAFE:
            check_origin(request)
            await _check_token(request, session)
        for right in rights:
            session.caller.require(right)
        request.state.session = session

    depends: params.Depends = Depends(check)
    return depends


def check_asked_here(request: Request) -> None:
    """Refuse what a page of another origin asks for, but for a link that somebody follows: that is theirs to do.

    It could not read the answer, but count it, show it in a frame, or take up streams; and for a browser another port
    of this machine is the same site, which our cookie is sent to.

    Raises:
        ForeignPage: it is such a one.
    """
    headers = request.headers
    is_link = (
        request.method in SAFE
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )
    if headers.get("sec-fetch-site") in ELSEWHERE and not is_link:
        raise ForeignPage


def check_origin(request: Request) -> None:
    """Refuse a change that a page of another origin asks for.

    Raises:
        ForeignPage: it is such a one.
    """
    check_asked_here(request)
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("://")[2] not in _own_hosts(request):
        raise ForeignPage


def _own_hosts(request: Request) -> set[str]:
    """What a page of ours has after the ``://``; a proxy may pass on another ``Host`` than it is called by."""
    public: str = request.app.state.api.settings.api_public_url
    return {request.headers.get("host", ""), urlsplit(public).netloc} - {""}


def check_repeated(shown: str, session: Session) -> None:
    """Refuse a form that does not repeat the session's secret.

    Raises:
        ForeignPage: it does not.
    """
    # a form may name an encoding of its own, by which half characters come in
    if not hmac.compare_digest(shown.encode(errors="replace"), session.csrf.encode()):
        raise ForeignPage


async def _check_token(request: Request, session: Session) -> None:
    if request.url.path == FILE_FORM:
        return
    shown = request.headers.get(CSRF_HEADER, "")
    if not shown and request.headers.get("content-type", "").partition(";")[0] in FORMS:
        with suppress(RuntimeError):  # a view with fields of a form has had it read before
            await request.body()  # it is kept, so that a view that reads no form finds it too
        shown = str((await _form_of(request)).get(CSRF_FIELD, ""))
    check_repeated(shown, session)


async def _form_of(request: Request) -> FormData:
    return await request.form(max_fields=MOST_FIELDS)


async def _session_of(request: Request) -> Session:
    session: Session = request.state.session
    return session


async def _caller_of(request: Request) -> Caller:
    session: Session = request.state.session
    return session.caller


#: Whoever is signed in, in a view with ``visits``.
CurrentSession = Annotated[Session, Depends(_session_of)]
CurrentVisitor = Annotated[Caller, Depends(_caller_of)]
#: What was entered, in a view that takes whatever fields there are.
CurrentForm = Annotated[FormData, Depends(_form_of)]
