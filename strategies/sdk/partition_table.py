"""The partitions of a job in the target database: planned once, taken by whoever works on them, read by all."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Engine,
    Integer,
    String,
    Table,
    delete,
    func,
    inspect,
    select,
    update,
)

from batch_jobs.strategies.sdk.checkpoint import create_table, metadata
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
    # why the one that works on it is to stop at its next chunk edge
    Column("stop", String(16)),
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

NEW: dict[str, Any] = {
    "status": PartitionStatus.WAITING,
    "execution": 0,
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
    "stop": None,
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

    def make(self) -> None:
        """Create the table where it is not there."""
        create_table(self._engine, partition_table)

    def plan(self, connection: Connection, partitions: Sequence[Partition]) -> None:
        """Write all partitions, in place of any there were, in a transaction in which the attempt holds the job."""
        connection.execute(delete(partition_table).where(self._of_job))
        rows = [
            {
                "job_id": self._job_id,
                "partition": number,
                "name": partition.name,
                "plan": partition.plan,
                "rows": partition.rows,
                "claim": self._claim,
                **NEW,
            }
            for number, partition in enumerate(partitions, 1)
        ]
        connection.execute(partition_table.insert(), rows)

    def take_over(self) -> None:
        """Have this attempt go on with what earlier ones have left; whoever still works on it commits no more chunks.

        Raises:
            TargetLocked: somebody else has a row locked.
        """
        left = self._of_job & (partition_table.c.status != PartitionStatus.COMPLETED)
        earlier = left & (partition_table.c.claim < self._claim)
        taken = update(partition_table).where(earlier).values(AGAIN | {"claim": self._claim})
        write_past_lost_attempts(
            self._engine,
            Session(self._job_id, self._claim),
            self._stop_if_asked,
            lambda connection: connection.execute(taken),
        )

    def read(self) -> list[PartitionState]:
        """All partitions, in their order; none where the job has none."""
        if not inspect(self._engine).has_table(partition_table.name):
            return []
        with self._engine.connect() as connection:
            rows = connection.execute(
                select(partition_table).where(self._of_job).order_by(partition_table.c.partition)
            ).all()
        return [state_of(row) for row in rows]

    def ask_to_stop(self, reason: str) -> None:
        """Have every process that works on a partition of this attempt stop at its next chunk edge."""
        at_work = self._of_job & partition_table.c.status.not_in(OVER) & (partition_table.c.claim == self._claim)
        with self._engine.begin() as connection:
            connection.execute(update(partition_table).where(at_work).values(stop=reason))

    def fail(self, number: int, error: ErrorEntry) -> None:
        """Note that a partition failed which nobody could take, or whose process could not say so."""
        own = self._of_job & (partition_table.c.partition == number) & (partition_table.c.claim == self._claim)
        with self._engine.begin() as connection:
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
        heartbeat=row.heartbeat,
        chunk_number=row.chunk_number,
        counters=Counters.model_validate(row.counters),
        described=[StatDescriptor.model_validate(entry) for entry in row.described],
        error=ErrorEntry.model_validate(row.error) if row.error else None,
        may_pass=row.may_pass,
        started_at=row.started_at,
        ended_at=row.ended_at,
    )
