"""The checkpoint of a partition as one execution of it sees it; task runners execute a task more than once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, case, exists, func, select, update

from batch_jobs.strategies.sdk.checkpoint import Checkpoint
from batch_jobs.strategies.sdk.database import for_writing
from batch_jobs.strategies.sdk.errors import BatchJobError, ChunkIsIn, Superseded, TargetOlder, count_rows
from batch_jobs.strategies.sdk.partition import OVER, PartitionState, PartitionStatus, plain_entry
from batch_jobs.strategies.sdk.partition_table import partition_table, partitions_with_signals, signal_table, state_of
from batch_jobs.strategies.sdk.result import Counters, ErrorEntry, StatDescriptor, add_up
from batch_jobs.strategies.sdk.sessions import Session, write_past_lost_attempts

#: How often a partition is begun without a chunk committed, before it is given up.
EXECUTIONS = 3

TABLE = partition_table.c
SIGNAL = signal_table.c


class PartitionAbandoned(BatchJobError):
    """A partition was begun some times, and each time its process was gone before it committed a chunk."""

    def __init__(self, state: PartitionState) -> None:
        done = f"{count_rows(state.counters.advanced)} of it are in"
        super().__init__(
            f"it was begun {EXECUTIONS} times and lost each time before it committed a chunk, at last by {state.where};"
            f" {done}. The log of that process, or of its machine's memory, may say why"
        )


class PartitionCheckpoints:
    """The checkpoint of one partition; a chunk commits only for the last execution of the last attempt.

    Args:
        engine: the target database, whose sessions are called as ``session`` says.
        session: which execution this is.
        where: the host and the pid of this process.
        stop_if_asked: called while a lock is waited for; raises when the waiting is to end.
    """

    def __init__(
        self, engine: Engine, session: Session, where: tuple[str, int], stop_if_asked: Callable[[], None] = lambda: None
    ) -> None:
        self._engine = engine
        self._job_id = session.job_id
        self._claim = session.claim
        self._stop_if_asked = stop_if_asked
        self._session = session
        self._where = where
        self._execution: int | None = None
        #: Why to stop at this chunk edge, as the last chunk found it.
        self.asked_to_stop: str | None = None
        self._row = (TABLE.job_id == session.job_id) & (TABLE.partition == session.partition)
        self._signal = (SIGNAL.job_id == session.job_id) & (SIGNAL.partition == session.partition)
        asked = select(SIGNAL.stop).where(self._signal, SIGNAL.stop_claim == session.claim)
        self._asked_to_stop = asked.scalar_subquery()

    def state(self) -> PartitionState:
        """The partition as it stands."""
        with self._engine.connect() as connection:
            row = connection.execute(partitions_with_signals(self._row)).one_or_none()
        if row is None:
            raise TargetOlder(self._job_id)
        return state_of(row)

    def take(self) -> Checkpoint:
        """Become the execution that may write, the first time it is called; return where the partition stands.

        Raises:
            Superseded: a later attempt has the job, or a later execution this partition; or it is done.
            PartitionAbandoned: it was taken too often and never came further.
            TargetLocked: somebody else has the row locked.
        """
        if self._execution is None:
            taken = write_past_lost_attempts(self._engine, self._session, self._stop_if_asked, self._raise_execution)
            if isinstance(taken, PartitionAbandoned):
                raise taken
            self._execution = taken
        return self.load()

    def load(self) -> Checkpoint:
        """Where the partition stands; reads only."""
        with self._engine.connect() as connection:
            row = connection.execute(
                select(TABLE.chunk_number, TABLE.cursor, TABLE.counters).where(self._row)
            ).one_or_none()
        if row is None:
            raise TargetOlder(self._job_id)
        return Checkpoint(row.chunk_number, row.cursor, Counters.model_validate(row.counters))

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction on the target that no later attempt and no later execution can overlap.

        Raises:
            Superseded: there is one; nothing was written.
            TargetOlder: the target was restored meanwhile; nothing was written.
        """
        with for_writing(self._engine.connect()) as connection, connection.begin():
            self._require_mine(connection)
            yield connection

    def save(self, connection: Connection, checkpoint: Checkpoint) -> None:
        """Write the checkpoint in the chunk's own transaction; it follows the last one.

        Raises:
            ChunkIsIn: the chunk before got no answer to its commit, and is in: this one does not follow it.
        """
        following = (
            update(partition_table)
            .where(self._mine_still, TABLE.chunk_number == checkpoint.chunk_number - 1)
            .values(
                chunk_number=checkpoint.chunk_number,
                cursor=checkpoint.cursor,
                counters=checkpoint.counters.model_dump(),
                heartbeat=func.now(),
                fruitless=0,
            )
            .returning(self._asked_to_stop)
        )
        written = connection.execute(following).first()
        if written is None:
            raise ChunkIsIn(self._job_id, checkpoint.chunk_number)
        self.asked_to_stop = written[0]

    def stop_reason(self) -> str | None:
        """Why to stop at this chunk edge: what the process asks that has the job, or ``superseded``."""
        with self._engine.connect() as connection:
            row = connection.execute(
                select(TABLE.claim, TABLE.execution, self._asked_to_stop.label("stop")).where(self._row)
            ).one_or_none()
        if row is None or row.claim != self._claim or self._execution not in (None, row.execution):
            return "superseded"
        reason: str | None = row.stop
        return reason

    def elsewhere(self) -> Counters:
        """What the job's other partitions have counted so far."""
        others = (TABLE.job_id == self._job_id) & (TABLE.partition != self._session.partition)
        with self._engine.connect() as connection:
            return add_up(map(Counters.model_validate, connection.scalars(select(TABLE.counters).where(others))))

    def beat(self) -> bool:
        """Give a sign of life, also while a chunk is open. Returns whether the partition is still ours."""
        is_ours = exists().where(self._mine_still)
        with for_writing(self._engine.connect()) as connection, connection.begin():
            beaten = update(signal_table).where(self._signal, is_ours).values(heartbeat=func.now())
            return connection.execute(beaten).rowcount == 1

    def end(
        self,
        status: PartitionStatus,
        described: list[StatDescriptor],
        error: ErrorEntry | None = None,
        may_pass: bool = False,
    ) -> None:
        """Note how this execution ended, unless it is not the last one any more."""
        values = {
            "status": status,
            "described": [entry.model_dump(mode="json") for entry in described],
            "error": error.model_dump(mode="json") if error else None,
            "may_pass": may_pass,
            "heartbeat": func.now(),
            "ended_at": func.now(),
        }
        with for_writing(self._engine.connect()) as connection, connection.begin():
            connection.execute(update(partition_table).where(self._mine_still).values(values))

    @property
    def _mine_still(self) -> Any:
        return self._row & (TABLE.claim == self._claim) & (TABLE.execution == self._execution)

    def _require_mine(self, connection: Connection) -> None:
        row = connection.execute(select(TABLE.claim, TABLE.execution).where(self._row).with_for_update()).one_or_none()
        if row is None or row.claim < self._claim:
            raise TargetOlder(self._job_id)
        if row.claim > self._claim or row.execution != self._execution:
            raise Superseded(self._job_id, row.claim if row.claim > self._claim else None)

    def _raise_execution(self, connection: Connection) -> int | PartitionAbandoned:
        host, pid = self._where
        locked = partitions_with_signals(self._row).with_for_update(of=partition_table)
        row = connection.execute(locked).one_or_none()
        if row is None or row.claim < self._claim:
            raise TargetOlder(self._job_id)
        if row.claim > self._claim or row.status in OVER:
            raise Superseded(self._job_id, row.claim)
        if row.fruitless >= EXECUTIONS:
            abandoned = PartitionAbandoned(state_of(row))
            why = plain_entry(abandoned).model_dump(mode="json")
            failed = {"status": PartitionStatus.FAILED, "error": why, "ended_at": func.now()}
            connection.execute(update(partition_table).where(self._row).values(failed))
            return abandoned
        connection.execute(
            update(partition_table)
            .where(self._row)
            .values(
                status=PartitionStatus.RUNNING,
                execution=TABLE.execution + 1,
                fruitless=TABLE.fruitless + 1,
                host=host,
                pid=pid,
                heartbeat=func.now(),
                started_at=case((TABLE.started_at.is_(None), func.now()), else_=TABLE.started_at),
                ended_at=None,
            )
        )
        return int(row.execution) + 1
