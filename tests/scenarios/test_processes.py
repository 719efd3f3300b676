"""Processes of runs, and those around them: left behind, forked, killed."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import psutil
import pytest
from prefect.states import Crashed, Scheduled

from batch_jobs.flows.jobs.transitions import Status
from support.servers import wait_until
from support.serving import Served, prefect_client

pytestmark = pytest.mark.long
#: What happens between processes alone is the same on both databases.
on_one_database = pytest.mark.parametrize("workspace_served", ["postgres"], indirect=True, scope="module")


def _template(pid: int) -> psutil.Process:
    """The process that the runs of a server or worker are forked from."""
    children = psutil.Process(pid).children()
    return next(child for child in children if "multiprocessing.forkserver" in " ".join(child.cmdline()))


def _server(served: Served) -> int:
    return next(process.pid for process in served.processes if process.poll() is None)


@pytest.fixture
def patient_served(
    tmp_path: Path, prefect_of_module: dict[str, str], postgres_url: str, workspace_served: Served
) -> Iterator[Served]:
    """A workspace that gives its processes an hour; no other serves meanwhile, as Prefect's deployments are theirs."""
    for process in workspace_served.processes:
        if process.poll() is None:
            workspace_served.kill_with_runs(process)
    served = Served(tmp_path, postgres_url, postgres_url, prefect_of_module, heartbeat_timeout=3600)
    yield served
    served.close()


@on_one_database
def test_runs_that_a_killed_server_has_taken_up_go_on_under_the_next(patient_served: Served):
    served = patient_served
    server = served.start()
    os.kill(_template(_server(served)).pid, signal.SIGSTOP)  # a process of a run is asked for and does not begin
    first = served.create("narrow", limit=1)
    assert served.until_run(first, "PENDING") == "PENDING"
    behind = served.create("narrow", limit=1)
    served.kill_with_runs(server)
    served.start()
    for job in (first, behind):
        done = served.until_status(job, Status.COMPLETED)
        assert (served.tally(job), done.attempt, done.flow_run_id) == ([1], 1, served.get(job).flow_run_id)
    assert served.history(first) == served.history(behind)


@on_one_database
def test_of_two_processes_of_one_run_the_second_leaves_the_job_alone(served: Served, gate: Path):
    job = served.create(gate=str(gate))
    running = served.at_gate(job, gate)
    other = served.start("worker")
    with prefect_client() as client:  # as if its worker were taken for gone
        client.set_flow_run_state(UUID(running.flow_run_id), Scheduled(name="Rescheduled"))
    for begun in (True, False):
        wait_until(lambda begun=begun: bool(_template(other.pid).children()) is begun, what=f"its process: {begun}")
    gate.touch()
    assert served.until_status(job, Status.COMPLETED, Status.FAILED).worker_pid is None
    assert served.until_run(job, "COMPLETED", "FAILED", "CRASHED") == "COMPLETED"
    assert (served.tally(job), served.get(job).attempt) == ([1, 2, 3, 4], 1)
    served.kill_with_runs(other)


@on_one_database
def test_a_living_run_goes_on_when_the_process_it_was_forked_from_is_killed(served: Served, gate: Path):
    job = served.create(gate=str(gate))
    running = served.at_gate(job, gate)
    _template(_server(served)).kill()
    done = served.until_status(served.create(limit=1), Status.COMPLETED)
    assert served.get(job).worker == running.worker
    gate.touch()
    assert served.until_status(job, Status.COMPLETED, Status.FAILED).status is Status.COMPLETED
    assert served.until_run(job, "COMPLETED", "CRASHED", "FAILED") == "COMPLETED"
    assert (served.get(job).attempt, served.tally(job)) == (1, [1, 2, 3, 4])
    assert served.run_type(done) == "COMPLETED"


@on_one_database
@pytest.mark.parametrize("way", ["thread", "pool", "exit_hook", "worker_process"])
def test_a_process_ends_soon_after_its_run_whatever_a_strategy_has_left_in_it(served: Served, tmp_path: Path, way: str):
    job = served.create("untidy", way=way, folder=str(tmp_path))
    served.until_status(job, Status.COMPLETED)
    assert served.until_run(job, "COMPLETED") == "COMPLETED"
    pid = int((tmp_path / "pid").read_text())
    wait_until(lambda: not psutil.pid_exists(pid), 60, "the end of its process")
    assert served.tally(job) == [1, 2]


@on_one_database
def test_a_process_that_cannot_end_by_itself_is_killed_when_its_run_is_over(served: Served, gate: Path):
    job = served.create(gate=str(gate))
    running = served.at_gate(job, gate)
    os.kill(running.worker_pid or 0, signal.SIGSTOP)
    with prefect_client() as client:
        client.set_flow_run_state(UUID(running.flow_run_id), Crashed(), force=True)
    served.until_status(job, Status.FAILED)
    wait_until(lambda: not psutil.pid_exists(running.worker_pid or 0), what="the end of its process")
    assert served.tally(job) == [1]


@on_one_database
def test_processes_that_a_strategy_has_left_end_with_its_run(served: Served, tmp_path: Path):
    job = served.create("untidy", way="child", folder=str(tmp_path))
    served.until_status(job, Status.COMPLETED)
    child = int((tmp_path / "child").read_text())
    wait_until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie", 60, "its end")


@pytest.mark.parametrize("way", ["fork", "fork_within_a_chunk", "fork_that_returns"])
def test_a_fork_that_comes_back_writes_nothing_and_ends(served: Served, tmp_path: Path, way: str):
    job = served.create("untidy", way=way, folder=str(tmp_path))
    done = served.until_status(job, Status.COMPLETED, Status.FAILED)
    assert (done.status, done.result.errors) == (Status.COMPLETED, [])
    assert served.tally(job) == [1, 2] + ([15] if way == "fork_within_a_chunk" else [])
    assert served.history(job) == ["create by python"] + [
        f"{step} by attempt 1" for step in ("pre_process", "confirm", "process", "complete")
    ]
    if way != "fork_that_returns":
        assert (tmp_path / "code").read_text() == "1"
        assert "is a fork of the process that runs" in served.said()


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_pools_of_processes_work_in_a_strategy(served: Served, tmp_path: Path, method: str):
    job = served.create("untidy", way="good_pool", folder=str(tmp_path), method=method)
    done = served.until_status(job, Status.COMPLETED, Status.FAILED)
    assert (done.result.errors, served.tally(job)) == ([], [1, 2]), served.said()
