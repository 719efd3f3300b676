"""Everything on this machine in one process: Prefect where none is named, and a runner of every deployment."""

import asyncio
import fcntl
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from deployments.deploying import job_deployments
from deployments.errors import AlreadyServing
from deployments.prefect_api import API_URL, find_prefect, use_prefect
from deployments.prefect_server import USUAL_PORT, Announcement, free_port, running_server
from deployments.run_environment import set_run_environment
from deployments.stopping import STOPPING, let_runs_go, told_to_stop
from flows.prefect_runs import DEPLOYMENT_NAME
from flows.upkeep import keep_up
from flows.workspace import Workspace
from strategies.errors import BatchJobError

if TYPE_CHECKING:
    from prefect.runner import Runner

#: How soon a run asked for in Prefect begins.
QUERY_SECONDS = 2

Say = Callable[[str], None]


def serve_here(workspace: Workspace, say: Say, verbose: bool) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Raises:
        AlreadyServing: another process serves in this home.
        PrefectUnreachable: the Prefect that is named does not answer.
        PrefectDidNotStart: ours did not start.
    """
    settings = workspace.settings
    settings.home.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))
    with ExitStack() as held:
        held.enter_context(_only_one(settings.home))
        workspace.service.waiting()  # a database that does not answer is to be told before anything is started
        api_url = held.enter_context(_prefect(settings.home, say))
        set_run_environment(settings, verbose)
        try:
            asyncio.run(_serve(workspace, api_url, say))
        except KeyboardInterrupt:
            say("stopping")


@contextmanager
def _only_one(home: Path) -> Iterator[None]:
    with (home / "serve.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise AlreadyServing(home, lock.read().strip()) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


@contextmanager
def _prefect(home: Path, say: Say) -> Iterator[str]:
    known = find_prefect(home)
    if known is not None:
        use_prefect(known)
        yield known.api_url
        return
    say("starting Prefect")
    os.environ.setdefault("PREFECT_HOME", str(home / "prefect"))
    with running_server(home, free_port(USUAL_PORT)) as api_url:
        os.environ[API_URL] = api_url
        with Announcement.of_this_process(api_url).kept_in(home):
            yield api_url


async def _serve(workspace: Workspace, api_url: str, say: Say) -> None:
    runner = await _runner(workspace)
    running = asyncio.create_task(runner.start())
    while not runner.started and not running.done():
        await asyncio.sleep(0.05)
    stop = told_to_stop()  # taken over from the runner, which would leave in the middle of things
    _greet(workspace, api_url, say)
    api = asyncio.create_task(_serve_api(workspace, say))
    upkeep = asyncio.create_task(keep_up(workspace))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    api.cancel()
    if stop.is_set():
        await _stop(runner, say)
    upkeep.cancel()
    await asyncio.wait({running, upkeep, api})


async def _stop(runner: "Runner", say: Say) -> None:
    say(STOPPING)
    runner.stopping = runner._scheduled_run_poller.stopping = True  # else it takes up at once what it has just let go
    await asyncio.to_thread(let_runs_go)
    await runner.astop()


async def _runner(workspace: Workspace) -> "Runner":
    from prefect.runner import Runner

    runner = Runner(name=DEPLOYMENT_NAME, query_seconds=QUERY_SECONDS, pause_on_shutdown=False)
    for deployment in job_deployments(workspace):
        await runner.aadd_deployment(deployment)
    return runner


async def _serve_api(workspace: Workspace, say: Say) -> None:
    from deployments.api.server import serve_api

    try:
        await serve_api(workspace, say)
    except BatchJobError as error:  # jobs run all the same
        say(f"no API       {error}")


def _greet(workspace: Workspace, api_url: str, say: Say) -> None:
    say(f"Prefect UI   {api_url.removesuffix('/api')}")
    say(f"serving      {', '.join(sorted(workspace.strategies.by_type)) or 'no strategies yet'}")
    for broken in workspace.strategies.broken:
        say(f"not loaded   {broken}")
    say("create jobs  batch-jobs create TYPE -c KEY=VALUE, or Deployments in the UI")
    say("Ctrl-C stops")
