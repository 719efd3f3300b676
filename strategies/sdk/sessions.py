"""The sessions that an attempt has in its target, by name, so that the next attempt can end those of a lost one."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from batch_jobs.strategies.sdk.database import database_of, for_writing, make_small_engine
from batch_jobs.strategies.sdk.errors import BatchJobError

#: What sessions are called that serve no single job, and how the names of the others begin.
NAME = "batch-jobs"
#: What an attempt's work may need at a time beside its chunk's connection, such as for the keys of a file.
BESIDE_THE_CHUNK = 10
#: How long one statement waits for a lock before somebody looks who holds it.
LOOK_SECONDS = 2.0
#: How long a lock is waited for that nobody here may take away.
LONGEST_SECONDS = 600.0

#: What follows the job in a session's name.
_REST = re.compile(r"(\d+)(?: (\d+)\.(\w+))?")

Result = TypeVar("Result")


class TargetLocked(BatchJobError):
    """Somebody else has locked where the job stands, for long, and may not be ended from here."""

    def __init__(self, job_id: str, holders: Sequence[str]) -> None:
        why = "; ".join(holders) or "pg_blocking_pids says whose session holds it"
        super().__init__(f"the checkpoint of {job_id} in the target is locked for {LONGEST_SECONDS:g} s by now: {why}")


@dataclass(frozen=True)
class Session:
    """Whose the sessions are: an attempt's, or those of one execution of a partition.

    Args:
        job_id: the job.
        claim: the attempt's.
        partition: the number of the partition.
        mark: a word of this execution's own.
    """

    job_id: str
    claim: int
    partition: int | None = None
    mark: str = ""

    @property
    def name(self) -> str:
        """What they are called, such as ``batch-jobs batch_01J… 7``, or ``batch-jobs batch_01J… 7 12.x3f9``."""
        attempt = f"{self._of_job}{self.claim}"
        return attempt if self.partition is None else f"{attempt} {self.partition}.{self.mark}"

    def is_after(self, name: str) -> bool:
        """Whether sessions of this name are of an earlier attempt, or another execution of the same partition."""
        known = _REST.fullmatch(name.removeprefix(self._of_job)) if name.startswith(self._of_job) else None
        if known is None:
            return False
        claim, partition, mark = known.groups()
        if int(claim) != self.claim or self.partition is None:
            return int(claim) < self.claim
        return partition == str(self.partition) and mark != self.mark

    @property
    def _of_job(self) -> str:
        return f"{NAME} {self.job_id} "


def make_attempt_engine(url: str, session: Session) -> Engine:
    """The target for one attempt: one connection is kept, and all have the attempt's name."""
    return make_small_engine(url, session.name, kept=1, beyond=BESIDE_THE_CHUNK)


def end_sessions_before(engine: Engine, session: Session) -> Sequence[str]:
    """End the sessions in the target that this one comes after.

    Returns:
        A line for each that this role may not end.
    """
    return database_of(engine).end_sessions(engine, session.is_after)


def write_past_lost_attempts(
    engine: Engine, session: Session, stop_if_asked: Callable[[], None], write: Callable[[Connection], Result]
) -> Result:
    """Write in a transaction of its own, though a lost attempt may have locked the row: its sessions are ended.

    Args:
        engine: the target.
        session: this attempt's; those that it comes after are ended.
        stop_if_asked: called while a lock is waited for; raises when the waiting is to end.
        write: what to do in the transaction.

    Raises:
        TargetLocked: a lock was not to be had.
    """
    database, until = database_of(engine), time.monotonic() + LONGEST_SECONDS
    while True:
        try:
            with for_writing(engine.connect()) as connection, connection.begin():
                database.limit_lock_waits(connection, LOOK_SECONDS)
                return write(connection)
        except DBAPIError as error:
            if error.orig is None or not database.is_lock_timeout(error.orig):
                raise
        holders = end_sessions_before(engine, session)
        stop_if_asked()
        if time.monotonic() > until:
            raise TargetLocked(session.job_id, holders)
