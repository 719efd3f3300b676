"""Running jobs on this machine, for ``serve`` and ``worker`` alike: deploy, take up runs, keep jobs true."""

from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from batch_jobs.deployments.worker.deploy import deploy
from batch_jobs.deployments.worker.left_runs import BEAT_SECONDS
from batch_jobs.deployments.worker.prefect_outage import quieten_outages
from batch_jobs.deployments.worker.processes import preload
from batch_jobs.deployments.worker.shutdown import Say, go_on_until_stopped
from batch_jobs.deployments.worker.worker import ENDING_SECONDS, JobWorker, ProcessPoolWorker
from batch_jobs.flows.prefect.upkeep import again_and_again, keep_up
from batch_jobs.flows.workspace import Workspace


async def run_jobs(workspace: Workspace, beside: Iterable[Callable[[], Coroutine[Any, Any, None]]], say: Say) -> None:
    """Deploy, and run jobs until SIGINT or SIGTERM.

    Args:
        workspace: has the strategies and jobs.
        beside: called when runs are taken up from now on; what they do goes on beside that, until the end.
        say: prints to the terminal.
    """
    with TemporaryDirectory(prefix="batch-jobs-") as folder:
        await _run_jobs(workspace, beside, say, Path(folder))


async def _run_jobs(
    workspace: Workspace, beside: Iterable[Callable[[], Coroutine[Any, Any, None]]], say: Say, folder: Path
) -> None:
    quieten_outages()
    preload(folder)
    pool = await deploy(workspace)
    worker = (ProcessPoolWorker if pool.type == ProcessPoolWorker.type else JobWorker)(workspace)

    async def take_up_runs() -> None:
        await worker.until_due()
        await worker.get_and_submit_flow_runs()

    parts = (
        keep_up(workspace),
        worker.watch_events(),
        again_and_again(take_up_runs, 0),
        again_and_again(worker.poll_ending, ENDING_SECONDS),
        again_and_again(worker.take_back_left, BEAT_SECONDS),
        again_and_again(worker.sync_with_backend, worker.heartbeat_interval_seconds),
    )
    await go_on_until_stopped(worker, (*parts, *(part() for part in beside)), say)
