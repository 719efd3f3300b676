"""The columns of a file beside those of the table: where each goes, and at once what becomes of its cells."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData

from batch_jobs.deployments.api.auth import Caller, Right
from batch_jobs.deployments.api.dependencies import Api, CurrentApi
from batch_jobs.deployments.api.file_access import FileAccess
from batch_jobs.deployments.web.errors import is_fragment
from batch_jobs.deployments.web.forms import ContextForm
from batch_jobs.deployments.web.guard import CurrentVisitor, visits
from batch_jobs.deployments.web.mapped import DEFAULT, GOES_TO, LEFT_OUT, TYPE, TYPES, Mapped, chosen, with_proposal
from batch_jobs.deployments.web.rendering import fragment, page
from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.sample import FileSample
from batch_jobs.strategies.tables.importing.matching import propose

#: What is drawn beside the sample, as it changes what is read; the order is that of the page.
READING = (
    "table", "mode", "key", "sheet", "header", "skip_rows", "skip_footer", "delimiter", "encoding", "decimal",
    "thousands", "date_format", "time_zone", "null_values", "empty", "comment", "layout", "currency",
)  # fmt: skip
#: What the view itself draws of the context.
OF_COLUMNS = ("columns", "types", "defaults")

router = APIRouter(prefix="/new/{batch_type}/map")


@router.post("", dependencies=[visits(Right.CHANGE)])
async def show(request: Request, batch_type: str, api: CurrentApi, visitor: CurrentVisitor) -> Response:
    """The file as a job of the form's context would read it; asked again with each change."""
    form = await request.form()
    return await run_in_threadpool(_show, request, batch_type, api, visitor, form)


def context_of(form: ContextForm, model: Mapped, data: FormData) -> dict[str, Any]:
    """The context of a form of this view: its fields, and what it says of columns."""
    return model.context(form.parse(data)[0], data, list(data.keys()))


def _show(request: Request, batch_type: str, api: Api, visitor: Caller, data: FormData) -> Response:
    visitor.require_type(batch_type)
    strategy = api.strategies.get(batch_type)
    form, model = ContextForm(strategy.Context, visitor.may(Right.QUERIES)), Mapped(strategy.Context)
    context = context_of(form, model, data)
    sample = _sample(api, visitor, strategy, context)
    before = None
    if sample is not None and "mapped" not in data:  # the first look at this file: what is likely meant is proposed
        before = api.workspace.samples.given_before(batch_type, visitor.name, sample)
        context = _proposed(context, before, sample, model)
        sample = _sample(api, visitor, strategy, context)
    entries = form.entries(context)
    values = {
        "type": batch_type,
        "form": form,
        "entries": entries,
        "sample": sample,
        "model": model,
        "reading": [field for name in READING for field in form.fields if field.key == name],
        "hidden_but": [*READING, *OF_COLUMNS],
        "context": context,
        "chosen": {column.name: chosen(sample, context, column) for column in sample.columns} if sample else {},
        "names": {"to": GOES_TO, "type": TYPE, "default": DEFAULT, "left_out": LEFT_OUT},
        "types": TYPES,
        "before": before,
        "data": data,
    }
    if is_fragment(request):
        return fragment(request, "map.html", "mapping", values)
    return page(request, "map.html", values)


def _sample(api: Api, visitor: Caller, strategy: BatchJobStrategy, context: Mapping[str, Any]) -> FileSample | None:
    checked = FileAccess(api, visitor).check_context(strategy.Context, context)
    return api.workspace.samples.of(strategy.batch_type, checked, visitor.tables)


def _proposed(
    context: dict[str, Any], before: Mapping[str, Any] | None, sample: FileSample, model: Mapped
) -> dict[str, Any]:
    """The context with what was given for the same columns before, or else with the names that match."""
    if before is not None:
        return {**before, **context}
    if not model.maps:
        return context
    names = [column.name for column in sample.columns]
    targets = [column.name for column in sample.target_columns if not column.is_computed]
    return with_proposal(context, propose(names, targets) if sample.target_exists else {}, names)
