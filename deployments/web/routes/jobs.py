"""The first view: jobs, the newest first."""

from collections.abc import Sequence

from fastapi import APIRouter, Request
from fastapi.responses import Response

from batch_jobs.deployments.api.auth import Right
from batch_jobs.deployments.api.dependencies import CurrentApi
from batch_jobs.deployments.api.list_query import ListQuery
from batch_jobs.deployments.web.errors import is_fragment
from batch_jobs.deployments.web.guard import CurrentVisitor, visits
from batch_jobs.deployments.web.rendering import fragment, page
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.transitions import Status

LIMIT = 50
#: What the view takes of the API's parameters.
FILTERS = ("type", "status", "created_by", "cursor")

router = APIRouter()


@router.get("/", dependencies=[visits(Right.READ)])
def list_jobs(request: Request, api: CurrentApi, visitor: CurrentVisitor) -> Response:
    """The jobs that the visitor sees; asked for again as a fragment while the page is open."""
    asked = {name: request.query_params[name] for name in FILTERS if request.query_params.get(name)}
    query = ListQuery.parse([("limit", str(LIMIT)), *asked.items()], compat=False)
    jobs: Sequence[Job] = list(api.service.page(visitor.visible(query.wanted), query.page))
    values = {
        "jobs": [job.without_partitions() for job in jobs],
        "next_cursor": query.next_cursor(list(jobs)),
        "asked": asked,
        "types": [name for name in sorted(api.strategies.by_type) if visitor.may_type(name)],
        "statuses": list(Status),
    }
    if is_fragment(request):
        return fragment(request, "jobs.html", "rows", values)
    return page(request, "jobs.html", values)
