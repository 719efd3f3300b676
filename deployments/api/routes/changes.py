"""The routes of changes: what a job changes, before and after it runs, and what jobs changed in a row."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from batch_jobs.deployments.api.auth import Caller, Right
from batch_jobs.deployments.api.dependencies import Api, CurrentApi, CurrentCaller, requires
from batch_jobs.deployments.api.file_response import media_type
from batch_jobs.deployments.api.list_query import ChangesFileQuery, ChangesQuery, HistoryQuery
from batch_jobs.deployments.api.openapi import (
    CHANGES,
    CHANGES_FILE_PARAMETERS,
    CHANGES_PARAMETERS,
    FILE_CONTENT,
    HISTORY,
    HISTORY_PARAMETERS,
    refusals,
)
from batch_jobs.strategies.sdk.files import harmless_name

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
    "/batch-jobs/{job_id}/changes/file",
    dependencies=[requires(Right.FILES)],
    summary="Get what a job changes as a file",
    response_class=Response,
    responses={200: FILE_CONTENT, **refusals(401, 403, 404, 409)},
    openapi_extra={"parameters": CHANGES_FILE_PARAMETERS},
)
def changes_file(job_id: str, request: Request, api: CurrentApi, caller: CurrentCaller) -> Response:
    """All of these changes as CSV or Excel, for which a spreadsheet would take no cell for a formula."""
    return send_changes(api, caller, job_id, request.query_params.multi_items())


def send_changes(api: Api, caller: Caller, job_id: str, asked: Iterable[tuple[str, str]]) -> Response:
    """The changes that a query asks for, as a file."""
    from batch_jobs.flows.jobs.changes_file import FORMATS, begun

    job = api.job(job_id, caller)
    query = ChangesFileQuery.parse(asked)
    access = api.workspace.access.of_key(caller.tables)
    entries = begun(api.workspace.job_changes.all(job, query.wanted, access))
    name = harmless_name(f"changes-{job.id}.{query.format}")
    headers = {"content-disposition": f'attachment; filename="{name}"', "content-type": media_type(f".{query.format}")}
    return StreamingResponse(FORMATS[query.format](entries), 200, headers)


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
