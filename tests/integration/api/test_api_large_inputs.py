"""1 MB into every text, and to every route: one refusal, and everybody else is answered as before."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from batch_jobs.deployments.api.app import ROUTERS
from batch_jobs.flows.access.keys import Role
from batch_jobs.flows.settings import Settings
from batch_jobs.flows.workspace import Workspace
from batch_jobs.strategies.sdk.registry import load_strategies
from support.command_line import COMMAND, ROOT
from support.servers import free_port, wait_until

pytestmark = pytest.mark.long

BYTES = 1_000_000
PATIENCE = 5.0  # seconds for /healthz, which takes none
JSON = {"Content-Type": "application/json"}


def filled(piece: str) -> bytes:
    """So many of a text as JSON that there is 1 MB of it."""
    shown = json.dumps(piece)[1:-1].encode()
    return b'"' + shown * ((BYTES - 1000) // len(shown)) + b'"'


def listed(value: str) -> bytes:
    return b"[" + b",".join([value.encode()] * ((BYTES - 1000) // (len(value) + 1))) + b"]"


def mapped(value: str) -> bytes:
    return b"{" + b",".join(b'"k%d":%b' % (i, value.encode()) for i in range(BYTES // (len(value) + 11))) + b"}"


PIECES = ("a", "1", "'", "(", "*?", "/* ", "$a$", "{0", "a,", "uploads/")
SHAPES = {
    **{repr(piece): filled(piece) for piece in PIECES},
    **{f"list of {value}": listed(value) for value in ("1", '"uploads/a"', '"uploads/*"')},
    **{f"object of {value}": mapped(value) for value in ("1",)},
}
#: What else each type needs; KEY is an upload that is there.
NEEDED = {"table-import": {"file_key": "KEY", "table": "t"}, "table-export": {"table": "t"}}
STRATEGIES = load_strategies([]).by_type
#: Each field, once where types share it.
FIELDS = {
    (name, repr(info)): (kind, name)
    for kind, strategy in sorted(STRATEGIES.items())
    for name, info in strategy.Context.model_fields.items()
}
ROUTES = sorted({(method, route.path) for router in ROUTERS for route in router.routes for method in route.methods})


@dataclass
class Watched:
    """A real API in a process of its own, and whether it went on answering."""

    url: str
    client: httpx.Client
    key: str
    file_key: str
    missed: list[str] = field(default_factory=list)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Ask again and again whether it lives while the block runs; fail when it did not answer in time."""
        over, missed = threading.Event(), []

        def ask() -> None:
            with httpx.Client(base_url=self.url, timeout=PATIENCE) as client:
                while not over.wait(0.02):
                    try:
                        assert client.get("/healthz").status_code == 200
                    except (httpx.HTTPError, AssertionError) as error:
                        missed.append(repr(error))

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            yield
        finally:
            over.set()
            asking.join()
        assert missed == []


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    home, port = tmp_path_factory.mktemp("large"), free_port()
    workspace = Workspace(Settings(home=home))
    key = workspace.api_keys.create("root", Role.ADMIN)[1]
    variables = {"HOME": str(home), "API_PORT": str(port), "STRATEGIES": "", "SOURCES": "https://files.example.com/*"}
    environment = {
        **os.environ,
        **{f"BATCH_JOBS_{name}": value for name, value in variables.items()},
        "PREFECT_PROFILES_PATH": str(home / "none.toml"),
        "PYTHONPATH": str(ROOT),
    }
    environment.pop("PREFECT_API_URL", None)
    with Path(home, "api.log").open("wb") as log:
        process = subprocess.Popen([*COMMAND, "api"], env=environment, cwd=home, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        with httpx.Client(base_url=url, headers={"x-medusa-access-token": key}, timeout=120) as client:
            wait_until(lambda: _lives(client), what="the API's start")
            sent = client.post("/admin/uploads", files=[("files", ("a.csv", b"a\n1\n"))]).json()["uploads"][0]
            yield Watched(url, client, key, sent["key"])
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _lives(client: httpx.Client) -> bool:
    with suppress(httpx.HTTPError):
        return client.get("/healthz").status_code == 200
    return False


def body(batch_type: str, file_key: str, name: str, shape: bytes) -> bytes:
    """A job with a shape in one field of its context."""
    context: dict[str, Any] = {**NEEDED.get(batch_type, {"file_key": "KEY"}), name: "SHAPE"}
    if (batch_type, name) == ("table-export", "query"):
        del context["table"]
    given = json.dumps({"type": batch_type, "context": context}).replace("KEY", file_key).encode()
    return given.replace(b'"SHAPE"', shape)


@pytest.mark.parametrize(("batch_type", "name"), FIELDS.values(), ids=str)
def test_a_megabyte_in_a_field_of_a_context_holds_nobody_up(watched: Watched, batch_type: str, name: str):
    with watched.watching():
        for called, shape in SHAPES.items():
            content = body(batch_type, watched.file_key, name, shape)
            answer = watched.client.post("/admin/batch-jobs", content=content, headers=JSON)

            assert answer.status_code in (201, 400, 404, 413, 422), (
                f"{called}: {answer.status_code} {answer.text[:200]}"
            )
            if answer.status_code != 201:
                assert len(answer.content) < 10_000, f"{called} comes back"


@pytest.mark.parametrize("name", ["type", "context", "dry_run", "start_at", "other", "file_key"])
def test_a_megabyte_in_a_field_of_a_body_holds_nobody_up(watched: Watched, name: str):
    job = b'{"type": "table-export", "context": {"table": "t"}, "%b": %b}'
    with watched.watching():
        for shape in SHAPES.values():
            made = watched.client.post("/admin/batch-jobs", content=job % (name.encode(), shape), headers=JSON)
            content = b'{"%b": %b}' % (name.encode(), shape)
            answers = [
                watched.client.post("/admin/uploads/download-url", content=content, headers=JSON),
                watched.client.request("DELETE", "/admin/uploads", content=content, headers=JSON),
            ]

            assert made.status_code in (201, 400, 404, 422)
            assert {answer.status_code for answer in answers} <= {400, 404}


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_megabyte_to_a_route_holds_nobody_up(watched: Watched, method: str, path: str):
    plain = path.replace("{job_id}", "x").replace("{batch_type}", "x").replace("{token}", "x").replace("{name}", "x")
    large = "x" * BYTES
    kinds = ("application/json", "text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded")
    with watched.watching():
        for kind in kinds:
            for content in (b"x" * BYTES, b"[" * BYTES, b"{}" * (BYTES // 2), b"--x\r\n" * (BYTES // 5)):
                answer = watched.client.request(method, plain, content=content, headers={"Content-Type": kind})
                assert answer.status_code < 500 or answer.status_code == 503
        for place, headers in (
            (f"{plain}?type={large}", {}),
            (f"{plain}?{'type[]=&' * (BYTES // 8)}", {}),
            (f"{plain}/{large}", {}),
            (plain, {"X-Large": large}),
            (plain, {"Host": large}),
            (plain, {"Cookie": large}),
        ):
            with suppress(httpx.HTTPError, httpx.InvalidURL):  # whose head is that long is cut off
                assert watched.client.request(method, place, headers=headers).status_code < 500


@pytest.mark.parametrize("name", ["a", '\\"', "../", "%2e", ";", "é"], ids=ascii)
def test_a_megabyte_in_a_form_holds_nobody_up(watched: Watched, name: str):
    long = (name * BYTES)[:BYTES].encode()
    heads = (
        b'name="files"; filename="%b"' % long,
        b'name="%b"; filename="a"' % long,
        long,
        b"name=files; filename=%b" % long,
    )
    with watched.watching():
        for head in heads:
            form = b"--x\r\nContent-Disposition: form-data; " + head + b"\r\n\r\na\r\n--x--\r\n"
            kind = {"Content-Type": "multipart/form-data; boundary=x"}
            assert watched.client.post("/admin/uploads", content=form, headers=kind).status_code in (400, 413)
