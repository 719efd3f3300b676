"""The Prefect that is started here is closed: whoever may write to it may run anything as the user who serves."""

import json
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from batch_jobs.deployments.prefect.server import running_server
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.flows.prefect.address import auth_file, auth_string
from support.command_line import COMMAND, CommandLine
from support.servers import give_database, wait_until
from support.serving import Served, serving_with_own_prefect

pytestmark = pytest.mark.long

FOREIGN = "http://shop.example"
#: Opened by clients and by pages.
STREAMS = ("events/in", "events/out", "logs/out", "task_runs/subscriptions/scheduled")


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("closed")
    with serving_with_own_prefect(folder, f"sqlite:///{folder}/jobs.db", f"sqlite:///{folder}/target.db") as served:
        yield served


@pytest.fixture
def api(closed: Served) -> str:
    return closed.own_prefect.api_url


@pytest.fixture
def knowing(closed: Served) -> Iterator[httpx.Client]:
    """Whoever has read the file in HOME."""
    with client(closed.own_prefect.api_url, auth_string(Path(closed.settings["HOME"]))) as one:
        yield one


class Patient(httpx.HTTPTransport):
    """Asks again while Prefect's SQLite is busy, which it says by 503."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answers: list[httpx.Response] = []

        def is_answered() -> bool:
            answers.append(super(Patient, self).handle_request(request))
            return answers[-1].status_code != 503

        wait_until(is_answered, what="an answer of Prefect")
        return answers[-1]


def client(api: str, known: str) -> httpx.Client:
    user, _, password = known.partition(":")
    return httpx.Client(base_url=api, auth=(user, password), timeout=30, transport=Patient())


def test_nobody_without_the_auth_string_makes_a_run_do_what_it_is_not_to(
    closed: Served, api: str, knowing: httpx.Client, tmp_path: Path
):
    """A pull step of a deployment is a command; with the string it runs, which shows that the attack is a real one."""
    deployment = knowing.get("/deployments/name/gated/batch-jobs").json()["id"]
    touched = tmp_path / "touched"
    step = {"prefect.deployments.steps.run_shell_script": {"script": f"touch {touched}"}}
    change, start = {"pull_steps": [step]}, {"state": {"type": "SCHEDULED"}, "parameters": {"context": {}}}
    origins: list[dict[str, str]] = [{}, {"origin": FOREIGN}, {"origin": "null"}, {"origin": api.removesuffix("/api")}]
    with httpx.Client(base_url=api) as unknowing, client(api, "batch-jobs:guessed") as guessing:
        for someone in (unknowing, guessing):
            for headers in origins:
                answers = (
                    someone.get("/deployments/name/gated/batch-jobs", headers=headers),
                    someone.patch(f"/deployments/{deployment}", json=change, headers=headers),
                    someone.post(f"/deployments/{deployment}/create_flow_run", json=start, headers=headers),
                )
                assert {answer.status_code for answer in answers} <= {401, 403}
    assert knowing.get(f"/deployments/{deployment}").json()["pull_steps"] == []

    before = len(closed.workspace.service.list())
    assert knowing.patch(f"/deployments/{deployment}", json=change).status_code == 204
    assert knowing.post(f"/deployments/{deployment}/create_flow_run", json=start).status_code == 201
    wait_until(touched.exists, what="the command of somebody who may run anything")
    wait_until(lambda: len(closed.workspace.service.list()) > before, what="the job")
    assert knowing.patch(f"/deployments/{deployment}", json={"pull_steps": []}).status_code == 204


def test_every_route_of_prefect_asks_for_the_auth_string(api: str, knowing: httpx.Client):
    from prefect.server.api.server import create_api_app

    paths = create_api_app().openapi()["paths"]
    routes = [(method, path) for path, methods in paths.items() for method in methods]
    assert len(routes) > 150
    with httpx.Client(base_url=api) as unknowing:
        answers = {(method, path): unknowing.request(method, path).status_code for method, path in routes}
    assert {route for route, code in answers.items() if code != 401} == {("get", "/health"), ("get", "/ready")}
    assert knowing.get("/admin/version").status_code == 200


@pytest.mark.parametrize("stream", STREAMS)
def test_no_stream_opens_without_the_auth_string(api: str, stream: str):
    address = f"ws{api.removeprefix('http')}/{stream}"
    for token in ({}, {"token": None}, {"token": "batch-jobs:guessed"}):
        with pytest.raises(ConnectionClosed), connect(address, subprotocols=["prefect"]) as opened:
            opened.send(json.dumps({"type": "auth", **token}))
            opened.recv(30)
    with pytest.raises((ConnectionClosed, InvalidStatus)), connect(address) as opened:
        opened.recv(30)


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("headers", [{"Host": "shop.example"}, {"Origin": FOREIGN}, {"Origin": "null"}])
def test_no_foreign_page_opens_a_stream(api: str, stream: str, headers: dict[str, str]):
    """It is not even asked for the auth string."""
    parts = urlsplit(api)
    asked = {
        "Host": parts.netloc, "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "prefect", **headers,
    }  # fmt: skip
    lines = [f"GET /api/{stream} HTTP/1.1", *(f"{name}: {value}" for name, value in asked.items()), "", ""]
    with socket.create_connection((parts.hostname, parts.port), 30) as asking:
        asking.sendall("\r\n".join(lines).encode())
        assert asking.recv(100).split()[1] in (b"400", b"403")


@pytest.mark.parametrize("host", ["shop.example", "shop.example:4200", "127.0.0.1.shop.example", "0.0.0.0", ""])
def test_a_foreign_name_that_leads_here_gets_nothing(api: str, knowing: httpx.Client, host: str):
    """A page whose name leads to 127.0.0.1 by now is of the same origin as what it calls there (DNS rebinding)."""
    for url in (f"{api}/health", f"{api}/admin/version", api.removesuffix("/api"), f"{api.removesuffix('api')}docs"):
        answer = knowing.get(url, headers={"host": host})
        assert (answer.status_code, answer.text) == (400, "Invalid host header")


def test_a_page_of_another_origin_is_refused_and_its_own_is_let_in_by_both_names(api: str, knowing: httpx.Client):
    port = httpx.URL(api).port
    asks = {"access-control-request-method": "PATCH", "access-control-request-headers": "authorization"}
    for own in (f"http://127.0.0.1:{port}", f"http://localhost:{port}"):
        assert knowing.options("/flows/filter", headers={"origin": own, **asks}).status_code == 200
        answer = knowing.get("/admin/version", headers={"origin": own})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, own)
    for foreign in (FOREIGN, "null", "http://127.0.0.1:1", f"https://127.0.0.1:{port}", f"{FOREIGN}:{port}"):
        for answer in (
            knowing.options("/flows/filter", headers={"origin": foreign, **asks}),
            knowing.get("/admin/version", headers={"origin": foreign}),
            knowing.get(api.removesuffix("api"), headers={"origin": foreign}),
        ):
            assert (answer.status_code, answer.headers.get("access-control-allow-origin")) == (403, None)
    page = httpx.get(api.removesuffix("api"), follow_redirects=True)
    assert (page.status_code, page.headers["x-frame-options"]) == (200, "DENY")


def test_the_auth_string_is_made_once_and_stands_in_one_file_for_its_owner_only(closed: Served):
    home = Path(closed.settings["HOME"])
    secret = auth_string(home)
    assert stat.S_IMODE(auth_file(home).stat().st_mode) == 0o600
    assert len(secret) > 40

    server = closed.processes[0].pid
    of_serve = [psutil.Process(server), *psutil.Process(server).children(recursive=True)]
    lines = [" ".join(process.cmdline()) for process in of_serve if process.is_running()]
    logs = list(closed.folder.rglob("*.log"))
    assert home / "prefect-server.log" in logs
    assert not [text for text in (*lines, *(log.read_text() for log in logs)) if secret.partition(":")[2] in text]
    assert str(auth_file(home)) in closed.said().replace("\n", "")


def test_commands_of_the_same_home_are_let_in(closed: Served):
    cli = CommandLine(**closed.environment)
    assert cli("create", "gated", "--wait", "--json").json["status"] == "completed"
    ran = cli("run", "gated", "--json").json
    assert ran["status"] == "completed", ran["result"]["errors"]


@pytest.mark.parametrize("words", [["worker"], ["run", "gated"], ["create", "gated", "--wait"]])
def test_a_command_without_the_auth_string_says_what_to_set(closed: Served, api: str, words: list[str]):
    refused = CommandLine(**closed.environment)(*words, PREFECT_API_URL=api)
    assert refused.code == 1
    refusal = (
        f"Prefect at {api} (from PREFECT_API_URL) refuses this process; set PREFECT_API_AUTH_STRING to what it asks for"
    )
    assert refusal in refused.error


def test_prefects_own_command_is_let_in_with_the_auth_string_only(closed: Served, api: str):
    def code(**variables: str) -> int:
        command = [sys.executable, "-m", "prefect", "deployment", "inspect", "gated/batch-jobs"]
        environment = {**closed.environment, "PREFECT_API_URL": api, **variables}
        return subprocess.run(command, env=environment, capture_output=True, timeout=120).returncode

    assert code() == 1
    assert code(PREFECT_API_AUTH_STRING=auth_string(Path(closed.settings["HOME"]))) == 0


def test_the_prefect_of_a_single_run_is_closed_too(tmp_path: Path):
    gate, url = tmp_path / "gate", f"sqlite:///{tmp_path}"
    alone = {"PREFECT_API_URL": "", "PREFECT_HOME": str(tmp_path / "prefect")}
    give_database(tmp_path / "prefect")
    served = Served(tmp_path, f"{url}/jobs.db", f"{url}/target.db", alone)
    command = [*COMMAND, "run", "gated", "-c", f"gate={gate}"]
    run = subprocess.Popen(command, env=served.environment, start_new_session=True)
    served.processes.append(run)
    try:
        wait_until(Path(f"{gate}.reached").exists, what="the gate")
        (port,) = listening(run.pid)
        address = f"http://127.0.0.1:{port}/api"
        assert httpx.get(f"{address}/admin/version").status_code == 401
        assert httpx.get(f"{address}/admin/version", headers={"host": "shop.example"}).status_code == 400
        with client(address, auth_string(Path(served.settings["HOME"]))) as knowing:
            assert knowing.get("/admin/version").status_code == 200
        gate.touch()
        assert run.wait(60) == 0
    finally:
        served.close()


def listening(pid: int) -> set[int]:
    """The ports of a process and those it started."""
    return {
        found.laddr.port
        for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        for found in process.net_connections("tcp")
        if found.status == psutil.CONN_LISTEN
    }


def test_jobs_go_the_whole_way_in_a_closed_prefect(closed: Served, gate: Path):
    """Started, previewed, resumed, canceled: each asks Prefect for something, some of it by events."""
    previewed = closed.create(dry_run=True)
    closed.until_run(previewed, "PAUSED")
    closed.workspace.service.confirm(previewed.id, "mara")
    closed.workspace.service.start(closed.get(previewed))
    closed.until_status(previewed, Status.COMPLETED)

    canceled = closed.create(gate=str(gate))
    closed.at_gate(canceled, gate)
    closed.workspace.service.cancel(canceled.id, "mara")
    gate.touch()
    closed.until_run(canceled, "CANCELLED")
    assert closed.get(canceled).status is Status.CANCELED
    assert not [word for word in ("Unauthorized", "Forbidden", "auth_string") if word in closed.said()]


def test_a_server_whose_port_another_one_took_first_listens_elsewhere(
    closed: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFECT_HOME", raising=False)
    give_database(tmp_path / "prefect")
    taken = closed.own_prefect.api_url
    with running_server(tmp_path, urlsplit(taken).port or 0) as server:
        assert server.known.api_url != taken
        answer = httpx.get(f"{server.known.api_url}/admin/version", headers=server.known.headers())
        assert answer.status_code == 200
