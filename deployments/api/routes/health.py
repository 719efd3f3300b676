"""The routes of those who operate the API: does it live, can it serve, how is it doing."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from batch_jobs.deployments.api.auth import Right
from batch_jobs.deployments.api.dependencies import CurrentApi, CurrentCaller, requires
from batch_jobs.deployments.api.openapi import an_object, answers, refusals
from batch_jobs.deployments.api.readiness import Readiness

router = APIRouter(tags=["operation"])

PART = {"enum": ["ok", "down"]}
LIVES = {**an_object(status={"const": "ok"}), "example": {"status": "ok"}}
READY = an_object(status={"enum": ["ready", "degraded", "unavailable"]}, database=PART, files=PART, prefect=PART)
CAN = {**READY, "example": {"status": "degraded", "database": "ok", "files": "ok", "prefect": "down"}}
CANNOT = {**READY, "example": {"status": "unavailable", "database": "down", "files": "ok", "prefect": "ok"}}


@router.get(
    "/healthz",
    summary="Does it live",
    response_class=JSONResponse,
    responses={200: answers("It does", LIVES)},
)
async def healthz() -> Response:
    """Answers as long as the process does."""
    return JSONResponse({"status": "ok"})


@router.get(
    "/readyz",
    summary="Can it serve",
    response_class=JSONResponse,
    responses={200: answers("It can", CAN), 503: answers("It cannot", CANNOT)},
)
async def readyz(request: Request) -> Response:
    """`degraded`: Prefect is away; jobs are read and created all the same, and started once it is back."""
    readiness: Readiness = request.app.state.readiness
    ready = await readiness.look()
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
