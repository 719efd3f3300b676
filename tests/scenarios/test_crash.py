"""Processes and machines that die, and those that are only slow."""

import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from batch_jobs.flows.jobs.process_identity import ProcessIdentity
from batch_jobs.flows.jobs.store import JobStore
from batch_jobs.flows.jobs.table import batch_job
from batch_jobs.flows.jobs.transitions import Action, Status
from batch_jobs.strategies.sdk.errors import StrategyUnknown
from support.servers import wait_until
from support.serving import Served

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("workspace_served", ["postgres"], indirect=True, scope="module"),
]


@pytest.mark.long
def test_S3_a_killed_run_is_failed_without_anybody_looking_and_its_slot_is_free(served: Served, gate: Path):
    job = served.create("narrow", gate=str(gate))
    running = served.at_gate(job, gate)
    next_one = served.create("narrow", limit=1)
    os.kill(running.worker_pid or 0, signal.SIGKILL)
    failed = served.until_status(job, Status.FAILED)
    assert failed.worker is None
    assert served.until_run(job, "CRASHED") == "CRASHED"
    gate.touch()
    served.until_status(next_one, Status.COMPLETED)
    service = served.workspace.service
    service.start(service.retry(job.id, who="test"))
    done = served.until_status(job, Status.COMPLETED)
    assert (done.attempt, served.tally(job)) == (2, [1, 2, 3, 4])


@pytest.mark.long
def test_S3_a_machine_that_is_gone_with_server_and_run_is_found_by_the_next_one(served: Served, gate: Path):
    job = served.create(gate=str(gate))
    served.at_gate(job, gate)
    server = next(process for process in served.processes if process.poll() is None)
    served.kill_with_runs(server)
    _forget_the_machine(served, job.id)
    served.start()
    failed = served.until_status(job, Status.FAILED)
    assert "was not heard of for" in (served.workspace.service.events(job.id)[-1].why or "")
    assert served.until_run(job, "CRASHED") == "CRASHED"
    assert failed.result.advancement_count <= 1


@pytest.mark.long
def test_a_chunk_longer_than_the_heartbeat_timeout_is_no_death(served: Served, gate: Path):
    job = served.create(gate=str(gate), inside=True)
    begun = served.at_gate(job, gate)
    long_enough = (begun.heartbeat_at or datetime.now(UTC)) + timedelta(seconds=1.5 * served.heartbeat_timeout)
    served.until(job, lambda now: (now.heartbeat_at or long_enough) > long_enough, "signs of life all the while")
    assert served.get(job).status is Status.PROCESSING
    gate.touch()
    assert served.until_status(job, Status.COMPLETED).attempt == 1


@pytest.mark.long
def test_S6_of_two_that_find_a_dead_run_at_once_one_tells_it(served: Served):
    service = served.workspace.service
    for _ in range(5):
        job = service.record("gated", {}, worker=_a_dead_process())
        with ThreadPoolExecutor(4) as finders:
            seen = list(finders.map(lambda _, of=job.id: served.workspace.claims.fail_if_dead(of).status, range(4)))
        assert seen == [Status.FAILED] * 4
        assert served.history(job).count("fail by liveness") == 1


def test_S8_a_run_that_dies_before_its_first_sign_of_life_is_found(served: Served):
    from prefect.states import Running

    from support.serving import prefect_client

    # this process holds the job until it names the run, so that the server starts no other before
    job = served.workspace.service.record("gated", {}, worker=ProcessIdentity.current())
    with prefect_client() as client:
        deployment = client.read_deployment_by_name("narrow/batch-jobs")
        run = client.create_flow_run_from_deployment(deployment.id, parameters={"job_id": job.id}, state=Running())
    its_run = {"flow_run_id": str(run.id), "flow_run_state": "RUNNING", "flow_run_state_name": "Running"}
    served.workspace.store.release(job, **its_run)
    found = served.until(job, lambda now: now.flow_run_id != str(run.id), "another run")
    assert found.worker is None or found.flow_run_id is not None
    done = served.until_status(job, Status.COMPLETED)
    assert (served.tally(job), done.attempt) == ([1, 2, 3, 4], 1)
    lost = served.workspace.prefect.state(str(run.id))
    assert lost is not None
    assert lost.type == "CRASHED"


def test_S9_a_new_process_with_the_dead_ones_pid_does_not_hide_its_death(served: Served):
    here = ProcessIdentity.current()
    earlier = ProcessIdentity(here.host, here.pid, here.started_at - 3600)
    job = served.workspace.service.record("gated", {}, worker=earlier)
    assert served.workspace.claims.fail_if_dead(job.id).status is Status.FAILED


@pytest.mark.parametrize("action", ["confirm", "resume", "retry"])
def test_S11_a_strategy_that_is_gone_when_its_job_goes_on_is_named_and_the_row_stays(
    served: Served, monkeypatch: pytest.MonkeyPatch, action: str
):
    ways: dict[str, list[Action]] = {
        "confirm": [Action.PRE_PROCESS],
        "resume": [Action.PRE_PROCESS, Action.CONFIRM, Action.PROCESS, Action.PAUSE],
        "retry": [Action.FAIL],
    }
    job = served.workspace.service.record("gated", {})
    for step in ways[action]:
        job = served.workspace.store.move(job, step, who="test")
    monkeypatch.delitem(served.workspace.strategies.by_type, "gated")
    with pytest.raises(StrategyUnknown, match="no strategy has the type 'gated'; there are counting"):
        getattr(served.workspace.service, action)(job.id, who="test")
    assert served.get(job) == job


def test_S19_a_cancel_with_a_dead_worker_ends_canceled(served: Served, gate: Path):
    job = served.create(gate=str(gate))
    running = served.at_gate(job, gate)
    os.kill(running.worker_pid or 0, signal.SIGSTOP)  # it neither works nor dies: nobody reports its end
    try:
        assert served.workspace.service.cancel(job.id, who="test").status is Status.CANCELED
        assert served.until_run(job, "CANCELLED") == "CANCELLED"
    finally:
        os.kill(running.worker_pid or 0, signal.SIGKILL)
    assert served.tally(job) == [1]


def test_a_job_that_completes_at_the_moment_it_is_declared_dead_stays_completed(served: Served):
    store = JobStore(served.workspace.jobs)
    for _ in range(20):
        job = served.workspace.service.record("gated", {}, worker=_a_dead_process())
        for action in (Action.PRE_PROCESS, Action.CONFIRM, Action.PROCESS):
            job = store.move(job, action, who="test")
        with ThreadPoolExecutor(2) as both:
            completed = both.submit(lambda of=job: store.move(of, Action.COMPLETE, who="test"))
            buried = both.submit(served.workspace.claims.fail_if_dead, job.id)
        ended = store.get(job.id)
        if completed.exception() is None:
            assert (ended.status, buried.result().status) == (Status.COMPLETED, Status.COMPLETED)
        else:
            assert ended.status is Status.FAILED


def test_S5_two_interruptions_and_then_every_row_is_there_once_and_progress_never_went_down(served: Served):
    job, shown = served.create(limit=600), 0
    service = served.workspace.service
    for kills in (1, 2):
        seen = served.until(
            job, lambda now, n=kills: len(served.tally(now)) > 100 * n and now.worker is not None, "work"
        )
        os.kill(seen.worker_pid or 0, signal.SIGKILL)
        failed = served.until_status(job, Status.FAILED)
        assert failed.result.advancement_count >= shown
        shown = failed.result.advancement_count
        service.start(service.retry(job.id, who="test"))
    done = served.until_status(job, Status.COMPLETED)
    assert (done.attempt, done.result.created, served.tally(job)) == (3, 600, list(range(1, 601)))


def _a_dead_process() -> ProcessIdentity:
    gone = subprocess.Popen(["true"])
    dead = ProcessIdentity(ProcessIdentity.current().host, gone.pid, ProcessIdentity.current().started_at)
    gone.wait()
    return dead


def _forget_the_machine(served: Served, job_id: str) -> None:
    """Let the run have been on a machine whose processes cannot be looked at from here."""
    with served.workspace.jobs.begin() as connection:
        connection.execute(update(batch_job).where(batch_job.c.id == job_id).values(worker_host="elsewhere"))
    wait_until(lambda: served.workspace.service.get(job_id).worker_host == "elsewhere", what="the change")
