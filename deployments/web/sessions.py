"""Who is signed in: a cookie that names a key, never the key itself, and only as long as that key works."""

import ipaddress
import secrets
from dataclasses import dataclass

from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.requests import Request
from starlette.responses import Response

from batch_jobs.deployments.api.auth import OWNER, Caller
from batch_jobs.deployments.api.dependencies import Api
from batch_jobs.deployments.api.links import HOST
from batch_jobs.deployments.log import add_facts

COOKIE = "batch_jobs_session"
#: What a proxy in between says; one who came through it does not sit at this machine.
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


@dataclass(frozen=True)
class Session:
    """A signed-in browser: the caller, and the secret that its forms have to repeat."""

    caller: Caller
    csrf: str

    @property
    def is_owner(self) -> bool:
        """Whether it works without a key, at a machine where none is set."""
        return self.caller.key_id == OWNER


class Sessions:
    """Reads and writes the cookie.

    Args:
        api: signs it, and knows the keys.
    """

    def __init__(self, api: Api) -> None:
        self._api = api
        self._tokens = URLSafeTimedSerializer(api.workspace.seal.key("sessions"), salt="session")

    def of(self, request: Request) -> Session | None:
        """The session of a request, ``None`` where there is none that still holds.

        Raises:
            TooManyRequests: its key came too often.
        """
        named = self._named(request.cookies.get(COOKIE, ""))
        if named is None:
            return None
        key_id, csrf = named
        if key_id == OWNER and not self.may_be_owner(request):
            return None
        caller = self._api.authentication.visitor(key_id)
        if caller is None:
            return None
        add_facts(holder=caller.name, key=caller.key_id, by="session")
        return Session(caller, csrf)

    def begin(self, response: Response, request: Request, caller: Caller) -> Session:
        """Sign a browser in, for as long as the setting says; a session of before is none any more."""
        session = Session(caller, secrets.token_urlsafe(18))
        response.set_cookie(
            COOKIE,
            self._tokens.dumps([caller.key_id, session.csrf]),
            max_age=self._api.settings.session_seconds,
            path="/",
            secure=self._is_secure(request),
            httponly=True,
            samesite="strict",
        )
        return session

    def end(self, response: Response) -> None:
        """Sign a browser out."""
        response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")

    def may_be_owner(self, request: Request) -> bool:
        """Whether a request comes from this machine itself, to an API that only this machine reaches.

        Its ``Host`` has to say so too: a page elsewhere may give its own name this machine's address.
        """
        host = HOST.fullmatch(request.headers.get("host", ""))
        here = (
            self._api.settings.api_host,
            request.client.host if request.client else "",
            host[1].strip("[]") if host else "",
        )
        return all(map(_is_loopback, here)) and not any(name in request.headers for name in FORWARDED)

    def _named(self, cookie: str) -> tuple[str, str] | None:
        try:
            key_id, csrf = self._tokens.loads(cookie, max_age=self._api.settings.session_seconds)
        except (BadData, ValueError, TypeError):
            return None
        return str(key_id), str(csrf)

    def _is_secure(self, request: Request) -> bool:
        return request.url.scheme == "https" or self._api.settings.api_public_url.startswith("https:")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.split("%")[0]).is_loopback
    except ValueError:
        return host.lower() == "localhost"
