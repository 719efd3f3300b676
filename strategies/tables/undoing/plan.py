"""What an undo will do, as JSON and for people."""

from collections import Counter
from typing import Any

from pydantic import BaseModel, Field

from batch_jobs.strategies.sdk.errors import count_rows
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.tables.importing.describing import changes_by_column
from batch_jobs.strategies.tables.importing.plan import ColumnChanges, Counts, SampledChange, SampledReject


class RowOfTable(SampledReject):
    """A row that stays, or that is overwritten though it was changed since; ``by`` is the job that did that, if any,
    and ``at`` when."""

    table: str
    key: dict[str, str]
    by: str | None = None
    at: str | None = None


class UndoPlan(BaseModel):
    """Everything found before the first row is put back.

    ``job`` is the job that is taken back; ``tables`` says by table what becomes of its rows, ``counts`` of all, and
    ``columns`` how many updated rows change in each; ``reasons`` says of rows that stay how many do for what;
    ``sample``, ``rejects`` and ``overwritten`` are the first changes, the first rows that stay, and the first that
    ``force`` overwrites; ``emptied`` are tables that have no rows afterwards.
    """

    job: str
    force: bool = False
    total: int = 0
    counts: Counts = Field(default_factory=Counts)
    tables: dict[str, Counts] = Field(default_factory=dict)
    columns: dict[str, ColumnChanges] = Field(default_factory=dict)
    reasons: dict[str, int] = Field(default_factory=dict)
    sample: list[SampledChange] = Field(default_factory=list)
    rejects: list[RowOfTable] = Field(default_factory=list)
    overwritten: list[RowOfTable] = Field(default_factory=list)
    forced: int = 0
    emptied: list[str] = Field(default_factory=list)

    @property
    def goes_back(self) -> int:
        """How many rows are put back."""
        return self.counts.create + self.counts.update + self.counts.remove

    def as_json(self) -> dict[str, Any]:
        """The plan as ``job.plan`` keeps it."""
        return self.model_dump(mode="json")


def describe(job: JobRun, plan: UndoPlan) -> None:
    """Say in the job's summary what its plan is."""
    counts = plan.counts
    tables = ", ".join(f"{name}: {count_rows(_all(one))}" for name, one in plan.tables.items())
    job.describe("undo-job", "To undo", f"{plan.job}, which changed {count_rows(plan.total)} ({tables})")
    job.describe("undo-update", "To update", f"{count_rows(counts.update)} will be as before")
    if plan.columns:
        job.describe("undo-changes", "Changes", changes_by_column(plan.columns))
    job.describe("undo-remove", "To remove", f"{count_rows(counts.remove)} that it created will be removed")
    job.describe("undo-create", "To create", f"{count_rows(counts.create)} that it removed will be there again")
    if counts.unchanged:
        job.describe("undo-unchanged", "Unchanged", f"{count_rows(counts.unchanged)} already as before")
    if plan.forced:
        message = f"{count_rows(plan.forced)} of these were changed since and will be overwritten"
        job.describe("undo-forced", "To overwrite", message)
    job.describe("undo-reject", "To leave", f"{count_rows(counts.reject)} will stay as they are{_reasons(plan)}")
    for name in plan.emptied:
        job.describe(f"undo-emptied-{name}", "Table", f"{name} will be empty; the table itself stays")


def _reasons(plan: UndoPlan) -> str:
    found = Counter(plan.reasons).most_common()
    return ": " + "; ".join(f"{rows:,}, as {why}" for why, rows in found) if found else ""


def _all(counts: Counts) -> int:
    return counts.create + counts.update + counts.remove + counts.unchanged + counts.reject
