"""Which jobs to look at, which page of them, and how many there are; what reconciling asks of all of them."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Select,
    Table,
    and_,
    delete,
    false,
    func,
    insert,
    literal,
    select,
    true,
    tuple_,
)
from sqlalchemy.exc import DBAPIError

from batch_jobs.flows.jobs.model import OPEN_RUN, Job, Trigger
from batch_jobs.flows.jobs.table import batch_job, batch_job_tally
from batch_jobs.flows.jobs.transitions import ENDED, Status
from batch_jobs.strategies.sdk.database import database_of, for_reading, for_writing

#: The columns whose time may be narrowed; the ones of a life that has not got there yet are empty.
TIME_COLUMNS = (
    "created_at",
    "pre_processed_at",
    "confirmed_at",
    "processing_at",
    "paused_at",
    "completed_at",
    "canceled_at",
    "failed_at",
    "updated_at",
)
#: What a page may be ordered by.
ORDER_COLUMNS = ("id", "type", "status", *TIME_COLUMNS)


@dataclass(frozen=True)
class TimeRange:
    """A span of time, or with ``empty`` whether the time is there at all; what is ``None`` does not narrow."""

    lt: datetime | None = None
    gt: datetime | None = None
    lte: datetime | None = None
    gte: datetime | None = None
    empty: bool | None = None

    def of(self, column: ColumnElement[datetime]) -> list[ColumnElement[bool]]:
        """The conditions on a column."""
        bounds = (
            (self.lt, column.__lt__),
            (self.gt, column.__gt__),
            (self.lte, column.__le__),
            (self.gte, column.__ge__),
        )
        conditions = [compare(bound) for bound, compare in bounds if bound is not None]
        if self.empty is not None:
            conditions.append(column.is_(None) if self.empty else column.is_not(None))
        return conditions


@dataclass(frozen=True)
class JobFilter:
    """Which jobs to list; what is ``None`` does not narrow.

    ``ids``, ``types``, ``statuses`` and ``creators`` are any of several; an empty one matches nothing.
    """

    status: Status | None = None
    type: str | None = None
    created_by: str | None = None
    ids: Sequence[str] | None = None
    types: Sequence[str] | None = None
    statuses: Sequence[Status] | None = None
    creators: Sequence[str] | None = None
    trigger: Trigger | None = None
    times: Mapping[str, TimeRange] = field(default_factory=dict)

    def conditions(self) -> list[ColumnElement[bool]]:
        """The conditions that a row of the job table has to meet."""
        columns = batch_job.c
        found = [columns.deleted_at.is_(None), *self._kind(batch_job)]
        found += [] if self.ids is None else [_any_of(columns.id, self.ids)]
        return found + [condition for name, span in self.times.items() for condition in span.of(columns[name])]

    def tally_conditions(self) -> list[ColumnElement[bool]] | None:
        """The conditions that a row of the tally has to meet; ``None`` when it cannot tell how many jobs there are."""
        return None if self.ids is not None or self.times else self._kind(batch_job_tally)

    def _kind(self, table: Table) -> list[ColumnElement[bool]]:
        one = (("status", self.status), ("type", self.type), ("created_by", self.created_by), ("trigger", self.trigger))
        several = (("type", self.types), ("status", self.statuses), ("created_by", self.creators))
        found: list[ColumnElement[bool]] = [table.c[name] == value for name, value in one if value is not None]
        return found + [_any_of(table.c[name], values) for name, values in several if values is not None]


@dataclass(frozen=True)
class Page:
    """A page of a list: how many jobs, in which order, and from where on.

    ``after`` is the place of the last job of the page before, its value in the order's column and its id: jobs that
    are added meanwhile shift no page that begins there (a keyset, as ``offset`` is not).
    """

    limit: int
    offset: int = 0
    order: str = "created_at"
    descending: bool = True
    after: tuple[datetime | str, str] | None = None

    def of(self, query: Select[tuple[object, ...]]) -> Select[tuple[object, ...]]:
        """The part of a query's rows that is this page."""
        place = (batch_job.c[self.order], batch_job.c.id)
        if self.after is not None:
            known = tuple_(literal(self.after[0], place[0].type), literal(self.after[1], place[1].type))
            query = query.where(tuple_(*place) < known if self.descending else tuple_(*place) > known)
        ordered = query.order_by(*(column.desc() if self.descending else column.asc() for column in place))
        return ordered.limit(self.limit).offset(self.offset)


def _any_of(column: ColumnElement[str], values: Sequence[str]) -> ColumnElement[bool]:
    if not values:
        return false()
    return column == values[0] if len(values) == 1 else column.in_(values)


#: Rows that are summed without a thought; of more, those of one kind are made one.
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
    """Reads the rows that the database's triggers write, and keeps them few."""

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
