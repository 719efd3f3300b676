"""The ends of jobs that are still to be delivered to a webhook, found in the history of jobs so that none is lost.

Every end is an event that was committed with the job's change. ``collect`` makes a delivery of each that has none; it
looks at all events after a *position*, which follows an hour behind, as an event with a lesser id may be committed
after one with a greater. A delivery is taken by one process for a while and is due again unless it is recorded as
done: each end is delivered at least once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Engine, delete, func, insert, literal, null, select, update

from batch_jobs.flows.jobs.table import batch_job_delivery as delivery
from batch_jobs.flows.jobs.table import batch_job_delivery_position as position
from batch_jobs.flows.jobs.table import batch_job_event as event
from batch_jobs.flows.jobs.transitions import ENDED
from batch_jobs.strategies.sdk.database import for_writing

#: Nobody keeps a transaction on the history open for this long.
SETTLED = timedelta(hours=1)
#: How long a process has for a delivery that it took.
TAKEN = timedelta(seconds=60)
AT_ONCE = 20
LONGEST_ERROR = 500  # characters


@dataclass(frozen=True)
class Delivery:
    """An end to be delivered: the event's id, the job, its status, when, and how often it was tried."""

    event_id: int
    job_id: str
    status: str
    at: datetime
    attempts: int


class CompletionOutbox:
    """The deliveries, in the job database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def open(self) -> None:
        """Begin with what ends from now on; where it was begun before, nothing happens."""
        with for_writing(self._engine.connect()) as connection, connection.begin():
            if connection.scalar(select(func.count()).select_from(position)) == 0:
                newest = select(func.coalesce(func.max(event.c.id), 0)).scalar_subquery()
                connection.execute(insert(position).values(id=1, event_id=newest))

    def collect(self) -> None:
        """Make a delivery of each end that has none."""
        now = datetime.now(UTC)
        with for_writing(self._engine.connect()) as connection, connection.begin():
            begun = connection.scalar(select(position.c.event_id).with_for_update())
            new = (event.c.id > begun) & event.c.to_status.in_(sorted(ENDED))
            known = select(delivery.c.event_id).where(delivery.c.event_id == event.c.id).exists()
            found = select(event.c.id, literal(0), literal(now, event.c.at.type)).where(new, ~known)
            connection.execute(insert(delivery).from_select(["event_id", "attempts", "next_at"], found))
            self._advance(connection, int(begun or 0), now)

    def take(self) -> Sequence[Delivery]:
        """Take deliveries that are due; nobody else gets them for a while."""
        now = datetime.now(UTC)
        due = (delivery.c.next_at <= now) & delivery.c.delivered_at.is_(None)
        query = select(delivery.c.event_id, event.c.job_id, event.c.to_status, event.c.at, delivery.c.attempts)
        query = query.join_from(delivery, event).where(due).order_by(delivery.c.event_id).limit(AT_ONCE)
        with for_writing(self._engine.connect()) as connection, connection.begin():
            rows = connection.execute(query.with_for_update(of=delivery, skip_locked=True)).all()
            taken = [row.event_id for row in rows]
            connection.execute(
                update(delivery)
                .where(delivery.c.event_id.in_(taken))
                .values(next_at=now + TAKEN, attempts=delivery.c.attempts + 1)
            )
        return [Delivery(row.event_id, row.job_id, row.to_status, row.at, row.attempts + 1) for row in rows]

    def done(self, event_id: int) -> None:
        """Record that an end was delivered."""
        self._set(event_id, next_at=null(), delivered_at=datetime.now(UTC), error=null())

    def failed(self, event_id: int, error: str, again: timedelta | None) -> None:
        """Record that a delivery failed, and when to try again; ``None`` gives it up, and it is kept with its error."""
        at = null() if again is None else datetime.now(UTC) + again
        self._set(event_id, next_at=at, error=error[:LONGEST_ERROR])

    def _set(self, event_id: int, **values: object) -> None:
        with for_writing(self._engine.connect()) as connection, connection.begin():
            connection.execute(update(delivery).where(delivery.c.event_id == event_id).values(values))

    def _advance(self, connection: Connection, begun: int, now: datetime) -> None:
        """Move the position over what is settled, and forget what was delivered before it."""
        settled = select(func.max(event.c.id)).where(event.c.id > begun, event.c.at < now - SETTLED)
        reached = connection.scalar(settled)
        if reached is not None:
            connection.execute(update(position).values(event_id=reached))
            done = delivery.c.delivered_at.is_not(None) & (delivery.c.event_id <= reached)
            connection.execute(delete(delivery).where(done))
