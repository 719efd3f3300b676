"""What is seen of a job from outside: one trace from the request to its chunks; what it prints, within bounds."""

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from batch_jobs.deployments.worker.bounded_file import LARGEST
from batch_jobs.flows.access.keys import Role
from batch_jobs.flows.jobs.transitions import Status
from support.servers import free_port, wait_until
from support.serving import STRATEGIES, Served, write_strategy

TO_CONSOLE = {"OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
CALLER = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")

CHATTY = '''
import os, sys
from batch_jobs.strategies.sdk.base import BatchJobStrategy


class Chatty(BatchJobStrategy):
    """Print 100 MB."""

    identifier = "chatty-strategy"
    batch_type = "chatty"

    def process(self, job):
        for _ in range(50_000):
            print("x" * 999)
        sys.stdout.flush()
        os.system("head -c 50000000 /dev/zero | tr '\\\\0' y")
        print("that was all", file=sys.stderr)

    def build_template(self):
        return ""
'''


@pytest.fixture
def here(tmp_path: Path, prefect_of_module: dict[str, str]) -> Iterator[Served]:
    """A workspace that is not served yet."""
    databases = (f"sqlite:///{tmp_path}/jobs.db", f"sqlite:///{tmp_path}/target.db")
    write_strategy(tmp_path, CHATTY)
    folders = Path(f"{STRATEGIES}{os.pathsep}{tmp_path / 'strategies'}")
    served = Served(tmp_path, *databases, dict(prefect_of_module), strategies=folders)
    served.settings["API_PORT"] = str(free_port())
    yield served
    served.close()


@pytest.mark.long
def test_a_strategy_that_prints_100_mb_leaves_logs_that_are_small(here: Served):
    server = here.start()

    here.until_status(here.create("chatty"), Status.COMPLETED)

    assert here.stop(server) == 0
    home = here.folder / "home"
    sizes = {path.name: path.stat().st_size for path in (home / "runs.log", home / "runs.log.1")}
    assert all(0 < size <= LARGEST for size in sizes.values()), sizes
    assert (home / "runs.log").read_text().endswith("that was all\n")
    assert sum(path.stat().st_size for path in home.rglob("*") if path.is_file()) < 3 * LARGEST
    assert max(log.stat().st_size for log in here.folder.glob("serve-*.log")) < 10_000


@pytest.mark.long
def test_every_line_of_the_log_of_serve_is_json_also_that_of_a_request_which_is_none(here: Served):
    here.settings["LOG_FORMAT"] = "json"
    server = here.start()
    wait_until(lambda: "API  " in here.said(), what="the API")

    with socket.create_connection(("127.0.0.1", int(here.settings["API_PORT"]))) as connection:
        connection.sendall(b"NONE\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 400")

    assert here.stop(server) == 0
    (log,) = here.folder.glob("serve-*.log")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert "Invalid HTTP request received." in [line.get("message") for line in lines]


@pytest.mark.long
def test_a_request_its_job_its_run_and_its_chunks_are_one_trace(here: Served):
    here.prefect |= TO_CONSOLE
    key = here.workspace.api_keys.create("shop", Role.ADMIN)[1]
    server = here.start()
    wait_until(lambda: "API  " in here.said(), what="the API")
    with httpx.Client(base_url=f"http://127.0.0.1:{here.settings['API_PORT']}", verify=False) as client:
        answer = client.post(
            "/admin/batch-jobs",
            json={"type": "gated", "context": {"limit": 3}},
            headers={"x-medusa-access-token": key, "traceparent": f"00-{CALLER[0]}-{CALLER[1]}-01"},
        )
    job = here.workspace.service.get(answer.json()["batch_job"]["id"])
    here.until_status(job, Status.COMPLETED)
    here.until_run(job, "COMPLETED")
    assert here.stop(server) == 0

    spans = {span["context"]["span_id"]: span for span in spans_in(here.said())}
    ours = [span for span in spans.values() if span["context"]["trace_id"] == f"0x{CALLER[0]}"]
    chunks = [span for span in ours if span["name"] == "chunk"]
    assert [chunk["attributes"]["batch_job.rows"] for chunk in chunks] == [1, 2, 3]
    names = [span["name"] for span in way_up(chunks[0], spans)]
    chunk, task, *above = [name for name in names if name != "fastapi.endpoint"]  # FastAPI's own, where it makes any
    assert (chunk, task.split("-")[0]) == ("chunk", "process")
    assert above == [f"gated {job.id}", "create gated", "POST /admin/batch-jobs"]
    assert way_up(chunks[0], spans)[-1]["parent_id"] == f"0x{CALLER[1]}"


def spans_in(text: str) -> Iterator[dict[str, Any]]:
    """The spans that are printed somewhere in a text, each as a JSON object."""
    decoder = json.JSONDecoder()
    start = text.find("{\n")
    while start >= 0:
        try:
            span, end = decoder.raw_decode(text, start)
        except ValueError:
            end = start + 1
        else:
            if "context" in span:
                yield span
        start = text.find("{\n", end)


def way_up(span: dict[str, Any], spans: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    way = [span]
    while way[-1]["parent_id"] in spans:
        way.append(spans[way[-1]["parent_id"]])
    return way
