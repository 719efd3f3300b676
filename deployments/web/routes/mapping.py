"""The columns of a file beside those of the table: where each goes, and at once what becomes of its cells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import FormData

from batch_jobs.deployments.api.auth import Caller, Right
from batch_jobs.deployments.api.dependencies import Api, CurrentApi
from batch_jobs.deployments.api.file_access import FileAccess
from batch_jobs.deployments.web.errors import is_fragment
from batch_jobs.deployments.web.forms import NEEDED, ContextForm, Errors
from batch_jobs.deployments.web.guard import CurrentForm, CurrentVisitor, visits
from batch_jobs.deployments.web.mapped import Mapped, with_proposal
from batch_jobs.deployments.web.mapping_view import LOST, PROPOSED_FOR, mapping_values
from batch_jobs.deployments.web.new_job import DRY_RUN, PARTITIONS, START_AT, TIME_ZONE
from batch_jobs.deployments.web.reading_fields import READING
from batch_jobs.deployments.web.rendering import fragment, page
from batch_jobs.deployments.web.routes.new import (
    create_from,
    form_of,
    new_key,
    reads_columns,
    settings_from,
    strategy_of,
)
from batch_jobs.flows.jobs.model import Job
from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.context_fields import Names
from batch_jobs.strategies.sdk.sample import FileSample
from batch_jobs.strategies.tables.importing.matching import propose

#: Marks in numbers belong together: one alone may read other numbers than are meant.
TOGETHER = ("decimal", "thousands")

#: What the settings ask for beside the context, which is handed on.
HANDED_ON = (START_AT, TIME_ZONE, PARTITIONS, DRY_RUN)

router = APIRouter(prefix="/new/{batch_type}/map")


@dataclass
class Shown:
    """What the view shows: a context as far as it goes, what is wrong with it, and the file as it is read by it."""

    strategy: BatchJobStrategy
    form: ContextForm
    context: dict[str, Any]
    sample: FileSample | None = None
    errors: Errors = field(default_factory=dict)
    entered: Mapping[str, list[str]] = field(default_factory=dict)
    before: Job | None = None
    lost: Sequence[str] = ()
    handed_on: Mapping[str, str] = field(default_factory=dict)
    is_proposed: bool = False

    @property
    def entries(self) -> dict[str, list[str]]:
        """What is in the fields; what cannot be read stays as it was entered."""
        return {**self.form.entries(self.context), **self.entered}


@router.get("", dependencies=[visits(Right.CHANGE, Right.FILES)])
def look(request: Request, batch_type: str, api: CurrentApi, visitor: CurrentVisitor) -> Response:
    """The first look at a file: what is likely meant is filled in."""
    strategy = strategy_of(api, visitor, batch_type)
    if not reads_columns(strategy):
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"/new/{quote(batch_type, safe='')}{query}", 303)
    form, samples = form_of(api, visitor, strategy).context, api.workspace.samples
    shown = Shown(strategy, form, {})
    if from_id := request.query_params.get("from", ""):
        job = api.job(from_id, visitor)
        shown.context = form.parse(_as_data(form, form.entries(job.context)))[0]
        shown.lost = samples.secrets_of(job)
    shown.context |= form.parse(_as_data(form, form.named_in(request.query_params)))[0]
    shown.sample = _sample(api, visitor, shown)
    if shown.sample is not None and not from_id:
        shown.before = samples.job_before(batch_type, visitor.name, shown.sample)
        _propose(api, visitor, shown)
    return page(request, "map.html", _values(shown, new_key()))


@router.post("", dependencies=[visits(Right.CHANGE, Right.FILES)])
def show(request: Request, batch_type: str, api: CurrentApi, visitor: CurrentVisitor, data: CurrentForm) -> Response:
    """The file as a job of the form would read it, after each change; or on to the settings, or the job itself."""
    shown = _of_form(api, visitor, strategy_of(api, visitor, batch_type), data)
    go = "" if is_fragment(request) else str(data.get("go", ""))
    wrong = [key for key in READING if key in shown.errors]
    is_done = go == "settings" or (go == "job" and not shown.is_proposed and not wrong)
    if is_done:
        whole = _as_data(shown.form, shown.entries, **{**shown.handed_on, "key": str(data.get("key", ""))})
        if go == "job" and not shown.lost:
            whole = FormData([*whole.multi_items(), (DRY_RUN, "yes")])  # that is what the button says
            return create_from(request, batch_type, api, visitor, whole)
        return settings_from(request, batch_type, api, visitor, whole, shown.lost)
    if go != "job":  # what is still missing is not wrong yet
        shown.errors = {key: lines for key, lines in shown.errors.items() if lines != [NEEDED]}
    values = _values(shown, str(data.get("key", "")) or new_key())
    if is_fragment(request):
        return fragment(request, "map.html", "mapping", values)
    return page(request, "map.html", values, 422 if go == "job" and wrong else 200)


def _of_form(api: Api, visitor: Caller, strategy: BatchJobStrategy, data: FormData) -> Shown:
    """What is shown of a form that came."""
    form, names = form_of(api, visitor, strategy).context, list(data.keys())
    given, errors = form.parse(data)
    context = Mapped(strategy.Context).context(given, data, names, is_new=not data.get(PROPOSED_FOR))
    entered = form.entered(data)
    shown = Shown(strategy, form, context, errors=errors)
    shown.entered = {key: entered[key] for key in errors if key in entered and key not in given}
    shown.handed_on = {name: str(data[name]) for name in HANDED_ON if data.get(name)}
    secrets = [one.key for one in form.fields if one.is_secret and any(data.getlist(one.name))]
    shown.lost = list(dict.fromkeys([*map(str, data.getlist(LOST)), *secrets]))
    shown.sample = _sample(api, visitor, shown)
    if shown.sample is not None:
        taken = str(data.get("take", ""))
        guessed = shown.sample.guesses
        wanted = [name for name in guessed if name == taken or {name, taken} <= set(TOGETHER)]
        if wanted:
            shown.context |= {name: guessed[name] for name in wanted}
            shown.sample = _sample(api, visitor, shown)
        if shown.sample and shown.sample.target_exists and _target(shown.sample) != str(data.get(PROPOSED_FOR, "")):
            _propose(api, visitor, shown)
    return shown


def _values(shown: Shown, key: str) -> dict[str, Any]:
    own = {
        "before": shown.before,
        "lost": shown.lost,
        "handed_on": shown.handed_on,
        "errors": shown.errors,
        "is_proposed": shown.is_proposed,
        "key": key,
    }
    return mapping_values(shown.strategy, shown.form, shown.context, shown.sample, shown.entries) | own


def _target(sample: FileSample) -> str:
    return sample.target or ""


def _as_data(form: ContextForm, entries: Mapping[str, Sequence[str]], **own: str) -> FormData:
    """What a browser would send of these entries."""
    named = [(field.name, text) for field in form.fields for text in entries.get(field.key, ())]
    return FormData([*named, *own.items()])


def _sample(api: Api, visitor: Caller, shown: Shown) -> FileSample | None:
    strategy = shown.strategy
    checked = FileAccess(api, visitor).check_context(strategy.Context, shown.context)
    return api.workspace.samples.of(strategy.batch_type, checked, visitor.tables)


def _propose(api: Api, visitor: Caller, shown: Shown) -> None:
    """Fill in what was given for the same columns before, or else the names that match."""
    sample, old = shown.sample, dict(shown.context)
    assert sample is not None
    if shown.before is not None:
        shown.context = {**api.workspace.samples.settings_of(shown.before), **shown.context}
        sources = [one.key for one in shown.form.naming(Names.SOURCE)]
        secrets = api.workspace.samples.secrets_of(shown.before)
        shown.lost = [name for name in secrets if name not in sources]  # the file is here instead of its source
    elif Mapped(shown.strategy.Context).maps and sample.target_exists:
        targets = [column.name for column in sample.target_columns if not column.is_computed]
        proposed = propose([column.name for column in sample.columns], targets)
        shown.context = with_proposal(shown.context, proposed, sample.columns)
    if shown.context != old:
        shown.is_proposed = True
        shown.sample = _sample(api, visitor, shown)
