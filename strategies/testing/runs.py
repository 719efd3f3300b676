"""Running a strategy in a test, and what is left of a run."""

import csv
from dataclasses import dataclass
from io import StringIO
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Engine

from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.data_access import DataAccess
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.job import DEFAULT_CHUNK_SIZE
from batch_jobs.strategies.sdk.rejects import FILE_COLUMN, LINE_COLUMN, OWN_COLUMNS, REASON_COLUMN
from batch_jobs.strategies.sdk.result import JobResult
from batch_jobs.strategies.sdk.sources import Sources
from batch_jobs.strategies.sdk.testing import new_job, prepared, run_hooks


@dataclass(frozen=True)
class Rejected:
    """A refused row, as the rejects file has it: an empty text stands for nothing too.

    ``file`` is the key of its file where the job reads several.
    """

    line: int
    reason: str
    row: dict[str, str]
    file: str | None = None


@dataclass(frozen=True)
class Run:
    """What a run left: the job's result, the plan that people were shown, the refused rows, the bytes of its file."""

    result: JobResult
    plan: dict[str, Any]
    rejects: list[Rejected]
    output: bytes | None = None

    @classmethod
    def ended(cls, result: JobResult, plan: dict[str, Any], files: FileStore) -> "Run":
        """Collect what a run left in the file store."""
        rejects = _read(files, result.rejects_file_key)
        output = _read(files, result.file_key)
        return cls(result, plan, _rejected(rejects.decode()) if rejects else [], output)


class Runner:
    """Runs strategies on a target, with a file store.

    Args:
        target: the database that they read and write.
        files: where their input and output files are.
    """

    def __init__(self, target: Engine, files: FileStore) -> None:
        self._target, self._files = target, files

    def __call__(
        self,
        strategy: BatchJobStrategy,
        context: BaseModel | dict[str, Any] | None = None,
        *,
        dry_run: bool = False,
        chunk_size: int = DEFAULT_CHUNK_SIZE,
        sources: Sources | None = None,
        access: DataAccess | None = None,
        partitions: int = 1,
    ) -> Run:
        """Run the hooks of a strategy in this process, as a job of its own.

        Args:
            strategy: the strategy to run.
            context: its parameters, as its ``Context`` or as a dict for it.
            dry_run: stop after the preview; nothing is written.
            chunk_size: rows a chunk should have.
            sources: what it may fetch from elsewhere; nothing by default.
            access: which tables of the target it may name; by default all but the jobs' and the database's own.
            partitions: for how many at a time the strategy is to cut the job; they run one after the other.

        Raises:
            ContextRefused: ``prepare`` refuses the context.
            Exception: whatever a hook raises.
        """
        job = new_job(strategy, prepared(strategy, context), self._target, self._files, chunk_size, dry_run)
        job.sources, job.access = sources or job.sources, access or job.access
        run_hooks(strategy, job, partitions)
        return Run.ended(job.result, job.plan, self._files)


def _read(files: FileStore, key: str | None) -> bytes | None:
    if key is None:
        return None
    with files.open(key) as stream:
        return stream.read()


def _rejected(text: str) -> list[Rejected]:
    rows = csv.DictReader(StringIO(text, newline=""))
    return [
        Rejected(
            int(row[LINE_COLUMN]),
            row[REASON_COLUMN],
            {name: cell for name, cell in row.items() if name not in OWN_COLUMNS},
            row.get(FILE_COLUMN),
        )
        for row in rows
    ]
