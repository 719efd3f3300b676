"""The rows that a job has refused: why, their cells corrected in place, checked at once, and on their way in."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData

from batch_jobs.deployments.api.auth import Caller, Right
from batch_jobs.deployments.api.dependencies import Api, CurrentApi
from batch_jobs.deployments.api.errors import InputWrong
from batch_jobs.deployments.api.job_actions import JobActions
from batch_jobs.deployments.web.corrections import Draft, Drafts, Place
from batch_jobs.deployments.web.errors import is_fragment
from batch_jobs.deployments.web.guard import CurrentVisitor, visits
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
    return page(request, "correct.html", _values(api, visitor, job, cursor, column))


@router.post("", dependencies=[visits(Right.CHANGE)])
async def correct(
    request: Request, job_id: str, api: CurrentApi, visitor: CurrentVisitor, cursor: str = "", column: str = ""
) -> Response:
    """Keep what was corrected on a page, check it, and let all of it go in where that is asked for."""
    form = await request.form()
    return await run_in_threadpool(_correct, request, job_id, api, visitor, form, cursor, column)


def _correct(
    request: Request, job_id: str, api: Api, visitor: Caller, form: FormData, cursor: str, column: str
) -> Response:
    visitor.require(Right.FILES)
    job = api.job(job_id, visitor)
    rows = api.workspace.job_rejects.page(job, cursor or None, LIMIT, column or None).rows
    drafts = Drafts(api.files)
    draft = drafts.of(job.id).after(rows, _cells(form))
    drafts.keep(job.id, draft)
    if form.get("go") == "in":
        made = JobActions(api, visitor).correct(
            job.id, draft.corrected, dry_run="look" in form, idempotency_key=f"page-{job.id}-{draft.digest}"
        )
        return RedirectResponse(f"/jobs/{made.id}", 303)
    if is_fragment(request):
        return fragment(request, "correct.html", "rows", _values(api, visitor, job, cursor, column))
    return RedirectResponse(f"/jobs/{job.id}/rejects{form.get('go') or ''}", 303)


def _values(api: Api, visitor: Caller, job: Job, cursor: str, column: str) -> dict[str, object]:
    found: RejectsPage = api.workspace.job_rejects.page(job, cursor or None, LIMIT, column or None)
    draft = Drafts(api.files).of(job.id)
    checked, refusal = _check(api, visitor, job, draft, found.rows)
    return {
        "shown": ShownJob(api, job, visitor),
        "found": found,
        "rows": [
            ShownRow(row, draft.of(row), checked.get((row.line or 0, row.file)) if draft.of(row) else None)
            for row in found.rows
        ],
        "names": list(dict.fromkeys(name for row in found.rows for name in row.cells)),
        "corrected": len(draft.rows),
        "refusal": refusal,
        "cursor": cursor,
        "column": column,
        "may_correct": visitor.may(Right.CHANGE)
        and (job.awaits_confirmation or job.status in (Status.COMPLETED, Status.FAILED)),
        "may_look": not job.awaits_confirmation,
    }


def _check(
    api: Api, visitor: Caller, job: Job, draft: Draft, rows: list[RejectedRow]
) -> tuple[Mapping[Place, RejectedRow], str | None]:
    """What becomes of the corrected rows of a page, together with as many others as are checked at a time."""
    here = {(row.line or 0, row.file) for row in rows}
    ordered = sorted(draft.corrected, key=lambda row: (row.line, row.file) not in here)[:MOST_CHECKED]
    if not any((row.line, row.file) in here for row in ordered):
        return {}, None
    try:
        checked = api.workspace.job_corrections.check(job, ordered, api.workspace.access.of_key(visitor.tables))
    except BatchJobError as error:
        return {}, str(error)
    return {(row.line or 0, row.file): row for row in checked}, None


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
