"""Everything on this machine in one process: Prefect where none is named, and a runner of every strategy's deployment."""

import asyncio
import fcntl
import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from deployments.errors import AlreadyServing
from deployments.prefect_api import API_URL, find_prefect, use_prefect
from deployments.prefect_server import USUAL_PORT, Announcement, free_port, running_server
from flows.errors import NotLaunched
from flows.launching import DEPLOYMENT_NAME
from flows.workspace import Workspace
from strategies.errors import BatchJobError

if TYPE_CHECKING:
    from prefect.runner import Runner

#: How soon a run asked for in Prefect begins, and how soon a job that waits is handed over.
QUERY_SECONDS = 2
WAITING_SECONDS = 10

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
        _set_environment(workspace, verbose)
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


def _set_environment(workspace: Workspace, verbose: bool) -> None:
    """What the processes of the runs inherit: the same home and strategies, wherever they are started."""
    settings = workspace.settings
    os.environ["BATCH_JOBS_HOME"] = str(settings.home)
    if settings.strategy_folders:
        os.environ["BATCH_JOBS_STRATEGIES"] = os.pathsep.join(
            str(folder.absolute()) for folder in settings.strategy_folders
        )
    if not verbose:
        os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "WARNING")


async def _serve(workspace: Workspace, api_url: str, say: Say) -> None:
    runner = await _runner(workspace)
    running = asyncio.create_task(runner.start())
    stop = asyncio.Event()
    while not runner.started and not running.done():
        await asyncio.sleep(0.05)
    _stop_at_signals(stop)
    _greet(workspace, api_url, say)
    starting = asyncio.create_task(_start_waiting(workspace, say))
    api = asyncio.create_task(_serve_api(workspace, say))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    starting.cancel()
    api.cancel()
    if stop.is_set():
        say("stopping")
        await runner.astop()
    await asyncio.wait({running, api})


async def _runner(workspace: Workspace) -> "Runner":
    from prefect.deployments.runner import RunnerDeployment
    from prefect.runner import Runner

    from flows.batch_job import CATALOG, flow_variable

    runner = Runner(name=DEPLOYMENT_NAME, query_seconds=QUERY_SECONDS, pause_on_shutdown=False)
    for batch_type in sorted(workspace.strategies.by_type):
        entrypoint = f"{CATALOG}.{flow_variable(batch_type)}"
        await runner.aadd_deployment(RunnerDeployment.from_entrypoint(entrypoint, name=DEPLOYMENT_NAME))
    return runner


def _stop_at_signals(stop: asyncio.Event) -> None:
    """Take the signals over from the runner, which would leave in the middle of things."""
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)


async def _serve_api(workspace: Workspace, say: Say) -> None:
    from deployments.api.server import serve_api

    try:
        await serve_api(workspace, say)
    except BatchJobError as error:  # jobs run all the same
        say(f"no API       {error}")


async def _start_waiting(workspace: Workspace, say: Say) -> None:
    """Hand over the jobs that were recorded while Prefect was away, now and from time to time."""
    while True:
        try:
            await asyncio.to_thread(_start_all, workspace, say)
        except Exception:  # a database that is away for a moment must not end the serving
            logging.getLogger(__name__).warning("looking for waiting jobs failed; it is tried again", exc_info=True)
        await asyncio.sleep(WAITING_SECONDS)


def _start_all(workspace: Workspace, say: Say) -> None:
    for job in workspace.service.waiting():
        try:
            workspace.service.start(job)
            say(f"started {job.id} ({job.type})")
        except NotLaunched as error:
            say(f"not started: {error}")


def _greet(workspace: Workspace, api_url: str, say: Say) -> None:
    say(f"Prefect UI   {api_url.removesuffix('/api')}")
    say(f"serving      {', '.join(sorted(workspace.strategies.by_type)) or 'no strategies yet'}")
    for broken in workspace.strategies.broken:
        say(f"not loaded   {broken}")
    say("create jobs  batch-jobs create TYPE -c KEY=VALUE, or Deployments in the UI")
    say("Ctrl-C stops")
