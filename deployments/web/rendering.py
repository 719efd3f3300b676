"""Views as HTML: a template each, or a block of one for what is put into a page that is open."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from batch_jobs.deployments.api.auth import Right
from batch_jobs.deployments.web.languages import LANGUAGES, language, language_of
from batch_jobs.deployments.web.sessions import Session
from batch_jobs.flows.jobs.plan import cell
from batch_jobs.flows.settings import Settings

TEMPLATES = Path(__file__).parent / "templates"
#: Without a referrer at all, a browser would hide from ourselves which page a form is on.
REFERRER_POLICY = "same-origin"
#: A page loads only what we serve ourselves, and no page of anybody else shows it.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self';"
    " manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "referrer-policy": REFERRER_POLICY,
    "cross-origin-opener-policy": "same-origin",
    "vary": "cookie, accept-language, hx-request",
}


@cache
def environment(code: str) -> Environment:
    """The templates in a language."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    spoken = language(code)
    made.install_gettext_translations(spoken.words, newstyle=True)  # type: ignore[attr-defined]
    made.filters |= {
        "said": spoken.said,
        "number": spoken.number,
        "percent": spoken.percent,
        "time": spoken.time,
        "duration": spoken.duration,
        "size": spoken.size,
        "cell": cell,
    }
    made.globals |= {"languages": LANGUAGES, "spoken": spoken, "Right": Right}
    return made


def page(request: Request, template: str, values: Mapping[str, Any], status: int = 200) -> HTMLResponse:
    """A whole page.

    Args:
        request: which is answered.
        template: the view's file.
        values: for the template.
        status: of the answer.
    """
    made = environment(language_of(request).code)
    return _response(made.get_template(template).render({**_common(request, made), **values}), status)


def fragment(request: Request, template: str, block: str, values: Mapping[str, Any], status: int = 200) -> HTMLResponse:
    """A block of a view, to be put into a page that is open."""
    made = environment(language_of(request).code)
    return _response(_block(made, template, block, {**_common(request, made), **values}), status)


def shared_block(code: str, template: str, block: str, values: Mapping[str, Any]) -> str:
    """The HTML of a block for many at once: it is given nothing of a request or of who asks.

    Args:
        code: the language.
        template: the view's file.
        block: which of its blocks.
        values: for the template.
    """
    made = environment(code)
    return _block(made, template, block, {"parts": made.get_template("parts.html").make_module({}), **values})


def _block(made: Environment, template: str, block: str, values: Mapping[str, Any]) -> str:
    found = made.get_template(template)
    return made.concat(found.blocks[block](found.new_context(dict(values))))


def _common(request: Request, made: Environment) -> Mapping[str, Any]:
    """What every template may use; ``parts`` are the macros that views share."""
    session: Session | None = getattr(request.state, "session", None)
    settings: Settings = request.app.state.api.settings
    given = {
        "request": request,
        "path": request.url.path,
        "session": session,
        "visitor": session.caller if session else None,
        "csrf": session.csrf if session else "",
        "site": settings.page_name,
        "has_logo": bool(settings.page_logo),
        "version": request.app.state.version,
    }
    return {**given, "parts": made.get_template("parts.html").make_module(given)}


def _response(text: str, status: int) -> HTMLResponse:
    return HTMLResponse(text, status, HEADERS)
