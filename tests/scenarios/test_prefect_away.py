"""Prefect is down: nothing that was asked for is lost, and what happened can be read."""

import socket

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
            _read_history(served)
            with prefect_server(folder, port):
                done = served.until_status(job, Status.COMPLETED)
                assert (done.attempt, served.tally(job)) == (1, [1, 2])
                assert server.poll() is None
                served.stop(server)
    finally:
        served.close()


def _read_history(served: Served) -> None:
    (job,) = served.workspace.service.list()
    assert served.workspace.service.bury(job.id).id == job.id
    assert [event.action for event in served.workspace.service.events(job.id)] == ["create"]


def test_S31_history_is_served_while_prefect_answers_nobody(
    tmp_path_factory: pytest.TempPathFactory, postgres_url: str
):
    """Not asking anything of Prefect is what makes it as quick as ever: a question would wait for an answer."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with socket.create_server(("127.0.0.1", 0)) as silent:
        nowhere = f"http://127.0.0.1:{silent.getsockname()[1]}/api"
        served = Served(tmp_path_factory.mktemp("down"), postgres_url, postgres_url, {"PREFECT_API_URL": nowhere})
        with temporary_settings({PREFECT_API_URL: nowhere}):
            served.workspace.service.record("gated", {})
            _read_history(served)
        served.close()
        silent.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody came
            silent.accept()
