"""The routes of jobs: Medusa v1's five, and what else can be done to one."""

from collections.abc import Iterable
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from fastapi.responses import JSONResponse, Response

from batch_jobs.deployments.api import openapi
from batch_jobs.deployments.api.auth import Caller, Right
from batch_jobs.deployments.api.dependencies import Api, CurrentApi, CurrentCaller, json_body, requires
from batch_jobs.deployments.api.errors import InputWrong, NothingThere
from batch_jobs.deployments.api.file_access import FileAccess
from batch_jobs.deployments.api.job_actions import IDEMPOTENCY_KEY, JobActions
from batch_jobs.deployments.api.list_query import ListQuery
from batch_jobs.deployments.api.openapi import EVENTS, LIST_PARAMETERS, MANY_JOBS, OF_BODIES, ONE_JOB, PLAN, refusals
from batch_jobs.deployments.api.schemas import (
    FIELDS,
    MEDUSA_FIELDS,
    Confirm,
    Correct,
    CreateJob,
    UndoJob,
    event_json,
    job_json,
    user_json,
)
from batch_jobs.flows.jobs.given_corrections import Corrected, rows_of_file
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.undos import shown_plan

router = APIRouter(prefix="/admin/batch-jobs", tags=["batch jobs"])

Key = Annotated[
    str | None,
    Header(
        description="The same key with the same body gives the same job again.",
        json_schema_extra={
            "pattern": f"^{IDEMPOTENCY_KEY.pattern}$"
        },  # for the document only: ``scoped`` refuses in words
    ),
]


@router.post(
    "",
    dependencies=[requires(Right.CHANGE)],
    status_code=201,
    summary="Create a job",
    response_class=JSONResponse,
    responses={201: ONE_JOB, **refusals(401, 403, 404, 409, 422, *OF_BODIES)},
    openapi_extra=openapi.body(CreateJob),
)
def create(
    body: Annotated[CreateJob, json_body(CreateJob)],
    api: CurrentApi,
    caller: CurrentCaller,
    idempotency_key: Key = None,
) -> Response:
    """Record a job; Prefect runs it at once, or as soon as it can be reached."""
    return _one(api, JobActions(api, caller).create(body, idempotency_key), caller, 201)


@router.get(
    "",
    dependencies=[requires(Right.READ)],
    summary="List jobs",
    response_class=JSONResponse,
    responses={200: MANY_JOBS, **refusals(401)},
    openapi_extra={"parameters": LIST_PARAMETERS},
)
def list_jobs(request: Request, api: CurrentApi, caller: CurrentCaller) -> Response:
    """The jobs that the caller sees, newest first and without `result.partitions`; by `offset` or by `cursor`."""
    query = ListQuery.parse(request.query_params.multi_items(), api.compat)
    visible = caller.visible(query.wanted)
    jobs = list(api.service.page(visible, query.page))
    answer: dict[str, Any] = {"batch_jobs": [_listed(job, caller, query) for job in jobs]}
    if not query.by_cursor:
        answer |= {"count": api.service.count(visible), "offset": query.page.offset}
    answer["limit"] = query.page.limit
    if not api.compat:
        answer["next_cursor"] = query.next_cursor(jobs)
    return JSONResponse(answer)


@router.get(
    "/{job_id}",
    dependencies=[requires(Right.READ)],
    summary="Get a job",
    response_class=JSONResponse,
    responses={200: ONE_JOB, **refusals(401, 404, 409)},
)
def get(job_id: str, api: CurrentApi, caller: CurrentCaller) -> Response:
    """One job."""
    return _one(api, api.job(job_id, caller), caller)


@router.get(
    "/{job_id}/events",
    dependencies=[requires(Right.READ)],
    summary="Get a job's history",
    response_class=JSONResponse,
    responses={200: EVENTS, **refusals(401, 404, 409)},
)
def events(job_id: str, api: CurrentApi, caller: CurrentCaller) -> Response:
    """Every step: when, from where to where, by whom, why."""
    job = api.job(job_id, caller)
    return JSONResponse({"events": [event_json(event) for event in api.service.events(job.id)]})


@router.get(
    "/{job_id}/plan",
    dependencies=[requires(Right.FILES)],
    summary="Get what a job found and will do",
    response_class=JSONResponse,
    responses={200: PLAN, **refusals(401, 403, 404, 409)},
)
def plan(job_id: str, api: CurrentApi, caller: CurrentCaller) -> Response:
    """What pre-processing left, as the type has it: how the input is read, what will become of it, first changes."""
    job = api.job(job_id, caller)
    if not job.shown_plan:
        raise NothingThere(f"{job.id} has no plan")
    return JSONResponse({"plan": shown_plan(job, api.visible(caller))})


@router.post(
    "/{job_id}/undo",
    dependencies=[requires(Right.CHANGE)],
    status_code=201,
    summary="Undo a job",
    response_class=JSONResponse,
    responses={201: ONE_JOB, **refusals(401, 403, 404, 409, 422, *OF_BODIES)},
    openapi_extra=openapi.body(UndoJob),
)
def undo(
    job_id: str,
    body: Annotated[UndoJob, json_body(UndoJob)],
    api: CurrentApi,
    caller: CurrentCaller,
    idempotency_key: Key = None,
) -> Response:
    """Record a job that takes back what another one changed; by default it shows what it will do, and waits."""
    return _one(api, JobActions(api, caller).undo(job_id, body, idempotency_key), caller, 201)


@router.post(
    "/{job_id}/correct",
    dependencies=[requires(Right.CHANGE)],
    status_code=201,
    summary="Correct rows that a job has refused",
    response_class=JSONResponse,
    responses={201: ONE_JOB, **refusals(401, 403, 404, 409, 422, *OF_BODIES)},
    openapi_extra=openapi.body(Correct),
)
def correct(
    job_id: str,
    body: Annotated[Correct, json_body(Correct)],
    api: CurrentApi,
    caller: CurrentCaller,
    idempotency_key: Key = None,
) -> Response:
    """Record the job that corrected rows go in with: in the place of the one that waits, or beside one that is done."""
    rows = _corrected(api, FileAccess(api, caller), body)
    job = JobActions(api, caller).correct(job_id, rows, body.dry_run, idempotency_key)
    return _one(api, job, caller, 201)


@router.post(
    "/{job_id}/confirm",
    dependencies=[requires(Right.CHANGE)],
    summary="Confirm a job",
    response_class=JSONResponse,
    responses={200: ONE_JOB, **refusals(401, 403, 404, 409, 422, *OF_BODIES)},
    openapi_extra=openapi.body(Confirm, required=False),
)
def confirm(
    job_id: str, body: Annotated[Confirm, json_body(Confirm, if_none=b"{}")], api: CurrentApi, caller: CurrentCaller
) -> Response:
    """Say yes to what a dry run found, or to a part of it; the job goes on."""
    return _one(api, JobActions(api, caller).confirm(job_id, body), caller)


def _add_action(name: str, what: str) -> None:
    def act(job_id: str, api: CurrentApi, caller: CurrentCaller) -> Response:
        return _one(api, JobActions(api, caller).move(job_id, name), caller)

    act.__name__, act.__doc__ = name, what
    router.post(
        f"/{{job_id}}/{name}",
        dependencies=[requires(Right.CHANGE)],
        summary=f"{name.capitalize()} a job",
        response_class=JSONResponse,
        responses={200: ONE_JOB, **refusals(401, 403, 404, 409)},
    )(act)


for _name, _what in {
    "cancel": "Stop a job for good, at its next chunk edge when it runs; twice is fine. A body is not looked at.",
    "pause": "Stop a running job at its next chunk edge, to go on later.",
    "resume": "Let a paused job go on.",
    "retry": "Try a failed job again, under the same id and from its last checkpoint.",
}.items():
    _add_action(_name, _what)


def _corrected(api: Api, access: FileAccess, body: Correct) -> Iterable[Corrected]:
    if (body.rows is None) == (body.file_key is None):
        raise InputWrong("give either rows or file_key")
    if body.file_key is None:
        return [Corrected(row.line, row.cells, row.file) for row in body.rows or ()]
    key = access.readable(body.file_key)
    return rows_of_file(partial(api.files.open, key), key)


def _one(api: Api, job: Job, caller: Caller, status: int = 200) -> JSONResponse:
    return JSONResponse({"batch_job": job_json(job, caller, MEDUSA_FIELDS if api.compat else FIELDS)}, status)


def _listed(job: Job, caller: Caller, query: ListQuery) -> dict[str, Any]:
    shown = job_json(job.without_partitions(), caller, query.fields)
    return {**shown, "created_by_user": user_json(job)} if query.expands_user else shown
