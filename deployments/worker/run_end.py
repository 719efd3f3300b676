"""Reports to Prefect the end of a run whose process ended without doing so by itself."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.responses import SetStateStatus
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Crashed

from batch_jobs.deployments.worker.run_process import IN_ORDER
from batch_jobs.flows.prefect.client import rescheduled, run_state
from batch_jobs.flows.prefect.mirror import DIED_UNBEGUN
from batch_jobs.flows.workspace import Workspace

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import State

#: How long to wait before a Prefect that does not answer is asked again.
PAUSE_SECONDS = 1.0
WORKED_ON = (StateType.PENDING, StateType.RUNNING)
LEFT = "its process was asked to stop before it took up the job"


class RunEnds:
    """Reports the ends of runs.

    Args:
        client: asks Prefect.
        workspace: has the jobs that runs are of.
    """

    def __init__(self, client: "PrefectClient", workspace: Workspace) -> None:
        self._client = client
        self._workspace = workspace

    async def report(self, run_id: UUID, exit_code: int, *, is_canceled: bool, is_left: bool) -> None:
        """Give the run of a process that has ended the state it is in, where it has another one; insist on an answer.

        Args:
            run_id: the run.
            exit_code: of its process, ``IN_ORDER`` where it has seen to the run's end itself, negative where a signal
                ended it.
            is_canceled: whether the process was ended as the run was canceled.
            is_left: whether processes are asked to end as the worker ends.
        """
        if exit_code != IN_ORDER or is_canceled:
            await _insist(lambda: self._report(run_id, exit_code, is_canceled, is_left))

    async def give_back(self, run_id: UUID, error: Exception) -> None:
        """Report a run whose process could not be started; where that was for lack of an answer, it is due again."""
        why = f"its process could not be started: {error or type(error).__name__}"
        state: State[Any] = rescheduled(why) if _gives_no_answer(error) else Crashed(message=why)
        await _insist(lambda: self._give_back(run_id, state))

    async def _give_back(self, run_id: UUID, state: "State[Any]") -> None:
        now = (await self._client.read_flow_run(run_id)).state
        if now is not None and now.is_pending():
            await self._set(run_id, state)

    async def _report(self, run_id: UUID, exit_code: int, is_canceled: bool, is_left: bool) -> None:
        state = (await self._client.read_flow_run(run_id)).state
        if state is None:
            return
        if state.is_cancelling() or (state.is_crashed() and is_canceled):
            await self._set(run_id, Cancelled(message=f"its process {how_ended(exit_code)}"), force=True)
        elif state.type in WORKED_ON and exit_code != IN_ORDER:
            await self._set(run_id, await self._crashed(run_id, exit_code, is_left))

    async def _crashed(self, run_id: UUID, exit_code: int, is_left: bool) -> "State[Any]":
        job = await asyncio.to_thread(self._workspace.store.by_flow_run, str(run_id))
        why = f"its process {how_ended(exit_code)}"
        if job is None or not job.may_go_on:
            return Crashed(message=f"{why}{_perhaps_for_memory(exit_code)}")
        if is_left:
            return rescheduled(LEFT)
        return Crashed(name=DIED_UNBEGUN, message=f"{why} before it took up the job")

    async def _set(self, run_id: UUID, state: "State[Any]", force: bool = False) -> None:
        answer = await self._client.set_flow_run_state(run_id, state, force=force)
        if answer.status is SetStateStatus.ACCEPT and state.is_final():
            await asyncio.to_thread(self._workspace.note_end, str(run_id), run_state(state))


async def _insist(report: Callable[[], Awaitable[None]]) -> None:
    """Report until Prefect answers."""
    while True:
        try:
            await report()
        except ObjectNotFound:  # deleted meanwhile
            return
        except httpx.HTTPError as error:
            if not _gives_no_answer(error):
                raise
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            return


def _gives_no_answer(error: Exception) -> bool:
    is_broken = isinstance(error, httpx.HTTPStatusError) and error.response.is_server_error
    return is_broken or isinstance(error, httpx.TransportError)


def _perhaps_for_memory(exit_code: int) -> str:
    """What a signal may mean that comes when a library or the machine has no memory left."""
    if exit_code == -signal.SIGKILL:
        return "; unless somebody did that, the machine had no memory left: lower BATCH_JOBS_RUN_MEMORY"
    if exit_code in (-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS):
        return "; it may have had no memory left: BATCH_JOBS_RUN_MEMORY sets another limit"
    return ""


def how_ended(exit_code: int) -> str:
    """How a process ended, in words."""
    if exit_code == IN_ORDER:
        return "ended"
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    with suppress(ValueError):
        return f"was ended by {signal.Signals(-exit_code).name}"
    return f"was ended by signal {-exit_code}"
