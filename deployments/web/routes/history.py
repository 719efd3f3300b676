"""The history of a row: which jobs changed it, and from what to what."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from batch_jobs.deployments.api.auth import Caller, Right
from batch_jobs.deployments.api.dependencies import Api, CurrentApi
from batch_jobs.deployments.api.errors import explain
from batch_jobs.deployments.api.list_query import HistoryQuery
from batch_jobs.deployments.web.guard import CurrentVisitor, visits
from batch_jobs.deployments.web.rendering import page
from batch_jobs.strategies.sdk.errors import BatchJobError

FIELDS = ("table", "key", "cursor")

router = APIRouter()


@router.get("/history", dependencies=[visits(Right.FILES)])
def history(request: Request, api: CurrentApi, visitor: CurrentVisitor) -> Response:
    """A table and a key, and below what jobs that the visitor sees changed in that row; the newest first."""
    asked = {name: request.query_params[name] for name in FIELDS if request.query_params.get(name)}
    values: dict[str, Any] = {"asked": asked, "changes": None, "next_cursor": None, "message": ""}
    status = 200
    if "table" in asked or "key" in asked:
        try:
            values |= _found(api, visitor, asked)
        except BatchJobError as error:
            refused, values["message"] = explain(error, request.state.request_id)
            status = refused.status
    return page(request, "history.html", values, status)


def _found(api: Api, visitor: Caller, asked: Mapping[str, str]) -> Mapping[str, Any]:
    query = HistoryQuery.parse(asked.items())
    access = api.workspace.access.of_key(visitor.tables)
    found = api.workspace.job_changes.history(
        query.table, query.key, access, api.visible(visitor), query.cursor, query.limit
    )
    changes = [{**entry, "at": datetime.fromisoformat(entry["at"])} for entry in found.entries]
    return {"changes": changes, "next_cursor": found.cursor}
