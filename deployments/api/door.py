"""Who comes in: from a request to its caller, in the thread that then serves it."""

import asyncio
from collections.abc import Callable
from functools import wraps
from inspect import iscoroutinefunction, signature
from typing import Annotated, Any

from fastapi import Depends, Request

from deployments.api.access import Caller, Right
from deployments.api.parts import Api

#: The ways to show a key, as OpenAPI describes them.
SCHEMES = {
    "medusa": {"type": "apiKey", "in": "header", "name": "x-medusa-access-token"},
    "bearer": {"type": "http", "scheme": "bearer"},
}
SECURITY: list[dict[str, list[str]]] = [{name: []} for name in SCHEMES]


class Visitor:
    """Somebody who showed a key that was not looked at yet."""

    def __init__(self, request: Request) -> None:
        self._api: Api = request.app.state.api
        self._address = request.client.host if request.client else "unknown"
        self._token = request.headers.get("x-medusa-access-token") or _bearer(request)

    @property
    def shows_nothing(self) -> bool:
        """Whether there is no key at all."""
        return not self._token

    def enter(self, right: Right) -> Caller:
        """The holder of the key, who must have a right; asks the database.

        Raises:
            NotLoggedIn: nobody holds it.
            NotPermitted: the holder has not the right.
            TooManyRequests: the holder, or this address without a key, came too often.
        """
        caller = self._api.authentication.caller(self._token, self._address)
        caller.require(right)
        return caller


async def _visitor(request: Request) -> Visitor:
    visitor = Visitor(request)
    if visitor.shows_nothing:  # before its input is looked at
        visitor.enter(Right.READ)
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
