"""The columns of a file beside those of the table: where each goes, and at once what becomes of its cells."""

from collections.abc import Mapping, Sequence
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
from batch_jobs.deployments.web.routes.new import create_from, form_of, new_key, settings_from, strategy_of
from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.sample import FileSample
from batch_jobs.strategies.tables.importing.matching import propose

#: What is drawn beside the sample, as it changes what is read; the order is that of the page.
READING = (
    "table", "mode", "key", "sheet", "header", "skip_rows", "skip_footer", "delimiter", "encoding", "decimal",
    "thousands", "date_format", "time_zone", "null_values", "empty", "comment", "layout", "currency",
)  # fmt: skip
#: Those of workbooks only, and of text only.
OF_SHEETS, OF_TEXT = ("sheet",), ("delimiter", "encoding", "comment")
#: For which table columns were proposed.
PROPOSED_FOR = "proposed_for"
#: What the view itself draws of the context.
OF_COLUMNS = ("columns", "types", "defaults")

router = APIRouter(prefix="/new/{batch_type}/map")


@router.get("", dependencies=[visits(Right.CHANGE)])
def look(request: Request, batch_type: str, api: CurrentApi, visitor: CurrentVisitor) -> Response:
    """The first look at a file: what is likely meant is filled in."""
    visitor.require(Right.FILES)
    strategy = strategy_of(api, visitor, batch_type)
    form, model = form_of(api, visitor, strategy).context, Mapped(strategy.Context)
    entries = form.named_in(request.query_params)
    context = form.parse(_as_data(form, entries))[0]
    sample, before = _sample(api, visitor, strategy, context), None
    if sample is not None:
        before = api.workspace.samples.given_before(batch_type, visitor.name, sample)
        context = _proposed(context, before, sample, model)
        sample = _sample(api, visitor, strategy, context)
    return page(request, "map.html", _values(strategy, form, context, sample, before))


@router.post("", dependencies=[visits(Right.CHANGE)])
async def show(request: Request, batch_type: str, api: CurrentApi, visitor: CurrentVisitor) -> Response:
    """The file as a job of the form would read it, after each change; or on to the settings, or the job itself."""
    visitor.require(Right.FILES)
    data = await request.form()
    return await run_in_threadpool(_show, request, batch_type, api, visitor, data)


def _show(request: Request, batch_type: str, api: Api, visitor: Caller, data: FormData) -> Response:
    strategy = strategy_of(api, visitor, batch_type)
    form, model = form_of(api, visitor, strategy).context, Mapped(strategy.Context)
    context = model.context(form.parse(data)[0], data, list(data.keys()))
    sample = _sample(api, visitor, strategy, context)
    if sample is not None and (changed := _changed(context, data, sample, model)) != context:
        context, sample = changed, _sample(api, visitor, strategy, changed)
    to = str(data.get("go", ""))
    if to in ("job", "settings") and not is_fragment(request):
        whole = _as_data(form, form.entries(context), key=str(data.get("key", "")))
        return (create_from if to == "job" else settings_from)(request, batch_type, api, visitor, whole)
    values = _values(strategy, form, context, sample, None)
    if is_fragment(request):
        return fragment(request, "map.html", "mapping", values)
    return page(request, "map.html", values)


def _values(
    strategy: BatchJobStrategy,
    form: ContextForm,
    context: Mapping[str, Any],
    sample: FileSample | None,
    before: Mapping[str, Any] | None,
) -> dict[str, Any]:
    return {
        "type": strategy.batch_type,
        "form": form,
        "entries": form.entries(context),
        "sample": sample,
        "model": Mapped(strategy.Context),
        "reading": [field for name in READING for field in form.fields if field.key == name and _matters(name, sample)],
        "drawn": [*(name for name in READING if _matters(name, sample)), *OF_COLUMNS],
        "context": context,
        "chosen": {column.name: chosen(context, column) for column in sample.columns} if sample else {},
        "names": {"to": GOES_TO, "type": TYPE, "default": DEFAULT, "left_out": LEFT_OUT},
        "types": TYPES,
        "before": before,
        "key": new_key(),
        "part_bytes": 0,
    }


def _matters(name: str, sample: FileSample | None) -> bool:
    """Whether a file of this kind is read otherwise by an option."""
    if sample is None:
        return True
    return not (name in OF_SHEETS and not sample.sheets) and not (name in OF_TEXT and sample.sheets)


def _changed(context: dict[str, Any], data: FormData, sample: FileSample, model: Mapped) -> dict[str, Any]:
    """The context with an option that was guessed and is taken, and with the columns of a table that was named now."""
    taken = str(data.get("take", ""))
    if taken in sample.guesses:
        context = {**context, taken: sample.guesses[taken]}
    is_new = sample.target_exists and (sample.target or "") != str(data.get(PROPOSED_FOR, ""))
    return _proposed(context, None, sample, model) if is_new else context


def _as_data(form: ContextForm, entries: Mapping[str, Sequence[str]], **own: str) -> FormData:
    """What a browser would send of these entries."""
    named = [(field.name, text) for field in form.fields for text in entries.get(field.key, ())]
    return FormData([*named, *own.items()])


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
