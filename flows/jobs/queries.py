"""Which jobs to look at: questions of ``Job`` as SQL, filters and pages of lists, what reconciling looks for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Engine, Select, Table, bindparam, false, literal, or_, select, tuple_

from batch_jobs.flows.jobs.model import OVER, Job, Trigger
from batch_jobs.flows.jobs.named_files import NamedFiles
from batch_jobs.flows.jobs.reading import read_workable_jobs
from batch_jobs.flows.jobs.table import batch_job, batch_job_tally, has_not_ended, has_open_run, is_kept
from batch_jobs.flows.jobs.transitions import RUNNABLE, Status

# The questions of the same names that ``Job`` answers for a row that was read.
has_worker = batch_job.c.worker_host.is_not(None)
may_go_on = batch_job.c.status.in_(sorted(RUNNABLE)) & ~has_worker
waits_for_prefect = may_go_on & or_(
    batch_job.c.flow_run_id.is_(None),
    (batch_job.c.status != Status.CREATED)
    & or_(batch_job.c.flow_run_state.is_(None), batch_job.c.flow_run_state.in_(["PAUSED", *OVER])),
)
awaits_confirmation = (
    (batch_job.c.status == Status.PRE_PROCESSED)
    & batch_job.c.dry_run.is_(True)
    & batch_job.c.confirmed_at.is_(None)
    & ~has_worker
)
waits_for_its_turn = batch_job.c.queue_key.is_not(None) & batch_job.c.active_key.is_(None)


def _finding(owned: bool, typed: bool) -> Select[Any]:
    query = select(batch_job).where(batch_job.c.id == bindparam("id"), is_kept)
    query = query.where(batch_job.c.created_by == bindparam("creator")) if owned else query
    return query.where(batch_job.c.type.in_(bindparam("types", expanding=True))) if typed else query


#: (of a person, of some types) -> the statement that finds a job: the one asked most often, so it is made once.
FIND = {(owned, typed): _finding(owned, typed) for owned in (False, True) for typed in (False, True)}


def queued_before(job: Job) -> ColumnElement[bool]:
    """The jobs of its key that wait for their turn and are older."""
    queued = (batch_job.c.queue_key == job.queue_key) & (batch_job.c.status == Status.CREATED)
    return queued & waits_for_its_turn & is_kept & (batch_job.c.id < job.id)


#: The times that a list may be narrowed by; one that the job has not come to yet is empty.
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
    belongs_to: str | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """The conditions that a row of the job table has to meet."""
        columns = batch_job.c
        found = [is_kept, *self._kind(batch_job)]
        found += [] if self.ids is None else [_any_of(columns.id, self.ids)]
        found += [] if self.belongs_to is None else [columns.belongs_to == self.belongs_to]
        return found + [condition for name, span in self.times.items() for condition in span.of(columns[name])]

    def tally_conditions(self) -> list[ColumnElement[bool]] | None:
        """The conditions that a row of the tally has to meet; ``None`` when the tally has no such count."""
        is_tallied = self.ids is None and self.belongs_to is None and not self.times
        return self._kind(batch_job_tally) if is_tallied else None

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


class OpenJobs:
    """Finds jobs that something may have to be done about, oldest first."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def waiting_for_prefect(self) -> list[Job]:
        """Jobs that may go on and that no Prefect run is on its way to go on with."""
        return self._find(waits_for_prefect)

    def with_open_runs(self) -> list[Job]:
        """Jobs whose Prefect run had not ended when it was last looked at, also where the job itself has."""
        return self._find(has_open_run)

    def with_workers(self) -> list[Job]:
        """Jobs that a process is said to be working on."""
        return self._find(has_not_ended & has_worker)

    def unconfirmed_since(self, moment: datetime) -> list[Job]:
        """Jobs that have awaited their confirmation since before a moment."""
        return self._find(awaits_confirmation & (batch_job.c.pre_processed_at < moment.astimezone(UTC)))

    def named_files(self) -> NamedFiles:
        """The files that the contexts of jobs that have not ended name."""
        query = select(batch_job.c.context).where(is_kept, has_not_ended)
        with self._engine.connect() as connection:
            return NamedFiles(connection.scalars(query.execution_options(yield_per=1_000)))

    def _find(self, wanted: ColumnElement[bool]) -> list[Job]:
        query = select(batch_job).where(is_kept, wanted).order_by(batch_job.c.id)
        with self._engine.connect() as connection:
            return read_workable_jobs(connection, query)
