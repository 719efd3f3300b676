"""What a job changes, row by row: filters, pages, and what is ticked to be left out before it goes on."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, get_args

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import FormData, QueryParams

from batch_jobs.deployments.api.auth import Caller, Right
from batch_jobs.deployments.api.dependencies import Api, CurrentApi
from batch_jobs.deployments.api.errors import InputWrong
from batch_jobs.deployments.api.list_query import ChangesQuery
from batch_jobs.deployments.api.routes.changes import send_changes
from batch_jobs.deployments.web.choices import Choices
from batch_jobs.deployments.web.guard import CurrentForm, CurrentVisitor, visits
from batch_jobs.deployments.web.rendering import page
from batch_jobs.deployments.web.shown_job import ShownJob
from batch_jobs.flows.errors import ActionIllegal, ChangesUnknown
from batch_jobs.flows.jobs.changes import Changes, ColumnChanges
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.transitions import Action
from batch_jobs.strategies.sdk.leaving_out import Kind

LIMIT = 200  # cells of a page
KINDS = get_args(Kind)
#: What is asked for as the API has it.
FILTERS = ("kind", "column", "key", "key_begins", "emptied", "filled")

router = APIRouter(prefix="/jobs/{job_id}/changes")


@dataclass
class ChangedRow:
    """A row with all of its cells that are on the page."""

    table: str
    kind: str
    key: dict[str, str | None]
    line: int | None
    file: str | None
    cells: list[dict[str, Any]] = field(default_factory=list)

    @property
    def key_text(self) -> str:
        """The key as forms send it back."""
        return json.dumps(self.key, sort_keys=True)


@router.get("", dependencies=[visits(Right.FILES)])
def show(request: Request, job_id: str, api: CurrentApi, visitor: CurrentVisitor) -> Response:
    """A page of the changes."""
    job = api.job(job_id, visitor)
    changes, columns, reason = _find(api, visitor, job, request.query_params)
    values = {
        "shown": ShownJob(api, job, visitor),
        "rows": _rows(changes.entries),
        "next_cursor": changes.cursor,
        "columns": columns,
        "kinds": KINDS,
        "asked": {name: text for name, text in request.query_params.items() if text},
        "reason": reason,
        "may_choose": job.awaits_confirmation and visitor.may(Right.CHANGE),
        "choice": Choices(api.files).of(job.id),
    }
    return page(request, "look.html", values)


@router.get("/file", dependencies=[visits(Right.FILES)])
def download(request: Request, job_id: str, api: CurrentApi, visitor: CurrentVisitor) -> Response:
    """All changes that the filters show, as a file."""
    named = [("format", request.query_params.get("format", "xlsx"))]
    return send_changes(api, visitor, job_id, [*named, *_pairs(request.query_params, FILTERS)])


@router.post("", dependencies=[visits(Right.CHANGE)])
def choose(job_id: str, api: CurrentApi, visitor: CurrentVisitor, form: CurrentForm) -> Response:
    """Keep what is ticked on the page, and go where the button leads."""
    job = api.job(job_id, visitor)
    _keep(api, job, form)
    return RedirectResponse(f"/jobs/{job.id}/{_way(str(form.get('go', '')))}", 303)


def _keep(api: Api, job: Job, form: FormData) -> None:
    if not job.awaits_confirmation:
        raise ActionIllegal(job.id, job.status, Action.CONFIRM)
    choices = Choices(api.files)
    choice = choices.of(job.id)
    rows = choice.with_rows(_keys(form.getlist("seen")), _keys(form.getlist("row")))
    chosen = rows.with_parts(_texts(form.getlist("left_column")), _texts(form.getlist("left_kind")))
    if form.get("without_rule"):
        chosen = chosen.without_rule(_number(str(form["without_rule"])))
    rule = _rule(form)
    choices.keep(job.id, chosen.with_rule(rule) if rule else chosen)


def _find(api: Api, visitor: Caller, job: Job, asked: QueryParams) -> tuple[Changes, list[ColumnChanges], str | None]:
    """The page and the columns, or why there are none."""
    query = ChangesQuery.parse([("limit", str(LIMIT)), *_pairs(asked, (*FILTERS, "cursor"))])
    access = api.workspace.access.of_key(visitor.tables)
    try:
        found = api.workspace.job_changes.page(job, query.wanted, access, query.cursor, query.limit)
        return found, api.workspace.job_changes.columns(job, access), None
    except ChangesUnknown as error:
        return Changes([], None), [], str(error)


def _pairs(asked: QueryParams, names: Iterable[str]) -> list[tuple[str, str]]:
    """What the view asks for, as the API has it."""
    pairs = [(name, asked[name]) for name in names if asked.get(name)]
    for name, bound, sign in (("fell", "change_percent_below", -1), ("rose", "change_percent_above", 1)):
        if asked.get(name):
            pairs.append((bound, f"{sign * _percent(asked[name])}"))
    return pairs


def _rows(entries: Iterable[Mapping[str, Any]]) -> list[ChangedRow]:
    found = []
    for (table, kind, key), cells in groupby(entries, lambda entry: (entry["table"], entry["kind"], entry["key"])):
        listed = list(cells)
        found.append(ChangedRow(table, kind, key, listed[0]["line"], listed[0].get("file")))
        found[-1].cells = [dict(cell) for cell in listed if cell["column"] is not None]
    return found


def _keys(texts: Iterable[Any]) -> list[dict[str, str | None]]:
    try:
        return [dict(json.loads(str(text))) for text in texts]
    except (ValueError, TypeError):
        raise InputWrong("a row of the page has no valid key; open the page again") from None


def _texts(values: Iterable[Any]) -> list[str]:
    return [str(value) for value in values if value]


def _rule(form: FormData) -> dict[str, Any] | None:
    column, how, percent = (str(form.get(name, "")) for name in ("rule_column", "rule_how", "rule_percent"))
    if not column or not how:
        return None
    if how == "emptied":
        return {"column": column, "becomes_empty": True}
    name, sign = ("change_percent_below", -1) if how == "fell" else ("change_percent_above", 1)
    return {"column": column, name: sign * _percent(percent)}


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InputWrong("there is no such rule; open the page again") from None


def _percent(text: str) -> float:
    try:
        return abs(float(text.strip().removesuffix("%").replace(",", ".")))
    except ValueError:
        raise InputWrong(f"{text[:50]!r} is no number of per cent such as 20") from None


def _way(to: str) -> str:
    """Where a button leads: the confirmation, or a page of changes with its filters."""
    if to == "confirm":
        return "confirm"
    return f"changes?{to[1:]}" if to.startswith("?") else "changes"
