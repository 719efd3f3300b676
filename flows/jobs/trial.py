"""Trying a few rows out: what a strategy's preview says of them, with nothing written and nothing kept."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Engine
from ulid import ULID

from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.checkpoint import CheckpointStore
from batch_jobs.strategies.sdk.context_fields import FILE_FIELDS
from batch_jobs.strategies.sdk.corrections import Cells, CorrectedRow, Head, write_corrections
from batch_jobs.strategies.sdk.data_access import DataAccess
from batch_jobs.strategies.sdk.errors import TooManyRejects
from batch_jobs.strategies.sdk.files import UPLOADS, FileStore
from batch_jobs.strategies.sdk.job import JobIdentity, JobParts, JobRun
from batch_jobs.strategies.sdk.rejected_rows import RefusedRow, RefusedRows, rows_key
from batch_jobs.strategies.sdk.rejects import LINE_COLUMN, write_csv
from batch_jobs.strategies.sdk.scratch import ScratchFiles

#: A row as it was refused, and with its corrected cells.
Row = tuple[RefusedRow, Cells]


def try_rows(
    strategy: BatchJobStrategy,
    context: Any,
    head: Head,
    rows: Sequence[Row],
    target: Engine,
    files: FileStore,
    access: DataAccess,
) -> list[RefusedRow]:
    """Run the first phase of a strategy over some rows.

    Args:
        strategy: of the job that they are from.
        context: for some rows of its input.
        head: of these.
        rows: in the order of the input.
        target: is read only.
        files: are read only.
        access: which tables may be used.

    Returns:
        The rows with what is wrong with each, if anything.
    """
    job_id = f"batch_{ULID()}"
    with TemporaryDirectory(prefix="batch-jobs-check-") as folder:
        scratch = ScratchFiles(Path(folder), files)
        given, numbers = _given(strategy, context, head, rows, scratch)
        parts = JobParts(target, scratch, CheckpointStore(target, job_id, token=1), access=access)
        job = JobRun(JobIdentity(job_id, strategy.batch_type, given, dry_run=True), parts)
        with suppress(TooManyRejects):  # as many as there are is what is asked for
            hooks.pre_process(strategy, job)
        found: dict[int, RefusedRow] = {}
        if scratch.exists(key := rows_key(job_id)):
            with scratch.open(key) as stream:
                for row in RefusedRows(stream, scratch.size(key)).all():
                    found[numbers.get(row.number, row.number)] = row
    return [
        RefusedRow(row.number, cells, found[row.number].reasons if row.number in found else [], row.group)
        for row, cells in rows
    ]


def _given(
    strategy: BatchJobStrategy, context: Any, head: Head, rows: Sequence[Row], scratch: ScratchFiles
) -> tuple[BaseModel, dict[int, int]]:
    """The context that names the rows as its input, and which of them are on other lines there."""
    if "corrections" in strategy.Context.model_fields:
        key = f"{UPLOADS}/check/corrections.jsonl"
        with scratch.writing(key) as stream:
            write_corrections(stream, head, (CorrectedRow(row.number, cells) for row, cells in rows))
        return context.model_copy(update={"corrections": key}), {}
    key, lines = f"{UPLOADS}/check/rows.csv", {}
    line = 2
    for row, cells in rows:
        lines[line] = row.number
        line += 1 + sum((cell or "").count("\n") for cell in cells.values())
    with scratch.writing(key) as stream:
        placed = ({**cells, LINE_COLUMN: str(row.number)} for row, cells in rows)
        write_csv(stream, [*head.columns, LINE_COLUMN], placed)
    field = next(name for name in FILE_FIELDS if name in strategy.Context.model_fields)
    return context.model_copy(update={field: key}), lines
