"""Partitions in processes: whichever dies, stands still or is told to stop, the job ends as a clean run does."""

import os
import random
import signal
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import pytest
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, LogFilter, LogFilterTaskRunId
from sqlalchemy import text

from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.queries import JobFilter
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.strategies.sdk.partition import PartitionStatus
from support.command_line import CommandLine
from support.parted import (
    CLEAN,
    PARTITIONS,
    ROWS,
    PartedRuns,
    children_of,
    is_gone,
    is_right,
    kill_at_random,
    parted_runs,
    signal_to,
    with_settings,
)
from support.runs import kill
from support.servers import PrefectServer, free_port, wait_until
from support.serving import prefect_client


def test_partitions_run_in_processes_as_tasks_of_the_run_by_their_names(runs: PartedRuns):
    job = runs.new(partitions=PARTITIONS, rows=ROWS)
    process = runs.claimed(job.id)
    assert runs.ended(process) == 0, process.errors()[-3000:]
    assert is_right(runs, job)
    states = runs.states(job)
    assert {state.execution for state in states} == {1}
    assert len({state.pid for state in states} - {process.pid}) == 2, "two processes"
    assert all(is_gone(state.pid or 0) for state in states)
    names = [f"part {number}" for number in range(1, PARTITIONS + 1)]
    wait_until(lambda: set(task_states(runs, job)) >= {(name, "COMPLETED") for name in names}, what="its tasks' end")
    assert logged(runs, job, "part 3") == ["the numbers from 81 on"]


def task_runs(runs: PartedRuns, job: Job) -> list[Any]:
    of_run = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(runs.get(job).flow_run_id or "")]))
    with prefect_client() as client:
        return client.read_task_runs(flow_run_filter=of_run)


def task_states(runs: PartedRuns, job: Job) -> list[tuple[str, str]]:
    """Names and states of the tasks of a job's last run."""
    return [(run.name, run.state.type.value) for run in task_runs(runs, job) if run.state is not None]


def logged(runs: PartedRuns, job: Job, name: str) -> list[str]:
    """What the strategy has logged in a task of the run, as Prefect has it."""
    ids = [run.id for run in task_runs(runs, job) if run.name == name]
    found: list[str] = []

    def look() -> bool:
        with prefect_client() as client:
            logs = client.read_logs(LogFilter(task_run_id=LogFilterTaskRunId(any_=ids)))
        found[:] = [log.message for log in logs if log.message.startswith("the numbers")]
        return bool(found)

    wait_until(look, what="its log")
    return found


@pytest.mark.long
@pytest.mark.timeout(900)
def test_twenty_kills_of_workers_at_random_moments_change_nothing(runs: PartedRuns):
    kill_at_random(runs, random.Random(1848), 20)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_process_that_has_the_job_is_killed_and_takes_its_workers_with_it(runs: PartedRuns):
    job = runs.new(partitions=PARTITIONS, rows=ROWS, per_chunk=2, seconds_per_chunk=0.1)
    for _ in range(2):
        kill_with_workers_at_work(runs, job)
    runs.finish(job.id)
    assert is_right(runs, job)


def kill_with_workers_at_work(runs: PartedRuns, job: Job) -> None:
    process, before = runs.claimed(job.id), runs.rows(job)
    runs.until(job, lambda: runs.rows(job) > before and len(runs.at_work(job)) == 2, process, "rows")
    started = children_of(process.pid)
    assert len(started) >= 2
    kill(process)
    wait_until(lambda: all(is_gone(child.pid) for child in started), 60, "the end of its workers")


@pytest.mark.long
@pytest.mark.timeout(600)
def test_SIGTERM_pauses_the_job_at_the_edges_of_its_chunks(runs: PartedRuns):
    job = runs.new(partitions=PARTITIONS, rows=ROWS, per_chunk=2, seconds_per_chunk=0.1)
    process = runs.claimed(job.id)
    runs.until(job, lambda: len(runs.at_work(job)) == 2 and runs.rows(job) > 0, process, "two at work")
    signal_to(process.pid, signal.SIGTERM)
    runs.ended(process)
    assert runs.get(job).status is Status.PAUSED
    states = runs.states(job)
    assert PartitionStatus.STOPPED in {state.status for state in states}
    assert PartitionStatus.RUNNING not in {state.status for state in states}
    assert PartitionStatus.FAILED not in {state.status for state in states}
    assert all(is_gone(state.pid) for state in states if state.pid)
    runs.workspace.service.resume(job.id, who="test")
    runs.finish(job.id)
    assert is_right(runs, job)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_SIGTERM_of_one_worker_only_moves_its_partition(runs: PartedRuns):
    job = runs.new(partitions=PARTITIONS, rows=ROWS, per_chunk=2, seconds_per_chunk=0.1)
    process = runs.claimed(job.id)
    runs.until(job, lambda: runs.rows(job) > 0 and bool(runs.at_work(job)), process, "a worker")
    signal_to(runs.at_work(job)[0].pid, signal.SIGTERM)
    assert runs.ended(process) == 0, process.errors()[-3000:]
    assert is_right(runs, job)
    assert max(state.execution for state in runs.states(job)) == 2


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_poisonous_partition_fails_alone_and_is_done_once_the_poison_is_gone(runs: PartedRuns, tmp_path: Path):
    antidote = tmp_path / "antidote"
    job = runs.new(partitions=PARTITIONS, rows=ROWS, poisonous=2, antidote=str(antidote))
    process = runs.claimed(job.id)
    assert runs.ended(process) != 0
    failed = runs.get(job)
    assert failed.status is Status.FAILED
    (of_partition, of_job) = failed.result.errors[-2:]
    assert of_partition.message.startswith(
        "part 2: it was begun 3 times and lost each time before it committed a chunk"
    )
    assert of_job.message.startswith("1 of 5 partitions failed: part 2: it was begun 3 times")
    assert "\n" not in of_job.message
    before = runs.states(job)
    assert [state.status for state in before].count(PartitionStatus.COMPLETED) == PARTITIONS - 1
    assert "RUNNING" not in {state for name, state in task_states(runs, job) if name.startswith("part")}

    antidote.touch()
    runs.finish(job.id)
    assert is_right(runs, job)
    for was, now in zip(before, runs.states(job), strict=True):
        assert was.name == "part 2" or now == was, "it was done again"


@pytest.mark.long
@pytest.mark.timeout(600)
def test_cancel_and_pause_reach_partitions_and_another_number_of_them_goes_on(runs: PartedRuns):
    context = {"partitions": PARTITIONS, "rows": ROWS, "per_chunk": 2, "seconds_per_chunk": 0.1}
    canceled, paused = runs.new(**context), runs.new(**context)
    for job, act in ((canceled, runs.workspace.service.cancel), (paused, runs.workspace.service.pause)):
        process = runs.claimed(job.id)
        runs.until(job, lambda job=job: runs.rows(job) > 0, process, "rows")  # type: ignore[misc]
        act(job.id, who="test")
        runs.ended(process)
        assert all(is_gone(state.pid) for state in runs.states(job) if state.pid)
        assert 0 < runs.rows(job) < CLEAN
        assert runs.get(job).result.created == runs.rows(job)
    lines = {line.key: line.message for line in runs.get(canceled).result.stat_descriptors}
    assert "of 200 rows were not processed: part" in lines["unprocessed"]
    runs.workspace.service.resume(paused.id, who="test")
    with_settings(runs, partitions=3).finish(paused.id)
    assert is_right(runs, paused)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_worker_that_stands_still_is_replaced_and_writes_nothing_when_it_wakes(runs: PartedRuns, tmp_path: Path):
    runs = with_settings(runs, heartbeat_timeout=3)
    gate = tmp_path / "gate"
    context = {"partitions": PARTITIONS, "rows": ROWS, "per_chunk": 2, "seconds_per_chunk": 0.1}
    job = runs.new(**context, gated=5, gate=str(gate), inside=False)
    process = runs.claimed(job.id)
    runs.until(job, lambda: runs.rows(job) > 0 and bool(runs.at_work(job)), process, "a worker")
    frozen = runs.at_work(job)[0]
    assert frozen.pid is not None
    psutil.Process(frozen.pid).suspend()
    is_done = lambda: runs.state(job, frozen.number).status is PartitionStatus.COMPLETED  # noqa: E731
    runs.until(job, is_done, process, "its partition's end elsewhere")
    done = runs.state(job, frozen.number)
    assert done.pid != frozen.pid
    psutil.Process(frozen.pid).resume()
    gate.touch()
    assert runs.ended(process) == 0, process.errors()[-3000:]
    assert is_right(runs, job)
    assert runs.state(job, frozen.number) == done


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_job_does_not_wait_for_a_worker_that_never_wakes(runs: PartedRuns):
    runs = with_settings(runs, heartbeat_timeout=3)
    job = runs.new(partitions=PARTITIONS, rows=ROWS, per_chunk=2, seconds_per_chunk=0.1)
    process = runs.claimed(job.id)
    runs.until(job, lambda: runs.rows(job) > 0 and bool(runs.at_work(job)), process, "a worker")
    frozen = runs.at_work(job)[0]
    psutil.Process(frozen.pid or 0).suspend()
    assert runs.ended(process) == 0, process.errors()[-3000:]
    assert is_right(runs, job)
    assert is_gone(frozen.pid or 0)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_chunk_that_takes_longer_than_the_heartbeat_timeout_is_waited_for(runs: PartedRuns):
    runs = with_settings(runs, heartbeat_timeout=2)
    job = runs.new(partitions=2, rows=10, seconds_per_chunk=8)
    runs.finish(job.id)
    assert [state.execution for state in runs.states(job)] == [1, 1]


@pytest.mark.long
@pytest.mark.timeout(600)
def test_sessions_that_the_target_ends_are_made_anew_while_partitions_run(runs: PartedRuns):
    job = runs.new(partitions=PARTITIONS, rows=ROWS, per_chunk=2, seconds_per_chunk=0.1)
    process = runs.claimed(job.id)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        with runs.workspace.target.connect() as connection:
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name LIKE 'batch-jobs batch%' AND random() < 0.3"
                )
            )
        time.sleep(0.3)
    assert runs.ended(process) == 0, process.errors()[-3000:]
    assert is_right(runs, job)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_partitions_in_threads_fail_alone_and_heed_a_cancel(runs: PartedRuns):
    runs = with_settings(runs, task_runner="threads")
    job = runs.new(partitions=PARTITIONS, rows=ROWS, fails=2)
    assert runs.ended(runs.claimed(job.id)) != 0
    message = runs.get(job).result.errors[-1].message
    assert message.startswith("1 of 5 partitions failed: part 2: part 2 fails as asked (parted.py line ")
    assert [s.status for s in runs.states(job)].count(PartitionStatus.COMPLETED) == PARTITIONS - 1
    runs.finish(job.id)
    assert is_right(runs, job)

    job = runs.new(partitions=PARTITIONS, rows=ROWS, per_chunk=2, seconds_per_chunk=0.1)
    process = runs.claimed(job.id)
    runs.until(job, lambda: runs.rows(job) > 0, process, "rows")
    runs.workspace.service.cancel(job.id, who="test")
    runs.ended(process)
    assert runs.get(job).result.created == runs.rows(job) < CLEAN


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_partition_whose_failure_may_pass_is_begun_again_by_the_run(runs: PartedRuns):
    job = runs.new(partitions=PARTITIONS, rows=ROWS, fails=2, may_pass=True)
    runs.finish(job.id)
    assert is_right(runs, job)
    assert runs.get(job).attempt == 2


@pytest.mark.long
@pytest.mark.timeout(600)
def test_ctrl_c_stops_all_partitions_and_resume_goes_on(runs: PartedRuns):
    context = {"partitions": PARTITIONS, "rows": ROWS, "per_chunk": 2, "seconds_per_chunk": 0.1}
    given = [word for name, value in context.items() for word in ("-c", f"{name}={value}")]
    running = CommandLine(**runs.environment).start("run", "parted", *given)
    wait_until(lambda: bool(jobs_of(runs)) or running.poll() is not None, what="the job")
    assert running.poll() is None, running.communicate()
    job = jobs_of(runs)[0]
    wait_until(lambda: (runs.rows(job) > 0 and len(runs.at_work(job)) == 2) or running.poll() is not None, what="rows")
    started = children_of(running.pid)

    os.killpg(running.pid, signal.SIGINT)
    _, err = running.communicate(timeout=120)

    assert running.returncode == 1
    assert f"go on with: batch-jobs resume {job.id} --here" in err
    assert "Traceback" not in err
    assert runs.get(job).status is Status.PAUSED
    assert 0 < runs.rows(job) < CLEAN
    wait_until(lambda: all(is_gone(child.pid) for child in started), what="the end of its processes")
    resumed = CommandLine(**runs.environment)("resume", job.id, "--here", "--json")
    assert resumed.json["status"] == "completed", resumed.err
    assert is_right(runs, job)


def jobs_of(runs: PartedRuns) -> list[Job]:
    return runs.workspace.store.newest(JobFilter(), limit=1)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_partitions_go_on_while_prefect_is_away(postgres_url: str, tmp_path: Path):
    prefect = PrefectServer(tmp_path / "prefect", free_port())
    prefect.start()
    try:
        with parted_runs(postgres_url, tmp_path, prefect.environment) as runs:
            job = runs.new(partitions=PARTITIONS, rows=ROWS, per_chunk=2, seconds_per_chunk=0.1)
            process = runs.claimed(job.id)
            runs.until(job, lambda: runs.rows(job) > 0, process, "rows")
            prefect.kill()
            runs.until(job, lambda: all_are_done(runs, job), process, "the end of all partitions")
            prefect.start()
            assert runs.ended(process) == 0, process.errors()[-3000:]
            assert is_right(runs, job)
    finally:
        prefect.stop()


def all_are_done(runs: PartedRuns, job: Job) -> bool:
    return {state.status for state in runs.states(job)} == {PartitionStatus.COMPLETED}


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_a_hundred_kills_of_workers_at_random_moments_change_nothing(runs: PartedRuns):
    kill_at_random(runs, random.Random(1849), 100)
