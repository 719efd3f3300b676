"""A strategy as a Prefect flow, against a real Prefect server."""

import contextvars
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import FlowRun, TaskRun
from sqlalchemy import text

from batch_jobs.flows.errors import ActionIllegal, JobTaken
from batch_jobs.flows.jobs.model import Job, Trigger
from batch_jobs.flows.jobs.service import BatchJobService
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.flows.runs.flow import build_flow
from batch_jobs.flows.scheduled import create_batch_job
from batch_jobs.flows.workspace import Workspace, current_workspace
from batch_jobs.strategies.sdk.errors import ContextRefused
from batch_jobs.strategies.sdk.result import PartitionEntry
from support.artifacts import artifacts_of
from support.servers import wait_until

STRATEGIES = Path(__file__).parent.parent / "support" / "strategies"


@pytest.fixture
def workspace(home: Path, prefect_here: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.setenv("BATCH_JOBS_STRATEGIES", str(STRATEGIES))
    yield current_workspace()


@pytest.fixture
def service(workspace: Workspace) -> BatchJobService:
    return workspace.service


@pytest.fixture
def counting(workspace: Workspace) -> Flow[..., Any]:
    return build_flow(workspace.strategies.by_type["counting"])


def numbers(workspace: Workspace) -> list[tuple[int, int]]:
    with workspace.target.connect() as connection:
        return [tuple(row) for row in connection.execute(text("SELECT i, attempt FROM numbers ORDER BY i"))]


def prefect_run(job: Job) -> tuple[FlowRun, list[TaskRun]]:
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(UUID(job.flow_run_id))
        wait_until(lambda: all(task.state.is_final() for task in _tasks(client, run)), what="the tasks' end")
        return run, _tasks(client, run)


def _tasks(client: Any, run: FlowRun) -> list[TaskRun]:
    tasks = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run.id])))
    return sorted(tasks, key=lambda task: task.expected_start_time)


def test_called_as_a_function_it_makes_a_row_and_returns_the_finished_job(
    counting: Flow[..., Any], workspace: Workspace
):
    job = counting(context={"limit": 4})
    assert (job.status, job.trigger, job.attempt) == (Status.COMPLETED, Trigger.PYTHON, 1)
    assert (job.result.count, job.result.advancement_count, job.result.progress, job.result.created) == (4, 4, 1.0, 4)
    assert numbers(workspace) == [(i, 1) for i in range(1, 5)]
    assert [event.to_status for event in workspace.service.events(job.id)] == [
        "created", "pre_processed", "confirmed", "processing", "completed",
    ]  # fmt: skip


def test_prefect_shows_the_flow_by_its_type_the_run_by_its_job_and_the_hooks_as_tasks(
    counting: Flow[..., Any], service: BatchJobService
):
    job = counting(context={"limit": 2})
    run, tasks = prefect_run(job)
    assert counting.name == "counting"
    assert run.name == f"counting {job.id}"
    assert [task.name.rsplit("-", 1)[0] for task in tasks] == ["pre-process", "process", "post-process"]
    wait_until(lambda: service.get(job.id).flow_run_state == "COMPLETED", what="the row's note of the run's end")


def test_what_the_strategy_logs_is_in_the_run(counting: Flow[..., Any]):
    job = counting(context={"limit": 3})

    def logged() -> bool:
        with get_client(sync_client=True) as client:
            wanted = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[UUID(job.flow_run_id)]))
            return any(log.message == "counting to 3" for log in client.read_logs(wanted))

    wait_until(logged, what="the log line in Prefect")


def test_plan_progress_and_result_are_artifacts_of_the_run(counting: Flow[..., Any]):
    job = counting(context={"limit": 3})
    found = {artifact.key.split("-", 1)[0]: artifact for artifact in artifacts_of(job)}
    assert set(found) == {"plan", "progress", "result"}
    assert "3 numbers will be written" in found["plan"].data
    assert float(found["progress"].data) == 100.0
    assert "numbers.txt" in found["result"].data


def test_the_form_of_the_prefect_ui_has_the_contexts_typed_fields(counting: Flow[..., Any]):
    from prefect.utilities.callables import parameter_schema

    schema = parameter_schema(counting.fn).model_dump_for_openapi()
    assert list(schema["properties"]) == ["context", "dry_run", "job_id"]
    fields = schema["definitions"]["Context"]["properties"]
    assert fields["limit"]["type"] == "integer"
    assert fields["labels"]["type"] == "array"
    assert counting.description == "Write the numbers up to a limit, one a chunk."


def cut(strategy: Any) -> Any:
    """The strategy with a ``partition`` that cuts nothing."""

    class Cut(strategy):  # type: ignore[misc]
        identifier = "cut-strategy"
        batch_type = "cut"

        def partition(self, job: Any, size: int) -> list[Any]:
            return []

    return Cut


def test_the_form_of_a_strategy_that_cuts_its_jobs_asks_for_their_partitions(workspace: Workspace):
    from prefect.utilities.callables import parameter_schema

    workspace.strategies.by_type["cut"] = cut(workspace.strategies.by_type["counting"])
    flow = build_flow(workspace.strategies.by_type["cut"])

    schema = parameter_schema(flow.fn).model_dump_for_openapi()
    assert list(schema["properties"]) == ["context", "dry_run", "job_id", "partitions"]
    field = schema["properties"]["partitions"]
    assert field["description"].startswith("How many partitions of a new job are worked on at a time")
    assert field["anyOf"][0] == {"type": "integer", "minimum": 1, "maximum": 1000}
    assert "partitions" not in schema.get("required", [])
    assert flow(context={"limit": 1}, partitions=3).partitions == 3
    assert flow(context={"limit": 1}).partitions is None
    recorded = workspace.service.record("cut", {"limit": 1}, partitions=2)
    assert flow(context={}, job_id=recorded.id, partitions=9).partitions == 2
    with pytest.raises(ContextRefused, match=r"^partitions must be a whole number from 1 to 1,000, not 0$"):
        flow(context={"limit": 1}, partitions=0)


def test_a_schedule_may_say_how_many_partitions_its_jobs_have(workspace: Workspace):
    create_batch_job("counting", {"limit": 1}, partitions=4)
    create_batch_job("counting", {"limit": 2})

    found = workspace.service.list()
    assert [(job.context["limit"], job.partitions) for job in found] == [(2, None), (1, 4)]
    with pytest.raises(ContextRefused, match="partitions must be a whole number from 1 to 1,000, not 5000"):
        create_batch_job("counting", {"limit": 3}, partitions=5_000)


def test_the_result_of_a_job_with_partitions_is_an_artifact_with_a_table_of_them(workspace: Workspace):
    class InParts(workspace.strategies.by_type["counting"]):  # type: ignore[misc, name-defined]
        identifier = "in-parts-strategy"
        batch_type = "in-parts"

        def post_process(self, job: Any) -> None:
            job.result.partitions = [
                PartitionEntry(name="lines 1|9", status="completed", rows=9, advanced=9, attempt=1, where="host:7"),
                PartitionEntry(name="the rest", status="failed", rows=4, attempt=3, error="no such column"),
            ]

    workspace.strategies.by_type["in-parts"] = InParts
    job = build_flow(InParts)(context={"limit": 1})

    (result,) = [artifact for artifact in artifacts_of(job) if artifact.key.startswith("result-")]
    assert result.data.split("### Partitions\n\n")[1] == (
        "| Name | Status | Rows | Rows/s | Attempt | Where |\n"
        "|---|---|---|---|---|---|\n"
        "| lines 1\\|9 | completed | 9 of 9 |  | 1 | host:7 |\n"
        "| the rest | failed | 0 of 4 |  | 3 |  |\n\n"
        "**the rest**: no such column"
    )


def test_a_dry_run_writes_nothing_and_goes_on_when_it_is_confirmed(counting: Flow[..., Any], workspace: Workspace):
    job = counting(context={"limit": 3}, dry_run=True)
    assert (job.status, job.worker) == (Status.PRE_PROCESSED, None)
    assert job.result.stat_descriptors[0].message == "3 numbers will be written"
    assert not workspace.target.dialect.has_table(workspace.target.connect(), "numbers")
    workspace.service.confirm(job.id, who="test")
    assert counting(context={}, job_id=job.id).status is Status.COMPLETED


def test_a_failure_is_in_the_row_and_a_retry_goes_on_after_the_last_chunk(
    counting: Flow[..., Any], workspace: Workspace
):
    with pytest.raises(ValueError, match="as asked"):
        counting(context={"limit": 5, "fail_at": 3})
    (failed,) = workspace.service.list()
    assert (failed.status, failed.result.advancement_count, failed.worker) == (Status.FAILED, 2, None)
    (error,) = failed.result.errors
    assert (error.message.partition(" (counting.py line ")[0], error.code) == ("as asked in two lines", "ValueError")
    workspace.service.retry(failed.id, who="test")
    done = counting(context={}, job_id=failed.id)
    assert (done.status, done.attempt, done.result.advancement_count, done.result.created) == (
        Status.COMPLETED,
        2,
        5,
        5,
    )
    assert done.plan == {"attempt": 1}
    assert numbers(workspace) == [(1, 1), (2, 1), (3, 2), (4, 2), (5, 2)]


def test_a_context_the_strategy_refuses_makes_no_row(counting: Flow[..., Any], service: BatchJobService):
    with pytest.raises(ContextRefused, match="limit is below 0"):
        counting(context={"limit": -1})
    with pytest.raises(ContextRefused, match="counting takes no limt; its context has"):
        service.record("counting", {"limt": 3})
    with pytest.raises(
        ContextRefused, match="the context of counting is wrong: limit: Input should be a valid integer"
    ):
        service.record("counting", {"limit": "many"})
    assert list(service.list()) == []


def run_in_thread(counting: Flow[..., Any], **parameters: Any) -> tuple[threading.Thread, list[Any]]:
    states: list[Any] = []
    here = contextvars.copy_context()  # the settings that name the test's Prefect server are bound to it
    thread = threading.Thread(target=lambda: states.append(here.run(counting, return_state=True, **parameters)))
    thread.start()
    return thread, states


def waiting_run(
    counting: Flow[..., Any], service: BatchJobService, gate: Path
) -> tuple[Job, threading.Thread, list[Any]]:
    job = service.record("counting", {"limit": 5, "wait_for": str(gate)})
    thread, states = run_in_thread(counting, context={}, job_id=job.id)
    wait_until(Path(f"{gate}.reached").exists, what="the second number")
    return service.get(job.id), thread, states


def test_a_cancel_in_the_middle_stops_at_the_next_chunk_edge_with_true_counts(
    counting: Flow[..., Any], workspace: Workspace, tmp_path: Path
):
    gate = tmp_path / "gate"
    job, thread, states = waiting_run(counting, workspace.service, gate)
    workspace.service.cancel(job.id, who="test")
    gate.touch()
    thread.join(timeout=60)
    ended = workspace.service.get(job.id)
    assert (ended.status, ended.result.advancement_count, ended.result.created) == (Status.CANCELED, 3, 3)
    assert len(numbers(workspace)) == 3
    assert ended.result.stat_descriptors[-1].message == "after 3"
    assert states[0].is_cancelled()


def test_a_pause_frees_the_job_and_a_resume_goes_on(counting: Flow[..., Any], workspace: Workspace, tmp_path: Path):
    gate = tmp_path / "gate"
    job, thread, _ = waiting_run(counting, workspace.service, gate)
    workspace.service.pause(job.id, who="test")
    gate.touch()
    thread.join(timeout=60)
    paused = workspace.service.get(job.id)
    assert (paused.status, paused.result.advancement_count, paused.worker) == (Status.PAUSED, 3, None)
    workspace.service.resume(job.id, who="test")
    assert counting(context={}, job_id=job.id).status is Status.COMPLETED
    assert [i for i, _ in numbers(workspace)] == [1, 2, 3, 4, 5]


def test_an_attempt_that_was_thought_dead_cannot_write_after_the_next_one_began(
    counting: Flow[..., Any], workspace: Workspace, tmp_path: Path
):
    gate, service = tmp_path / "gate", workspace.service
    job, thread, states = waiting_run(counting, service, gate)
    workspace.store.move(service.get(job.id), "fail", who="liveness", why="thought dead")
    service.retry(job.id, who="test")
    workspace.claims.claim(job.id, None)
    gate.touch()
    thread.join(timeout=60)
    assert states[0].is_failed()
    assert service.get(job.id).status is Status.CREATED
    assert [attempt for _, attempt in numbers(workspace)][:2] == [1, 1]
    retried = counting(context={}, job_id=job.id)
    assert retried.result.created == 5
    assert [i for i, _ in numbers(workspace)] == [1, 2, 3, 4, 5]


def test_a_job_that_has_ended_does_not_run_again(counting: Flow[..., Any], workspace: Workspace):
    job = counting(context={"limit": 2})
    with pytest.raises(ActionIllegal, match=f"{job.id} is completed"):
        counting(context={}, job_id=job.id)
    assert len(numbers(workspace)) == 2


def test_a_job_that_another_living_process_runs_is_left_to_it(counting: Flow[..., Any], workspace: Workspace):
    import os

    from batch_jobs.flows.jobs.process_identity import ProcessIdentity

    parent = ProcessIdentity.of(os.getppid())
    job = workspace.service.record("counting", {"limit": 2}, worker=parent)
    with pytest.raises(JobTaken, match=f"{job.id} is being run by process {os.getppid()}"):
        counting(context={}, job_id=job.id)


def test_a_very_long_error_is_cut_and_a_failing_hook_does_not_hide_it(workspace: Workspace):
    strategy = workspace.strategies.by_type["counting"]

    class Loud(strategy):  # type: ignore[misc, valid-type]
        identifier = "loud-strategy"
        batch_type = "loud"

        def process(self, job: Any) -> None:
            raise RuntimeError("x" * 5_000_000)

        def on_failure(self, job: Any, error: BaseException) -> None:
            raise ValueError("the hook itself")

    workspace.strategies.by_type["loud"] = Loud
    with pytest.raises(RuntimeError):
        build_flow(Loud)(context={})
    (job,) = workspace.service.list()
    assert job.status is Status.FAILED
    assert job.result.errors[0].code == "RuntimeError"
    assert len(job.result.errors[0].message) == 1_000


def test_S25_the_same_idempotency_key_gives_the_same_job_and_another_body_is_refused(service: BatchJobService):
    from batch_jobs.flows.errors import IdempotencyKeyTaken

    first = service.record("counting", {"limit": 2}, idempotency_key="k")
    assert service.record("counting", {"limit": 2}, idempotency_key="k").id == first.id
    with pytest.raises(IdempotencyKeyTaken, match=f"belongs to {first.id}"):
        service.record("counting", {"limit": 3}, idempotency_key="k")
