"""The schedules that make jobs, as Prefect has them; they are changed there."""

from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from batch_jobs.deployments.api.auth import Right
from batch_jobs.deployments.api.dependencies import CurrentApi
from batch_jobs.deployments.web.guard import CurrentVisitor, visits
from batch_jobs.deployments.web.rendering import page
from batch_jobs.flows.errors import PrefectAway
from batch_jobs.flows.prefect import for_people

router = APIRouter()


@router.get("/schedules", dependencies=[visits(Right.READ)])
async def schedules(request: Request, api: CurrentApi, visitor: CurrentVisitor) -> Response:
    """The schedules of the types that the visitor's key is for."""
    types = sorted(name for name in api.strategies.by_type if visitor.may_type(name))
    values: dict[str, Any] = {"schedules": [], "away": None}
    question = partial(for_people.schedules, api.workspace.prefect, types)
    try:
        values["schedules"] = await request.app.state.prefect.ask(("schedules", *types), question)
    except PrefectAway as error:
        values["away"] = str(error)
    return page(request, "schedules.html", values)
