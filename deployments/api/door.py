"""Who comes in: from a request to its caller, in the thread that then serves it."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from inspect import iscoroutinefunction, signature
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

from deployments.api.access import Caller, Right
from deployments.api.parts import Api

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
