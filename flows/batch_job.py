"""A strategy as a Prefect flow: its hooks are the flow's tasks, its context the flow's form."""

from datetime import UTC, datetime
from inspect import Parameter, Signature
from typing import Any

from prefect import Flow, flow, get_run_logger, runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import FlowRun, State
from prefect.context import FlowRunContext
from prefect.flows import FlowStateHook
from prefect.states import Cancelled, Completed
from pydantic import BaseModel, ValidationError
from ulid import ULID

from flows import artifacts
from flows.attempt import Attempt, Hook, Outcome, RowReport
from flows.errors import JobMoved
from flows.job import Job, Trigger
from flows.process_identity import ProcessIdentity
from flows.transitions import ENDED, Action
from flows.workspace import Workspace, current_workspace
from strategies.base import BatchJobStrategy
from strategies.checkpoint import CheckpointStore
from strategies.errors import StopRequested
from strategies.run import JobParts, JobRun

#: The module that holds every strategy's flow, where a worker looks for it.
CATALOG = "flows.catalog"


def build_flow(strategy: type[BatchJobStrategy]) -> Flow[..., Any]:
    """Wrap a strategy as the Prefect flow of its ``batch_type``.

    The flow takes ``context`` (the strategy's ``Context``, or a dict for it), ``dry_run`` and ``job_id`` (empty: the
    flow makes the job's row itself). It returns the job.
    """

    signature = _signature(strategy.Context)

    def run_batch_job(*given: Any, **named: Any) -> Any:
        # Prefect passes a parameter without default by position
        bound = signature.bind(*given, **named)
        bound.apply_defaults()
        return _run_job(strategy, **bound.arguments)

    run_batch_job.__name__ = run_batch_job.__qualname__ = flow_variable(strategy.batch_type)
    run_batch_job.__module__ = CATALOG
    run_batch_job.__doc__ = strategy.description()
    run_batch_job.__signature__ = signature  # type: ignore[attr-defined]
    run_batch_job.__annotations__ = {name: parameter.annotation for name, parameter in signature.parameters.items()}
    ended: list[FlowStateHook[..., Any]] = [_note_end]
    return flow(
        name=strategy.batch_type,
        description=strategy.description() or None,
        flow_run_name=_run_name,
        on_completion=ended,
        on_failure=ended,
        on_crashed=ended,
        on_cancellation=ended,
    )(run_batch_job)


def flow_variable(batch_type: str) -> str:
    """The catalog's name for a type's flow: ``table-import`` is ``table_import``."""
    return "".join(letter if letter.isalnum() else "_" for letter in batch_type)


def job_id_of_run(run: FlowRun) -> str:
    """The id of the job that a run makes itself: the same for every attempt Prefect makes at that run.

    A ULID is 48 bits of time in milliseconds and 80 that are random: the run's creation, and the end of its own id.
    """
    created = int((run.created or datetime.now(UTC)).timestamp() * 1000)
    return f"batch_{ULID.from_bytes(created.to_bytes(6, 'big') + run.id.bytes[6:])}"


def _signature(context: type[BaseModel]) -> Signature:
    kind = Parameter.POSITIONAL_OR_KEYWORD
    return Signature(
        [
            Parameter("context", kind, annotation=context, default=_default(context)),
            Parameter("dry_run", kind, annotation=bool, default=False),
            Parameter("job_id", kind, annotation=str, default=""),
        ]
    )


def _default(context: type[BaseModel]) -> Any:
    """The context of a run that names none, where there is a valid one."""
    try:
        return context()
    except ValidationError:
        return Parameter.empty


def _run_name() -> str:
    job_id = runtime.flow_run.parameters.get("job_id") or job_id_of_run(_flow_run())
    return f"{runtime.flow_run.flow_name} {job_id}"


def _run_job(strategy: type[BatchJobStrategy], context: BaseModel, dry_run: bool, job_id: str) -> Any:
    workspace, run = current_workspace(), _flow_run()
    opened = job_id or _record(workspace, strategy, context, dry_run, run)
    job = workspace.service.claim(opened, str(run.id))
    attempt = _attempt(workspace, strategy(), job)
    outcome = attempt.go()
    artifacts.publish_result(attempt.run)
    return _final_state(outcome, workspace.service.get(job.id))


def _flow_run() -> FlowRun:
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        raise RuntimeError("a batch job's flow runs under Prefect")
    return context.flow_run


def _record(
    workspace: Workspace, strategy: type[BatchJobStrategy], context: BaseModel, dry_run: bool, run: FlowRun
) -> str:
    trigger = Trigger.PYTHON
    if run.deployment_id is not None:
        trigger = Trigger.SCHEDULE if run.auto_scheduled else Trigger.PREFECT_UI
    given = context.model_dump(exclude_unset=True)
    job = workspace.service.record(
        strategy.batch_type,
        given,
        dry_run=dry_run,
        trigger=trigger,
        created_by=run.created_by.display_value if run.created_by else None,
        job_id=job_id_of_run(run),
        worker=ProcessIdentity.current(),
    )
    return job.id


def _attempt(workspace: Workspace, strategy: BatchJobStrategy, job: Job) -> Attempt:
    opened = workspace.service.opened_context(job)
    report = RowReport(workspace.store, job, opened, artifacts.ProgressBar(job.id).show)
    checkpoints = CheckpointStore(workspace.target, job.id, token=job.claim or 0)
    parts = JobParts(
        workspace.target, workspace.files, checkpoints, report, get_run_logger(), workspace.settings.chunk_size
    )
    return Attempt(workspace.store, strategy, job, opened, parts, _run_as_task)


def _run_as_task(name: str, hook: Hook, strategy: BatchJobStrategy, job: JobRun) -> None:
    """Run a hook as a Prefect task; a stop at a chunk edge is no crash of the task, so it is carried out of it."""

    def run_hook() -> StopRequested | None:
        outside, job.logger = job.logger, get_run_logger()
        try:
            hook(strategy, job)
        except StopRequested as stop:
            return stop
        finally:
            job.logger = outside
        return None

    stop = task(name=name, cache_policy=NO_CACHE, persist_result=False)(run_hook)()
    if name == "pre-process":
        artifacts.publish_plan(job)
    if stop is not None:
        raise stop


def _final_state(outcome: Outcome, job: Job) -> Any:
    if outcome is Outcome.CANCELED:
        return Cancelled(message=f"{job.id} was canceled; {job.result.advancement_count} rows are in")
    if outcome is Outcome.PAUSED:
        return Completed(name="Paused", message=f"{job.id} is paused; `batch-jobs resume {job.id}` goes on", data=job)
    if outcome is Outcome.WAITING:
        return Completed(name="AwaitingConfirmation", message=f"`batch-jobs confirm {job.id}` goes on", data=job)
    return job


def _note_end(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Let the row follow the run's end; a run that ended under the job takes the job with it."""
    store = current_workspace().store
    job = store.by_flow_run(str(flow_run.id))
    if job is None:
        return
    store.set_flow_run_state(str(flow_run.id), state.type.value, state.name)
    if (state.is_failed() or state.is_crashed()) and job.status not in ENDED:
        try:
            store.move(job, Action.FAIL, who="prefect", why=state.message)
        except JobMoved:
            return
