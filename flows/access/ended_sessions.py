"""Sessions of the page that were signed out: their cookies are signed and would work until they expire."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, bindparam, delete, insert, select
from sqlalchemy.exc import IntegrityError

from batch_jobs.flows.jobs.table import batch_job_ended_session as table
from batch_jobs.strategies.sdk.database import for_reading, for_writing

#: Asked with every request of the page, so it is made once.
IS_ENDED = select(1).where(table.c.id == bindparam("id"))


class EndedSessions:
    """The list of them, which all processes of an installation share."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reading = for_reading(engine)

    def add(self, session_id: str, seconds: int) -> None:
        """End a session that would work for some more seconds; those that have expired by now are forgotten."""
        now = datetime.now(UTC)
        with for_writing(self._engine.connect()) as connection:
            try:
                with connection.begin():
                    connection.execute(delete(table).where(table.c.until < now))
                    connection.execute(insert(table).values(id=session_id, until=now + timedelta(seconds=seconds)))
            except IntegrityError:  # it was ended before
                return

    def has(self, session_id: str) -> bool:
        """Whether a session was ended."""
        with self._reading.connect() as connection:
            return connection.execute(IS_ENDED, {"id": session_id}).first() is not None
