"""Requests that nobody who means well makes."""

import contextlib
import email
import gzip
import io
import json
import re
import select
import socket
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from batch_jobs.deployments.api import connection_limits, middleware
from batch_jobs.deployments.api.app import ROUTERS
from support.api_server import Served
from support.servers import wait_until

JSON = {"Content-Type": "application/json"}
ADMIN_ROUTES = sorted(
    (method, re.sub(r"{\w+}", "x", route.path))
    for router in ROUTERS
    for route in router.routes
    for method in route.methods
    if route.path.startswith("/admin")
)


def connected(api: Served) -> socket.socket:
    parts = urlsplit(api.url)
    return socket.create_connection((parts.hostname, parts.port), timeout=60)


def head(api: Served, method: str, path: str, **headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: x"]
    headers = {"x_medusa_access_token": api.keys["alice"], **headers}
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def read_all(connection: socket.socket) -> bytes:
    received = b""
    while data := connection.recv(65536):
        received += data
    return received


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"[]",
        b'"text"',
        b"null",
        b"\xff\xfe{}",
        b'{"type": "noting", "context": {"note": "\\u0000"}}',
        b'{"type": "noting", "context": {"note": "\\ud800"}}',
        b'{"type": "\\u0000", "context": {}}',
        b'{"type": "noting", "context": {"note": NaN}}',
        b'{"type": "noting", "context": {"note": Infinity}}',
        b'{"type": "noting", "context": {"note": ' + b"9" * 5000 + b"}}",
        b'{"type": "noting", "context": {"a": ' + b"[" * 40 + b"]" * 40 + b"}}",
        b'{"type": "' + b"x" * 300 + b'", "context": {}}',
        b'{"type": {"$gt": ""}, "context": {}}',
    ],
    ids=range(18),
)
def test_a_body_that_is_no_job_is_a_400(alice: httpx.Client, body: bytes):
    answer = alice.post("/admin/batch-jobs", content=body, headers=JSON)

    assert answer.status_code == 400, answer.text
    assert answer.json()["type"] == "invalid_data"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"[" * 100_000, "the body is too deep; a context may have 32 levels"),
        (b'{"n": ' + b"9" * 5000 + b"}", "a whole number in the body may have at most 4300 digits"),
        (b'{"type": "\xff"}', "the body is not UTF-8"),
        (b"{", "the body is not JSON"),
    ],
    ids=["deep", "long number", "bytes", "cut off"],
)
def test_a_body_that_cannot_be_read_is_refused_with_the_reason(alice: httpx.Client, body: bytes, told: str):
    answer = alice.post("/admin/batch-jobs", content=body, headers=JSON)

    assert answer.json() == {"type": "invalid_data", "message": told}


def test_numbers_of_any_size_come_back_as_they_were(api_on_both: Served):
    big = 10**40
    answer = api_on_both.by("alice").post("/admin/batch-jobs", json={"type": "product-export", "context": {"n": big}})

    assert answer.status_code == 201, answer.text
    assert answer.json()["batch_job"]["context"]["n"] == big


def test_a_body_that_is_too_large_is_refused_by_what_it_declares_and_by_what_comes(alice: httpx.Client):
    large = json.dumps({"type": "noting", "context": {"note": "x" * (1 << 20)}}).encode()

    declared = alice.post("/admin/batch-jobs", content=large, headers=JSON)
    streamed = alice.post("/admin/batch-jobs", content=iter([large[:600_000], large[600_000:]]), headers=JSON)

    assert [declared.status_code, streamed.status_code] == [413, 413]


def test_ten_declared_gigabytes_are_refused_at_once(shared: Served):
    """Before a byte of them has come."""
    with closing(connected(shared)) as connection:
        kind = "multipart/form-data; boundary=x"
        connection.sendall(head(shared, "POST", "/admin/uploads", Content_Type=kind, Content_Length=str(10 << 30)))

        answer = read_all(connection)

    assert answer.startswith(b"HTTP/1.1 413")
    assert b"may have at most" in answer


def test_a_packed_body_is_not_unpacked(alice: httpx.Client):
    bomb = gzip.compress(b"0" * (50 << 20))

    answer = alice.post("/admin/batch-jobs", content=bomb, headers={**JSON, "Content-Encoding": "gzip"})

    assert answer.status_code == 415


def test_a_gzip_bomb_is_stored_as_it_is(shared: Served):
    bomb = gzip.compress(b"0" * (50 << 20))

    sent = shared.by("alice").post("/admin/uploads", files=[("files", ("bomb.csv.gz", bomb))]).json()["uploads"][0]

    assert shared.workspace.files.size(sent["key"]) == len(bomb) < 1 << 20
    got = httpx.get(sent["url"])
    assert got.content == bomb
    assert "content-encoding" not in got.headers


@pytest.mark.parametrize(
    "query",
    [
        "?type[]=' OR 1=1 --",
        "?id[]='; DROP TABLE batch_job; --",
        "?created_by=alice' OR 'a'='a",
        "?order=id; DROP TABLE batch_job",
        "?order=(SELECT 1)",
        "?fields=id FROM batch_job; --",
        "?created_at[gt]=2020-01-01' OR '1'='1",
        "?cursor=' OR 1=1",
        "?limit=1; DROP TABLE batch_job",
        "?created_at[gt' OR 1=1]=2020-01-01",
    ],
)
def test_sql_in_a_filter_is_text_or_refused(api_on_both: Served, query: str):
    api_on_both.job("bob")

    answer = api_on_both.by("alice").get(f"/admin/batch-jobs{query}")

    assert answer.status_code in (200, 400)
    if answer.status_code == 200:
        assert answer.json()["batch_jobs"] == []
    assert api_on_both.by("bob").get("/admin/batch-jobs").json()["count"] == 1


@pytest.mark.parametrize(
    "job_id", ["..%2f..%2fetc", "%00", "' OR 1=1", "x" * 5000, "batch_%0d%0aSet-Cookie:a=b", "%ff"]
)
def test_an_id_that_is_none_is_not_found(api_on_both: Served, job_id: str):
    answer = api_on_both.by("root").get(f"/admin/batch-jobs/{job_id}")

    assert answer.status_code == 404
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "path", ["/admin/batch-jobs/", "/admin/batch-jobs/strategies/", "/admin/uploads/", "/healthz/"]
)
def test_a_path_with_a_slash_too_many_is_not_found_and_leads_nowhere(alice: httpx.Client, path: str):
    answer = alice.get(path, headers={"Host": "elsewhere.example"})

    assert (answer.status_code, answer.json()["type"]) == (404, "not_found")
    assert "location" not in answer.headers


@pytest.mark.parametrize("token", ["", "x", "' OR 1=1 --", "bj_" + "x" * 10_000, "\xff\xfe", "null", "undefined"])
def test_a_token_that_is_none_is_refused(shared: Served, token: str):
    given = token.encode("latin-1")
    for headers in ({"x-medusa-access-token": given}, {"authorization": (b"Bearer " + given).strip()}):
        assert httpx.get(f"{shared.url}/admin/batch-jobs", headers=headers).status_code == 401


@pytest.mark.parametrize("given", ["a\r\nSet-Cookie: x=y", "x" * 65, "a b", "ü"])
def test_a_request_id_that_could_be_read_as_more_is_replaced(shared: Served, given: str):
    with closing(connected(shared)) as connection:
        line = f"X-Request-Id: {given}\r\nConnection: close\r\n\r\n".encode()
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + line)
        answer = read_all(connection)

    assert b"x-request-id: req_" in answer or given.startswith("a\r\n")
    assert b"set-cookie" not in answer.lower()


def test_slow_clients_are_closed_and_hold_nobody_up(
    serve: Callable[..., Served], no_prefect: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(connection_limits, "HEAD_SECONDS", 0.5)
    api = serve()
    slow = [connected(api) for _ in range(60)]
    for connection in slow:
        connection.sendall(b"GET /admin/batch-jobs HTTP/1.1\r\nHost: x\r\nX-Slow: ")

    assert api.by("alice").get("/admin/batch-jobs").status_code == 200
    for connection in slow:
        assert read_all(connection) == b""  # closed, not answered
        connection.close()


def test_a_connection_that_was_used_is_closed_too_when_the_next_request_does_not_end(
    serve: Callable[..., Served], no_prefect: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(connection_limits, "HEAD_SECONDS", 0.5)
    api = serve()
    with closing(connected(api)) as connection:
        connection.sendall(head(api, "GET", "/healthz"))
        answer = b""
        while not answer.endswith(b"}"):
            answer += connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET /healthz HT")
        assert read_all(connection) == b""


def test_a_connection_that_does_not_read_its_answer_is_closed_and_one_that_is_slow_is_not(
    serve: Callable[..., Served], no_prefect: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(connection_limits, "UNREAD_SECONDS", 2.0)
    api = serve()
    size = 64 << 20  # bytes, more than the kernel holds for a connection
    name, content = "large.csv", io.BytesIO(b"0" * size)
    key = api.by("alice").post("/admin/uploads", files={"files": (name, content)}).json()["uploads"][0]["key"]
    url = api.by("alice").post("/admin/uploads/download-url", json={"file_key": key}).json()["download_url"]
    path = url.removeprefix(api.url)

    with closing(connected(api)) as connection, closing(connected(api)) as slow:
        connection.sendall(head(api, "GET", path))
        slow.sendall(head(api, "GET", path, Connection="close"))
        began, received = time.monotonic(), 0
        while data := slow.recv(1 << 16):
            received += len(data)
            time.sleep(0.003)  # the pace of a reader that is slow
        assert received > size
        assert time.monotonic() - began > connection_limits.UNREAD_SECONDS
        there = connection.getsockname()
        wait_until(
            lambda: not any(one.raddr == there for one in psutil.Process().net_connections("tcp")), what="its end"
        )
        assert len(read_all(connection)) < size


@pytest.mark.parametrize(
    ("path", "kind"), [("/admin/batch-jobs", "application/json"), ("/admin/uploads", "multipart/form-data; boundary=x")]
)
def test_a_body_that_does_not_come_is_given_up(
    serve: Callable[..., Served], no_prefect: None, monkeypatch: pytest.MonkeyPatch, path: str, kind: str
):
    monkeypatch.setattr(middleware, "BODY_SECONDS", 0.3)
    api = serve()
    with closing(connected(api)) as connection:
        connection.sendall(head(api, "POST", path, Content_Type=kind, Content_Length="100") + b"-")
        answer = read_all(connection)

    assert answer.startswith(b"HTTP/1.1 408")
    folder = api.workspace.settings.home / "files"
    assert not folder.exists() or not [file for file in folder.rglob("*") if file.is_file()]


@pytest.mark.parametrize("key", ["", "wrong"])
@pytest.mark.parametrize(("method", "path"), ADMIN_ROUTES)
def test_nobody_without_a_key_gets_a_body_read(
    shared: Served, monkeypatch: pytest.MonkeyPatch, method: str, path: str, key: str
):
    monkeypatch.setattr(middleware, "LAST_SECONDS", 0.0)
    with closing(connected(shared)) as connection:
        sent = {"Content_Type": "application/json", "Content_Length": "1000000"}
        connection.sendall(head(shared, method, path, x_medusa_access_token=key, **sent) + b"{")
        answer = read_all(connection)

    assert answer.startswith(b"HTTP/1.1 401")
    assert b"connection: close" in answer.lower()


@pytest.mark.parametrize(("method", "path"), [route for route in ADMIN_ROUTES if route[0] in ("POST", "DELETE")])
def test_nobody_without_the_right_gets_a_body_read(
    shared: Served, monkeypatch: pytest.MonkeyPatch, method: str, path: str
):
    monkeypatch.setattr(middleware, "LAST_SECONDS", 0.0)
    with closing(connected(shared)) as connection:
        sent = {"Content_Type": "application/json", "Content_Length": "1000000"}
        viewer = head(shared, method, path, x_medusa_access_token=shared.keys["vera"], **sent)
        connection.sendall(viewer + b"{")
        answer = read_all(connection)

    assert answer.startswith(b"HTTP/1.1 403")
    assert b"connection: close" in answer.lower()


@pytest.mark.parametrize("key", ["", "wrong"])
@pytest.mark.parametrize("compat", [False, True])
def test_a_body_is_not_looked_at_without_a_key(serve: Callable[..., Served], no_prefect: None, compat: bool, key: str):
    api = serve(medusa_compat=compat)

    answer = httpx.post(f"{api.url}/admin/batch-jobs", content=b"{", headers={**JSON, "x-medusa-access-token": key})

    assert answer.status_code == 401
    assert (answer.text == "Unauthorized") is compat


def test_a_request_with_a_body_counts_once_towards_the_rate_limit(serve: Callable[..., Served], no_prefect: None):
    api = serve(api_rate_limit="3/hour")
    job = {"type": "noting", "context": {}}
    ask = {
        "right": lambda: api.by("alice").post("/admin/batch-jobs", json=job),
        "wrong": lambda: api.by(None).post("/admin/batch-jobs", json=job, headers={"x-medusa-access-token": "wrong"}),
    }

    statuses = {key: [post().status_code for _ in range(4)] for key, post in ask.items()}

    assert statuses == {"right": [201, 201, 201, 429], "wrong": [401, 401, 401, 429]}


def test_who_is_still_sending_gets_the_refusal_and_no_reset(shared: Served, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(middleware, "LAST_SECONDS", 60.0)
    with closing(connected(shared)) as connection:
        connection.sendall(head(shared, "POST", "/admin/batch-jobs", x_medusa_access_token="", Content_Length="100"))
        answer = b""
        while not answer.endswith(b"}"):
            answer += connection.recv(65536)
        for _ in range(100):
            connection.sendall(b"x")

        assert answer.startswith(b"HTTP/1.1 401")
        assert read_all(connection) == b""


def test_a_body_that_comes_byte_by_byte_is_given_up_in_the_end(shared: Served, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(middleware, "JSON_SECONDS", 0.3)
    monkeypatch.setattr(middleware, "LAST_SECONDS", 0.0)
    with closing(connected(shared)) as connection:
        sent = {"Content_Type": "application/json", "Content_Length": "1000000"}
        connection.sendall(head(shared, "POST", "/admin/batch-jobs", **sent))
        for _ in range(500):
            if select.select([connection], [], [], 0.02)[0]:
                break
            connection.sendall(b" ")
        else:
            pytest.fail("the body is waited for")
        answer = read_all(connection)

    assert answer.startswith(b"HTTP/1.1 408")
    assert b"the body did not come within 0.3 s" in answer


def test_an_upload_may_take_as_long_as_it_goes_on(api: Served, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(middleware, "JSON_SECONDS", 0.0)
    form = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.csv"\r\n\r\nhalf'
    end = b" and half\r\n--x--\r\n"
    sent = {"Content_Type": "multipart/form-data; boundary=x", "Content_Length": str(len(form + end))}
    folder = api.workspace.settings.home / "files"
    with closing(connected(api)) as connection:
        connection.sendall(head(api, "POST", "/admin/uploads", Connection="close", **sent) + form)
        wait_until(lambda: any(folder.rglob("*.part")), what="the upload's beginning")
        connection.sendall(end)

        assert read_all(connection).startswith(b"HTTP/1.1 200")


def test_an_upload_whose_client_goes_away_leaves_nothing(api: Served):
    form = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.csv"\r\n\r\nhalf'
    kind = "multipart/form-data; boundary=x"
    folder = api.workspace.settings.home / "files"

    def parts() -> list[Any]:
        return [file for file in folder.rglob("*") if file.is_file()] if folder.exists() else []

    with closing(connected(api)) as connection:
        connection.sendall(head(api, "POST", "/admin/uploads", Content_Type=kind, Content_Length="9999") + form)
        wait_until(lambda: bool(parts()), what="the upload's beginning")
    wait_until(lambda: not parts(), what="the unfinished file's removal")


@pytest.mark.parametrize("request_line", [b"GARBAGE\r\n\r\n", b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_what_is_no_http_is_refused(shared: Served, request_line: bytes):
    with closing(connected(shared)) as connection:
        connection.sendall(request_line)
        head, _, body = read_all(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    assert json.loads(body) == {"type": "invalid_data", "message": "Invalid HTTP request received."}


def test_one_connection_too_many_is_refused_in_json_until_another_ends(
    serve: Callable[..., Served], no_prefect: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("batch_jobs.deployments.api.server.MOST_CONNECTIONS", 3)
    api = serve()
    ask = head(api, "GET", "/healthz", Connection="close")
    others = [connected(api) for _ in range(3)]
    with closing(connected(api)) as connection:
        connection.sendall(ask)
        shown, _, body = read_all(connection).partition(b"\r\n\r\n")
    headers = email.message_from_bytes(shown.split(b"\r\n", 1)[1])
    assert shown.startswith(b"HTTP/1.1 503")
    assert (headers["content-type"], headers["retry-after"]) == ("application/json", "1")
    assert (headers["connection"], headers["x-content-type-options"]) == ("close", "nosniff")
    assert json.loads(body) == {
        "type": "unexpected_state",
        "message": "there are too many connections, ask again in a second",
        "code": "api_error",
    }

    others[0].sendall(ask)
    assert read_all(others.pop(0)).startswith(b"HTTP/1.1 200")  # who was there first is served on
    wait_until(lambda: httpx.get(f"{api.url}/healthz").status_code == 200, what="a connection that is served")
    for other in others:
        other.close()


def test_far_too_many_connections_are_not_listened_to(
    serve: Callable[..., Served], no_prefect: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("batch_jobs.deployments.api.server.MOST_CONNECTIONS", 2)
    api = serve()
    others = [connected(api) for _ in range(4)]
    with closing(connected(api)) as connection, contextlib.suppress(ConnectionResetError):
        assert connection.recv(1) == b""
    for other in others:
        other.close()
    wait_until(lambda: httpx.get(f"{api.url}/healthz").status_code == 200, what="a connection that is served")


def test_endless_headers_are_refused(shared: Served):
    with closing(connected(shared)) as connection:
        try:
            connection.sendall(b"GET /healthz HTTP/1.1\r\n" + b"X-A: " + b"b" * (1 << 20))
            answer = read_all(connection)
        except ConnectionError:
            answer = b""
    assert answer.startswith(b"HTTP/1.1 400") or answer == b""
    assert httpx.get(f"{shared.url}/healthz").status_code == 200


@pytest.mark.parametrize(
    ("batch_type", "context"),
    [
        ("table-import", {"file_key": "KEY", "table": "batch_job_api_key"}),
        ("table-import", {"file_key": "KEY", "table": "public.batch_job"}),
        ("table-import", {"file_key": "KEY", "table": "main.BATCH_JOB_SECRET"}),
        ("table-export", {"table": "batch_job"}),
        ("table-export", {"table": "batch_job_checkpoint"}),
    ],
)
def test_no_job_reads_or_writes_the_tables_of_the_jobs(shared: Served, batch_type: str, context: dict[str, Any]):
    """Else whoever may import could make a key of any role."""
    alice = shared.by("alice")
    key = alice.post("/admin/uploads", files=[("files", ("a.csv", b"a\n"))]).json()["uploads"][0]["key"]
    context = {name: key if value == "KEY" else value for name, value in context.items()}

    answer = alice.post("/admin/batch-jobs", json={"type": batch_type, "context": context})

    assert answer.status_code == 422, answer.text
    assert "is a table of the jobs themselves" in answer.json()["message"]
