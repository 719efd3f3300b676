"""A strategy as a Prefect flow: its hooks are the flow's tasks, its context the flow's form."""

from datetime import UTC, datetime, timedelta
from inspect import Parameter, Signature
from typing import Annotated, Any, Unpack

from prefect import Flow, flow, runtime
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import Abort
from prefect.flows import FlowStateHook
from pydantic import BaseModel, ValidationError, ValidatorFunctionWrapHandler, WithJsonSchema, WrapValidator
from ulid import ULID

from batch_jobs.flows.errors import RevisionDiffers
from batch_jobs.flows.jobs.model import Trigger
from batch_jobs.flows.jobs.process_identity import ProcessIdentity
from batch_jobs.flows.jobs.service import JobOptions
from batch_jobs.flows.prefect.client import run_state
from batch_jobs.flows.runs.run import JobFlowRun, this_run
from batch_jobs.flows.tracing import start_tracing
from batch_jobs.flows.workspace import Workspace, current_workspace
from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.connecting import waiting_as_runs_do
from batch_jobs.strategies.sdk.partition import MOST_PARTITIONS
from batch_jobs.strategies.sdk.partitioning import cuts

#: The module that holds every strategy's flow, where a worker looks for it.
CATALOG = "batch_jobs.flows.catalog"
#: After how long a run is due again that was put back for the release of its process: by then another may be in use.
OTHER_RELEASE_PAUSE = timedelta(seconds=15)


def _none_if_recorded(context: Any, check: ValidatorFunctionWrapHandler) -> Any:
    return None if context is None else check(context)


#: The context of a job that has a row need not be passed.
NONE_IF_RECORDED = WrapValidator(_none_if_recorded)
#: As the form shows it; the job's record refuses another number, in one line.
PARTITIONS = WithJsonSchema(
    {
        "anyOf": [{"type": "integer", "minimum": 1, "maximum": MOST_PARTITIONS}, {"type": "null"}],
        "description": "How many partitions of a new job are worked on at a time; the setting's number if empty.",
    }
)


def build_flow(strategy: type[BatchJobStrategy]) -> Flow[..., Any]:
    """Wrap a strategy as the Prefect flow of its ``batch_type``.

    The flow takes ``context`` (the strategy's ``Context``, or a dict for it), ``dry_run`` and ``job_id`` (empty: the
    flow makes the job's row itself), and ``partitions`` where the strategy cuts its jobs. It returns the job.
    """

    signature = _signature(strategy)

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


def _signature(strategy: type[BatchJobStrategy]) -> Signature:
    kind = Parameter.POSITIONAL_OR_KEYWORD
    context = strategy.Context
    parameters = [
        Parameter("context", kind, annotation=Annotated[context, NONE_IF_RECORDED], default=_default(context)),
        Parameter("dry_run", kind, annotation=bool, default=False),
        Parameter("job_id", kind, annotation=str, default=""),
    ]
    if cuts(strategy):
        parameters.append(Parameter("partitions", kind, annotation=Annotated[int | None, PARTITIONS], default=None))
    return Signature(parameters)


def _default(context: type[BaseModel]) -> Any:
    """The context of a run that names none, where there is a valid one."""
    try:
        return context()
    except ValidationError:
        return Parameter.empty


def _run_name() -> str:
    job_id = runtime.flow_run.parameters.get("job_id") or job_id_of_run(this_run())
    return f"{runtime.flow_run.flow_name} {job_id}"


def _run_job(
    strategy: type[BatchJobStrategy],
    context: BaseModel | None,
    dry_run: bool,
    job_id: str,
    partitions: int | None = None,
) -> Any:
    start_tracing()  # where no process of ours has begun this one
    workspace, run = current_workspace(), this_run()
    workspace.is_for_a_run = run.deployment_id is not None
    _leave_other_release(workspace, run)
    with waiting_as_runs_do():
        job_id = job_id or _record(workspace, strategy, context, run, dry_run=dry_run, partitions=partitions)
        return JobFlowRun(workspace, strategy(), run).go(job_id)


def _leave_other_release(workspace: Workspace, run: FlowRun) -> None:
    """Put a run back whose job this program cannot work on, as its release is another one than the job database's."""
    try:
        _ = workspace.jobs
    except RevisionDiffers as error:
        if run.deployment_id is None:
            raise
        workspace.prefect.put_back(str(run.id), str(error), OTHER_RELEASE_PAUSE)
        raise Abort(str(error)) from None


def _record(
    workspace: Workspace,
    strategy: type[BatchJobStrategy],
    context: BaseModel | None,
    run: FlowRun,
    **options: Unpack[JobOptions],
) -> str:
    trigger = Trigger.PYTHON
    if run.deployment_id is not None:
        trigger = Trigger.SCHEDULE if run.auto_scheduled else Trigger.PREFECT_UI
    made: JobOptions = {
        **options,
        "trigger": trigger,
        "created_by": run.created_by.display_value if run.created_by else None,
    }
    job = workspace.service.record(
        strategy.batch_type,
        context.model_dump(exclude_unset=True) if context is not None else {},
        job_id=job_id_of_run(run),
        worker=ProcessIdentity.current(),
        **made,
    )
    return job.id


def _note_end(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Let the row follow the run's end, and give its turn to a job that queued behind it."""
    with waiting_as_runs_do():
        current_workspace().note_end(str(flow_run.id), run_state(state))
