"""Who is signed in: a cookie that names a key, never the key itself, and only as long as that key works."""

import secrets
from dataclasses import dataclass

from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.requests import Request
from starlette.responses import Response

from batch_jobs.deployments.api.auth import OWNER, Caller
from batch_jobs.deployments.api.dependencies import Api
from batch_jobs.deployments.log import add_facts
from batch_jobs.deployments.web.owner import sits_at_this_machine

#: A browser takes a cookie of this name from the site itself over TLS only, not from another host of its domain.
OF_HOST = "__Host-"


@dataclass(frozen=True)
class Session:
    """A signed-in browser: the caller, the secret that its forms have to repeat, and what it is ended by."""

    caller: Caller
    csrf: str
    id: str

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
        self._ended = api.workspace.ended_sessions
        self._tokens = URLSafeTimedSerializer(api.workspace.seal.key("sessions"), salt="session")
        # ports of one host share their cookies: two installations there must not sign each other's visitors out
        self._name = f"batch_jobs_session_{api.workspace.seal.key('name of the session cookie').hex()[:8]}"

    def of(self, request: Request) -> Session | None:
        """The session of a request, ``None`` where there is none that still holds.

        Raises:
            TooManyRequests: its key came too often.
        """
        named = self._named(request)
        if named is None:
            return None
        key_id, csrf, session_id = named
        if key_id == OWNER and not self.may_be_owner(request):
            return None
        caller = self._api.authentication.visitor(key_id)
        if caller is None or self._ended.has(session_id):
            return None
        add_facts(holder=caller.name, key=caller.key_id, by="session")
        return Session(caller, csrf, session_id)

    def begin(self, response: Response, request: Request, caller: Caller) -> Session:
        """Sign a browser in, for as long as the setting says; a session of before is none any more."""
        self._end_before(request)
        session = Session(caller, secrets.token_urlsafe(18), secrets.token_urlsafe(18))
        response.set_cookie(
            self._cookie(request),
            self._tokens.dumps([caller.key_id, session.csrf, session.id]),
            max_age=self._api.settings.session_seconds,
            path="/",
            secure=self._is_secure(request),
            httponly=True,
            samesite="strict",
        )
        return session

    def end(self, response: Response, request: Request) -> None:
        """Sign a browser out; who has its cookie has nothing any more."""
        self._end_before(request)
        response.delete_cookie(
            self._cookie(request), path="/", secure=self._is_secure(request), httponly=True, samesite="strict"
        )

    def may_be_owner(self, request: Request) -> bool:
        """Whether a request comes from the one who works at this machine, to an API that only this machine reaches."""
        return sits_at_this_machine(request, self._api.settings)

    def _end_before(self, request: Request) -> None:
        named = self._named(request)
        if named is not None:
            self._ended.add(named[2], self._api.settings.session_seconds)

    def _named(self, request: Request) -> tuple[str, str, str] | None:
        cookie = request.cookies.get(self._cookie(request), "")
        try:
            key_id, csrf, session_id = self._tokens.loads(cookie, max_age=self._api.settings.session_seconds)
        except (BadData, ValueError, TypeError):
            return None
        return str(key_id), str(csrf), str(session_id)

    def _cookie(self, request: Request) -> str:
        return f"{OF_HOST if self._is_secure(request) else ''}{self._name}"

    def _is_secure(self, request: Request) -> bool:
        return request.url.scheme == "https" or self._api.settings.api_public_url.startswith("https:")
