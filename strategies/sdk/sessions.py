"""The sessions that an attempt has in its target, by name, so that the next attempt can end those of a lost one."""

import time
from collections.abc import Callable, Sequence
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

Result = TypeVar("Result")


class TargetLocked(BatchJobError):
    """Somebody else has locked where the job stands, for long, and may not be ended from here."""

    def __init__(self, job_id: str, holders: Sequence[str]) -> None:
        why = "; ".join(holders) or "pg_blocking_pids says whose session holds it"
        super().__init__(f"the checkpoint of {job_id} in the target is locked for {LONGEST_SECONDS:g} s by now: {why}")


def session_name(job_id: str, claim: int) -> str:
    """What the sessions of an attempt are called, such as ``batch-jobs batch_01J… 7``."""
    return f"{NAME} {job_id} {claim}"


def make_attempt_engine(url: str, job_id: str, claim: int) -> Engine:
    """The target for one attempt: one connection is kept, and all have the attempt's name."""
    return make_small_engine(url, session_name(job_id, claim), kept=1, beyond=BESIDE_THE_CHUNK)


def end_sessions_before(engine: Engine, job_id: str, claim: int) -> Sequence[str]:
    """End the sessions of a job's earlier attempts.

    Args:
        engine: the target.
        job_id: the job.
        claim: sessions of lesser claims are ended.

    Returns:
        A line for each that this role may not end.
    """

    def is_earlier(name: str) -> bool:
        rest = name.removeprefix(f"{NAME} {job_id} ")
        return rest != name and rest.isdigit() and int(rest) < claim

    return database_of(engine).end_sessions(engine, is_earlier)


def write_past_lost_attempts(
    engine: Engine, job_id: str, claim: int, stop_if_asked: Callable[[], None], write: Callable[[Connection], Result]
) -> Result:
    """Write in a transaction of its own, though a lost attempt may have locked the row: its sessions are ended.

    Args:
        engine: the target.
        job_id: the job.
        claim: this attempt's claim; those of lesser ones are ended.
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
        holders = end_sessions_before(engine, job_id, claim)
        stop_if_asked()
        if time.monotonic() > until:
            raise TargetLocked(job_id, holders)
