"""Hears of state changes from Prefect's event stream within moments, and lets the jobs follow."""

import asyncio
import logging

from batch_jobs.flows.errors import PrefectAway
from batch_jobs.flows.prefect.mirror import FOLLOWING, Mirror, status_of

PREFIX = "prefect.flow-run."
#: A state's type, as an event's resource tells it.
STATE_TYPE = "prefect.state-type"
PAUSE_SECONDS = 1.0  # before a stream that broke off is opened again

logger = logging.getLogger(__name__)


async def listen(mirror: Mirror) -> None:
    """Follow events until cancelled.

    Prefect's subscriber opens a stream again that broke off, and gets what it missed meanwhile; events are hints only,
    so what comes twice does no harm, and what was missed altogether is found by reconciling.
    """
    while True:
        try:
            await _follow_stream(mirror)
        except Exception as error:  # whatever breaks the stream, listening goes on
            logger.debug("the event stream broke off: %s", error)
        await asyncio.sleep(PAUSE_SECONDS)


async def _follow_stream(mirror: Mirror) -> None:
    from prefect.events.clients import get_events_subscriber
    from prefect.events.filters import EventFilter, EventNameFilter

    wanted = EventFilter(event=EventNameFilter(prefix=[PREFIX]))
    async with get_events_subscriber(filter=wanted, reconnect_on_clean_close=True) as events:
        async for event in events:
            if moves_a_job(event.resource.get(STATE_TYPE)):
                await _follow(mirror, event.resource.id.removeprefix(PREFIX))


def moves_a_job(state_type: str | None) -> bool:
    """Whether a state of this type says something that a job does not know by itself; heartbeats have no type."""
    return state_type is not None and status_of(state_type, "") in FOLLOWING


async def _follow(mirror: Mirror, run_id: str) -> None:
    try:
        await asyncio.to_thread(mirror.follow, run_id)
    except PrefectAway as error:
        logger.debug("run %s could not be looked at: %s", run_id, error)
