"""Following a job: a bar on a terminal, plain lines where the output is piped. Always on stderr."""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from batch_jobs.deployments.cli import output
from batch_jobs.flows.jobs.claims import Claims
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.transitions import Status

LINE_INTERVAL = 5.0  # seconds between two plain lines of one status

PHASES = {
    Status.CREATED: "looking at the input",
    Status.PRE_PROCESSED: "previewed",
    Status.CONFIRMED: "confirmed",
    Status.PROCESSING: "processing",
}


class View(Protocol):
    """Shows a job each time it is looked at."""

    def __enter__(self) -> Self:
        """Begin to show."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the last state standing."""

    def show(self, job: Job) -> None:
        """Show the job as it is now."""

    def say(self, line: str) -> None:
        """Show a line of text without disturbing the rest."""


def view_for_stderr() -> View:
    """A bar for a terminal, plain lines for everything else."""
    return BarView() if output.err.is_terminal else LinesView()


class BarView:
    """One line that is drawn again: phase, bar, rows, rows/s, time left."""

    def __init__(self) -> None:
        rows = TextColumn("{task.fields[rows]}")
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(30),
            rows,
            RowsPerSecond(),
            TimeRemainingColumn(True),
        )
        self._progress = Progress(*columns, console=output.err, transient=True)
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

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self._progress.console.print(Text(output.safe(line)))


class RowsPerSecond(ProgressColumn):
    """How fast it goes."""

    def render(self, task: Task) -> Text:
        """The speed, once there is one."""
        return Text(f"{task.speed:,.0f} rows/s" if task.speed else "")


class LinesView:
    """A line at each change of status, and now and then while rows are written."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._phase: str | None = None
        self._said_at = 0.0
        self._began: tuple[float, int] = (0.0, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def show(self, job: Job) -> None:
        """Say how the job is when there is something new."""
        phase, now, rows = phase_of(job), self._clock(), job.result.advancement_count
        if phase != self._phase:
            self._phase, self._began = phase, (now, rows)
        elif job.status is not Status.PROCESSING or now - self._said_at < LINE_INTERVAL:
            return
        self._said_at = now
        self.say(f"{job.id} {phase}{self._rows(job, now, rows)}")

    def say(self, line: str) -> None:
        """Print a line."""
        output.hint(line)

    def _rows(self, job: Job, now: float, rows: int) -> str:
        if job.status is not Status.PROCESSING:
            return ""
        total = job.result.count
        text = f" {rows:,}" + (f" of {total:,} rows, {job.result.progress:.0%}" if total is not None else " rows")
        began, rows_then = self._began
        speed = (rows - rows_then) / (now - began) if now > began else 0
        if speed <= 0:
            return text
        left = f", {max(total - rows, 0) / speed:,.0f} s left" if total is not None else ""
        return f"{text}, {speed:,.0f} rows/s{left}"


def phase_of(job: Job) -> str:
    """What a job is at, in words."""
    if job.awaits_confirmation:
        return "awaits confirmation"
    if job.may_go_on and job.status is Status.CREATED:
        return "waits for its turn"
    return PHASES.get(job.status, str(job.status))


LOOK_INTERVAL = 0.25  # seconds


def follow(look: Callable[[], Job], view: View, stopped: threading.Event) -> Job:
    """Show a job until it rests or ``stopped`` is set; return it as it was last seen."""
    while True:
        job = look()
        view.show(job)
        if job.needs_a_person or stopped.wait(LOOK_INTERVAL):
            return job


def watch_to_rest(claims: Claims, job_id: str) -> Job:
    """Show a job until it rests; one whose process is dead is found out and counts as failed."""
    claims.fail_if_dead(job_id)
    with view_for_stderr() as view:
        return follow(lambda: claims.fail_if_dead(job_id), view, threading.Event())
