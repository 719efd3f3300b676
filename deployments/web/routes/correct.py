"""The rows that a job has refused: why, their cells corrected in place, checked at once, and on their way in."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import FormData

from batch_jobs.deployments.api.auth import Caller, Right
from batch_jobs.deployments.api.dependencies import Api, CurrentApi
from batch_jobs.deployments.api.errors import InputWrong
from batch_jobs.deployments.api.job_actions import JobActions
from batch_jobs.deployments.web.corrections import Draft, Drafts, Place, place_of
from batch_jobs.deployments.web.errors import is_fragment
from batch_jobs.deployments.web.guard import CurrentForm, CurrentVisitor, visits
from batch_jobs.deployments.web.rendering import fragment, page
from batch_jobs.deployments.web.shown_job import ShownJob
from batch_jobs.flows.jobs.corrections import MOST_CHECKED
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.rejects import RejectedRow, RejectsPage
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.strategies.sdk.errors import BatchJobError

LIMIT = 50  # rows of a page
LONGEST_CELL = 100_000  # characters

router = APIRouter(prefix="/jobs/{job_id}/rejects")


@dataclass(frozen=True)
class ShownRow:
    """A refused row as the page shows it: as it was, and what is wrong with it after what was corrected."""

    row: RejectedRow
    corrected: Mapping[str, str]
    checked: RejectedRow | None

    @property
    def name(self) -> str:
        """What its cells are called in the form, before the column."""
        return json.dumps([self.row.line, self.row.file])

    @property
    def bad(self) -> Mapping[str, list[str]]:
        """The reasons by column, those of before where nothing was checked."""
        return (self.checked or self.row).bad

    @property
    def reasons(self) -> list[str]:
        """The reasons that are about the whole row."""
        return (self.checked or self.row).reasons

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong with it any more."""
        return self.checked is not None and not self.checked.bad and not self.checked.reasons

    def is_open(self, column: str) -> bool:
        """Whether a cell can be corrected: a bad one, and of a row that is bad as a whole each."""
        return self.row.line is not None and (
            bool(self.row.reasons) or column in self.row.bad or column in self.bad or column in self.corrected
        )

    def text(self, column: str) -> str:
        """The cell, corrected or as it was."""
        return self.corrected.get(column, self.row.cells.get(column) or "")


@router.get("", dependencies=[visits(Right.FILES)])
def show(
    request: Request, job_id: str, api: CurrentApi, visitor: CurrentVisitor, cursor: str = "", column: str = ""
) -> Response:
    """A page of the refused rows."""
    job = api.job(job_id, visitor)
    values = _values(api, visitor, job, _page(api, job, cursor, column), Drafts(api.files).of(job.id))
    return page(request, "correct.html", {**values, "cursor": cursor, "column": column})


@router.post("", dependencies=[visits(Right.CHANGE, Right.FILES)])
def correct(
    request: Request,
    job_id: str,
    api: CurrentApi,
    visitor: CurrentVisitor,
    form: CurrentForm,
    cursor: str = "",
    column: str = "",
) -> Response:
    """Keep what was corrected on a page, check it, and let all of it go in where that is asked for."""
    job = api.job(job_id, visitor)
    found = _page(api, job, cursor, column)
    drafts = Drafts(api.files)
    draft = drafts.of(job.id).after(found.rows, _cells(form))
    drafts.keep(job.id, draft)
    if form.get("go") == "in":
        made = JobActions(api, visitor).correct(
            job.id, draft.corrected, dry_run="look" in form, idempotency_key=f"page-{job.id}-{draft.digest}"
        )
        return RedirectResponse(f"/jobs/{made.id}", 303)
    if is_fragment(request):
        values = _values(api, visitor, job, found, draft)
        return fragment(request, "correct.html", "rows", {**values, "cursor": cursor, "column": column})
    return RedirectResponse(f"/jobs/{job.id}/rejects{form.get('go') or ''}", 303)


def _page(api: Api, job: Job, cursor: str, column: str) -> RejectsPage:
    return api.workspace.job_rejects.page(job, cursor or None, LIMIT, column or None)


def _values(api: Api, visitor: Caller, job: Job, found: RejectsPage, draft: Draft) -> dict[str, object]:
    checked, refusal = _check(api, visitor, job, draft, found.rows)
    return {
        "shown": ShownJob(api, job, visitor),
        "found": found,
        "rows": [ShownRow(row, draft.of(row), checked.get(place_of(row))) for row in found.rows],
        "names": list(dict.fromkeys(name for row in found.rows for name in row.cells)),
        "corrected": len(draft.rows),
        "refusal": refusal,
        "may_correct": visitor.may(Right.CHANGE)
        and (job.awaits_confirmation or job.status in (Status.COMPLETED, Status.FAILED)),
        "may_look": not job.awaits_confirmation,
    }


def _check(
    api: Api, visitor: Caller, job: Job, draft: Draft, rows: list[RejectedRow]
) -> tuple[Mapping[Place, RejectedRow], str | None]:
    """What becomes of the corrected rows of a page, together with as many others as are checked at a time."""
    here = {place_of(row) for row in rows}
    ordered = sorted(draft.corrected, key=lambda row: (row.line, row.file) not in here)[:MOST_CHECKED]
    if not any((row.line, row.file) in here for row in ordered):
        return {}, None
    try:
        checked = api.workspace.job_corrections.check(job, ordered, api.workspace.access.of_key(visitor.tables))
    except BatchJobError as error:
        return {}, str(error)
    return {place_of(row): row for row in checked}, None


def _cells(form: FormData) -> dict[Place, dict[str, str]]:
    """The cells of a form: each is named by its row, a blank and its column."""
    found: dict[Place, dict[str, str]] = {}
    for name, text in form.multi_items():
        if not name.startswith("[") or not isinstance(text, str):
            continue
        try:
            (line, file), end = json.JSONDecoder().raw_decode(name)
            place = (int(line), None if file is None else str(file))
        except (ValueError, TypeError):
            raise InputWrong("a cell of the page has no valid name; open the page again") from None
        if len(text) > LONGEST_CELL:
            raise InputWrong(f"a cell may have at most {LONGEST_CELL:,} characters")
        found.setdefault(place, {})[name[end + 1 :]] = text
    return found
