"""The routes of changes: what a job changes, before and after it runs, and what jobs changed in a row."""

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from batch_jobs.deployments.api.auth import Right
from batch_jobs.deployments.api.dependencies import CurrentApi, CurrentCaller, requires
from batch_jobs.deployments.api.list_query import ChangesQuery, HistoryQuery
from batch_jobs.deployments.api.openapi import CHANGES, CHANGES_PARAMETERS, HISTORY, HISTORY_PARAMETERS, refusals

if TYPE_CHECKING:
    from batch_jobs.flows.jobs.changes import Changes  # which loads what reads Parquet

router = APIRouter(prefix="/admin", tags=["changes"])


@router.get(
    "/batch-jobs/{job_id}/changes",
    dependencies=[requires(Right.FILES)],
    summary="Get what a job changes",
    response_class=JSONResponse,
    responses={200: CHANGES, **refusals(401, 403, 404, 409)},
    openapi_extra={"parameters": CHANGES_PARAMETERS},
)
def changes(job_id: str, request: Request, api: CurrentApi, caller: CurrentCaller) -> Response:
    """Each column of each row that the job is going to change, and once it runs, those that it has changed."""
    job = api.job(job_id, caller)
    query = ChangesQuery.parse(request.query_params.multi_items())
    access = api.workspace.access.of_key(caller.tables)
    page = api.workspace.job_changes.page(job, query.wanted, access, query.cursor, query.limit)
    return _page(page, query.limit)


@router.get(
    "/history",
    dependencies=[requires(Right.FILES)],
    summary="Get what jobs changed in a row",
    response_class=JSONResponse,
    responses={200: HISTORY, **refusals(401, 403, 404, 422)},
    openapi_extra={"parameters": HISTORY_PARAMETERS},
)
def history(request: Request, api: CurrentApi, caller: CurrentCaller) -> Response:
    """Which of the jobs that the caller sees changed a row, when, and from what to what; the newest job first."""
    query = HistoryQuery.parse(request.query_params.multi_items())
    visible, access = api.visible(caller), api.workspace.access.of_key(caller.tables)
    page = api.workspace.job_changes.history(query.table, query.key, access, visible, query.cursor, query.limit)
    return _page(page, query.limit)


def _page(page: "Changes", limit: int) -> Response:
    return JSONResponse({"changes": page.entries, "limit": limit, "next_cursor": page.cursor})
