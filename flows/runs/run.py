"""One Prefect run of a job: it takes the job up, goes through its steps as tasks, and ends as the job stands then."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import chain, count
from typing import Any, NoReturn, cast

from prefect import get_run_logger, suspend_flow_run
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext
from prefect.exceptions import Abort, ObjectNotFound, Pause
from prefect.input import RunInput
from prefect.states import Cancelled, Completed, Failed, Suspended
from sqlalchemy import Engine

from batch_jobs.flows.errors import ActionIllegal, ConfirmedTooLate, JobTaken, OtherMustConfirm, PrefectAway
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.service import BatchJobService
from batch_jobs.flows.jobs.store import JobStore, owner
from batch_jobs.flows.jobs.transitions import Action, Status
from batch_jobs.flows.prefect.client import RESCHEDULED
from batch_jobs.flows.runs.artifacts import Artifacts
from batch_jobs.flows.runs.attempt import Attempt, Outcome, Step
from batch_jobs.flows.runs.handles import parts_of
from batch_jobs.flows.runs.partitions.coordinator import PrefectPartitioning
from batch_jobs.flows.runs.reporting import Heartbeat, RowReport, stop_waiting_in_vain
from batch_jobs.flows.runs.tasks import StepTasks
from batch_jobs.flows.secret_fields.masking import OpenedContext
from batch_jobs.flows.workspace import Workspace
from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.checkpoint import CheckpointStore
from batch_jobs.strategies.sdk.job import JobParts
from batch_jobs.strategies.sdk.sessions import Session

STOPPED = "its process was told to stop"


class Confirmation(RunInput):
    """The form behind *Resume* in the Prefect UI, of a run that waits for a confirmation."""

    confirmed_by: str = "prefect-ui"


class JobFlowRun:
    """Runs one job in the current Prefect run.

    A run of a deployment can be suspended, which frees its worker, and put back for another worker. A flow called as a
    function can be neither: it ends, and says how to go on.
    """

    def __init__(self, workspace: Workspace, strategy: BatchJobStrategy, run: FlowRun) -> None:
        self._workspace = workspace
        self._strategy = strategy
        self._run_id = str(run.id)
        self._is_deployed = run.deployment_id is not None
        self._tasks = StepTasks(self._is_deployed)

    def go(self, job_id: str) -> Any:
        """Take the job as far as it goes and return what the flow returns: the job, or the state to end in.

        Raises:
            JobTaken: another living process has the job, which is of another run.
            ActionIllegal: the job is completed.
            Pause, Abort: the job waits, for a person or for another worker; Prefect knows what to do with these.
        """
        self._tasks.catch_signals()
        try:
            outcome = self._attempt(job_id)
            while outcome is Outcome.WAITING and self._is_deployed:
                self._await_confirmation(job_id)
                outcome = self._attempt(job_id)
        except JobTaken as taken:
            if self._service.get(job_id).flow_run_id == self._run_id:
                raise Abort(str(taken)) from None  # the run is that process's, and its end no matter of this one
            raise
        except (ActionIllegal, ConfirmedTooLate):
            if self._service.get(job_id).status is not Status.CANCELED:
                raise
            outcome = Outcome.CANCELED
        return self._end(outcome, job_id)

    def _attempt(self, job_id: str) -> Outcome:
        job = self._workspace.claims.claim(job_id, self._run_id)
        opened = self._workspace.context_secrets.open(job)
        shown = Artifacts(job.id, opened)
        report = RowReport(self._store, job, opened, shown.show_progress, self._is_leaving)
        with self._workspace.target_of(Session(job.id, job.claim or 0), report.stop_if_asked) as target:
            checkpoints = CheckpointStore(target, job.id, token=job.claim or 0, stop_if_asked=report.stop_if_asked)
            return self._go(job, opened, parts_of(self._workspace, job, target, checkpoints, report), shown)

    def _go(self, job: Job, opened: OpenedContext, parts: JobParts, shown: Artifacts) -> Outcome:
        def run_step(step: Step) -> None:
            self._tasks.run(step, attempt.run)
            if step.name == "pre-process":
                shown.show_plan(attempt.run)

        settings = self._workspace.settings
        partitioning = PrefectPartitioning(settings, job.id, job.claim or 0, job.partitions or settings.partitions)
        waits = partial(self._service.why_by_other, job)
        attempt = Attempt(self._store, self._strategy, job, opened, parts, partitioning, run_step, waits)
        beating = Heartbeat(settings.heartbeat_timeout, self._beat_of(job, parts.target), parts.logger)
        with opened.masking_logs(), beating:
            try:
                return attempt.go()
            finally:
                shown.show_result(attempt.run)
                shown.finish()

    def _is_leaving(self) -> bool:
        """Whether this process is to leave the job; a signal may mean a cancel, so the row follows the run first."""
        is_interrupted = self._tasks.interruption.wanted
        if is_interrupted:
            self._follow()
        return is_interrupted

    def _beat_of(self, job: Job, target: Engine) -> Callable[[], bool]:
        def beat() -> bool:
            lives = self._store.beat(job.id, job.claim or 0)
            if lives:
                self._follow()
            stop_waiting_in_vain(self._store, job.id, target, lives)
            return lives

        return beat

    def _follow(self) -> None:
        with suppress(PrefectAway):
            self._workspace.mirror.follow(self._run_id)

    def _await_confirmation(self, job_id: str) -> None:
        """Suspend this run until somebody confirms who may; return once it was resumed by them."""
        for key in chain(["confirm"], (f"confirm-{number}" for number in count(2))):
            try:
                said = cast(Confirmation, self._suspend(job_id, key, Confirmation))
            except ObjectNotFound:  # resumed without an answer, as `prefect flow-run resume` does
                said = Confirmation()
            if self._service.get(job_id).status is not Status.PRE_PROCESSED:
                return
            try:
                self._service.confirm_by_form(job_id, said.confirmed_by)
                return
            except OtherMustConfirm as refused:
                get_run_logger().warning("%s", refused)

    def _suspend(self, job_id: str, key: str, wait_for_input: type[RunInput] | None = None) -> Any:
        """Suspend this run, which ends its process; return only when it was resumed from this very suspension."""
        self._store.set_flow_run_state(self._run_id, "PAUSED", "Suspended")
        try:
            return cast(Any, suspend_flow_run)(wait_for_input=wait_for_input, key=key)
        except Pause:
            with suppress(PrefectAway):
                self._service.sync_to_prefect(job_id)  # somebody may have been quicker than the suspension
            raise

    def _end(self, outcome: Outcome, job_id: str) -> Any:
        job = self._service.get(job_id)
        if outcome is Outcome.CANCELED:
            return Cancelled(message=f"{job.id} was canceled; {job.result.advancement_count} rows are in")
        if outcome is Outcome.WAITING:
            message = f"`batch-jobs confirm {job.id}` goes on"
            return Completed(name="AwaitingConfirmation", message=message, data=job)
        if outcome is Outcome.INTERRUPTED:
            return self._put_back(job) if self._is_deployed else self._stop_here(job)
        if outcome is Outcome.PAUSED:
            return self._suspend(job.id, f"pause-{job.version}") if self._is_deployed else _paused(job)
        return job

    def _put_back(self, job: Job) -> NoReturn:
        """Leave the job to the next worker, or suspended where a person suspended the run.

        While Prefect is away it takes the run for a living one; reconciling finds out by the missing signs of life.
        """
        state = None
        with suppress(PrefectAway):
            state = self._workspace.prefect.state(self._run_id)
        suspended = state is not None and state.type == "PAUSED"
        noted = ("PAUSED", "Suspended") if suspended else ("SCHEDULED", RESCHEDULED)
        run = dict(zip(("flow_run_state", "flow_run_state_name"), noted, strict=True))
        self._store.note(job, "interrupt", who="prefect", why=STOPPED, **owner(None), **run)
        if suspended:
            raise Pause(state=Suspended())
        with suppress(PrefectAway):
            self._workspace.prefect.put_back(self._run_id, STOPPED)
        raise Abort(STOPPED)

    def _stop_here(self, job: Job) -> Any:
        """Nobody takes over a run without a deployment: the job waits for a person to let it go on."""
        if job.status is Status.PROCESSING:
            return _paused(self._store.move(job, Action.PAUSE, who="signal", why=STOPPED))
        self._store.move(job, Action.FAIL, who="signal", why=STOPPED)
        return Failed(message=f"{job.id}: {STOPPED}")

    @property
    def _service(self) -> BatchJobService:
        return self._workspace.service

    @property
    def _store(self) -> JobStore:
        return self._workspace.store


def this_run() -> FlowRun:
    """The Prefect run that this code runs in."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        raise RuntimeError("a batch job's flow runs under Prefect")
    return context.flow_run


def _paused(job: Job) -> Any:
    return Completed(name="Paused", message=f"{job.id} is paused; `batch-jobs resume {job.id}` goes on", data=job)
