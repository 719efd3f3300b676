"""The application: its routes, the middleware around them, and what runs beside them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

from anyio import to_thread
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.middleware.cors import CORSMiddleware

from batch_jobs.deployments.api.dependencies import Api
from batch_jobs.deployments.api.errors import add_error_handlers
from batch_jobs.deployments.api.middleware import RequestMiddleware
from batch_jobs.deployments.api.openapi import document
from batch_jobs.deployments.api.readiness import Readiness
from batch_jobs.deployments.api.routes import changes, files, health, jobs, strategies, stream
from batch_jobs.deployments.api.tracing import TraceMiddleware
from batch_jobs.deployments.api.webhook import WebhookSender
from batch_jobs.deployments.web.site import PagesBeside, create_pages
from batch_jobs.flows.tracing import is_tracing
from batch_jobs.flows.workspace import Workspace
from batch_jobs.strategies.sdk.database import CONNECTIONS

DESCRIPTION = "Batch jobs: create, watch, confirm, stop. The routes under /admin are those of Medusa v1, and more."


def _with_head(router: APIRouter) -> APIRouter:
    """The router with HEAD where it has GET, as RFC 9110 (9.1) asks; the server leaves out the content."""
    for route in [route for route in router.routes if isinstance(route, APIRoute) and "GET" in (route.methods or ())]:
        router.add_api_route(
            route.path.removeprefix(router.prefix),
            route.endpoint,
            methods=["HEAD"],
            dependencies=route.dependencies,
            include_in_schema=False,
        )
    return router


#: Headers of answers that a page of another origin may read, beside the few that any page may.
EXPOSED_HEADERS = ("Retry-After", "X-Request-Id", "Content-Disposition")
#: Every route there is. Strategies come first: their path would be taken for a job's id.
ROUTERS = tuple(_with_head(part.router) for part in (strategies, jobs, changes, stream, files, health))


def create_app(workspace: Workspace) -> FastAPI:
    """The API over a workspace, as an ASGI application.

    Args:
        workspace: the installation with the jobs and files that are served.

    Raises:
        SettingWrong: API_KEYS cannot be read, or WEBHOOK_URL has no WEBHOOK_SECRET.
    """
    api, webhook = Api(workspace), WebhookSender.of(workspace)
    app = FastAPI(
        title="batch-jobs",
        version="1",
        description=DESCRIPTION,
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # it would lead to whatever host the caller named
        lifespan=_lifespan(api, webhook),
    )
    app.state.api = api
    app.state.readiness = Readiness(workspace)
    for router in ROUTERS:
        app.include_router(router)
    app.openapi = partial(document, app, app.openapi)  # type: ignore[method-assign]
    add_error_handlers(app, api.compat)
    origins = [origin.strip() for origin in workspace.settings.api_cors_origins.split(",") if origin.strip()]
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=EXPOSED_HEADERS,
        )
    app.add_middleware(PagesBeside, pages=create_pages(api))
    app.add_middleware(RequestMiddleware, metrics=api.metrics, compat=api.compat)
    if is_tracing():
        app.add_middleware(TraceMiddleware)
    return app


def _lifespan(api: Api, webhook: WebhookSender | None) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """What runs as long as the application does: starting jobs, updating streams, sending the webhook."""

    @asynccontextmanager
    async def running(app: FastAPI) -> AsyncIterator[None]:
        to_thread.current_default_thread_limiter().total_tokens = CONNECTIONS
        loops = [
            api.starter.run(),
            api.streams.run(),
            api.authentication.use.run(),
            *([webhook.run()] if webhook else []),
        ]
        tasks = [asyncio.create_task(loop) for loop in loops]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    return running
