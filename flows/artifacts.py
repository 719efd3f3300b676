"""What a job shows in the Prefect UI: its plan, a progress bar, the rejects, the result."""

import csv
import io
from collections.abc import Callable
from typing import Any
from uuid import UUID

from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.logging import get_logger

from strategies.rejects import LINE_COLUMN, REASON_COLUMN
from strategies.run import JobRun

SHOWN_REJECTS = 20
SHOWN_CHANGES = 20


class ProgressBar:
    """The progress bar of one job's run, made when there is something to show."""

    def __init__(self, job_id: str) -> None:
        self._key = _key(job_id, "progress")
        self._artifact: UUID | None = None
        self._shown = 0.0

    def show(self, progress: float) -> None:
        """Show a progress of 0 to 1; Prefect not answering must not stop the job."""
        if progress <= self._shown:
            return
        self._shown = progress
        _try(lambda: self._draw(round(progress * 100, 1)))

    def _draw(self, percent: float) -> None:
        if self._artifact is None:
            created: Any = create_progress_artifact(progress=percent, key=self._key, description="Rows gone through")
            self._artifact = created
        else:
            update_progress_artifact(artifact_id=self._artifact, progress=percent)


def publish_plan(job: JobRun) -> None:
    """Show what pre-processing found, when it found something."""
    if job.result.stat_descriptors or job.plan:
        _try(
            lambda: create_markdown_artifact(_plan(job), key=_key(job.id, "plan"), description="What this job will do")
        )


def publish_result(job: JobRun) -> None:
    """Show the rejects and the result, where there are any."""
    if job.result.rejects_file_key:
        rows = _first_rejects(job, job.result.rejects_file_key)
        title = f"{job.result.rejected} rejected rows, the first {len(rows)} here; all: {job.result.rejects_file_key}"
        _try(lambda: create_table_artifact(rows, key=_key(job.id, "rejects"), description=title))
    if job.result.file_key or job.result.advancement_count:
        _try(
            lambda: create_markdown_artifact(_result(job), key=_key(job.id, "result"), description="What this job did")
        )


def _plan(job: JobRun) -> str:
    lines = [f"**{entry.name}**: {entry.message}" for entry in job.result.stat_descriptors]
    sample = job.plan.get("sample") or []
    if sample:
        lines += ["### Changes, the first few", "", _markdown_table(sample[:SHOWN_CHANGES])]
    return "\n\n".join(lines)


def _result(job: JobRun) -> str:
    result = job.result
    counts = {
        "created": result.created,
        "updated": result.updated,
        "unchanged": result.unchanged,
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
    return "\n\n".join(lines)


def _first_rejects(job: JobRun, key: str) -> list[dict[str, Any]]:
    with job.open_input(key) as stream, io.TextIOWrapper(stream, encoding="utf-8", newline="") as text:
        rows = csv.DictReader(text)
        shown = [row for row, _ in zip(rows, range(SHOWN_REJECTS), strict=False)]
    return [{LINE_COLUMN: row.pop(LINE_COLUMN), REASON_COLUMN: row.pop(REASON_COLUMN), **row} for row in shown]


def _markdown_table(rows: list[dict[str, Any]]) -> str:
    columns = list(rows[0])
    head = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return "\n".join(head + ["| " + " | ".join(_cell(row.get(column)) for column in columns) + " |" for row in rows])


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return text.replace("|", "\\|").replace("\n", " ")[:100]


def _key(job_id: str, what: str) -> str:
    return f"{what}-{job_id.lower().replace('_', '-')}"


def _try(publish: Callable[[], Any]) -> None:
    try:
        publish()
    except Exception as error:  # an artifact is a courtesy: Prefect being down must not fail the job
        get_logger("batch_jobs").warning("an artifact could not be shown: %s", error)
