"""Removes jobs that ended long ago, their files and their checkpoints; a job that has not ended is never touched."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, delete, exists, inspect, select, update
from ulid import ULID

from batch_jobs.flows.jobs.named_files import NamedFiles
from batch_jobs.flows.jobs.table import (
    batch_job,
    batch_job_event,
    batch_job_unfinished_upload,
    batch_job_upload,
    batch_job_upload_part,
    has_not_ended,
    is_kept,
)
from batch_jobs.flows.jobs.transitions import ENDED
from batch_jobs.strategies.sdk.change_log import change_table
from batch_jobs.strategies.sdk.checkpoint import checkpoint_table
from batch_jobs.strategies.sdk.database import for_writing
from batch_jobs.strategies.sdk.files import JOBS, PARTS, UPLOADS, FileStore
from batch_jobs.strategies.sdk.partition_table import partition_table, signal_table
from batch_jobs.strategies.tables.changes.planned import planned_key

AT_ONCE = 500


@dataclass(frozen=True)
class Pruned:
    """How many jobs went, and how many files."""

    jobs: int
    files: int

    def __str__(self) -> str:
        return f"{self.jobs} jobs and {self.files} files were removed"


class Pruning:
    """Prunes one installation.

    Args:
        jobs: the job database.
        target: the database of the checkpoints.
        files: the file store.
    """

    def __init__(self, jobs: Engine, target: Engine, files: FileStore) -> None:
        self._jobs = jobs
        self._target = target
        self._files = files

    def run(self, older_than: timedelta) -> Pruned:
        """Remove the jobs that ended longer ago than this, and uploads as old that no job names any more.

        A job is marked deleted first, so that nobody retries it meanwhile; where it breaks off, the next run goes on.
        """
        before = datetime.now(UTC) - older_than
        self._mark(before)
        jobs = files = 0
        while ids := self._marked():
            files += sum(self._remove_folder(f"{JOBS}/{job_id}") for job_id in ids)
            self._forget_checkpoints(ids)
            self._delete(ids)
            jobs += len(ids)
        return Pruned(jobs, files + self._remove_uploads(before) + self._remove_parts(before))

    def forget_changes(self, older_than: timedelta) -> int:
        """Remove what jobs changed longer ago than this from the log, and their previews; returns of how many jobs."""
        if not inspect(self._target).has_table(change_table.name):
            return 0
        due = change_table.c.made_at < datetime.now(UTC) - older_than
        with for_writing(self._target.connect()) as connection, connection.begin():
            jobs = list(connection.scalars(select(change_table.c.job_id).where(due).distinct()))
            connection.execute(delete(change_table).where(due))
        for job_id in jobs:
            self._files.remove(planned_key(job_id))
        return len(jobs)

    def _mark(self, before: datetime) -> None:
        successor = batch_job.alias()
        is_needed = exists().where(  # what it is made of are files of the job that it belongs to
            successor.c.belongs_to == batch_job.c.id,
            successor.c.deleted_at.is_(None),
            successor.c.status.not_in(sorted(ENDED)) | (successor.c.updated_at >= before),
        )
        due = ~has_not_ended & (batch_job.c.updated_at < before) & is_kept & ~is_needed
        marks = {"deleted_at": datetime.now(UTC), "version": batch_job.c.version + 1}
        with for_writing(self._jobs.connect()) as connection, connection.begin():
            connection.execute(update(batch_job).where(due).values(marks))

    def _marked(self) -> list[str]:
        query = select(batch_job.c.id).where(batch_job.c.deleted_at.is_not(None)).order_by(batch_job.c.id)
        with self._jobs.connect() as connection:
            return list(connection.scalars(query.limit(AT_ONCE)))

    def _remove_folder(self, folder: str) -> int:
        files = len(self._files.list(folder))
        self._files.remove(folder)
        return files

    def _forget_checkpoints(self, ids: list[str]) -> None:
        there = inspect(self._target)
        tables = [
            table
            for table in (checkpoint_table, partition_table, signal_table, change_table)
            if there.has_table(table.name)
        ]
        with for_writing(self._target.connect()) as connection, connection.begin():
            for table in tables:
                connection.execute(delete(table).where(table.c.job_id.in_(ids)))

    def _delete(self, ids: list[str]) -> None:
        with for_writing(self._jobs.connect()) as connection, connection.begin():
            connection.execute(delete(batch_job_event).where(batch_job_event.c.job_id.in_(ids)))
            connection.execute(delete(batch_job).where(batch_job.c.id.in_(ids)))

    def _remove_uploads(self, before: datetime) -> int:
        old = [file.key for file in self._files.list(UPLOADS) if _uploaded_at(file.key) < before]
        named: NamedFiles | tuple[()] = self._named() if old else ()
        finished_since = self._finished_since(before, old)
        unnamed = [key for key in old if key not in named and key not in finished_since]
        for key in unnamed:
            self._files.remove(key)
        with for_writing(self._jobs.connect()) as connection, connection.begin():
            for start in range(0, len(unnamed), AT_ONCE):
                gone = batch_job_upload.c.key.in_(unnamed[start : start + AT_ONCE])
                connection.execute(delete(batch_job_upload).where(gone))
        return len(unnamed)

    def _finished_since(self, before: datetime, keys: list[str]) -> set[str]:
        """Uploads that came in parts, over days: their keys tell when the first one came."""
        found: set[str] = set()
        with self._jobs.connect() as connection:
            for start in range(0, len(keys), AT_ONCE):
                is_such = batch_job_upload.c.key.in_(keys[start : start + AT_ONCE])
                query = select(batch_job_upload.c.key).where(is_such, batch_job_upload.c.created_at >= before)
                found.update(connection.scalars(query))
        return found

    def _remove_parts(self, before: datetime) -> int:
        """Remove uploads that nobody went on with since, and parts that are as old of which nothing is known."""
        idle = batch_job_unfinished_upload.c.updated_at < before
        with for_writing(self._jobs.connect()) as connection, connection.begin():
            ids = list(connection.scalars(select(batch_job_unfinished_upload.c.id).where(idle)))
            for start in range(0, len(ids), AT_ONCE):
                some = ids[start : start + AT_ONCE]
                connection.execute(delete(batch_job_upload_part).where(batch_job_upload_part.c.upload_id.in_(some)))
                connection.execute(
                    delete(batch_job_unfinished_upload).where(batch_job_unfinished_upload.c.id.in_(some))
                )
            known = set(connection.scalars(select(batch_job_unfinished_upload.c.id)))
        old = {file.key.split("/")[1] for file in self._files.list(PARTS) if _uploaded_at(file.key) < before}
        return sum(self._remove_folder(f"{PARTS}/{upload_id}") for upload_id in sorted(old - known))

    def _named(self) -> NamedFiles:
        with self._jobs.connect() as connection:
            return NamedFiles(connection.scalars(select(batch_job.c.context).execution_options(yield_per=1_000)))


def _uploaded_at(key: str) -> datetime:
    """When a file was uploaded: the store puts it into a folder named by a ULID; one that is not is left alone."""
    try:
        return ULID.from_str(key.split("/")[1]).datetime
    except (IndexError, ValueError):
        return datetime.now(UTC)
