"""The partitions of a job in the target database: planned once, taken by whoever works on them, read by all."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    DateTime,
    Engine,
    Integer,
    Select,
    String,
    Table,
    delete,
    func,
    inspect,
    select,
    update,
)

from batch_jobs.strategies.sdk.checkpoint import create_table, metadata
from batch_jobs.strategies.sdk.database import for_writing
from batch_jobs.strategies.sdk.partition import OVER, Partition, PartitionState, PartitionStatus
from batch_jobs.strategies.sdk.result import Counters, ErrorEntry, StatDescriptor
from batch_jobs.strategies.sdk.sessions import Session, write_past_lost_attempts

partition_table = Table(
    "batch_job_partition",
    metadata,
    Column("job_id", String(64), primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("name", String(255), nullable=False),
    Column("plan", JSON),
    Column("rows", BigInteger),
    Column("status", String(16), nullable=False),
    # the job's claim, as in its checkpoint, and how often the partition was taken: who writes has to have both
    Column("claim", BigInteger, nullable=False),
    Column("execution", Integer, nullable=False),
    # how often it was taken since it last committed a chunk
    Column("fruitless", Integer, nullable=False),
    Column("host", String(255)),
    Column("pid", Integer),
    Column("heartbeat", DateTime(timezone=True)),
    Column("chunk_number", Integer, nullable=False),
    Column("cursor", JSON),
    Column("counters", JSON, nullable=False),
    Column("described", JSON, nullable=False),
    Column("error", JSON),
    # whether the strategy says of the error that it may pass
    Column("may_pass", Boolean, nullable=False),
    Column("started_at", DateTime(timezone=True)),
    Column("ended_at", DateTime(timezone=True)),
)

#: What the process that works on a partition and the one that has the job let each other know; apart from the
#: partition, whose row is locked for as long as a chunk is open.
signal_table = Table(
    "batch_job_partition_signal",
    metadata,
    Column("job_id", String(64), primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("heartbeat", DateTime(timezone=True)),
    # why to stop at the next chunk edge, and the claim of the attempt that asks its own processes to
    Column("stop", String(16)),
    Column("stop_claim", BigInteger),
)

NEW: dict[str, Any] = {
    "status": PartitionStatus.WAITING,
    "fruitless": 0,
    "chunk_number": 0,
    "counters": Counters().model_dump(),
    "described": [],
    "may_pass": False,
}
#: What another attempt finds of a partition that is not done.
AGAIN: dict[str, Any] = {
    "status": PartitionStatus.WAITING,
    "fruitless": 0,
    "error": None,
    "may_pass": False,
    "ended_at": None,
}


class PartitionTable:
    """The partitions of one job, as the attempt has them that the job is claimed by.

    Args:
        engine: the target database.
        job_id: the job.
        claim: the fencing token of this attempt.
        stop_if_asked: called while a lock is waited for; raises when the waiting is to end.
    """

    def __init__(
        self, engine: Engine, job_id: str, claim: int, stop_if_asked: Callable[[], None] = lambda: None
    ) -> None:
        self._engine = engine
        self._job_id = job_id
        self._claim = claim
        self._stop_if_asked = stop_if_asked
        self._of_job = partition_table.c.job_id == job_id
        self._is_made = False

    def make(self) -> None:
        """Create the tables where they are not there."""
        create_table(self._engine, signal_table)  # before the one by whose presence others know that there are both
        create_table(self._engine, partition_table)

    def plan(self, connection: Connection, partitions: Sequence[Partition]) -> None:
        """Write all partitions, in place of any there were, in a transaction in which the attempt holds the job."""
        # a process that has slept since may hold an execution of this attempt: none of the new ones may have its number
        taken = connection.scalar(select(func.max(partition_table.c.execution)).where(self._of_job)) or 0
        for table in (partition_table, signal_table):
            connection.execute(delete(table).where(table.c.job_id == self._job_id))
        keys = [{"job_id": self._job_id, "partition": number} for number in range(1, len(partitions) + 1)]
        rows = [
            {
                **key,
                "name": partition.name,
                "plan": partition.plan,
                "rows": partition.rows,
                "claim": self._claim,
                "execution": taken,
                **NEW,
            }
            for key, partition in zip(keys, partitions, strict=True)
        ]
        if rows:
            connection.execute(partition_table.insert(), rows)
            connection.execute(signal_table.insert(), keys)

    def take_over(self) -> None:
        """Go on with what earlier attempts have left, and what has failed or stopped in this one.

        Whoever still works on it for an earlier attempt commits no more chunks.

        Raises:
            TargetLocked: somebody else has a row locked.
        """
        left = self._of_job & (partition_table.c.status != PartitionStatus.COMPLETED)
        is_over = partition_table.c.status.in_((PartitionStatus.FAILED, PartitionStatus.STOPPED))
        again = left & ((partition_table.c.claim < self._claim) | is_over & (partition_table.c.claim == self._claim))
        taken = update(partition_table).where(again).values(AGAIN | {"claim": self._claim})
        write_past_lost_attempts(
            self._engine,
            Session(self._job_id, self._claim),
            self._stop_if_asked,
            lambda connection: connection.execute(taken),
        )

    def read(self) -> list[PartitionState]:
        """All partitions, in their order; none where the job has none."""
        # it is asked for twice a second while partitions run
        self._is_made = self._is_made or inspect(self._engine).has_table(partition_table.name)
        if not self._is_made:
            return []
        with self._engine.connect() as connection:
            rows = connection.execute(partitions_with_signals(self._of_job)).all()
        return [state_of(row) for row in rows]

    def ask_to_stop(self, reason: str) -> None:
        """Have every process that works on a partition of this attempt stop at its next chunk edge."""
        signals = (signal_table.c.job_id == self._job_id) & (func.coalesce(signal_table.c.stop_claim, 0) <= self._claim)
        with for_writing(self._engine.connect()) as connection, connection.begin():
            connection.execute(update(signal_table).where(signals).values(stop=reason, stop_claim=self._claim))

    def fail(self, number: int, error: ErrorEntry) -> None:
        """Note that a partition failed which nobody could take, or whose process could not say so."""
        own = self._of_job & (partition_table.c.partition == number) & (partition_table.c.claim == self._claim)
        with for_writing(self._engine.connect()) as connection, connection.begin():
            connection.execute(
                update(partition_table)
                .where(own, partition_table.c.status.not_in(OVER))
                .values(
                    status=PartitionStatus.FAILED,
                    execution=partition_table.c.execution + 1,
                    error=error.model_dump(mode="json"),
                    ended_at=func.now(),
                )
            )


def partitions_with_signals(which: ColumnElement[bool]) -> Select[Any]:
    """The rows that ``state_of`` reads, in their order."""
    is_its = (signal_table.c.job_id == partition_table.c.job_id) & (
        signal_table.c.partition == partition_table.c.partition
    )
    rows = select(partition_table, signal_table.c.heartbeat.label("beaten")).outerjoin(signal_table, is_its)
    return rows.where(which).order_by(partition_table.c.partition)


def state_of(row: Any) -> PartitionState:
    """A row of the table."""
    return PartitionState(
        number=row.partition,
        name=row.name,
        plan=row.plan,
        rows=row.rows,
        status=PartitionStatus(row.status),
        claim=row.claim,
        execution=row.execution,
        host=row.host,
        pid=row.pid,
        heartbeat=max(filter(None, (row.heartbeat, row.beaten)), default=None),
        chunk_number=row.chunk_number,
        counters=Counters.model_validate(row.counters),
        described=[StatDescriptor.model_validate(entry) for entry in row.described],
        error=ErrorEntry.model_validate(row.error) if row.error else None,
        may_pass=row.may_pass,
        started_at=row.started_at,
        ended_at=row.ended_at,
    )
