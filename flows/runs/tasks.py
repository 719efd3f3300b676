"""The steps of an attempt as Prefect tasks, and signals: a step that is interrupted ends at its next chunk edge."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

from prefect import get_run_logger, runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.exceptions import Pause, TerminationSignal
from prefect.tasks import exponential_backoff

from batch_jobs.flows.runs.attempt import Step
from batch_jobs.strategies.sdk.errors import StopRequested
from batch_jobs.strategies.sdk.job import JobRun

#: What a deploy sends; and Ctrl-C, where a run's process has the terminal, as under Prefect's own worker.
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interruption:
    """Notes signals instead of dying of them; a run looks at ``wanted`` at each chunk edge.

    Signals are noted while a strategy's code runs (``with interruption:``) and between ``catch`` and ``let_through``: a
    run that waits for nothing reports its end first. Elsewhere Prefect's own handling is in force, which ends the run
    at once. A signal that comes twice is noted once: whoever cannot wait for the chunk's end has SIGKILL.

    Args:
        signals: which ones to note; fewer where the process has its own way to stop, as the command line does.
    """

    def __init__(self, signals: tuple[signal.Signals, ...] = SIGNALS) -> None:
        self.wanted = False
        self._signals = signals if threading.current_thread() is threading.main_thread() else ()
        self._before: dict[signal.Signals, Any] = {}
        self._before_catching: dict[signal.Signals, Any] = {}

    def catch(self) -> None:
        """Note signals from now on, to the end of the process."""
        for number in self._signals:
            before = signal.signal(number, self._note)
            self._before_catching.setdefault(number, before)

    def let_through(self) -> None:
        """Let the handling be in force again that was before ``catch``."""
        for number, handler in self._before_catching.items():
            signal.signal(number, handler)

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._note) for number in self._signals}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.wanted = True


class StepTasks:
    """Runs steps as Prefect tasks of the current flow run.

    Args:
        is_deployed: whether the process is the run's own; elsewhere Ctrl-C is for the command that runs it.
    """

    def __init__(self, is_deployed: bool) -> None:
        self._is_deployed = is_deployed
        self.interruption = Interruption(SIGNALS if is_deployed else (signal.SIGTERM,))

    def catch_signals(self) -> None:
        """Note signals between steps too, where the process is the run's own and ends with it."""
        if self._is_deployed:
            self.interruption.catch()

    def run(self, step: Step, job: JobRun) -> None:
        """Run a step to its end.

        Raises:
            StopRequested: the job was canceled or paused, or the process is to leave it.
            Exception: what the last try raised.
        """
        as_task, stop = self._task(step, job), None
        try:
            self.interruption.let_through()
            stop = self._stop_now(job) if self.interruption.wanted else as_task()
        except (TerminationSignal, Pause):  # between two steps, or while a retry was waited for
            stop = self._stop_now(job)
        finally:
            self.catch_signals()
        if stop is not None:
            raise stop

    def _task(self, step: Step, job: JobRun) -> Any:
        """Make a task of a step; a stop at a chunk edge is no crash of the task, so the task returns it."""
        again = False

        def run_step() -> StopRequested | None:
            nonlocal again
            outside, job.logger = job.logger, get_run_logger()
            try:
                with self.interruption:
                    step.run()
            except StopRequested as stop:
                return stop
            except Exception as error:
                again = runtime.task_run.run_count <= step.retries and step.tries_again(error)
                raise
            finally:
                job.logger = outside
            return None

        return task(
            name=step.name,
            cache_policy=NO_CACHE,
            persist_result=False,
            retries=step.retries,
            retry_delay_seconds=exponential_backoff(step.delay),
            retry_condition_fn=lambda *_: again,
        )(run_step)

    def _stop_now(self, job: JobRun) -> StopRequested:
        self.interruption.wanted = True
        try:
            job.stop_if_asked()
        except StopRequested as stop:
            return stop
        raise AssertionError("an interrupted run finds a reason to stop")
