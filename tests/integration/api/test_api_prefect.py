"""The API and Prefect: away, and back."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from support.api_server import environment
from support.command_line import COMMAND, ROOT
from support.servers import free_port, prefect_environment, prefect_server, wait_until


@contextmanager
def running(command: list[str], variables: dict[str, str], log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=variables, stdout=output, stderr=output, start_new_session=True)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def variables(home: Path) -> dict[str, str]:
    """Of a Prefect that is not there yet."""
    home.mkdir()
    prefect = prefect_environment(home / "prefect", free_port())
    return environment(home, **prefect, PYTHONPATH=str(ROOT), BATCH_JOBS_API_PORT=str(free_port()))


@pytest.mark.long
def test_without_prefect_jobs_are_read_and_recorded_and_they_start_once_it_is_back(
    home: Path, variables: dict[str, str], tmp_path: Path
):
    from batch_jobs.flows.access.keys import Role
    from batch_jobs.flows.settings import Settings
    from batch_jobs.flows.workspace import Workspace

    _, key = Workspace(Settings(home=home)).api_keys.create("shop", Role.OPERATOR)
    address = f"http://127.0.0.1:{variables['BATCH_JOBS_API_PORT']}"
    with ExitStack() as parts, httpx.Client(base_url=address, headers={"x-medusa-access-token": key}) as client:
        parts.enter_context(running([*COMMAND, "api"], variables, tmp_path / "api.log"))
        wait_until(lambda: answers(client), what="the API")

        ready = client.get("/readyz")
        made = client.post("/admin/batch-jobs", json={"type": "noting", "context": {"note": "later"}})

        assert (ready.status_code, ready.json()["status"], ready.json()["prefect"]) == (200, "degraded", "down")
        assert made.status_code == 201
        job_id = made.json()["batch_job"]["id"]
        assert client.get("/admin/batch-jobs").json()["count"] == 1
        assert client.get(f"/admin/batch-jobs/{job_id}").json()["batch_job"]["status"] == "created"

        parts.enter_context(prefect_server(home / "prefect", urlsplit(variables["PREFECT_API_URL"]).port))
        wait_until(lambda: client.get("/readyz").json()["status"] == "ready", what="readiness")
        parts.enter_context(
            running([*COMMAND, "serve"], {**variables, "BATCH_JOBS_API_PORT": "0"}, tmp_path / "serve.log")
        )
        wait_until(lambda: job(client, job_id)["status"] == "completed", 120, "the job's end")

        assert client.get(f"/admin/batch-jobs/{job_id}/output").text == "later"
        steps = [event["to_status"] for event in client.get(f"/admin/batch-jobs/{job_id}/events").json()["events"]]
        assert steps == ["created", "pre_processed", "confirmed", "processing", "completed"]
    assert "API          http://127.0.0.1:" in (tmp_path / "serve.log").read_text()


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


def job(client: httpx.Client, job_id: str) -> Any:
    return client.get(f"/admin/batch-jobs/{job_id}").json()["batch_job"]
