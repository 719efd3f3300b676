"""The routes of jobs: Medusa v1's five, and what else can be done to one."""

import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from fastapi.responses import JSONResponse, Response

from batch_jobs.deployments.api import openapi
from batch_jobs.deployments.api.auth import Caller, Right
from batch_jobs.deployments.api.dependencies import Api, CurrentApi, CurrentCaller, json_body, requires
from batch_jobs.deployments.api.errors import FileGone, InputWrong, NothingThere, NotPermitted
from batch_jobs.deployments.api.file_access import FileAccess
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
from batch_jobs.deployments.log import add_facts
from batch_jobs.flows.access.target import holds_the_jobs
from batch_jobs.flows.jobs.given_corrections import Corrected, rows_of_file
from batch_jobs.flows.jobs.model import Job, Trigger
from batch_jobs.flows.jobs.undos import UNDO, UNDONE
from batch_jobs.strategies.sdk.context_fields import Names, named

router = APIRouter(prefix="/admin/batch-jobs", tags=["batch jobs"])

IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,128}")
Key = Annotated[
    str | None,
    Header(
        description="The same key with the same body gives the same job again.",
        json_schema_extra={
            "pattern": f"^{IDEMPOTENCY_KEY.pattern}$"
        },  # for the document only: ``_scoped`` refuses in words
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
    caller.require_type(body.type)
    model = api.strategies.get(body.type).Context
    if body.type == UNDO:
        _check_undo(api, caller, str(body.context.get(UNDONE, "")))
    _check_queries(api, caller, named(model, body.context, Names.QUERY))
    access, key = FileAccess(api, caller), _scoped(idempotency_key, caller)
    context = access.check_context(model, body.context)
    try:
        access.check_present(model, context)
    except FileGone:
        if not api.service.has_idempotency_key(key):  # else this is the answer of before, which asked for it in time
            raise
    job = api.service.record(
        body.type,
        context,
        dry_run=body.dry_run,
        created_by=caller.name,
        trigger=Trigger.API,
        idempotency_key=key,
        start_at=body.start_at,
        tables=caller.tables,
        partitions=body.partitions,
    )
    add_facts(action="create", job=job.id, type=job.type, dry_run=job.dry_run)
    api.starter.notify(job)
    return _one(api, job, caller, 201)


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
    return JSONResponse({"plan": job.shown_plan})


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
    _check_undo(api, caller, job_id)
    job = api.service.record(
        UNDO,
        {UNDONE: job_id, "force": body.force},
        dry_run=body.dry_run,
        created_by=caller.name,
        trigger=Trigger.API,
        idempotency_key=_scoped(idempotency_key, caller),
        tables=caller.tables,
    )
    add_facts(action="undo", job=job.id, undone=job_id, dry_run=job.dry_run)
    api.starter.notify(job)
    return _one(api, job, caller, 201)


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
    known = api.job(job_id, caller)
    caller.require_type(known.type)
    access = FileAccess(api, caller)
    job = api.workspace.job_corrections.correct(
        known,
        _corrected(api, access, body),
        access.check_context,
        dry_run=body.dry_run,
        created_by=caller.name,
        trigger=Trigger.API,
        idempotency_key=_scoped(idempotency_key, caller),
        tables=caller.tables,
    )
    add_facts(action="correct", job=job.id, corrected=known.id, dry_run=job.dry_run)
    api.starter.notify(job)
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
    known = api.job(job_id, caller)
    add_facts(action="confirm")
    job = api.service.confirm(known.id, who=caller.name, leave_out=body.leave_out)
    api.starter.notify(job)
    return _one(api, job, caller)


def _add_action(name: str, what: str) -> None:
    def act(job_id: str, api: CurrentApi, caller: CurrentCaller) -> Response:
        known = api.job(job_id, caller)
        add_facts(action=name)
        move: Callable[..., Job] = getattr(api.service, name)
        job = move(known.id, who=caller.name)
        api.starter.notify(job)
        return _one(api, job, caller)

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


def _check_undo(api: Api, caller: Caller, job_id: str) -> None:
    """Let a caller undo only what they could have done: a job that they see, of a type that they may create."""
    caller.require_type(api.service.undos.type_of(api.job(job_id, caller)))


def _check_queries(api: Api, caller: Caller, queries: list[str]) -> None:
    """Let operators export by a query only where the settings say so, and never from the database of the keys."""
    if not queries or caller.may(Right.QUERIES):
        return
    if api.settings.queries_by != "operator":
        caller.require(Right.QUERIES)
    if holds_the_jobs(api.workspace.target):
        raise NotPermitted("the target holds the tables of the jobs too, so that only an admin may export by a query")


def _scoped(key: str | None, caller: Caller) -> str | None:
    """The key as the table has it: each caller's keys are its own."""
    if key is not None and not IDEMPOTENCY_KEY.fullmatch(key):
        raise InputWrong("Idempotency-Key must be 1 to 128 visible characters of ASCII")
    return key and f"{caller.name}/{key}"


def _one(api: Api, job: Job, caller: Caller, status: int = 200) -> JSONResponse:
    return JSONResponse({"batch_job": job_json(job, caller, MEDUSA_FIELDS if api.compat else FIELDS)}, status)


def _listed(job: Job, caller: Caller, query: ListQuery) -> dict[str, Any]:
    shown = job_json(job.without_partitions(), caller, query.fields)
    return {**shown, "created_by_user": user_json(job)} if query.expands_user else shown
