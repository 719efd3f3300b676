"""Prefect is down: nothing that was asked for is lost, and what happened can be read."""

import time

import pytest

from flows.errors import NotLaunched
from flows.transitions import Status
from support.servers import free_port, prefect_server
from support.serving import Served

pytestmark = pytest.mark.slow


def test_S30_a_job_created_while_prefect_is_down_is_started_once_when_it_is_back(
    tmp_path_factory: pytest.TempPathFactory, postgres_url: str
):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    folder, port = tmp_path_factory.mktemp("away"), free_port()
    with prefect_server(folder, port) as environment:
        served = Served(folder, postgres_url, postgres_url, environment)
        server = served.start()
    try:
        with temporary_settings({PREFECT_API_URL: environment["PREFECT_API_URL"]}):
            with pytest.raises(NotLaunched, match="is recorded but not started: Prefect does not answer"):
                served.workspace.service.create("gated", {"limit": 2})
            (job,) = served.workspace.service.list()
            assert (job.status, job.flow_run_id) == (Status.CREATED, None)
            _history_is_read_quickly_while_prefect_is_away(served)
            with prefect_server(folder, port):
                done = served.until_status(job, Status.COMPLETED)
                assert (done.attempt, served.tally(job)) == (1, [1, 2])
                assert server.poll() is None
                served.stop(server)
    finally:
        served.close()


def _history_is_read_quickly_while_prefect_is_away(served: Served) -> None:
    """S31: reading asks nothing of Prefect."""
    begun = time.monotonic()
    (job,) = served.workspace.service.list()
    assert served.workspace.service.bury(job.id).id == job.id
    assert [event.action for event in served.workspace.service.events(job.id)] == ["create"]
    assert time.monotonic() - begun < 5  # the promise of S31, not a measure of speed


def test_S31_history_is_served_with_prefect_down(tmp_path_factory: pytest.TempPathFactory, postgres_url: str):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    nowhere = f"http://127.0.0.1:{free_port()}/api"
    served = Served(tmp_path_factory.mktemp("down"), postgres_url, postgres_url, {"PREFECT_API_URL": nowhere})
    with temporary_settings({PREFECT_API_URL: nowhere}):
        served.workspace.service.record("gated", {})
        _history_is_read_quickly_while_prefect_is_away(served)
    served.close()
