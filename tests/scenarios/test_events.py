"""Prefect hears of every step of a job, and its automations act on it."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest

from batch_jobs.deployments.prefect.automations import NAME, notify_on_failure
from batch_jobs.flows.jobs.transitions import Status
from support.servers import wait_until
from support.serving import Served, prefect_client

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("workspace_served", ["postgres"], indirect=True, scope="module"),
]


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server that keeps what it is sent."""
    received: list[dict[str, Any]] = []

    class Keep(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Keep)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook", received
    server.shutdown()
    server.server_close()


def events_of(served: Served, job_id: str) -> list[dict[str, Any]]:
    wanted = {"filter": {"resource": {"id": [f"batch-job.{job_id}"]}, "order": "ASC"}}
    answer = httpx.post(f"{served.prefect['PREFECT_API_URL']}/events/filter", json=wanted, timeout=10)
    return list(answer.json()["events"])


def test_every_step_of_a_job_is_an_event_that_carries_the_job(served: Served):
    job = served.create(limit=2, fails=1)
    served.until_status(job, Status.COMPLETED)
    wait_until(
        lambda: any(e["event"] == "batch-job.completed" for e in events_of(served, job.id)), what="the last event"
    )
    events = events_of(served, job.id)
    assert [event["event"] for event in events] == [
        "batch-job.created", "batch-job.pre_processed", "batch-job.confirmed", "batch-job.processing",
        "batch-job.try_again", "batch-job.completed",
    ]  # fmt: skip
    assert events[-1]["payload"]["job"]["id"] == job.id
    assert events[-1]["payload"]["step"]["to_status"] == "completed"
    assert events[-1]["resource"]["batch-job.type"] == "gated"
    assert len({event["id"] for event in events}) == len(events)


def test_the_example_automation_tells_a_webhook_of_a_job_that_failed(
    served: Served, webhook: tuple[str, list[dict[str, Any]]]
):
    url, received = webhook
    assert notify_on_failure("http://127.0.0.1:9/elsewhere") == NAME
    assert notify_on_failure(url) == NAME
    with prefect_client() as client:
        assert len(client.read_automations_by_name(NAME)) == 1
    job = served.create(fails=9)
    served.until_status(job, Status.FAILED)
    wait_until(lambda: bool(received), what="the webhook")
    told = received[0]
    assert told.pop("text").startswith(f"gated {job.id} failed: the line broke in attempt 3 (gated.py line ")
    assert told == {"job_id": job.id, "type": "gated", "attempt": 3}
