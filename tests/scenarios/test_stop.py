"""Cancel, pause and deploys: work stops at a chunk edge, the counts are true, and what can go on does."""

import os
import signal
from pathlib import Path
from uuid import UUID

import pytest
from prefect.states import Cancelling, Suspended

from batch_jobs.flows.errors import ActionIllegal
from batch_jobs.flows.jobs.transitions import Status
from support.servers import wait_until
from support.serving import Served, prefect_client

pytestmark = pytest.mark.slow
#: What happens between a run and Prefect, or by one statement on the row, is the same on both databases.
on_one_database = pytest.mark.parametrize("workspace_served", ["postgres"], indirect=True, scope="module")


@pytest.mark.long
@on_one_database
def test_S14_a_job_canceled_before_a_worker_has_it_never_processes_a_row(workspace_served: Served):
    served = workspace_served
    if not served.processes:
        served.stop(served.start())  # its deployments are there, and nobody serves them
    job = served.create()
    served.workspace.service.cancel(job.id, who="test")
    assert served.until_run(job, "CANCELLED") == "CANCELLED"
    served.start()
    after = served.create()
    served.until_status(after, Status.COMPLETED)
    assert (served.get(job).status, served.tally(job), served.get(job).claim) == (Status.CANCELED, [], None)


@pytest.mark.long
@on_one_database
def test_a_job_canceled_while_it_waits_for_a_yes_is_canceled_in_prefect_too(served: Served):
    job = served.create(dry_run=True)
    served.until_run(job, "PAUSED")
    served.workspace.service.cancel(job.id, who="test")
    assert served.until_run(job, "CANCELLED") == "CANCELLED"
    assert (served.get(job).status, served.tally(job)) == (Status.CANCELED, [])


def test_S15_a_cancel_in_the_middle_of_a_chunk_stops_at_its_end_with_true_counts(served: Served, gate: Path):
    job = served.create(gate=str(gate), inside=True)
    served.at_gate(job, gate)
    assert served.workspace.service.cancel(job.id, who="test").status is Status.CANCELED
    gate.touch()
    served.until_run(job, "CANCELLED")
    ended = served.until(job, lambda now: any(s.key == "tidied" for s in now.result.stat_descriptors), "on_cancel")
    assert (ended.result.advancement_count, ended.result.created, served.tally(job)) == (2, 2, [1, 2])
    told = {stat.key: stat.message for stat in ended.result.stat_descriptors}
    assert told["unprocessed"] == "2 of 4 rows were not processed: those after the first 2"
    assert told["tidied"] == "on_cancel has run"


@on_one_database
def test_S17_canceling_twice_is_fine_and_a_completed_job_cannot_be_canceled(served: Served):
    job = served.create(limit=1)
    served.until_status(job, Status.COMPLETED)
    with pytest.raises(ActionIllegal, match="is completed; cancel is possible from created"):
        served.workspace.service.cancel(job.id, who="test")
    other = served.create(dry_run=True)
    served.until_run(other, "PAUSED")
    first, second = (served.workspace.service.cancel(other.id, who="test") for _ in range(2))
    assert (first.status, second.version) == (Status.CANCELED, first.version)


@on_one_database
def test_a_cancel_in_prefect_stops_the_job_at_its_chunk_edge(served: Served, gate: Path):
    job = served.create(gate=str(gate), inside=True)
    running = served.at_gate(job, gate)
    with prefect_client() as client:
        client.set_flow_run_state(UUID(running.flow_run_id), Cancelling())
    served.until_status(job, Status.CANCELED)
    gate.touch()
    served.until_run(job, "CANCELLED")
    wait_until(lambda: not _lives(running.worker_pid), what="the end of its process")
    assert served.tally(job) == [1, 2]


@on_one_database
def test_S20_a_cancel_beats_a_retry_that_is_waited_for(served: Served):
    job = served.create("patient", fails=1)
    waiting = served.until(job, lambda now: now.attempt == 2, "the wait for the second attempt")
    assert waiting.status is Status.PROCESSING
    assert waiting.result.errors[0].message.startswith("the line broke in attempt 1 (")
    served.workspace.service.cancel(job.id, who="test")
    assert served.until_run(job, "CANCELLED") == "CANCELLED"
    wait_until(lambda: not _lives(waiting.worker_pid), what="the end of its process")
    assert (served.get(job).status, served.tally(job), served.get(job).attempt) == (Status.CANCELED, [1], 2)


@on_one_database
def test_an_error_that_may_pass_is_tried_again_from_the_last_chunk(served: Served):
    done = served.until_status(served.create(fails=2), Status.COMPLETED)
    assert (done.attempt, done.result.created, served.tally(done)) == (3, 4, [1, 2, 3, 4])
    messages = [error.message.partition(" (")[0] for error in done.result.errors]
    assert messages == [f"the line broke in attempt {i}" for i in (1, 2)]
    lost = served.until_status(served.create(fails=9), Status.FAILED)
    assert (lost.attempt, served.tally(lost)) == (3, [1])


def test_a_paused_job_frees_its_worker_and_goes_on_in_the_same_run(served: Served, gate: Path):
    job = served.create(gate=str(gate))
    running = served.at_gate(job, gate)
    served.workspace.service.pause(job.id, who="test")
    gate.touch()
    served.until_run(job, "PAUSED")
    wait_until(lambda: not _lives(running.worker_pid), what="the end of its process")
    assert (served.get(job).status, served.tally(job)) == (Status.PAUSED, [1, 2])
    service = served.workspace.service
    service.start(service.resume(job.id, who="test"))
    done = served.until_status(job, Status.COMPLETED)
    assert (served.tally(job), done.flow_run_id) == ([1, 2, 3, 4], running.flow_run_id)


@on_one_database
def test_a_run_suspended_and_resumed_in_prefect_pauses_and_resumes_its_job(served: Served, gate: Path):
    job = served.create(gate=str(gate))
    running = served.at_gate(job, gate)
    with prefect_client() as client:
        client.set_flow_run_state(UUID(running.flow_run_id), Suspended())
        served.until_status(job, Status.PAUSED)
        gate.touch()
        wait_until(lambda: not _lives(running.worker_pid), what="the end of its process")
        assert served.run_type(job) == "PAUSED"
        client.resume_flow_run(UUID(running.flow_run_id))
    served.until_status(job, Status.COMPLETED)
    assert served.tally(job) == [1, 2, 3, 4]


@pytest.mark.long
def test_S4_a_deploy_finishes_the_chunk_and_the_next_server_goes_on(served: Served, gate: Path):
    job = served.create(gate=str(gate), inside=True, limit=400)
    served.at_gate(job, gate)
    server = next(process for process in served.processes if process.poll() is None)
    server.send_signal(signal.SIGTERM)
    gate.touch()
    assert server.wait(timeout=60) == 0
    left = served.get(job)
    assert (left.status, left.worker, left.attempt) == (Status.PROCESSING, None, 1)
    assert 2 <= len(served.tally(job)) < 400
    assert served.run_type(job) == "SCHEDULED"
    served.start()
    done = served.until_status(job, Status.COMPLETED)
    assert (served.tally(job), done.attempt, done.result.created) == (list(range(1, 401)), 1, 400)
    assert "interrupt by prefect" in served.history(job)


@on_one_database
def test_a_run_whose_job_has_ended_tells_so_though_its_server_is_stopped(served: Served, gate: Path):
    job = served.create(gate=str(gate))
    served.at_gate(job, gate)
    server = next(process for process in served.processes if process.poll() is None)
    gate.touch()
    served.until_status(job, Status.COMPLETED)
    assert served.stop(server) == 0
    assert served.run_type(job) == "COMPLETED"
    assert [line for line in served.said().splitlines() if job.id in line] == []


@pytest.mark.long
def test_S21_an_export_that_is_canceled_offers_no_file(served: Served):
    rows = 400_000
    made = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) SELECT i FROM n"
    job = served.create("table-export", query=made)
    served.until_status(job, Status.PROCESSING)
    served.workspace.service.cancel(job.id, who="test")
    served.until_run(job, "CANCELLED")
    ended = served.get(job)
    assert (ended.status, ended.result.file_key) == (Status.CANCELED, None)
    wait_until(lambda: not served.workspace.files.list(f"jobs/{job.id}"), what="the removal of the unfinished file")


def _lives(pid: int | None) -> bool:
    return pid is not None and os.path.exists(f"/proc/{pid}")
