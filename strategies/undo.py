"""The built-in strategy that takes back what another job changed."""

from operator import attrgetter
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.context_fields import KeepChanges
from batch_jobs.strategies.sdk.errors import ContextRefused
from batch_jobs.strategies.sdk.job import JobRun

if TYPE_CHECKING:
    from batch_jobs.strategies.sdk.files import FileStore
    from batch_jobs.strategies.sdk.leaving_out import LeaveOut


class UndoContext(BaseModel):
    """Which job to undo, and how."""

    job: str = Field(title="Job", description="The id of the job whose changes are taken back", max_length=64)
    force: bool = Field(
        False, title="Force", description="Take changes back too that others have written over; the preview shows them"
    )
    max_rejects: int | None = Field(
        None,
        title="Most rejects",
        description="Fail before anything is written when more rows than this would stay; default: any number",
        ge=0,
    )
    keep_changes: KeepChanges = None


class Undo(BatchJobStrategy):
    """Take back what a job changed, row by row, where nobody has changed it since."""

    identifier = "undo-strategy"
    batch_type = "undo"
    Context = UndoContext
    unique = attrgetter("job")  # type: ignore[assignment]  # to mypy a function of a class is a method

    def prepare(self, context: UndoContext) -> Any:
        """Refuse what is no id."""
        if not context.job.strip():
            raise ContextRefused("undo needs the id of a job; `batch-jobs list` shows them")
        return context

    def pre_process(self, job: JobRun) -> None:
        """Go over the log of the job: count, and find all that cannot be put back; the target is only read."""
        from batch_jobs.strategies.shop.medusa.undeclared import undeclared_references
        from batch_jobs.strategies.tables.undoing.job import look

        look(job, undeclared_references(job.target))

    def check_leave_out(self, wish: "LeaveOut", job_id: str, plan: dict[str, Any], files: "FileStore") -> None:
        """Columns, kinds, keys, lines and rules, all by what the preview found."""
        from batch_jobs.strategies.tables.undoing.left_out import check_wish

        check_wish(wish, job_id, files)

    def process(self, job: JobRun) -> None:
        """Put the rows back, a chunk of the job at a time, the newest first."""
        from batch_jobs.strategies.shop.medusa.undeclared import undeclared_references
        from batch_jobs.strategies.tables.undoing.job import restore

        restore(job, undeclared_references(job.target))

    def build_template(self) -> str:
        """None: what to undo is in the log."""
        return ""
