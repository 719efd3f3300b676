"""The application: its routes in their frame, and what runs beside them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

from anyio import to_thread
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from batch_jobs.deployments.api import error_responses
from batch_jobs.deployments.api.authentication import SCHEMES, SECURITY
from batch_jobs.deployments.api.dependencies import Api
from batch_jobs.deployments.api.middleware import Frame
from batch_jobs.deployments.api.routes import health, job_files, jobs, strategies, stream, uploads
from batch_jobs.deployments.api.webhook import Webhook
from batch_jobs.flows.workspace import Workspace
from batch_jobs.strategies.sdk.database import CONNECTIONS

DESCRIPTION = "Batch jobs: create, watch, confirm, stop. The routes under /admin are those of Medusa v1, and more."

#: Every route there is. Strategies come first: their path would be taken for a job's id.
ROUTERS = tuple(part.router for part in (strategies, jobs, job_files, stream, uploads, health))


def create_app(workspace: Workspace) -> FastAPI:
    """The API over a workspace, as an ASGI application.

    Args:
        workspace: whose jobs and files are served.

    Raises:
        SettingWrong: API_KEYS cannot be read, or WEBHOOK_URL has no WEBHOOK_SECRET.
    """
    api, webhook = Api(workspace), Webhook.of(workspace)
    _open_all(api)
    app = FastAPI(
        title="batch-jobs",
        version="1",
        description=DESCRIPTION,
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # it would lead to whatever host the caller named
        lifespan=_beside(api, webhook),
    )
    app.state.api = api
    for router in ROUTERS:
        app.include_router(router)
    app.openapi = partial(_document, app, app.openapi)  # type: ignore[method-assign]
    error_responses.install(app, api.compat)
    origins = [origin.strip() for origin in workspace.settings.api_cors_origins.split(",") if origin.strip()]
    if origins:
        app.add_middleware(CORSMiddleware, allow_origins=origins, allow_methods=["*"], allow_headers=["*"])
    app.add_middleware(Frame, metrics=api.metrics, compat=api.compat)
    return app


def _open_all(api: Api) -> None:
    """Open every part now, so that two first requests do not open one twice."""
    for name in ("files", "strategies", "service", "api_keys", "uploads"):
        getattr(api.workspace, name)
    for name in ("authentication", "links", "handing", "watch", "metrics", "readiness"):
        getattr(api, name)


def _document(app: FastAPI, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The OpenAPI document, with how to show a key where one is asked for."""
    document = app.openapi_schema or make()
    document.setdefault("components", {})["securitySchemes"] = SCHEMES
    for methods in document["paths"].values():
        for operation in methods.values():
            if "401" in operation["responses"]:
                operation["security"] = SECURITY
    return document


def _beside(api: Api, webhook: Webhook | None) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """What runs as long as the application does: handing over, looking at followed jobs, telling of ends."""

    @asynccontextmanager
    async def running(app: FastAPI) -> AsyncIterator[None]:
        to_thread.current_default_thread_limiter().total_tokens = CONNECTIONS
        loops = [api.handing.run(), api.watch.run(), *([webhook.run()] if webhook else [])]
        tasks = [asyncio.create_task(loop) for loop in loops]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    return running
