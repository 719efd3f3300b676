"""Everything on this machine in one process: Prefect where none is named, a worker, and the API."""

import asyncio
import fcntl
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from batch_jobs.deployments.errors import AlreadyServing
from batch_jobs.deployments.hangup import outlive_terminal
from batch_jobs.deployments.log import start_log
from batch_jobs.deployments.prefect.connection import use_prefect
from batch_jobs.deployments.prefect.server import USUAL_PORT, PrefectServer, free_port, running_server
from batch_jobs.deployments.worker.environment import set_run_environment
from batch_jobs.deployments.worker.run_output import run_log, runs_print_to
from batch_jobs.flows.home import close_home
from batch_jobs.flows.prefect.address import API_URL, Announcement, auth_file, find_prefect
from batch_jobs.flows.tracing import flush_traces, start_tracing
from batch_jobs.flows.workspace import Workspace
from batch_jobs.strategies.sdk.closed_folders import opener
from batch_jobs.strategies.sdk.errors import BatchJobError

Say = Callable[[str], None]


def serve_here(workspace: Workspace, say: Say, verbose: bool) -> None:
    """Serve until Ctrl-C, SIGTERM or the end of the terminal.

    Raises:
        AlreadyServing: another process serves in this home.
        PrefectUnreachable: the Prefect that is named does not answer.
        PrefectDidNotStart: ours did not start, or ended and did not start again.
    """
    settings = workspace.settings
    close_home(settings.home)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ExitStack() as held:
        held.enter_context(_only_one(settings.home))
        if not verbose:
            held.enter_context(runs_print_to(run_log(settings.home)))
        outlive_terminal()  # now that it is known where this process prints
        start_log(settings.log_format)
        start_tracing()
        held.callback(flush_traces)
        workspace.service.waiting()  # a database that does not answer is reported before anything is started
        server = held.enter_context(_prefect(settings.home, say))
        set_run_environment(settings, verbose)
        try:
            asyncio.run(_serve(workspace, server, say))
        except KeyboardInterrupt:
            say("stopping")


@contextmanager
def _only_one(home: Path) -> Iterator[None]:
    with open(home / "serve.lock", "a+", opener=opener) as lock:
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
def _prefect(home: Path, say: Say) -> Iterator[PrefectServer | None]:
    """Name the Prefect to use while the block runs; yields it where it is our own."""
    known = find_prefect(home)
    if known is not None:
        use_prefect(known)
        yield None
        return
    say("starting Prefect")
    os.environ.setdefault("PREFECT_HOME", str(home / "prefect"))
    with running_server(home, free_port(USUAL_PORT)) as server:
        os.environ.update(server.known.environment())
        with Announcement.of_this_process(server.known.api_url).kept_in(home):
            yield server


async def _serve(workspace: Workspace, server: PrefectServer | None, say: Say) -> None:
    from batch_jobs.deployments.worker.prefect_outage import report_outages
    from batch_jobs.deployments.worker.service import run_jobs

    start_log(workspace.settings.log_format)  # again: Prefect takes the log of uvicorn for its own when it is imported

    async def ready() -> None:
        _greet(workspace, os.environ[API_URL], server, say)
        await _serve_api(workspace, say)

    await run_jobs(workspace, (ready, partial(report_outages, os.environ[API_URL], say, server)), say)


async def _serve_api(workspace: Workspace, say: Say) -> None:
    from batch_jobs.deployments.api.server import serve_api

    try:
        await serve_api(workspace, say)
    except BatchJobError as error:  # jobs run all the same
        say(f"no API       {error}")


def _greet(workspace: Workspace, api_url: str, server: PrefectServer | None, say: Say) -> None:
    say(f"Prefect UI   {api_url.removesuffix('/api')}")
    if server is not None:
        say(f"its password is what stands in {auth_file(workspace.settings.home)}")
    say(f"serving      {', '.join(sorted(workspace.strategies.by_type)) or 'no strategies yet'}")
    for broken in workspace.strategies.broken:
        say(f"not loaded   {broken}")
    say(f"runs print   to {run_log(workspace.settings.home)}, unless --verbose is given")
    say("create jobs  batch-jobs create TYPE -c KEY=VALUE, or Deployments in the UI")
    say("Ctrl-C stops")
