"""What a job shows in the Prefect UI: its plan, a progress bar, the rejects, the result."""

import contextvars
import csv
import io
import logging
import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.logging import get_logger

from batch_jobs.flows.jobs import partitions
from batch_jobs.flows.jobs.plan import sections
from batch_jobs.flows.secret_fields.masking import OpenedContext
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.sdk.rejects import LINE_COLUMN, REASON_COLUMN
from batch_jobs.strategies.sdk.result import PartitionEntry

SHOWN_REJECTS = 20
#: Of each table of the plan.
SHOWN_ROWS = 20


#: How long the end of a run waits for what is still to be shown.
FINISH_SECONDS = 5.0

_END = None
Showing = Callable[[], Any]


class Artifacts:
    """Shows one job's run in the Prefect UI, from a thread of its own.

    An artifact is a courtesy: Prefect being slow or away must not hold up the job, and Prefect's client tries again for
    minutes. Of several progresses that wait to be shown, the latest is. No secret of the job's context is shown.
    """

    def __init__(self, job_id: str, opened: OpenedContext) -> None:
        self._job_id = job_id
        self._masked = opened.masked
        self._bar: UUID | None = None
        self._is_over = False
        self._progress = self._shown = 0.0
        self._waiting: queue.Queue[Showing | None] = queue.Queue()
        here = contextvars.copy_context()  # an artifact belongs to the run that the context names
        self._thread = threading.Thread(target=here.run, args=(self._go_on,), name="artifacts", daemon=True)
        self._thread.start()

    def show_progress(self, progress: float) -> None:
        """Show a progress of 0 to 1."""
        if progress > self._progress:
            self._progress = progress
            self._waiting.put(self._draw)

    def show_plan(self, job: JobRun) -> None:
        """Show what pre-processing found, when it found something."""
        if job.result.stat_descriptors or job.plan:
            self._put_markdown("plan", _plan(job), "What this job will do")

    def show_result(self, job: JobRun) -> None:
        """Show the rejects and the result, where there are any."""
        rejects = job.result.rejects_file_key
        if rejects:
            rows = self._masked(_first_rejects(job, rejects))
            text = f"{job.result.rejected} rejected rows, the first {len(rows)} here; all: {rejects}"
            key = _key(self._job_id, "rejects")
            self._waiting.put(partial(create_table_artifact, rows, key=key, description=text))
        if job.result.file_key or job.result.advancement_count or job.result.partitions:
            self._put_markdown("result", _result(job), "What this job did")

    def finish(self) -> None:
        """Wait a little until all is shown, and end."""
        self._waiting.put(_END)
        self._thread.join(FINISH_SECONDS)
        self._is_over = True

    def _put_markdown(self, what: str, text: str, description: str) -> None:
        key = _key(self._job_id, what)
        self._waiting.put(partial(create_markdown_artifact, self._masked(text), key=key, description=description))

    def _draw(self) -> None:
        if self._shown == self._progress:
            return
        self._shown = self._progress
        percent = round(self._shown * 100, 1)
        if self._bar is None:
            key = _key(self._job_id, "progress")
            created: Any = create_progress_artifact(progress=percent, key=key, description="Rows gone through")
            self._bar = created
        else:
            update_progress_artifact(artifact_id=self._bar, progress=percent)

    def _go_on(self) -> None:
        while (show := self._waiting.get()) is not _END:
            try:
                show()
            except Exception as error:
                # what still waits when the run ends fails for want of its client
                level = logging.DEBUG if self._is_over else logging.WARNING
                get_logger("batch_jobs").log(level, "an artifact could not be shown: %s", error)


def _plan(job: JobRun) -> str:
    lines = [f"**{entry.name}**: {entry.message}" for entry in job.result.summary]
    for section in sections(job.plan):
        head = section.head or [""] * len(section.rows[0])
        lines += [f"### {section.title}" if section.title else "", _markdown_table(head, section.rows[:SHOWN_ROWS])]
    return "\n\n".join(lines)


def _result(job: JobRun) -> str:
    result = job.result
    counts = {
        "created": result.created,
        "updated": result.updated,
        "unchanged": result.unchanged,
        "removed": result.removed,
        "rejected": result.rejected,
    }
    lines = [
        f"**{result.advancement_count}** rows gone through",
        *(f"**{name}**: {rows}" for name, rows in counts.items() if rows),
    ]
    if result.file_key:
        lines.append(f"File: `{result.file_key}` ({result.file_size} bytes): `batch-jobs files get {result.file_key}`")
    if result.rejects_file_key:
        lines.append(f"Rejects: `batch-jobs files get {result.rejects_file_key}`")
    if result.partitions:
        lines += _partitions(result.partitions)
    return "\n\n".join(lines)


def _partitions(known: list[PartitionEntry]) -> list[str]:
    shown = partitions.to_show(known)
    table = _markdown_table([*partitions.HEAD], [partitions.cells(entry) for entry in shown]) if shown else ""
    errors = [f"**{entry.name}**: {entry.error}" for entry in shown if entry.error]
    return list(filter(None, ["### Partitions", table, partitions.rest_text(known, shown), *errors]))


def _first_rejects(job: JobRun, key: str) -> list[dict[str, Any]]:
    with job.open_input(key) as stream, io.TextIOWrapper(stream, encoding="utf-8", newline="") as text:
        rows = csv.DictReader(text)
        shown = [row for row, _ in zip(rows, range(SHOWN_REJECTS), strict=False)]
    return [{LINE_COLUMN: row.pop(LINE_COLUMN), REASON_COLUMN: row.pop(REASON_COLUMN), **row} for row in shown]


def _markdown_table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(map(_escaped, cells)) + " |" for cells in [head, *rows]]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]])


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")[:100]


def _key(job_id: str, what: str) -> str:
    return f"{what}-{job_id.lower().replace('_', '-')}"
