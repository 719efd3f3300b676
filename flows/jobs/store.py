"""Every statement on the job table. A change is a compare-and-set on ``version`` that writes its event with it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Select, delete, func, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from batch_jobs.flows.database import Tries, again_when_lost
from batch_jobs.flows.errors import ActionIllegal, JobActive, JobMoved, JobUnknown, JobUnreadable
from batch_jobs.flows.jobs.model import Job, JobEvent, Trigger
from batch_jobs.flows.jobs.process_identity import ProcessIdentity
from batch_jobs.flows.jobs.queries import FIND, JobFilter, OpenJobs, Page, queued_before
from batch_jobs.flows.jobs.reading import read_job, read_jobs, without_partitions
from batch_jobs.flows.jobs.table import batch_job, batch_job_event, batch_job_secret, has_not_ended, is_kept
from batch_jobs.flows.jobs.tally import JobTally
from batch_jobs.flows.jobs.transitions import STOPPED, TRANSITIONS, Action, Status
from batch_jobs.strategies.sdk.database import for_reading, for_writing
from batch_jobs.strategies.sdk.result import JobResult
from batch_jobs.strategies.sdk.sample import HEADER

#: What makes a job follow no Prefect run any more.
NO_RUN: dict[str, Any] = dict.fromkeys(("flow_run_id", "flow_run_state", "flow_run_state_name"))
#: From these no run comes back to need the secrets of its context.
SECRETS_END = (Status.COMPLETED, Status.CANCELED)


@dataclass(frozen=True)
class NewJob:
    """What a job is made from."""

    id: str
    type: str
    strategy: str
    context: dict[str, Any]
    dry_run: bool
    trigger: Trigger
    created_by: str | None = None
    idempotency_key: str | None = None
    start_at: datetime | None = None
    queue_key: str | None = None
    active_key: str | None = None
    traceparent: str | None = None
    worker: ProcessIdentity | None = None
    #: What the API key that asked is for; ``None`` for all tables.
    tables: list[str] | None = None
    #: How many partitions are worked on at a time; ``None`` for the setting's number.
    partitions: int | None = None
    #: The secrets of the context, sealed; ``context`` has none.
    sealed: str | None = None
    #: The job whose rows it corrects.
    belongs_to: str | None = None


def owner(worker: ProcessIdentity | None) -> dict[str, Any]:
    """The columns that name the process which runs a job, empty for nobody."""
    if worker is None:
        return {"worker_host": None, "worker_pid": None, "worker_started_at": None}
    return {"worker_host": worker.host, "worker_pid": worker.pid, "worker_started_at": worker.started_at}


class JobStore:
    """The rows of the job table, read and changed.

    A change whose connection was lost is made again on a new one; where it was committed and only the answer was lost,
    that is seen by the row's version and who changed it.
    """

    def __init__(self, engine: Engine) -> None:
        self.tally = JobTally(engine)
        self.open_jobs = OpenJobs(engine)
        self._engine = engine
        self._reading = for_reading(engine)

    @again_when_lost
    def insert(self, new: NewJob, who: str) -> Job | None:
        """Add a row, or return ``None`` when one with its id, idempotency key or active key is there."""
        try:
            with self._writing() as connection:
                return self._insert(connection, new, who)
        except IntegrityError:
            return None

    def replace(self, job: Job, new: NewJob, *, who: str, why: str) -> Job | None:
        """Cancel a job as it was read and add one in its place, both or neither.

        Args:
            job: the job as read.
            new: in its place.
            who: does it.
            why: for the history of the canceled one.

        Returns:
            The new one, ``None`` when one with its id, idempotency key or active key is there.

        Raises:
            ActionIllegal: the job has ended.
            JobMoved: it was changed since it was read.
        """
        if (status := TRANSITIONS[job.status].get(Action.CANCEL)) is None or status is job.status:
            raise ActionIllegal(job.id, job.status, Action.CANCEL)

        def record(connection: Connection, canceled: Job) -> None:
            _record(connection, canceled, Action.CANCEL, job.status, who, why)
            connection.execute(delete(batch_job_secret).where(batch_job_secret.c.job_id == job.id))
            self._insert(connection, new, who)

        def is_made(now: Job) -> bool:
            return now.status is status and self._one(select(batch_job).where(batch_job.c.id == new.id)) is not None

        try:
            self._written(job, {"status": status, **_effects(job, status)}, is_made, record)
        except IntegrityError:
            return None
        return self.get(new.id)

    @again_when_lost
    def get(self, job_id: str) -> Job:
        """Return a job.

        Raises:
            JobUnknown: there is none.
        """
        with self._reading.connect() as connection:
            return self._read(connection, job_id)

    @again_when_lost
    def find(self, job_id: str, created_by: str | None, types: Sequence[str] | None) -> Job:
        """Return a job, of a person or of some types where these are given; ``JobUnknown`` where there is none."""
        query = FIND[created_by is not None, types is not None]
        given: dict[str, Any] = {"id": job_id}
        given |= {"creator": created_by} if created_by is not None else {}
        given |= {"types": list(types)} if types is not None else {}
        job = self._one(query, given)
        if job is None:
            raise JobUnknown(job_id)
        return job

    @again_when_lost
    def by_idempotency_key(self, key: str) -> Job | None:
        """Return the job made with this key."""
        return self._one(select(batch_job).where(batch_job.c.idempotency_key == key))

    def newest(self, wanted: JobFilter, limit: int, before: Job | None = None) -> list[Job]:
        """Return the newest jobs first, ``limit`` at most, from the one before which they were made on."""
        return self.page(wanted, Page(limit, after=(before.created_at, before.id) if before else None))

    def page(self, wanted: JobFilter, page: Page) -> list[Job]:
        """Return a page of the jobs that the filter lets through, without their partitions."""
        query = page.of(select(batch_job).where(*wanted.conditions()))
        with self._reading.connect() as connection:
            return read_jobs(connection, query, without_partitions)

    def of_ids(self, ids: Sequence[str]) -> list[Job]:
        """Return the jobs of some ids, as far as there are such."""
        with self._reading.connect() as connection:
            return read_jobs(connection, select(batch_job).where(batch_job.c.id.in_(ids), is_kept))

    def naming(self, batch_type: str, field: str, value: str) -> list[Job]:
        """Return the jobs of a type whose context has this text in a field, the newest first."""
        is_such = (batch_job.c.type == batch_type, batch_job.c.context[field].as_string() == value, is_kept)
        with self._reading.connect() as connection:
            return read_jobs(connection, select(batch_job).where(*is_such).order_by(batch_job.c.id.desc()))

    def of_header(self, batch_type: str, created_by: str, header: str) -> Job | None:
        """Return the newest job of a type and a person whose file had these columns, see ``header_of``."""
        is_such = (batch_job.c.type == batch_type, batch_job.c.created_by == created_by, batch_job.c.header == header)
        newest = select(batch_job).where(*is_such, is_kept).order_by(batch_job.c.id.desc()).limit(1)
        return self._one(newest)

    def count(self, wanted: JobFilter) -> int:
        """How many jobs the filter lets through."""
        tallied = wanted.tally_conditions()
        if tallied is not None:
            return self.tally.count(tallied)
        query = select(func.count()).select_from(batch_job).where(*wanted.conditions())
        with self._reading.connect() as connection:
            return int(connection.scalars(query).one())

    @again_when_lost
    def sealed(self, job_id: str) -> str | None:
        """The sealed secrets of a job's context, ``None`` when it has none."""
        query = select(batch_job_secret.c.sealed).where(batch_job_secret.c.job_id == job_id)
        with self._engine.connect() as connection:
            return connection.scalar(query)

    def by_active_key(self, key: str) -> Job | None:
        """Return the job that holds this key and has not ended."""
        return self._one(select(batch_job).where(batch_job.c.active_key == key, has_not_ended))

    def ahead_of(self, job: Job) -> Job | None:
        """Return the job that a queued one waits for: the active one of its key, or the oldest that waits before it."""
        before = queued_before(job)
        active = (batch_job.c.active_key == job.queue_key) & has_not_ended
        query = select(batch_job).where(active | before).order_by(batch_job.c.active_key.is_(None), batch_job.c.id)
        return self._one(query.limit(1))

    @again_when_lost
    def activate(self, job: Job) -> Job | None:
        """Give a queued job its turn; ``None`` while an active or an older waiting one of its key is there."""
        try:
            with self._writing() as connection:
                if connection.execute(select(batch_job.c.id).where(queued_before(job)).limit(1)).first() is not None:
                    return None
                self._change(connection, job, active_key=job.queue_key)
                return self._read(connection, job.id)
        except IntegrityError:
            return None

    @again_when_lost
    def events(self, job_id: str, after: int = 0) -> list[JobEvent]:
        """Return a job's history, oldest first; with ``after`` what follows the event of this id."""
        wanted = (batch_job_event.c.job_id == job_id, batch_job_event.c.id > after)
        query = select(batch_job_event).where(*wanted).order_by(batch_job_event.c.id)
        with self._reading.connect() as connection:
            return [JobEvent.model_validate(row) for row in connection.execute(query)]

    def move(self, job: Job, action: Action, *, who: str, why: str | None = None, **values: Any) -> Job:
        """Apply an action to the job as it was read, and write its event in the same transaction.

        Args:
            job: the job as read; the change is refused when it has changed since.
            action: what to do.
            who: the person or part that does it.
            why: the reason, for the history.
            values: more columns to set with it.

        Raises:
            ActionIllegal: the action is not possible in the job's status.
            JobMoved: the job was changed since it was read.
            JobActive: it would be active again, and another one holds its key.
        """
        status = TRANSITIONS[job.status].get(action)
        if status is None:
            raise ActionIllegal(job.id, job.status, action)
        if status is job.status:
            return job
        try:
            return self._changed(job, action, who, why, status=status, **{**_effects(job, status), **values})
        except IntegrityError:
            other = self.by_active_key(job.active_key or "")
            if other is None:
                raise JobMoved(job.id) from None
            raise JobActive(job.type, other.id, other.status) from None

    def note(self, job: Job, action: str, *, who: str, why: str | None = None, **values: Any) -> Job:
        """Write something into the history that leaves the status as it is, and set columns with it.

        Raises:
            JobMoved: the job was changed since it was read.
        """
        return self._changed(job, action, who, why, **values)

    def claim(self, job: Job, worker: ProcessIdentity, flow_run_id: str | None) -> Job:
        """Make a process the one that runs the job; of two that try at once one gets ``JobMoved``."""
        claim = max(job.version, job.claim or 0) + 1
        values = {
            "claim": claim,
            "flow_run_id": flow_run_id,
            "flow_run_state": "RUNNING" if flow_run_id else None,
            "flow_run_state_name": "Running" if flow_run_id else None,
            "heartbeat_at": datetime.now(UTC),
        }
        return self._written(
            job, {**owner(worker), **values}, lambda now: (now.claim, now.worker) == (values["claim"], worker)
        )

    def release(self, job: Job, **values: Any) -> Job:
        """Take the process off a job that waits for a person."""
        return self._written(job, {**owner(None), **values}, lambda now: now.worker is None)

    @again_when_lost
    def beat(self, job_id: str, claim: int) -> bool:
        """Record that the process which runs the job lives; ``False`` when a later attempt has the job."""
        with self._writing() as connection:
            beat = update(batch_job).where(_claimed(job_id, claim)).values(heartbeat_at=datetime.now(UTC))
            return connection.execute(beat).rowcount == 1

    @again_when_lost
    def save_result(self, job_id: str, claim: int, result: JobResult, plan: dict[str, Any]) -> bool:
        """Save what the run reports; ``False`` when a later attempt has the job."""
        values = {
            "result": result.model_dump(mode="json"),
            "plan": plan,
            "header": plan.get(HEADER),
            "heartbeat_at": datetime.now(UTC),
            "updated_at": datetime.now(UTC),
        }
        with self._writing() as connection:
            saved = connection.execute(update(batch_job).where(_claimed(job_id, claim)).values(values))
        return saved.rowcount == 1

    @again_when_lost
    def status_and_claim(self, job_id: str) -> tuple[Status, int | None]:
        """Return the two that a run looks at, at each chunk edge."""
        with self._reading.connect() as connection:
            row = connection.execute(
                select(batch_job.c.status, batch_job.c.claim).where(batch_job.c.id == job_id)
            ).one()
        try:
            return Status(row.status), row.claim
        except ValueError:
            raise JobUnreadable(job_id, [f"status ({row.status!r})"]) from None

    @again_when_lost
    def set_flow_run(self, job: Job, flow_run_id: str) -> None:
        """Note which Prefect run is to run the job, unless a process has taken it meanwhile."""
        run = {"flow_run_id": flow_run_id, "flow_run_state": "SCHEDULED", "flow_run_state_name": "Scheduled"}
        with self._writing() as connection:
            connection.execute(update(batch_job).where(_unchanged(job)).values(**run))

    @again_when_lost
    def set_flow_run_state(self, flow_run_id: str, state: str, state_name: str | None) -> None:
        """Note the state that a Prefect run is in."""
        values = {"flow_run_state": state, "flow_run_state_name": state_name}
        with self._writing() as connection:
            connection.execute(update(batch_job).where(batch_job.c.flow_run_id == flow_run_id).values(values))

    def by_flow_run(self, flow_run_id: str) -> Job | None:
        """Return the job that a Prefect run runs."""
        return self._one(select(batch_job).where(batch_job.c.flow_run_id == flow_run_id))

    @again_when_lost
    def _one(self, query: Select[Any], given: Mapping[str, Any] | None = None) -> Job | None:
        with self._reading.connect() as connection:
            return read_job(connection, query, given)

    def _changed(self, job: Job, action: str, who: str, why: str | None, **values: Any) -> Job:
        def record(connection: Connection, changed: Job) -> None:
            _record(connection, changed, action, job.status, who, why)
            if changed.status in SECRETS_END:
                connection.execute(delete(batch_job_secret).where(batch_job_secret.c.job_id == job.id))

        def is_made(now: Job) -> bool:
            last = self.events(now.id)[-1]
            return (last.version, last.action, last.who) == (now.version, action, who)

        return self._written(job, values, is_made, record)

    def _written(
        self,
        job: Job,
        values: Mapping[str, Any],
        is_made: Callable[[Job], bool],
        record: Callable[[Connection, Job], None] = lambda _connection, _changed: None,
    ) -> Job:
        """Change the row as it was read, and write more in the same transaction.

        Args:
            job: the row as it was read.
            values: the columns to set.
            is_made: whether a row of the next version is this change, whose commit got no answer.
            record: what else is to be written.
        """
        tries = Tries()
        while True:
            try:
                with self._writing() as connection:
                    self._change(connection, job, **values)
                    changed = self._read(connection, job.id)
                    record(connection, changed)
                return changed
            except DBAPIError as error:
                if not tries.go_on(error):
                    raise
            now = self.get(job.id)
            if now.version == job.version + 1 and is_made(now):
                return now

    def _insert(self, connection: Connection, new: NewJob, who: str) -> Job:
        now = datetime.now(UTC)
        fixed = {"status": Status.CREATED, "attempt": 1, "version": 1, "created_at": now, "updated_at": now}
        given = {name: value for name, value in vars(new).items() if name not in ("worker", "sealed")}
        result = JobResult().model_dump(mode="json")
        connection.execute(insert(batch_job).values(**given, **fixed, **owner(new.worker), result=result))
        if new.sealed is not None:
            connection.execute(insert(batch_job_secret).values(job_id=new.id, sealed=new.sealed))
        job = self._read(connection, new.id)
        _record(connection, job, "create", None, who, None)
        return job

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with for_writing(self._engine.connect()) as connection, connection.begin():
            yield connection

    def _read(self, connection: Connection, job_id: str) -> Job:
        job = read_job(connection, select(batch_job).where(batch_job.c.id == job_id, is_kept))
        if job is None:
            raise JobUnknown(job_id)
        return job

    def _change(self, connection: Connection, job: Job, **values: Any) -> None:
        marks = {"version": job.version + 1, "updated_at": datetime.now(UTC)}
        changed = connection.execute(update(batch_job).where(_unchanged(job)).values(**values, **marks))
        if changed.rowcount != 1:
            raise JobMoved(job.id)


def _unchanged(job: Job) -> ColumnElement[bool]:
    """The job's row, unless it was changed since it was read."""
    return (batch_job.c.id == job.id) & (batch_job.c.version == job.version)


def _claimed(job_id: str, claim: int) -> ColumnElement[bool]:
    """The job's row, unless a later attempt has the job."""
    return (batch_job.c.id == job_id) & (batch_job.c.claim == claim)


def _effects(job: Job, status: Status) -> dict[str, Any]:
    """What reaching a status sets beside it."""
    if status is Status.CREATED:
        unstarted = {"failed_at": None, **NO_RUN}
        # a job that had to queue queues again
        queued = {"active_key": None} if job.queue_key is not None else {}
        return {**unstarted, **queued, "attempt": job.attempt + 1}
    reached = {f"{status}_at": datetime.now(UTC)}
    return {**reached, **owner(None)} if status in STOPPED else reached


def _record(
    connection: Connection, job: Job, action: str, from_status: Status | None, who: str, why: str | None
) -> None:
    event = {
        "job_id": job.id,
        "at": datetime.now(UTC),
        "action": action,
        "from_status": from_status,
        "to_status": job.status,
    }
    connection.execute(
        insert(batch_job_event).values(**event, who=who, why=why, attempt=job.attempt, version=job.version)
    )
