"""The checkpoint of a job, kept in the target database so that it commits together with the rows it stands for."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Connection,
    DateTime,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    inspect,
    select,
    update,
)

from batch_jobs.strategies.sdk.database import database_of, for_writing
from batch_jobs.strategies.sdk.errors import ChunkIsIn, Superseded, TargetOlder
from batch_jobs.strategies.sdk.result import Counters
from batch_jobs.strategies.sdk.sessions import Session, write_past_lost_attempts

metadata = MetaData()

#: The job as a whole; what its partitions have done is in a table of its own.
WHOLE = 0

checkpoint_table = Table(
    "batch_job_checkpoint",
    metadata,
    Column("job_id", String(64), primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("token", BigInteger, nullable=False),
    Column("chunk_number", Integer, nullable=False),
    Column("cursor", JSON),
    Column("counters", JSON, nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)


@dataclass(frozen=True)
class Checkpoint:
    """The last chunk committed: its number from 1 (0: none yet), its cursor, and the counts up to and with it."""

    chunk_number: int
    cursor: Any
    counters: Counters


def create_table(engine: Engine, table: Table) -> None:
    """Create a table of ours where it is not there; the first jobs of a target may come at the same moment."""
    if inspect(engine).has_table(table.name):
        return
    with for_writing(engine.connect()) as connection, connection.begin():
        database_of(connection).lock(connection, table.name)
        table.create(connection, checkfirst=True)


class Checkpoints(Protocol):
    """The checkpoint that a run goes by: of a job as a whole, or of one of its partitions."""

    def take(self) -> Checkpoint:
        """Take the right to write and return where the work stands."""

    def load(self) -> Checkpoint:
        """Return where the work stands; reads only."""

    def transaction(self) -> AbstractContextManager[Connection]:
        """One transaction on the target that nobody can overlap who takes the right to write later."""

    def save(self, connection: Connection, checkpoint: Checkpoint) -> None:
        """Write the checkpoint in the chunk's own transaction."""

    def elsewhere(self) -> Counters:
        """What the job's other partitions have counted so far."""


class CheckpointStore:
    """The checkpoint of one job as one attempt sees it.

    Args:
        engine: the target database.
        job_id: the job that the checkpoint is of.
        token: the fencing token of this attempt; a greater one takes the right to write away from a lesser one.
        stop_if_asked: called while a lock is waited for; raises when the waiting is to end.
    """

    def __init__(
        self,
        engine: Engine,
        job_id: str,
        token: int,
        stop_if_asked: Callable[[], None] = lambda: None,
    ) -> None:
        self._engine = engine
        self._job_id = job_id
        self._token = token
        self._mine = (checkpoint_table.c.job_id == job_id) & (checkpoint_table.c.partition == WHOLE)
        self._stop_if_asked = stop_if_asked

    def take(self) -> Checkpoint:
        """Take the right to write and return where the job stands; waits for a chunk that is being committed.

        It waits for two seconds: what an earlier attempt has open for longer is ended, and is written by this one.

        Raises:
            Superseded: a later attempt has it already.
            TargetLocked: somebody else has the row locked.
        """
        create_table(self._engine, checkpoint_table)
        taken = write_past_lost_attempts(
            self._engine,
            Session(self._job_id, self._token),
            self._stop_if_asked,
            lambda connection: connection.execute(self._raise_token()).first(),
        )
        if taken is None:
            with self._engine.connect() as connection:
                raise Superseded(self._job_id, self._token_in(connection))
        return self.load()

    def load(self) -> Checkpoint:
        """Return where the job stands, at the start where nothing was committed; reads only."""
        if not inspect(self._engine).has_table(checkpoint_table.name):
            return Checkpoint(0, None, Counters())
        with self._engine.connect() as connection:
            row = connection.execute(select(checkpoint_table).where(self._mine)).one_or_none()
        if row is None:
            return Checkpoint(0, None, Counters())
        return Checkpoint(row.chunk_number, row.cursor, Counters.model_validate(row.counters))

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction on the target that no later attempt can overlap; ``save`` it before it ends.

        Raises:
            Superseded: a later attempt has taken the right to write; nothing was written.
            TargetOlder: the target was restored meanwhile; nothing was written.
        """
        with for_writing(self._engine.connect()) as connection, connection.begin():
            # the row lock makes a later attempt wait for this chunk, and this chunk fail after a later attempt
            token = self._token_in(connection)
            if token is None or token < self._token:
                raise TargetOlder(self._job_id)
            if token > self._token:
                raise Superseded(self._job_id, token)
            yield connection

    def save(self, connection: Connection, checkpoint: Checkpoint) -> None:
        """Write the checkpoint in the chunk's own transaction; it follows the last one.

        Raises:
            Superseded: a later attempt has taken the right to write.
            ChunkIsIn: the chunk before got no answer to its commit, and is in: this one does not follow it.
        """
        values = {
            "chunk_number": checkpoint.chunk_number,
            "cursor": checkpoint.cursor,
            "counters": checkpoint.counters.model_dump(),
            "updated_at": datetime.now(UTC),
        }
        own = self._mine & (checkpoint_table.c.token == self._token)
        follows = checkpoint_table.c.chunk_number == checkpoint.chunk_number - 1
        if connection.execute(update(checkpoint_table).where(own, follows).values(values)).rowcount == 1:
            return
        if connection.execute(select(checkpoint_table.c.token).where(own)).first() is None:
            raise Superseded(self._job_id)
        raise ChunkIsIn(self._job_id, checkpoint.chunk_number)

    def elsewhere(self) -> Counters:
        """What the job's other partitions have counted so far."""
        return Counters()

    def _token_in(self, connection: Connection) -> int | None:
        """The token in the target, whose row stays locked until the transaction's end."""
        token: int | None = connection.scalar(select(checkpoint_table.c.token).where(self._mine).with_for_update())
        return token

    def _raise_token(self) -> Any:
        first = (
            database_of(self._engine)
            .insert(checkpoint_table)
            .values(
                job_id=self._job_id,
                partition=WHOLE,
                token=self._token,
                chunk_number=0,
                cursor=None,
                counters=Counters().model_dump(),
                updated_at=datetime.now(UTC),
            )
        )
        return first.on_conflict_do_update(
            index_elements=[checkpoint_table.c.job_id, checkpoint_table.c.partition],
            set_={"token": first.excluded.token},
            where=checkpoint_table.c.token <= first.excluded.token,
        ).returning(checkpoint_table.c.token)
