"""What is done to a job by the buttons of its view; each refusal is a sentence above the job as it is now."""

import re
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from batch_jobs.deployments.api.auth import Caller, Right
from batch_jobs.deployments.api.dependencies import Api, CurrentApi
from batch_jobs.deployments.api.errors import InputWrong, explain
from batch_jobs.deployments.api.job_actions import MOVES, JobActions
from batch_jobs.deployments.api.schemas import Confirm, UndoJob
from batch_jobs.deployments.web.guard import CurrentVisitor, visits
from batch_jobs.deployments.web.rendering import page
from batch_jobs.deployments.web.routes.job import job_page
from batch_jobs.deployments.web.shown_job import ShownJob
from batch_jobs.flows.errors import JobUnknown
from batch_jobs.flows.jobs.model import Job
from batch_jobs.strategies.sdk.errors import BatchJobError, count_rows

#: What people write between the digits of a number.
BETWEEN_DIGITS = re.compile(r"[\s.,'’_]")

router = APIRouter(prefix="/jobs")


def require_typed(removed: int, typed: str) -> None:
    """Let nobody confirm that rows are removed who has not typed how many.

    Raises:
        InputWrong: another number, or nothing, was typed.
    """
    if removed and BETWEEN_DIGITS.sub("", typed) != str(removed):
        rows = count_rows(removed)
        raise InputWrong(f"it removes {rows}: type {removed} to confirm that. Nothing was confirmed.")


@router.get("/{job_id}/cancel", dependencies=[visits(Right.CHANGE)])
def ask_cancel(request: Request, job_id: str, api: CurrentApi, visitor: CurrentVisitor) -> Response:
    """The question before a job is canceled."""
    return page(request, "ask_cancel.html", {"job": api.job(job_id, visitor)})


@router.post("/{job_id}/confirm", dependencies=[visits(Right.CHANGE)])
def confirm(
    request: Request,
    job_id: str,
    api: CurrentApi,
    visitor: CurrentVisitor,
    removed: Annotated[str, Form()] = "",
    choice: Annotated[str, Form()] = "",
) -> Response:
    """Say yes to what the preview found, but for what is ticked to be left out."""

    def act() -> Job:
        shown = ShownJob(api, api.job(job_id, visitor), visitor)
        if shown.job.awaits_confirmation:  # else the service says what it is
            if choice and choice != shown.choice_stamp:
                raise InputWrong("what is left out was changed meanwhile: look at it again. Nothing was confirmed.")
            require_typed(shown.removed_rows, removed)
        return JobActions(api, visitor).confirm(job_id, Confirm(leave_out=shown.choice.leave_out or None))

    return _after(request, api, visitor, job_id, act)


@router.post("/{job_id}/undo", dependencies=[visits(Right.CHANGE)])
def undo(
    request: Request, job_id: str, api: CurrentApi, visitor: CurrentVisitor, force: Annotated[str, Form()] = ""
) -> Response:
    """Make a job that takes back what this one changed; it shows what it will do, and waits."""
    wanted = UndoJob(force=bool(force), dry_run=True)
    return _after(request, api, visitor, job_id, lambda: JobActions(api, visitor).undo(job_id, wanted))


def _add_move(name: str) -> None:
    def act(request: Request, job_id: str, api: CurrentApi, visitor: CurrentVisitor) -> Response:
        return _after(request, api, visitor, job_id, lambda: JobActions(api, visitor).move(job_id, name))

    router.post(f"/{{job_id}}/{name}", dependencies=[visits(Right.CHANGE)])(act)


for _name in MOVES:
    _add_move(_name)


def _back(job_id: str) -> Response:
    """A refused action leaves its address in the browser; asked for again, it leads to the job."""
    return RedirectResponse(f"/jobs/{job_id}", 303)


for _name in ("confirm", "undo", "pause", "resume", "retry"):
    router.get(f"/{{job_id}}/{_name}", dependencies=[visits(Right.READ)])(_back)


def _after(request: Request, api: Api, visitor: Caller, job_id: str, act: Callable[[], Job]) -> Response:
    try:
        job = act()
    except JobUnknown:
        raise
    except BatchJobError as error:
        status, message = explain(error, request.state.request_id)
        return job_page(request, api.job(job_id, visitor), visitor, message, status.status)
    return RedirectResponse(f"/jobs/{job.id}", 303)
