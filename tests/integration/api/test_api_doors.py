"""What keeps people out of what is not theirs: links, hosts, framing, methods, connections, files in use."""

import contextlib
import socket
from collections.abc import Callable
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import update

from batch_jobs.flows.access.keys import Role
from batch_jobs.flows.jobs.table import batch_job_api_key
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.flows.settings import Settings
from batch_jobs.flows.workspace import Workspace
from support.api_server import Served
from support.jobs import way_to
from support.servers import wait_until

FORM = [("files", ("a.csv", b"a,b\n1,2\n"))]


def upload(client: httpx.Client, **headers: str) -> dict[str, str]:
    sent: dict[str, str] = client.post("/admin/uploads", files=FORM, headers=headers).json()["uploads"][0]
    return sent


def spoken(api: Served, request: bytes, source: str = "127.0.0.1") -> bytes:
    """All that is answered to some bytes until the connection is closed."""
    parts = urlsplit(api.url)
    answer = b""
    with closing(socket.create_connection((parts.hostname, parts.port), 30, (source, 0))) as connection:
        connection.sendall(request)
        while data := connection.recv(65536):
            answer += data
    return answer


@pytest.mark.parametrize("host", ["evil.example", "evil.example:9000", "127.0.0.1.evil.example", "a@evil.example", "é"])
def test_a_link_never_leads_to_a_host_that_is_not_ours(shared: Served, host: str):
    alice = shared.by("alice")
    raw: Any = {"Host": host.encode()}

    sent = upload(alice, **raw)
    link = alice.post("/admin/uploads/download-url", json={"file_key": sent["key"]}, headers=raw).json()

    for url in (sent["url"], link["download_url"]):
        assert url.startswith(f"{shared.url}/files/")
        assert httpx.get(url).content == b"a,b\n1,2\n"


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1:9001", "[::1]:9000", socket.gethostname()])
def test_a_link_begins_as_the_caller_called_this_machine(shared: Served, host: str):
    assert upload(shared.by("alice"), Host=host)["url"].startswith(f"http://{host}/files/")


def test_a_link_begins_with_the_public_address_whatever_the_host(serve: Callable[..., Served], no_prefect: None):
    api = serve(api_public_url="https://jobs.example/batch")

    for host in ("evil.example", "localhost"):
        assert upload(api.by("alice"), Host=host)["url"].startswith("https://jobs.example/batch/files/")


def narrowed(api: Served, name: str, **values: Any) -> None:
    with api.workspace.jobs.begin() as connection:
        connection.execute(update(batch_job_api_key).where(batch_job_api_key.c.name == name).values(**values))


def test_a_link_to_an_upload_is_dead_once_its_maker_may_read_no_files(api: Served):
    url = upload(api.by("alice"))["url"]
    assert httpx.get(url).status_code == 200

    narrowed(api, "alice", role=Role.VIEWER)

    assert httpx.get(url).status_code == 403


def test_a_link_to_a_job_s_file_is_dead_once_its_maker_may_not_see_the_job(api: Served):
    job, client = api.job("bob"), api.by("root")
    with api.workspace.files.writing(f"jobs/{job.id}/out.csv") as stream:
        stream.write(b"a")
    asked = {"file_key": f"jobs/{job.id}/out.csv"}
    url = client.post("/admin/uploads/download-url", json=asked).json()["download_url"]
    assert httpx.get(url).content == b"a"

    for values in ({"types": ["table-export"]}, {"types": None, "role": Role.OPERATOR}):
        narrowed(api, "root", **values)
        assert httpx.get(url).status_code == 403

    api.workspace.api_keys.revoke("root")
    assert httpx.get(url).status_code == 403


def test_a_link_dies_with_a_key_of_the_settings_that_is_narrowed(home: Any, serve: Callable[..., Served]):
    key = "k" * 20
    before = serve(api_keys=f"carol:operator:{key}")
    client = httpx.Client(base_url=before.url, headers={"x-medusa-access-token": key})
    path = urlsplit(upload(client)["url"]).path
    assert httpx.get(before.url + path).status_code == 200

    after = serve(api_keys=f"carol:viewer:{key}")

    assert httpx.get(after.url + path).status_code == 403


@pytest.mark.parametrize(
    "named",
    [
        lambda key: {"file_key": key},
        lambda key: {"file_key": [key]},
        lambda key: {"file_key": f"uploads//{key.removeprefix('uploads/')}"},
        lambda key: {"file_key": f"{key}#a.csv"},
        lambda key: {"file_key": f"{key.rsplit('/', 1)[0]}/*.csv"},
        lambda key: {"fileKey": key},
        lambda key: {"more": {"pictures": [key]}},
    ],
    ids=["key", "list", "other form", "member", "pattern", "alias", "nested"],
)
@pytest.mark.parametrize("status", [Status.CREATED, Status.PRE_PROCESSED, Status.PROCESSING, Status.PAUSED])
def test_an_upload_that_a_job_still_needs_is_not_deleted(
    shared: Served, named: Callable[[str], dict[str, Any]], status: Status
):
    alice, key = shared.by("alice"), upload(shared.by("alice"))["key"]
    job = shared.workspace.service.record("product-export", named(key), created_by="root", dry_run=True)
    for action in way_to(status):
        job = shared.workspace.store.move(job, action, who="test")

    refused = alice.request("DELETE", "/admin/uploads", json={"file_key": key})

    assert refused.status_code == 409, refused.text
    assert "belongs to a job that has not ended" in refused.json()["message"]
    assert shared.workspace.files.exists(key)
    shared.workspace.service.cancel(job.id, who="test")
    assert alice.request("DELETE", "/admin/uploads", json={"file_key": key}).status_code == 200


def test_a_job_is_not_created_for_a_file_that_is_gone(api_on_both: Served):
    alice, root = api_on_both.by("alice"), api_on_both.by("root")
    gone, there = upload(alice)["key"], upload(alice)["key"]
    alice.request("DELETE", "/admin/uploads", json={"file_key": gone})

    def create(client: httpx.Client, file_key: Any) -> httpx.Response:
        context = {"file_key": file_key, "table": "goods"}
        return client.post("/admin/batch-jobs", json={"type": "table-import", "context": context, "dry_run": True})

    assert create(alice, there).status_code == 201
    for client, file_key in [
        (alice, gone),
        (alice, [there, gone]),
        (root, gone),
        (root, "no/such.csv"),
        (root, "no/such/*.csv"),
        (root, f"{gone}.zip#a.csv"),
    ]:
        answer = create(client, file_key)
        assert answer.status_code == 422, answer.text
        assert "there is no file" in answer.json()["message"]
    assert root.get("/admin/batch-jobs").json()["count"] == 1


def test_a_create_that_is_sent_again_gives_its_job_also_when_the_file_is_gone(api: Served):
    alice, key = api.by("alice"), upload(api.by("alice"))["key"]
    asked: dict[str, Any] = {
        "json": {"type": "table-import", "context": {"file_key": key, "table": "goods"}},
        "headers": {"Idempotency-Key": "once"},
    }
    job_id = alice.post("/admin/batch-jobs", **asked).json()["batch_job"]["id"]
    alice.post(f"/admin/batch-jobs/{job_id}/cancel")
    assert alice.request("DELETE", "/admin/uploads", json={"file_key": key}).status_code == 200

    again = alice.post("/admin/batch-jobs", **asked)

    assert (again.status_code, again.json()["batch_job"]["id"]) == (201, job_id)


@pytest.mark.parametrize(
    ("version", "headers"),
    [
        (b"1.1", b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        (b"1.1", b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"),
        (b"1.1", b"Content-Length: 5\r\nTransfer-Encoding:\tCHUNKED \r\n"),
        (b"1.0", b"Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n"),
    ],
)
@pytest.mark.parametrize("path", [b"/healthz", b"/admin/batch-jobs", b"/admin/uploads"])
def test_a_request_of_two_lengths_is_refused_and_nothing_after_it_is_read(
    shared: Served, path: bytes, version: bytes, headers: bytes
):
    token = shared.keys["alice"].encode()
    start = b"POST %b HTTP/%b\r\nHost: x\r\nx-medusa-access-token: %b\r\n" % (path, version, token)
    smuggled = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"

    answer = spoken(shared, start + headers + b"\r\n0\r\n\r\n" + smuggled)

    assert answer.startswith(b"HTTP/1.1 400")
    assert b"connection: close" in answer.lower()
    assert b"Content-Length or" in answer
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/admin/batch-jobs", "GET, HEAD, POST"),
        ("/admin/batch-jobs/x", "GET, HEAD"),
        ("/admin/batch-jobs/x/confirm", "POST"),
        ("/admin/batch-jobs/strategies", "GET, HEAD"),
        ("/files/a/b", "GET, HEAD"),
        ("/healthz", "GET, HEAD"),
        ("/openapi.json", "GET, HEAD"),
    ],
)
def test_a_method_that_a_path_has_not_is_refused_with_all_that_it_has(alice: httpx.Client, path: str, methods: str):
    answer = alice.patch(path)

    assert (answer.status_code, answer.headers["allow"]) == (405, methods)


def test_one_address_cannot_have_all_connections(serve: Callable[..., Served], no_prefect: None):
    api = serve(api_connections_per_address=4)
    parts = urlsplit(api.url)
    others = [socket.create_connection((parts.hostname, parts.port), 30) for _ in range(4)]
    asked = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

    refused = spoken(api, asked)

    assert refused.startswith(b"HTTP/1.1 503")
    assert b"too many connections from this address" in refused
    assert b"retry-after: 1" in refused
    others += [socket.create_connection((parts.hostname, parts.port), 30) for _ in range(2)]
    with closing(socket.create_connection((parts.hostname, parts.port), 30)) as far_too_many:
        with contextlib.suppress(ConnectionResetError):
            assert far_too_many.recv(1) == b""
    assert spoken(api, asked, source="127.0.0.2").startswith(b"HTTP/1.1 200")
    for other in others:
        other.close()
    wait_until(lambda: spoken(api, asked).startswith(b"HTTP/1.1 200"), what="a connection that is served")


def test_half_of_the_connections_are_left_for_others(
    serve: Callable[..., Served], no_prefect: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("batch_jobs.deployments.api.server.MOST_CONNECTIONS", 120)
    api = serve()
    parts = urlsplit(api.url)
    many = [socket.create_connection((parts.hostname, parts.port), 30) for _ in range(300)]

    asked = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

    assert spoken(api, asked, source="127.0.0.2").startswith(b"HTTP/1.1 200")
    for connection in many:
        connection.close()


@pytest.fixture
def hanging_prefect(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A Prefect that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=200) as listening:
        monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{listening.getsockname()[1]}/api")
        yield listening


def test_a_prefect_that_hangs_holds_up_nobody_however_many_ask_whether_it_is_there(
    serve: Callable[..., Served], hanging_prefect: socket.socket
):
    api = serve()
    parts = urlsplit(api.url)
    asking = [socket.create_connection((parts.hostname, parts.port), 30) for _ in range(30)]
    for connection in asking:
        connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    hanging_prefect.settimeout(30)
    with closing(hanging_prefect.accept()[0]):  # it is being asked
        for _ in range(30):
            assert api.by("alice").get("/admin/batch-jobs").status_code == 200

        for connection in asking:
            answer = b""
            while data := connection.recv(65536):
                answer += data
            connection.close()
            assert b'"prefect":"down"' in answer
        hanging_prefect.setblocking(False)
        asked = 1
        with contextlib.suppress(BlockingIOError):
            while True:
                hanging_prefect.accept()[0].close()
                asked += 1
    assert asked < 10  # some are of the loop that starts jobs


@pytest.mark.parametrize("rate", ["0/minute", "0/second", "00/hour", "0 per 5 minute"])
def test_a_rate_that_lets_nobody_in_is_refused(home: Any, rate: str):
    with pytest.raises(ValueError, match="no rate such as 100/second"):
        Settings(api_rate_limit=rate)


@pytest.mark.parametrize("key", ["x", "x" * 31, " " * 40, f"{'x' * 20}{' ' * 20}"])
def test_a_short_secret_key_is_refused(home: Any, key: str):
    with pytest.raises(ValueError, match="shorter than 32 characters"):
        Settings(secret_key=key)


@pytest.mark.parametrize("content", [b"", b"short\n"])
def test_a_secret_key_file_that_is_cut_off_is_refused(home: Any, content: bytes):
    home.mkdir()
    (home / "secret.key").write_bytes(content)

    with pytest.raises(Exception, match=r"secret\.key .* at least 32"):
        assert Workspace(Settings(home=home)).seal


def test_a_context_of_very_many_values_is_refused_with_the_first_that_is_wrong(alice: httpx.Client):
    def create(**context: Any) -> httpx.Response:
        return alice.post("/admin/batch-jobs", json={"type": "table-export", "context": {"table": "t", **context}})

    wide, wrong, long = create(columns=[1] * 60_000), create(columns=[1] * 5_000), create(format="x" * 500_000)

    assert (wide.status_code, wide.json()["message"]) == (400, "context must not have more than 50000 values")
    assert wrong.status_code == 422
    assert wrong.json()["message"].endswith("; and 4990 more")
    assert (long.status_code, len(long.json()["message"]) < 2_100) == (422, True)


@pytest.mark.parametrize("file_key", [["uploads/*"] * 21, "uploads/" + "*?" * 1_000], ids=["many", "long"])
def test_patterns_that_would_take_long_to_look_for_are_refused(alice: httpx.Client, file_key: Any):
    context = {"table": "t", "file_key": file_key}

    assert alice.post("/admin/batch-jobs", json={"type": "table-import", "context": context}).status_code == 400
