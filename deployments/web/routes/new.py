"""A new job: which types there are, the file that it reads, its settings."""

import inspect
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, RedirectResponse, Response
from sqlalchemy.exc import DBAPIError
from starlette.datastructures import FormData

from batch_jobs.deployments.api.auth import Caller, Right
from batch_jobs.deployments.api.dependencies import Api, CurrentApi
from batch_jobs.deployments.api.errors import NothingThere, NotPermitted, explain
from batch_jobs.deployments.api.job_actions import JobActions
from batch_jobs.deployments.api.middleware import LARGEST_PART
from batch_jobs.deployments.web.errors import is_fragment
from batch_jobs.deployments.web.forms import NEEDED, ContextForm
from batch_jobs.deployments.web.guard import CurrentForm, CurrentVisitor, visits
from batch_jobs.deployments.web.new_job import NewJobForm
from batch_jobs.deployments.web.rendering import fragment, page
from batch_jobs.flows.access.target import usable_tables
from batch_jobs.flows.access.uploads import Upload
from batch_jobs.flows.errors import IdempotencyKeyTaken
from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.context_fields import Names
from batch_jobs.strategies.sdk.errors import BatchJobError, StrategyUnknown

#: How many uploads are shown to choose from, and among how many of the newest they are looked for.
SHOWN_UPLOADS, SEARCHED_UPLOADS = 50, 1000

router = APIRouter(prefix="/new")


def after_file(strategy: BatchJobStrategy, keys: Sequence[str]) -> str:
    """Where it goes on when a type's file is there; without keys they follow at the end of the address."""
    step = f"{quote(strategy.batch_type, safe='')}{'/map' if reads_columns(strategy) else ''}"
    return f"/new/{step}?{urlencode([('file_key', key) for key in keys])}"


def reads_columns(strategy: BatchJobStrategy) -> bool:
    """Whether a type can show the beginning of its file before there is a job."""
    return type(strategy).sample is not BatchJobStrategy.sample


@router.get("", dependencies=[visits(Right.CHANGE)])
def choose(request: Request, api: CurrentApi, visitor: CurrentVisitor) -> Response:
    """The types of which the visitor may create jobs."""
    found = [strategy for name, strategy in sorted(api.strategies.by_type.items()) if visitor.may_type(name)]
    templates = {strategy.batch_type for strategy in found if _template(strategy())}
    return page(request, "new.html", {"types": found, "templates": templates})


@router.get("/{batch_type}/template", dependencies=[visits(Right.CHANGE)])
def template(batch_type: str, api: CurrentApi, visitor: CurrentVisitor) -> Response:
    """A sample input that works as it is, as a file."""
    sample = _template(strategy_of(api, visitor, batch_type))
    if not sample:
        raise NothingThere(f"{batch_type} reads no file, so it has no template")
    ending = "jsonl" if sample.startswith("{") else "csv"
    name = quote(f"{batch_type}-template.{ending}", safe="")
    return PlainTextResponse(sample, headers={"content-disposition": f"attachment; filename*=UTF-8''{name}"})


@router.get("/{batch_type}/tables", dependencies=[visits(Right.CHANGE)])
def tables(request: Request, batch_type: str, api: CurrentApi, visitor: CurrentVisitor) -> Response:
    """Names of tables to choose from, put into a form that is open already: a large database takes its time."""
    strategy_of(api, visitor, batch_type)
    names: list[str] = []
    with suppress(DBAPIError):  # a table can be named without
        names = usable_tables(api.workspace.target, api.workspace.access.of_key(visitor.tables))
    return fragment(request, "new_job.html", "tables", {"names": names})


@router.get("/{batch_type}/file", dependencies=[visits(Right.CHANGE, Right.FILES)])
def choose_file(
    request: Request, batch_type: str, api: CurrentApi, visitor: CurrentVisitor, find: str = ""
) -> Response:
    """The file that a job reads: a new one, or one that was uploaded before."""
    strategy = strategy_of(api, visitor, batch_type)
    values = {
        "strategy": strategy,
        "has_template": bool(_template(strategy)),
        "uploads": _uploads(api, visitor, find),
        "find": find,
        "after_file": after_file,
        "part_bytes": LARGEST_PART,
        "names": [],
    }
    if is_fragment(request):
        return fragment(request, "new_file.html", "uploads", values)
    return page(request, "new_file.html", values)


@router.get("/{batch_type}", dependencies=[visits(Right.CHANGE)])
def settings(request: Request, batch_type: str, api: CurrentApi, visitor: CurrentVisitor) -> Response:
    """The form; what reads a file begins with that, unless the query has settings or a job to take them from."""
    strategy = strategy_of(api, visitor, batch_type)
    form = form_of(api, visitor, strategy)
    if form.context.naming(Names.FILE) and not request.query_params and visitor.may(Right.FILES):
        return RedirectResponse(f"/new/{quote(batch_type, safe='')}/file", 303)
    from_id = request.query_params.get("from", "")
    if from_id:
        form.take_job(api.job(from_id, visitor))
    form.take_query(request.query_params)
    return _shown(request, api, visitor, strategy, form)


@router.post("/{batch_type}", dependencies=[visits(Right.CHANGE)])
def create(request: Request, batch_type: str, api: CurrentApi, visitor: CurrentVisitor, data: CurrentForm) -> Response:
    """Make the job, or show the form again with what is wrong, each at its field."""
    return create_from(request, batch_type, api, visitor, data)


def create_from(request: Request, batch_type: str, api: Api, visitor: Caller, data: FormData) -> Response:
    """The job of a form that was sent, or the form with what is wrong."""
    strategy = strategy_of(api, visitor, batch_type)
    form = form_of(api, visitor, strategy)
    wanted = form.take_form(data)
    if wanted is None:
        return _shown(request, api, visitor, strategy, form, 422)
    try:
        job = JobActions(api, visitor).create(wanted, form.key)
    except NotPermitted:
        raise
    except (BatchJobError, DBAPIError) as error:
        status, message = explain(error, request.state.request_id)
        form.take_refusal(error, message)
        if isinstance(error, IdempotencyKeyTaken):
            form.key = new_key()
        return _shown(request, api, visitor, strategy, form, status.status)
    return RedirectResponse(f"/jobs/{job.id}", 303)


def strategy_of(api: Api, visitor: Caller, batch_type: str) -> BatchJobStrategy:
    """The strategy of a type that the visitor may create; others there are none, in the same words."""
    if not visitor.may_type(batch_type):
        raise StrategyUnknown(batch_type, [], 0)
    return api.strategies.get(batch_type)


def settings_from(
    request: Request, batch_type: str, api: Api, visitor: Caller, data: FormData, asked: Sequence[str] = ()
) -> Response:
    """The form with what was sent, to be gone on with; ``asked`` are fields that have to be filled first."""
    strategy = strategy_of(api, visitor, batch_type)
    form = form_of(api, visitor, strategy)
    form.take_form(data)
    form.errors, form.own_errors = {key: [NEEDED] for key in asked}, {}
    return _shown(request, api, visitor, strategy, form)


def form_of(api: Api, visitor: Caller, strategy: BatchJobStrategy) -> NewJobForm:
    """The form of a type, with what the visitor may ask for."""
    context = ContextForm(strategy.Context, may_query=True)
    if context.naming(Names.QUERY) and not _may_query(api, visitor):
        context = ContextForm(strategy.Context)
    return NewJobForm(strategy, context, new_key())


def _may_query(api: Api, visitor: Caller) -> bool:
    try:
        JobActions(api, visitor).require_queries()
    except NotPermitted:
        return False
    return True


def _shown(
    request: Request, api: Api, visitor: Caller, strategy: BatchJobStrategy, form: NewJobForm, status: int = 200
) -> Response:
    values: Mapping[str, Any] = {
        "strategy": strategy,
        "about": inspect.cleandoc(type(strategy).__doc__ or "").split("\n\n"),
        "has_template": bool(_template(strategy)),
        "has_columns": reads_columns(strategy) and visitor.may(Right.FILES),
        "form": form,
        "uploads": _uploads(api, visitor) if form.context.naming(Names.FILE) else [],
        "part_bytes": LARGEST_PART,
        "names": [],
    }
    return page(request, "new_job.html", values, status)


def _uploads(api: Api, visitor: Caller, find: str = "") -> list[Upload]:
    """The newest uploads that are the visitor's to use, of those whose name has a text in it."""
    if not visitor.may(Right.FILES):
        return []
    wanted = find.strip().casefold()
    newest = api.uploads.page(visitor.sees_only, SEARCHED_UPLOADS if wanted else SHOWN_UPLOADS)
    return [upload for upload in newest if wanted in upload.key.casefold()][:SHOWN_UPLOADS]


def _template(strategy: BatchJobStrategy) -> str:
    return strategy.build_template()


def new_key() -> str:
    """By which sending a form twice makes one job."""
    return secrets.token_urlsafe(18)
