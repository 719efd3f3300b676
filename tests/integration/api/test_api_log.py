"""The log of a real `batch-jobs api`: who did what, and nothing that lets anybody in."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from batch_jobs.flows.access.keys import Role
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.flows.settings import Settings
from batch_jobs.flows.workspace import Workspace
from support.api_server import STRATEGIES, environment
from support.command_line import COMMAND
from support.jobs import way_to
from support.servers import free_port, wait_until


@dataclass
class Logging:
    """A process that serves the API, what it logs, and two who call it."""

    workspace: Workspace
    url: str
    log: Path
    process: subprocess.Popen[bytes]
    keys: dict[str, str]

    def client(self, name: str) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"x-medusa-access-token": self.keys[name]}, verify=False)

    def lines(self) -> list[str]:
        return self.log.read_text().splitlines()

    def close(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


@pytest.fixture
def start(home: Path, tmp_path: Path, no_prefect: None) -> Iterator[Callable[..., Logging]]:
    started: list[Logging] = []

    def begin(**settings: str) -> Logging:
        workspace, port, log = Workspace(Settings(home=home, strategies=str(STRATEGIES))), free_port(), tmp_path / "log"
        keys = {
            name: workspace.api_keys.create(name, role)[1]
            for name, role in (("alice", Role.OPERATOR), ("vera", Role.VIEWER))
        }
        variables = environment(home, BATCH_JOBS_API_PORT=str(port), **settings)
        with log.open("wb") as stream:
            process = subprocess.Popen([*COMMAND, "api"], env=variables, stdout=subprocess.DEVNULL, stderr=stream)
        started.append(Logging(workspace, f"http://127.0.0.1:{port}", log, process, keys))
        wait_until(lambda: _answers(started[-1].url), what="the API's answer")
        return started[-1]

    yield begin
    for one in started:
        one.close()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", verify=False).is_success
    except httpx.TransportError:
        return False


def a_week_of(served: Logging) -> dict[str, Any]:
    """Everything that somebody might ask about later; returns what was secret in it."""
    with served.client("alice") as alice, served.client("vera") as vera:
        made = alice.post("/admin/batch-jobs", json={"type": "noting", "context": {}, "dry_run": True}).json()
        job = served.workspace.service.get(made["batch_job"]["id"])
        for action in way_to(Status.PRE_PROCESSED):
            job = served.workspace.store.move(job, action, who="test")
        sent = alice.post("/admin/uploads", files=[("files", ("a.csv", b"a\n"))]).json()["uploads"][0]
        alice.post(f"/admin/batch-jobs/{job.id}/confirm", headers={"x-request-id": "mine-1"})
        alice.post(f"/admin/batch-jobs/{job.id}/cancel")
        assert httpx.get(sent["url"], verify=False).text == "a\n"
        token = sent["url"].split("/files/")[1].split("/")[0]
        link = alice.get(f"/admin/batch-jobs/{job.id}/stream-url").json()["stream_url"]
        assert httpx.get(link, verify=False).status_code == 200
        vera.post("/admin/batch-jobs", json={})
        for wrong in ("bj_nobody-has-this-key-of-a-secret-kind", served.keys["alice"] + "x"):
            httpx.get(f"{served.url}/admin/batch-jobs", headers={"authorization": f"Bearer {wrong}"}, verify=False)
        httpx.get(f"{served.url}/admin/batch-jobs", verify=False)
        httpx.get(f"{served.url}/files/{token}", verify=False)
        httpx.get(f"{served.url}/admin/x%0AINFO%20event=request", params={"access": served.keys["alice"]}, verify=False)
    secrets = [*served.keys.values(), "bj_nobody", token, link.rsplit("/", 1)[-1]]
    return {"job": job.id, "file": sent["key"], "secrets": secrets}


def test_the_log_says_in_json_who_did_what_and_shows_no_key_and_no_link(start: Callable[..., Logging]):
    served = start(BATCH_JOBS_LOG_FORMAT="json")
    done = a_week_of(served)
    served.close()

    entries = [entry for line in served.lines() if (entry := json.loads(line))["event"] == "request"]
    shown = [(one.get("holder"), one.get("action"), one["route"], one["status"]) for one in entries]
    jobs = "/admin/batch-jobs/{job_id}"
    assert ("alice", "create", "/admin/batch-jobs", 201) in shown
    assert ("alice", "confirm", f"{jobs}/confirm", 200) in shown
    assert ("alice", "cancel", f"{jobs}/cancel", 200) in shown
    assert ("alice", "upload", "/admin/uploads", 200) in shown
    assert ("alice", "download", "/files/{token}/{name}", 200) in shown
    assert ("alice", None, "/streams/{token}", 200) in shown
    assert ("vera", None, "/admin/batch-jobs", 403) in shown
    refused = [(one["key"], one["error"]) for one in entries if one["status"] == 401]
    assert refused == [("refused", "NotLoggedIn")] * 2 + [("none", "NotLoggedIn")]
    confirmed = next(one for one in entries if one.get("action") == "confirm")
    assert (confirmed["job"], confirmed["type"], confirmed["request_id"]) == (done["job"], "noting", "mine-1")
    assert confirmed["ms"] >= 0
    assert confirmed["address"] == "127.0.0.1"
    assert next(one for one in entries if one.get("action") == "download")["file"] == done["file"]
    text = served.log.read_text()
    assert [secret for secret in done["secrets"] if secret in text] == []


def test_the_log_for_people_has_a_line_a_request_that_no_path_can_forge(start: Callable[..., Logging]):
    served = start()
    done = a_week_of(served)
    served.close()

    line = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z (INFO|WARNING|ERROR) event=\w+ ")
    assert [one for one in served.lines() if not line.match(one) and not one.startswith("    ")] == []
    (confirmed,) = [one for one in served.lines() if "action=confirm" in one]
    for fact in ("method=POST", "status=200", "request_id=mine-1", "holder=alice", f"job={done['job']}", "ms="):
        assert fact in confirmed
    (forged,) = [one for one in served.lines() if "admin/x" in one]
    assert r'route="/admin/x\nINFO event=request"' in forged
    text = served.log.read_text()
    assert [secret for secret in done["secrets"] if secret in text] == []


def test_a_key_that_was_used_says_when_and_the_write_holds_up_no_request(start: Callable[..., Logging]):
    served = start()
    with served.client("alice") as alice:
        assert alice.get("/admin/batch-jobs").status_code == 200

    def used() -> dict[str, bool]:
        return {key.name: key.last_used_at is not None for key in served.workspace.api_keys.all()}

    wait_until(lambda: used()["alice"], what="alice's last use")
    assert used() == {"alice": True, "vera": False}
    listed = subprocess.run(
        [*COMMAND, "keys", "list"],
        env={**os.environ, "BATCH_JOBS_HOME": str(served.workspace.settings.home)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert re.search(r"alice +operator .* \d{4}-\d\d-\d\dT[\d:]+Z +works", listed)
    assert re.search(r"vera +viewer .* never +works", listed)
