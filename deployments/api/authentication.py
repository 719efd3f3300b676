"""Who comes in: from a request's key to its caller, and how often a caller may come."""

import asyncio
import math
import time
from collections.abc import Callable, Collection, Coroutine
from functools import wraps
from inspect import iscoroutinefunction, signature
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from batch_jobs.deployments.api.authorization import Caller, Right
from batch_jobs.deployments.api.errors import NotLoggedIn, TooManyRequests
from batch_jobs.flows.access.keys import ApiKey, ApiKeyStore, token_hash

if TYPE_CHECKING:
    from batch_jobs.deployments.api.dependencies import Api

LONGEST_TOKEN = 512


class RateLimit:
    """Counts what each one does, in this process."""

    def __init__(self, rate: str) -> None:
        self._rate: RateLimitItem = parse(rate)
        self._text = rate
        self._counts = SlidingWindowCounterRateLimiter(MemoryStorage())

    def count(self, who: str) -> None:
        """Count one request.

        Raises:
            TooManyRequests: it is one too many.
        """
        if self._counts.hit(self._rate, who):
            return
        reset = self._counts.get_window_stats(self._rate, who).reset_time
        raise TooManyRequests(self._text, max(1, math.ceil(reset - time.time())))


class Authentication:
    """Finds the caller who holds a key.

    Args:
        store: the table of keys; asked for each request, so that a revoked key is refused at once.
        given: the keys of the settings, by hash.
        rate: how often one key may come, and how often one address may be refused.
    """

    def __init__(self, store: ApiKeyStore, given: dict[str, ApiKey], rate: str) -> None:
        self._store = store
        self._given = given
        self._limit = RateLimit(rate)

    def caller(self, token: str | None, address: str) -> Caller:
        """Return who holds a key.

        Raises:
            NotLoggedIn: nobody does.
            TooManyRequests: the key, or the address without one, came too often.
        """
        key = self._key(token)
        if key is None:
            self._limit.count(f"address {address}")
            raise NotLoggedIn
        self._limit.count(key.id)
        return Caller.holding(key)

    def is_valid(self, key_id: str) -> bool:
        """Whether the key of this id still works."""
        return bool(self.working([key_id]))

    def working(self, key_ids: Collection[str]) -> set[str]:
        """Which of the keys of these ids still work."""
        given = {key.id for key in self._given.values()}.intersection(key_ids)
        return given | self._store.valid(set(key_ids) - given)

    def _key(self, token: str | None) -> ApiKey | None:
        if not token or len(token) > LONGEST_TOKEN:
            return None
        return self._given.get(token_hash(token)) or self._store.find(token)


#: The ways to show a key, as OpenAPI describes them.
SCHEMES = {
    "medusa": {"type": "apiKey", "in": "header", "name": "x-medusa-access-token"},
    "bearer": {"type": "http", "scheme": "bearer"},
}
SECURITY: list[dict[str, list[str]]] = [{name: []} for name in SCHEMES]


Serve = Callable[[Request], Coroutine[Any, Any, Response]]


class Visitor:
    """Somebody who may have shown a key."""

    def __init__(self, request: Request) -> None:
        self._api: Api = request.app.state.api
        self._address = request.client.host if request.client else "unknown"
        self._token = request.headers.get("x-medusa-access-token") or _bearer(request)
        self._caller: Caller | None = None

    @property
    def shows_nothing(self) -> bool:
        """Whether there is no key at all."""
        return not self._token

    def identify(self) -> Caller:
        """The holder of the key; asks the database, once.

        Raises:
            NotLoggedIn: nobody holds it.
            TooManyRequests: the holder, or this address without a key, came too often.
        """
        if self._caller is None:
            self._caller = self._api.authentication.caller(self._token, self._address)
        return self._caller

    def enter(self, right: Right) -> Caller:
        """The holder of the key, who must have a right; raises as ``identify`` does.

        Raises:
            NotPermitted: the holder has not the right.
        """
        caller = self.identify()
        caller.require(right)
        return caller


class KeyBeforeBody(APIRoute):
    """A route that looks at the key before it reads a body; FastAPI's own would read it from anybody."""

    def get_route_handler(self) -> Serve:
        """How a request is served."""
        serve = super().get_route_handler()
        return serve if self.body_field is None else _after_the_key(serve)


def _after_the_key(serve: Serve) -> Serve:
    async def served(request: Request) -> Response:
        visitor = await _visitor(request)
        await asyncio.to_thread(visitor.identify)
        request.state.visitor = visitor
        return await serve(request)

    return served


async def _visitor(request: Request) -> Visitor:
    known: Visitor | None = getattr(request.state, "visitor", None)
    if known is not None:
        return known
    visitor = Visitor(request)
    if visitor.shows_nothing:  # before its input is looked at
        visitor.identify()
    return visitor


def holding(right: Right) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let an endpoint's parameter ``caller`` be the holder of a key with a right.

    Not a dependency of its own: those that ask the database cost a change of threads each.
    """

    def decorate(endpoint: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(endpoint)
        def entered(*, caller: Visitor, **given: Any) -> Any:
            return endpoint(caller=caller.enter(right), **given)

        @wraps(endpoint)
        async def entered_async(*, caller: Visitor, **given: Any) -> Any:
            return await endpoint(caller=await asyncio.to_thread(caller.enter, right), **given)

        wrapped: Any = entered_async if iscoroutinefunction(endpoint) else entered
        shape = signature(endpoint)
        visitor = shape.parameters["caller"].replace(annotation=Annotated[Visitor, Depends(_visitor)])
        wrapped.__signature__ = shape.replace(parameters=[*({**shape.parameters, "caller": visitor}).values()])
        return wrapped  # type: ignore[no-any-return]  # one of the two above

    return decorate


def _bearer(request: Request) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
