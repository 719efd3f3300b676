"""The routes of those who operate the API: does it live, can it serve, how is it doing."""

import threading
import time
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy import text

from batch_jobs.deployments.api.auth import Right
from batch_jobs.deployments.api.dependencies import CurrentApi, CurrentCaller, requires
from batch_jobs.deployments.api.openapi import an_object, answers, refusals
from batch_jobs.deployments.prefect import server
from batch_jobs.flows.prefect.address import find_prefect
from batch_jobs.flows.workspace import Workspace

FRESH_SECONDS = 1.0  # a look is shared by those who ask within this time, as anybody may ask
router = APIRouter(tags=["operation"])

PART = {"enum": ["ok", "down"]}
LIVES = {**an_object(status={"const": "ok"}), "example": {"status": "ok"}}
READY = an_object(status={"enum": ["ready", "degraded", "unavailable"]}, database=PART, files=PART, prefect=PART)
CAN = {**READY, "example": {"status": "degraded", "database": "ok", "files": "ok", "prefect": "down"}}
CANNOT = {**READY, "example": {"status": "unavailable", "database": "down", "files": "ok", "prefect": "ok"}}


@router.head("/healthz", include_in_schema=False)
@router.get(
    "/healthz",
    summary="Does it live",
    response_class=JSONResponse,
    responses={200: answers("It does", LIVES)},
)
async def healthz() -> Response:
    """Answers as long as the process does."""
    return JSONResponse({"status": "ok"})


@router.head("/readyz", include_in_schema=False)
@router.get(
    "/readyz",
    summary="Can it serve",
    response_class=JSONResponse,
    responses={200: answers("It can", CAN), 503: answers("It cannot", CANNOT)},
)
def readyz(request: Request) -> Response:
    """`degraded`: Prefect is away; jobs are read and created all the same, and started once it is back."""
    readiness: Readiness = request.app.state.readiness
    ready = readiness.look()
    parts = {name: "ok" if getattr(ready, name) else "down" for name in ("database", "files", "prefect")}
    return JSONResponse({"status": ready.status, **parts}, 200 if ready.can_serve else 503)


@router.get(
    "/metrics",
    dependencies=[requires(Right.STATISTICS)],
    summary="How is it doing",
    response_class=PlainTextResponse,
    responses={200: {"description": "Prometheus' text form"}, **refusals(401, 403)},
)
def metrics(api: CurrentApi, caller: CurrentCaller) -> Response:
    """Requests, and jobs of the key's types, for Prometheus; it sends a viewer's key as `Authorization: Bearer`."""
    return PlainTextResponse(api.metrics.text(caller.types), media_type=CONTENT_TYPE_LATEST)


@dataclass(frozen=True)
class Ready:
    """Which parts answer. Without Prefect jobs are still read and recorded, and started later."""

    database: bool
    files: bool
    prefect: bool

    @property
    def can_serve(self) -> bool:
        """Whether requests can be served."""
        return self.database and self.files

    @property
    def status(self) -> str:
        """All of it as one of three."""
        if not self.can_serve:
            return "unavailable"
        return "ready" if self.prefect else "degraded"


class Readiness:
    """Looks at the parts of a workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._lock = threading.Lock()
        self._seen: tuple[float, Ready] | None = None

    def look(self) -> Ready:
        """Look at them, or say what was seen a moment ago."""
        with self._lock:
            if self._seen is None or time.monotonic() - self._seen[0] > FRESH_SECONDS:
                self._seen = (time.monotonic(), Ready(self._database(), self._files(), self._prefect()))
            return self._seen[1]

    def _database(self) -> bool:
        try:
            with self._workspace.jobs.connect() as connection:
                connection.execute(text("SELECT 1"))
        except Exception:  # whatever it is, it does not answer
            return False
        return True

    def _files(self) -> bool:
        try:
            self._workspace.files.exists("none")
        except Exception:  # each file system has errors of its own
            return False
        return True

    def _prefect(self) -> bool:
        known = find_prefect(self._workspace.settings.home)
        return known is not None and server.answers(known.api_url.rstrip("/"))
