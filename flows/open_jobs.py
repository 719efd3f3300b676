"""The questions that reconciling asks of the job table, each one statement however many jobs there are."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, Select, select

from flows.job import OPEN_RUN, Job
from flows.job_table import batch_job
from flows.transitions import ENDED, Status


class OpenJobs:
    """Finds jobs that something may have to be done about."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def with_open_runs(self) -> list[Job]:
        """Jobs whose Prefect run had not ended when it was last looked at, also where the job itself has."""
        return self._read(select(batch_job).where(batch_job.c.flow_run_state.in_(OPEN_RUN)))

    def worked_on(self) -> list[Job]:
        """Jobs that a process is said to be working on."""
        return self._read(
            select(batch_job).where(batch_job.c.status.not_in(ENDED), batch_job.c.worker_host.is_not(None))
        )

    def unconfirmed_since(self, moment: datetime) -> list[Job]:
        """Jobs whose preview was there before a moment and that nobody has said yes to."""
        waiting = (batch_job.c.status == Status.PRE_PROCESSED) & batch_job.c.dry_run.is_(True)
        nobody = batch_job.c.confirmed_at.is_(None) & batch_job.c.worker_host.is_(None)
        return self._read(
            select(batch_job).where(waiting, nobody, batch_job.c.pre_processed_at < moment.astimezone(UTC))
        )

    def _read(self, query: Select[Any]) -> list[Job]:
        with self._engine.connect() as connection:
            rows = connection.execute(query.where(batch_job.c.deleted_at.is_(None)).order_by(batch_job.c.id)).all()
        return [Job.model_validate(row) for row in rows]
