"""The first view: jobs, the newest first."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from batch_jobs.deployments.api.auth import Caller, Right
from batch_jobs.deployments.api.dependencies import Api, CurrentApi
from batch_jobs.deployments.api.errors import InputWrong
from batch_jobs.deployments.api.list_query import ListQuery, cursor_of
from batch_jobs.deployments.web.errors import is_fragment
from batch_jobs.deployments.web.guard import CurrentVisitor, visits
from batch_jobs.deployments.web.rendering import fragment, page
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.queries import Page
from batch_jobs.flows.jobs.transitions import Status

LIMIT = 50
#: What the view takes of the API's parameters.
FILTERS = ("type", "status", "created_by", "id", "cursor")
#: Of which the API takes several.
SEVERAL = ("type", "id")
#: Days, of this machine's zone, and which bound of the time of creation each is.
DAYS = {"since": "created_at[gte]", "until": "created_at[lt]"}

router = APIRouter()


@router.get("/", dependencies=[visits(Right.READ)])
def list_jobs(request: Request, api: CurrentApi, visitor: CurrentVisitor) -> Response:
    """The jobs that the visitor sees; asked for again as a fragment while the page is open.

    With ``held``, the cursor is that of the first job that is shown: the same jobs come again, and how many are newer.
    """
    given = {name: request.query_params.get(name, "").strip() for name in (*FILTERS, *DAYS)}
    asked = {name: text for name, text in given.items() if text}
    query = ListQuery.parse([("limit", str(LIMIT)), *_pairs(asked)], compat=False)
    is_held = "held" in request.query_params and query.page.after is not None
    values = _page_of(api, visitor, query, is_held)
    values |= {
        "asked": {name: text for name, text in asked.items() if name != "cursor"} if is_held else asked,
        "types": [name for name in sorted(api.strategies.by_type) if visitor.may_type(name)],
        "statuses": list(Status),
    }
    if is_fragment(request):
        return fragment(request, "jobs.html", "rows", values)
    return page(request, "jobs.html", values)


def _page_of(api: Api, visitor: Caller, query: ListQuery, is_held: bool) -> dict[str, Any]:
    visible = visitor.visible(query.wanted)
    newer = 0
    if is_held and query.page.after is not None:
        at, first = query.page.after
        newer = len(api.service.page(visible, Page(LIMIT + 1, descending=False, after=(at, first))))
        query = replace(query, page=replace(query.page, after=(at, f"{first}0")))  # from that job on, itself too
    jobs: Sequence[Job] = list(api.service.page(visible, query.page))
    return {
        "jobs": [job.without_partitions() for job in jobs],
        "first": cursor_of(jobs[0]) if jobs else "",
        "newer": newer,
        "most": LIMIT,
        "next_cursor": query.next_cursor(list(jobs)),
    }


def _pairs(asked: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, text in asked.items():
        if name in DAYS:
            yield DAYS[name], _begin_of(name, text)
        else:
            yield f"{name}[]" if name in SEVERAL else name, text


def _begin_of(name: str, text: str) -> str:
    """When a day begins that jobs are of, or the day after the last one."""
    try:
        day = date.fromisoformat(text) + timedelta(days=name == "until")
        return datetime(day.year, day.month, day.day).astimezone().isoformat()
    except (ValueError, OverflowError):
        raise InputWrong("a day is written as 2026-01-31") from None
