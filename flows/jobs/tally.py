"""How many jobs there are of a kind: read from the rows that the database's triggers write, which are kept few here."""

import logging
from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, Engine, and_, delete, func, insert, select, true
from sqlalchemy.exc import DBAPIError

from batch_jobs.flows.jobs.table import batch_job, batch_job_tally
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.strategies.sdk.database import database_of, for_reading, for_writing

#: Rows that are summed as they are; of more, those of one kind are made one.
ROWS = 500
LOCK = "batch_job_tally"

logger = logging.getLogger(__name__)

_KIND = tuple(batch_job_tally.c[name] for name in ("type", "status", "trigger", "created_by"))
_COLUMNS = [*(column.name for column in _KIND), "jobs"]
_JOBS = func.sum(batch_job_tally.c.jobs)
_LIVE = (
    select(*(batch_job.c[column.name] for column in _KIND), func.count())
    .where(batch_job.c.deleted_at.is_(None))
    .group_by(*(batch_job.c[column.name] for column in _KIND))
)
_gone = delete(batch_job_tally).returning(*_KIND, batch_job_tally.c.jobs).cte("gone")
_SUM_UP = insert(batch_job_tally).from_select(
    _COLUMNS,
    select(*(_gone.c[column.name] for column in _KIND), func.sum(_gone.c.jobs))
    .group_by(*(_gone.c[column.name] for column in _KIND))
    .having(func.sum(_gone.c.jobs) != 0),
)


class JobTally:
    """The tally of jobs in the job database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reading = for_reading(engine)
        self._bearable = ROWS

    def count(self, conditions: Sequence[ColumnElement[bool]]) -> int:
        """How many jobs there are of the kinds that meet the conditions, which are on columns of the tally."""
        of_kind = func.coalesce(_JOBS.filter(and_(true(), *conditions)), 0)
        with self._reading.connect() as connection:
            jobs, rows = connection.execute(select(of_kind, func.count()).select_from(batch_job_tally)).one()
        if rows > self._bearable:
            self._compact_if_possible()
        return int(jobs)

    def by_status(self) -> dict[tuple[str, Status], int]:
        """How many jobs there are of each type in each status."""
        kind = (batch_job_tally.c.type, batch_job_tally.c.status)
        query = select(*kind, _JOBS).group_by(*kind).having(_JOBS > 0)
        with self._reading.connect() as connection:
            return {(batch_type, Status(status)): int(jobs) for batch_type, status, jobs in connection.execute(query)}

    def compact(self) -> int:
        """Make one row of those of each kind, and return how many there are then.

        Nobody who writes or counts jobs waits for it; of two at once one does nothing.
        """
        with for_writing(self._engine.connect()) as connection, connection.begin():
            if _has_many_rows_of_a_kind(connection) and database_of(connection).try_lock(connection, LOCK):
                connection.execute(_SUM_UP)
            return int(connection.scalar(select(func.count()).select_from(batch_job_tally)) or 0)

    def recount(self) -> None:
        """Count the jobs, should somebody have written them past the triggers: a restored dump, a REPLACE in SQLite."""
        fresh = insert(batch_job_tally).from_select(_COLUMNS, _LIVE)
        old = delete(batch_job_tally)
        with for_writing(self._engine.connect()) as connection, connection.begin():
            if _has_many_rows_of_a_kind(connection):
                database_of(connection).lock(connection, LOCK)
                # one statement sees one moment: what is written meanwhile has rows that are neither counted nor removed
                connection.execute(fresh.add_cte(old.cte("old")))
            else:
                connection.execute(old)
                connection.execute(fresh)

    def _compact_if_possible(self) -> None:
        try:
            self._bearable = ROWS + 2 * self.compact()
        except DBAPIError as error:  # the number is right without
            logger.warning("the tally of jobs could not be compacted: %s", error.orig)


def _has_many_rows_of_a_kind(connection: Connection) -> bool:
    return not database_of(connection).is_embedded
