"""The page as an application beside the API's, at the same address."""

from collections.abc import MutableMapping
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from batch_jobs.deployments.api.dependencies import Api
from batch_jobs.deployments.api.middleware import Asgi, Receive, Send
from batch_jobs.deployments.web.beside_prefect import BesidePrefect
from batch_jobs.deployments.web.errors import add_error_pages
from batch_jobs.deployments.web.live_parts import LiveParts
from batch_jobs.deployments.web.routes import (
    correct,
    history,
    job,
    job_moves,
    jobs,
    look,
    mapping,
    new,
    schedules,
    sign_in,
    static,
    uploads,
)
from batch_jobs.deployments.web.sessions import Sessions

ROUTERS = tuple(
    part.router
    for part in (static, sign_in, jobs, mapping, new, uploads, look, correct, job, job_moves, history, schedules)
)


def _beginning(path: str) -> str | None:
    """What a path begins with; ``None`` for what is no path, as the ``*`` of OPTIONS or the address of a CONNECT."""
    return path.split("/", 2)[1] if path.startswith("/") else None


#: How the paths of views begin; none of the API's does.
BEGINNINGS = {_beginning(route.path) for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)}


def create_pages(api: Api) -> FastAPI:
    """The views over an API's parts.

    Args:
        api: whose jobs, files and keys they show.
    """
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.api = api
    app.state.sessions = Sessions(api)
    app.state.live = LiveParts(api)
    app.state.prefect = BesidePrefect()
    app.state.version = static.fingerprint()
    for router in ROUTERS:
        app.include_router(router)
    add_error_pages(app)
    return app


class PagesBeside:
    """Leads to the page where a path begins as one of its views does, and to the API otherwise.

    Args:
        app: the API.
        pages: the page.
    """

    def __init__(self, app: Asgi, pages: FastAPI) -> None:
        self._app = app
        self._pages = pages

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request."""
        is_page = scope["type"] == "http" and _beginning(scope["path"]) in BEGINNINGS
        await (self._pages if is_page else self._app)(scope, receive, send)
