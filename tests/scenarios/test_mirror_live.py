"""The row follows its Prefect run within seconds, whoever moved that."""

from uuid import UUID

import pytest
from prefect.states import Cancelled, Completed, Crashed

from batch_jobs.flows.jobs.transitions import Status
from support.servers import free_port, prefect_server, wait_until
from support.serving import Served, prefect_client

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("workspace_served", ["postgres"], indirect=True, scope="module"),
]

LISTENING = 5  # seconds allowed here for the promised two, as the test's machine is shared


@pytest.mark.long
@pytest.mark.parametrize(
    ("state", "status"),
    [(Cancelled(), Status.CANCELED), (Crashed(message="by hand"), Status.FAILED), (Completed(), Status.COMPLETED)],
)
def test_S32_a_run_that_is_force_set_moves_its_job_at_once(served: Served, gate, state, status):
    job = served.create(gate=str(gate))
    running = served.at_gate(job, gate)
    with prefect_client() as client:
        client.set_flow_run_state(UUID(running.flow_run_id), state, force=True)
    served.until_status(job, status, seconds=LISTENING)
    gate.touch()
    wait_until(lambda: served.get(job).flow_run_state == state.type.value, what="the note of the run's state")
    wait_until(lambda: len(served.tally(job)) <= 2, what="a stop at the next chunk edge")
    assert served.get(job).status is status


def test_S32_a_run_that_is_deleted_fails_its_job_within_a_minute(served: Served):
    job = served.create(dry_run=True)
    served.until_run(job, "PAUSED")
    with prefect_client() as client:
        client.delete_flow_run(UUID(served.get(job).flow_run_id))
    failed = served.until_status(job, Status.FAILED, seconds=60)
    assert "it was deleted in Prefect" in (served.workspace.service.events(job.id)[-1].why or "")
    assert failed.worker is None


def test_without_a_listener_reconciling_moves_the_job(workspace_served: Served):
    served = workspace_served
    for process in served.processes:
        if process.poll() is None:
            served.stop(process)
    job = served.create()
    with prefect_client() as client:
        client.set_flow_run_state(UUID(served.get(job).flow_run_id), Cancelled(), force=True)
    assert served.get(job).status is Status.CREATED
    done = served.workspace.reconciling.run()
    assert (done.followed, served.get(job).status) == (1, Status.CANCELED)
    assert served.workspace.reconciling.run().followed == 0


@pytest.mark.long
def test_S34_a_prefect_that_is_restarted_in_the_middle_does_not_hide_the_end(
    workspace_served: Served, tmp_path_factory: pytest.TempPathFactory, gate, postgres_url: str
):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    folder, port = tmp_path_factory.mktemp("restarted"), free_port()
    with prefect_server(folder, port) as environment:
        served = Served(folder, postgres_url, postgres_url, environment)
        with temporary_settings({PREFECT_API_URL: environment["PREFECT_API_URL"]}):
            served.start()
            job = served.create(gate=str(gate))
            served.at_gate(job, gate)
    gate.touch()  # Prefect is away now
    wait_until(lambda: len(served.tally(job)) == 4, what="work without Prefect")
    with (
        prefect_server(folder, port) as environment,
        temporary_settings({PREFECT_API_URL: environment["PREFECT_API_URL"]}),
    ):
        done = served.until_status(job, Status.COMPLETED)
        assert (served.tally(job), done.attempt) == ([1, 2, 3, 4], 1)
        served.until_run(job, "COMPLETED", "CRASHED")
        again = served.create(limit=1)
        served.until_status(again, Status.COMPLETED)
        served.close()
