"""``watch``, and a job's live progress: a bar on a terminal, plain lines where stderr goes elsewhere."""

import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Protocol, Self

from rich.console import RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from batch_jobs.deployments.cli import output
from batch_jobs.deployments.cli.options import AsJson, JobId
from batch_jobs.deployments.cli.reports import finish
from batch_jobs.flows.jobs import partitions
from batch_jobs.flows.jobs.claims import Claims
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.flows.workspace import current_workspace
from batch_jobs.strategies.sdk.partition import OVER, PartitionStatus
from batch_jobs.strategies.sdk.result import PartitionEntry

POLL_INTERVAL = 0.25  # seconds between two readings of the job
LINE_INTERVAL = 5.0  # seconds between two plain lines of one status
SHOWN_RUNNING = 8  # partitions below the bar

PHASES = {
    Status.CREATED: "looking at the input",
    Status.PRE_PROCESSED: "previewed",
    Status.CONFIRMED: "confirmed",
    Status.PROCESSING: "processing",
}


def watch(job_id: JobId, as_json: AsJson = False) -> None:
    """Follow a job until it ends, is paused or waits for a yes. Exits 0 only when it is completed."""
    finish(watch_job(current_workspace().claims, job_id), as_json)


def watch_job(claims: Claims, job_id: str) -> Job:
    """Show a job's progress until it needs a person, and return it; a job of a dead process is marked as failed.

    Raises:
        JobUnknown: there is no such job.
    """
    claims.fail_if_dead(job_id)  # an unknown job is an error before anything is shown
    with progress_view() as view:
        while True:
            job = claims.fail_if_dead(job_id)
            view.show(job)
            if job.needs_a_person:
                return job
            time.sleep(POLL_INTERVAL)


def phase_of(job: Job) -> str:
    """Return what the job is doing, as the bar and the lines name it."""
    if job.awaits_confirmation:
        return "awaits confirmation"
    if job.may_go_on and job.status is Status.CREATED:
        return "waits for its turn"
    return PHASES.get(job.status, str(job.status))


class ProgressView(Protocol):
    """Shows a job's progress on stderr while the ``with`` block runs."""

    def __enter__(self) -> Self:
        """Begin to show."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop showing."""

    def show(self, job: Job) -> None:
        """Show the job as it is now."""

    def print(self, line: str) -> None:
        """Print a line of text without disturbing the rest."""


def progress_view() -> ProgressView:
    """Return a bar for a terminal, plain lines for everything else."""
    return ProgressBar() if output.err.is_terminal else ProgressLines()


class ProgressBar:
    """One line that is drawn again: phase, bar, rows, rows/s, time left; below it one a running partition."""

    def __init__(self) -> None:
        self._progress = _WithLines(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(30),
            TextColumn("{task.fields[rows]}"),
            RowsPerSecond(),
            TimeRemainingColumn(True),
            console=output.err,
            transient=True,
        )
        self._task = self._progress.add_task("starting", total=None, rows="")
        self._phase: str | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, job: Job) -> None:
        """Draw the job as it is now."""
        phase, result = phase_of(job), job.result
        if phase != self._phase:
            self._phase = phase
            self._progress.reset(self._task, description=phase)
        count = f" of {result.count:,}" if result.count is not None else ""
        rows = f"{result.advancement_count:,}{count} rows" if result.advancement_count or result.count else ""
        self._progress.update(self._task, completed=result.advancement_count, total=result.count, rows=rows)
        self._progress.lines = [Text(line, no_wrap=True, overflow="ellipsis") for line in running_lines(job)]

    def print(self, line: str) -> None:
        """Print a line above the bar."""
        self._progress.console.print(Text(output.safe(line)))


class _WithLines(Progress):
    """A progress with lines below."""

    def __init__(self, *columns: ProgressColumn, **options: Any) -> None:
        self.lines: list[Text] = []
        super().__init__(*columns, **options)

    def get_renderables(self) -> Iterable[RenderableType]:
        """What is drawn, from the top down."""
        yield from super().get_renderables()
        yield from self.lines


def running_lines(job: Job) -> list[str]:
    """Return a short line for each partition that is being worked on, of many for the first few."""
    running = partitions.running(job.result.partitions)
    lines = [f"  {output.safe(entry.name)}  {_rows_of(entry)}" for entry in running[:SHOWN_RUNNING]]
    more = len(running) - SHOWN_RUNNING
    return [*lines, f"  and {more:,} more"] if more > 0 else lines


def _rows_of(entry: PartitionEntry) -> str:
    speed = f", {entry.rows_per_second:,.0f} rows/s" if entry.rows_per_second else ""
    return f"{partitions.rows_text(entry)} rows{speed}"


class RowsPerSecond(ProgressColumn):
    """The bar's speed, empty until there is one."""

    def render(self, task: Task) -> Text:
        """Return the text of the column."""
        return Text(f"{task.speed:,.0f} rows/s" if task.speed else "")


class ProgressLines:
    """A line at each change of phase, at each end of a partition, and every few seconds while rows are written."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._phase: str | None = None
        self._printed_at = 0.0
        self._phase_start: tuple[float, int] = (0.0, 0)  # when it began, and the rows there were
        self._ended: set[tuple[str, int]] | None = None  # partitions by name and attempt

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def show(self, job: Job) -> None:
        """Print how the job is, where there is something new."""
        self._show_ended_partitions(job)
        phase, now, rows = phase_of(job), self._clock(), job.result.advancement_count
        if phase != self._phase:
            self._phase, self._phase_start = phase, (now, rows)
        elif job.status is not Status.PROCESSING or now - self._printed_at < LINE_INTERVAL:
            return
        self._printed_at = now
        self.print(f"{job.id} {phase}{self._rows(job, now, rows)}")

    def print(self, line: str) -> None:
        """Print a line."""
        output.hint(line)

    def _show_ended_partitions(self, job: Job) -> None:
        """Print those that have ended since the job was first seen."""
        ended = {(entry.name, entry.attempt): entry for entry in job.result.partitions if entry.status in OVER}
        for key, entry in ended.items() if self._ended is not None else ():
            if key not in (self._ended or ()):
                why = entry.error if entry.status == PartitionStatus.FAILED else None
                self.print(f"{job.id} partition {entry.name} {entry.status}: {why or _rows_of(entry)}")
        self._ended = set(ended)

    def _rows(self, job: Job, now: float, rows: int) -> str:
        if job.status is not Status.PROCESSING:
            return ""
        total = job.result.count
        text = f" {rows:,}" + (f" of {total:,} rows, {job.result.progress:.0%}" if total is not None else " rows")
        began, rows_then = self._phase_start
        speed = (rows - rows_then) / (now - began) if now > began else 0
        if speed <= 0:
            return text
        left = f", {max(total - rows, 0) / speed:,.0f} s left" if total is not None else ""
        return f"{text}, {speed:,.0f} rows/s{left}"
