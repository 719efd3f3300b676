"""Prefect is down: nothing that was asked for is lost, and what happened can be read."""

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from batch_jobs.deployments.prefect.server import SERVER_COMMAND
from batch_jobs.deployments.worker.shutdown import STOPPING
from batch_jobs.flows.errors import NotLaunched
from batch_jobs.flows.jobs.transitions import Status
from support.servers import PrefectServer, free_port, prefect_server, wait_until
from support.serving import Served, serving_with_own_prefect

pytestmark = pytest.mark.long

#: What is said where Prefect is asked for something while it is away.
AWAY = "Prefect does not answer; it is told later what became of jobs"


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


@pytest.fixture
def own_prefect(tmp_path: Path) -> Iterator[Served]:
    """A ``serve`` with a Prefect server of its own."""
    url = f"sqlite:///{tmp_path}"
    with serving_with_own_prefect(tmp_path, f"{url}/jobs.db", f"{url}/target.db") as served:
        yield served


def test_serve_starts_its_own_prefect_again_when_that_was_killed_and_jobs_go_on(own_prefect: Served, gate: Path):
    job = own_prefect.create(gate=str(gate))
    own_prefect.at_gate(job, gate)
    (prefect,) = _prefects_of(own_prefect)
    prefect.kill()
    wait_until(lambda: "Prefect answers again" in own_prefect.said(), what="Prefect's return")
    gate.touch()
    own_prefect.until_status(job, Status.COMPLETED)
    own_prefect.until_status(own_prefect.create(), Status.COMPLETED)
    assert own_prefect.stop(own_prefect.processes[0]) == 0
    said = own_prefect.said().split("API  ")[1].splitlines()[1:]
    # whether it is asked for something between its end and its new start is a matter of moments
    assert [line for line in said if line != AWAY] == [
        "Prefect has ended and is started again",
        "Prefect answers again",
        STOPPING,
    ]


def test_serve_ends_with_one_line_where_its_own_prefect_ends_again_and_again(own_prefect: Served):
    server = own_prefect.processes[0]

    def has_ended() -> bool:
        for prefect in _prefects_of(own_prefect):
            prefect.kill()
        return server.poll() is not None

    wait_until(has_ended, what="the end of serve")
    assert server.returncode == 1
    errors = [line for line in own_prefect.said().splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert errors[0].endswith("prefect-server.log says why")


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_serve_ends_while_prefect_is_away_and_the_next_one_goes_on_with_its_jobs(
    tmp_path_factory: pytest.TempPathFactory, postgres_url: str, gate: Path, command: str
):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    folder = tmp_path_factory.mktemp("gone")
    prefect = PrefectServer(folder, free_port())
    served = Served(folder, postgres_url, postgres_url, prefect.environment, heartbeat_timeout=12)
    try:
        prefect.start()
        with temporary_settings({PREFECT_API_URL: prefect.environment["PREFECT_API_URL"]}):
            server = served.start(command)
            job = served.create(gate=str(gate), inside=True, limit=400)
            served.at_gate(job, gate)
            prefect.kill()
            wait_until(lambda: "Prefect does not answer" in served.said(), what="that it is told to be away")
            server.send_signal(signal.SIGTERM)
            gate.touch()
            assert server.wait(timeout=60) == 0  # Prefect's own clients would ask on for two minutes
            left = served.get(job)
            assert (left.status, left.worker) == (Status.PROCESSING, None)
            assert not {"WARNING", "ERROR", "Error", "Traceback"} & set(served.said().split())
            prefect.start()
            served.start(command)
            done = served.until_status(job, Status.COMPLETED)
            assert (served.tally(job), done.attempt) == (list(range(1, 401)), 1)
    finally:
        served.close()
        prefect.stop()


def _prefects_of(served: Served) -> list[psutil.Process]:
    try:
        return [
            child
            for child in psutil.Process(served.processes[0].pid).children()
            if child.cmdline()[: len(SERVER_COMMAND)] == SERVER_COMMAND
        ]
    except psutil.NoSuchProcess:  # it ended meanwhile
        return []


def _read_history(served: Served) -> None:
    (job,) = served.workspace.service.list()
    assert served.workspace.claims.fail_if_dead(job.id).id == job.id
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
