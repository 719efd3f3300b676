"""Follows the states of flow runs by Prefect's event stream, which reports a change within moments."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

from batch_jobs.flows.errors import PrefectAway
from batch_jobs.flows.prefect.mirror import FOLLOWING, STATUS_OF_TYPE, Mirror, status_of

PREFIX = "prefect.flow-run."
#: A state's type, as an event's resource names it.
STATE_TYPE = "prefect.state-type"
PAUSE_SECONDS = 1.0  # before a stream that broke off is opened again

logger = logging.getLogger(__name__)


async def listen(mirror: Mirror) -> None:
    """Let jobs follow their runs by events until cancelled; what was missed is found by reconciling."""

    async def follow(run_id: str, _state_type: str) -> None:
        try:
            await asyncio.to_thread(mirror.follow, run_id)
        except PrefectAway as error:
            logger.debug("run %s could not be looked at: %s", run_id, error)

    await watch_states([state_type for state_type in STATUS_OF_TYPE if moves_a_job(state_type)], follow)


def moves_a_job(state_type: str) -> bool:
    """Whether a state of this type says something that a job does not know by itself."""
    return status_of(state_type, "") in FOLLOWING


async def watch_states(state_types: Iterable[str], on_state: Callable[[str, str], Awaitable[None]]) -> None:
    """Report the flow runs that come into a state of these types until cancelled.

    Prefect's subscriber opens a stream again that broke off, and gets what it missed meanwhile. Events are hints only:
    they may come twice, late, or not at all.

    Args:
        state_types: such as ``SCHEDULED``.
        on_state: called with a run's id and the type of its state, one after another.
    """
    while True:
        try:
            await _watch(list(state_types), on_state)
        except Exception as error:  # whatever breaks the stream, listening goes on
            logger.debug("the event stream broke off: %s", error)
        await asyncio.sleep(PAUSE_SECONDS)


async def _watch(state_types: list[str], on_state: Callable[[str, str], Awaitable[None]]) -> None:
    from prefect.events.clients import get_events_subscriber
    from prefect.events.filters import EventFilter, EventNameFilter, EventResourceFilter
    from prefect.events.schemas.events import ResourceSpecification

    wanted = EventFilter(
        event=EventNameFilter(prefix=[PREFIX]),
        resource=EventResourceFilter(labels=ResourceSpecification({STATE_TYPE: state_types})),
    )
    async with get_events_subscriber(filter=wanted, reconnect_on_clean_close=True) as events:
        async for event in events:
            await on_state(event.resource.id.removeprefix(PREFIX), event.resource[STATE_TYPE])
