"""The partitions that are being worked on, each as a task of a runner; which ones have ended, however they did."""

import contextvars
import logging
import multiprocessing
import queue
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext, SettingsContext
from prefect.exceptions import Pause
from prefect.futures import PrefectFuture
from prefect.states import Crashed
from prefect.task_runners import TaskRunner

from batch_jobs.flows.runs.partitions.task import process_partition

#: How long a task that has ended may take to say how.
ANSWER_SECONDS = 10.0
LEFT = "its process gave no sign of life any more"

logger = logging.getLogger("batch_jobs")


class Slot:
    """The place of a partition at work: a task runner, opened when it is needed.

    Args:
        make_runner: of the setting.
    """

    def __init__(self, make_runner: Callable[[], TaskRunner[Any]]) -> None:
        self._make_runner = make_runner
        self._open = ExitStack()
        self._runner: TaskRunner[Any] | None = None

    def submit(self, parameters: dict[str, Any]) -> "PrefectFuture[str]":
        """Begin a task."""
        if self._runner is None:
            self._runner = self._open.enter_context(self._make_runner())
        return _submit(self._runner, parameters)

    def renew(self) -> None:
        """Have the next task run by a new runner."""
        self._runner = None
        self._open.close()

    def another(self) -> "Slot":
        """A place like this one."""
        return Slot(self._make_runner)


class Pool:
    """Tasks of partitions, so many at a time.

    Args:
        make_runner: of the setting.
        size: how many at a time.
        apart: whether each gets a runner of its own, so that where its process dies those of the others live on;
            otherwise one runner has workers for all.
    """

    def __init__(self, make_runner: Callable[[], TaskRunner[Any]], size: int, apart: bool) -> None:
        self._apart = apart
        self._free = [Slot(make_runner) for _ in range(size)] if apart else [Slot(make_runner)] * size
        self._slots = set(self._free)
        self._at_work: dict[int, tuple[Slot, PrefectFuture[str]]] = {}
        self._has_left = False
        #: The tasks that were lost with their process, and why, of which Prefect does not know that yet.
        self._lost: dict[UUID, str] = {}
        self._ended: queue.SimpleQueue[tuple[int, PrefectFuture[str]]] = queue.SimpleQueue()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._apart and (self._at_work or self._has_left):
            for child in multiprocessing.active_children():
                child.kill()  # one that hangs would be waited for; what it has not committed is done again
        for slot in self._slots:
            slot.renew()
        for _, future in self._at_work.values():
            self._lost[future.task_run_id] = LEFT
        self._report_lost()

    @property
    def numbers(self) -> set[int]:
        """The partitions that are being worked on."""
        return set(self._at_work)

    @property
    def has_room(self) -> bool:
        """Whether another one may be begun."""
        return bool(self._free)

    def begin(self, number: int, parameters: dict[str, Any]) -> None:
        """Begin the work on a partition.

        Raises:
            Exception: the runner takes no task; the next one is asked of a new runner.
        """
        slot = self._free[-1]
        try:
            future = slot.submit(parameters)
        except Exception:
            slot.renew()
            raise
        self._free.pop()
        self._at_work[number] = slot, future
        future.add_done_callback(lambda ended: self._ended.put((number, ended)))

    def leave(self, number: int) -> None:
        """Wait no more for a task whose process gives no sign of life; another one may be begun in its place."""
        slot, future = self._at_work.pop(number)
        self._has_left = True
        self._lost[future.task_run_id] = LEFT
        self._report_lost()
        replacement = slot.another() if self._apart else slot
        self._slots.add(replacement)
        self._free.append(replacement)

    def ended(self, seconds: float) -> dict[int, BaseException | None]:
        """The partitions whose tasks have ended, and why where these failed; waits so long for the first."""
        ended: dict[int, BaseException | None] = {}
        try:
            self._note(*self._ended.get(timeout=seconds), ended)
            while True:
                self._note(*self._ended.get_nowait(), ended)
        except queue.Empty:
            return ended

    def _note(self, number: int, future: "PrefectFuture[str]", ended: dict[int, BaseException | None]) -> None:
        slot, known = self._at_work.get(number, (None, None))
        if slot is None or known is not future:
            return  # it was left
        ended[number] = failure = _failure(future)
        if failure is not None:
            self._lost[future.task_run_id] = " ".join(str(failure).split())
            self._report_lost()
            if self._apart:
                slot.renew()  # a pool whose process is gone takes no other task
        del self._at_work[number]
        self._free.append(slot)

    def _report_lost(self) -> None:
        """Have Prefect say of lost tasks that they crashed, as nobody else does; what it does not know yet, later."""
        for run_id, why in list(self._lost.items()):
            try:
                with get_client(sync_client=True, httpx_settings={"timeout": ANSWER_SECONDS}) as client:
                    state = client.read_task_run(run_id).state
                    if state is None or not state.is_final():
                        client.set_task_run_state(run_id, Crashed(message=why), force=True)
            except Exception as error:  # Prefect is away, or has not heard of the task yet: the partition goes on
                logger.debug("the end of task run %s could not be reported: %s", run_id, error)
            else:
                del self._lost[run_id]


@flow(name="partitions")
def _no_flow() -> None:
    """Goes with tasks in the place of the job's flow, which holds its strategy and what no other process can have."""


def _submit(runner: TaskRunner[Any], parameters: dict[str, Any]) -> "PrefectFuture[str]":
    """Begin a task of the current flow run: of it alone, as other processes get its context with the task."""
    run, settings = FlowRunContext.get(), SettingsContext.get()
    assert run is not None
    assert settings is not None
    run, settings = run.model_copy(update={"flow": _no_flow, "parameters": {}}), settings.model_copy()

    def submit() -> "PrefectFuture[str]":
        with settings, run:
            future: PrefectFuture[str] = runner.submit(process_partition, parameters)
            return future

    return contextvars.Context().run(submit)


def _failure(future: "PrefectFuture[str]") -> BaseException | None:
    """Why a task failed, ``None`` where it came to its end."""
    try:
        future.result(timeout=ANSWER_SECONDS)
    except (Exception, Pause) as error:
        return error
    return None
