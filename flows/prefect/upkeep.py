"""What keeps the job table up to date while something serves: listening to Prefect, reconciling, publishing events."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from batch_jobs.flows.prefect.listener import listen
from batch_jobs.flows.prefect.publishing import Publisher
from batch_jobs.flows.workspace import Workspace

RECONCILE_SECONDS = 10.0
LOOKS_PER_TIMEOUT = 4
PUBLISH_SECONDS = 1.0

logger = logging.getLogger(__name__)


async def keep_up(workspace: Workspace) -> None:
    """Run all of it until cancelled; a part that fails is tried again, and two processes may do it at once."""
    publisher = Publisher(workspace.jobs)
    # silence is noticed only by looking several times within the timeout
    seconds = min(RECONCILE_SECONDS, workspace.settings.heartbeat_timeout / LOOKS_PER_TIMEOUT)

    async def reconcile() -> None:
        await asyncio.to_thread(workspace.reconciling.run)

    async with asyncio.TaskGroup() as parts:
        parts.create_task(listen(workspace.mirror))
        parts.create_task(again_and_again(reconcile, seconds))
        parts.create_task(again_and_again(publisher.publish, PUBLISH_SECONDS))


async def again_and_again(part: Callable[[], Awaitable[object]], seconds: float) -> None:
    """Do a part every so many seconds until cancelled, also after it failed; of failures in a row one is a warning."""
    failing = False
    while True:
        try:
            await part()
            failing = False
        except Exception as error:  # a database or a Prefect that is away for a moment must not end the serving
            level = logging.DEBUG if failing else logging.WARNING
            logger.log(level, "%s failed and is tried again: %s", getattr(part, "__name__", part), error)
            failing = True
        await asyncio.sleep(seconds)
