"""Who gets in: the cookie of a session, signing in and out, and the owner of a machine where no key is set."""

import os
import pwd
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from itsdangerous import URLSafeTimedSerializer

from batch_jobs.flows.access.keys import Role
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.flows.secret_fields.sealing import Seal
from batch_jobs.flows.settings import Settings
from batch_jobs.flows.workspace import Workspace
from support.api_server import STRATEGIES, Served, serving
from support.servers import wait_until
from support.visitors import Visitor, visiting


def cookie_of(visitor: Visitor) -> tuple[str, str]:
    """The name and the value of somebody's session."""
    ((name, value),) = [(name, value) for name, value in visitor.client.cookies.items() if "session" in name]
    return name, value


def shows(url: str, cookie: tuple[str, str], **headers: str) -> bool:
    """Whether the first page is shown to one who has just this cookie."""
    answer = httpx.get(f"{url}/", headers={"cookie": "=".join(cookie), **headers})
    assert answer.status_code == 200 or (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
    return answer.status_code == 200


def signed(workspace: Workspace, content: Any, secret: bytes | None = None) -> str:
    """A cookie that was made elsewhere, as its maker knows how."""
    key = Seal(secret).key("sessions") if secret else workspace.seal.key("sessions")
    return str(URLSafeTimedSerializer(key, salt="session").dumps(content))


def test_the_cookie_is_for_our_site_alone_and_holds_no_key(shared: Served):
    answer = httpx.post(f"{shared.url}/sign-in", data={"key": shared.keys["alice"]})

    name, _, rest = answer.headers["set-cookie"].partition("=")
    flags = {flag.strip().lower() for flag in rest.split(";")[1:]}
    assert flags == {"httponly", "samesite=strict", "path=/", f"max-age={12 * 3600}"}
    assert re.fullmatch(r"batch_jobs_session_[0-9a-f]{8}", name)
    assert shared.keys["alice"] not in answer.headers["set-cookie"]


def test_behind_tls_the_cookie_is_for_tls_and_this_host_alone(serve: Callable[..., Served], no_prefect: None):
    api = serve(api_public_url="https://jobs.example")

    answer = httpx.post(f"{api.url}/sign-in", data={"key": api.keys["alice"]})

    assert answer.headers["set-cookie"].startswith("__Host-batch_jobs_session_")
    assert "; secure" in answer.headers["set-cookie"].lower()
    name, value = answer.headers["set-cookie"].split(";")[0].split("=", 1)
    assert shows(api.url, (name, value))
    assert not shows(api.url, (name.removeprefix("__Host-"), value))  # one that another host of the domain may set


def test_a_cookie_that_was_forged_or_altered_opens_nothing(shared: Served):
    name, value = cookie_of(visiting(shared, "alice"))
    root = next(key for key in shared.workspace.api_keys.all() if key.name == "root")

    assert shows(shared.url, (name, value))
    for tried in (
        "",
        "x",
        value[:-1],
        value[1:],
        value[:-2] + ("AA" if value[-2:] != "AA" else "BB"),
        value.replace(".", "..", 1),
        "." + value,
        value * 50,
        signed(shared.workspace, [root.id, "csrf", "id"], b"another installation's secret, of 32 characters"),
        str(URLSafeTimedSerializer("", salt="session").dumps([root.id, "csrf", "id"])),
        str(URLSafeTimedSerializer(shared.workspace.seal.key("links"), salt="session").dumps([root.id, "c", "i"])),
        str(URLSafeTimedSerializer(shared.workspace.seal.key("sessions"), salt="stream").dumps([root.id, "c", "i"])),
        signed(shared.workspace, ["key_none", "csrf", "id"]),
        signed(shared.workspace, root.id),
        signed(shared.workspace, {"key_id": root.id}),
        shared.keys["root"],
    ):
        assert not shows(shared.url, (name, tried)), tried


def test_a_link_s_token_is_no_session(shared: Served):
    name, _ = cookie_of(visiting(shared, "alice"))
    link = shared.by("alice").get(f"/admin/batch-jobs/{shared.job('alice').id}/stream-url").json()["stream_url"]

    assert not shows(shared.url, (name, link.rsplit("/", 1)[1]))


def test_a_session_expires(serve: Callable[..., Served], no_prefect: None):
    api = serve(session_seconds=1)
    name, value = cookie_of(visiting(api, "alice"))

    wait_until(lambda: not shows(api.url, (name, value)), what="the session's end")


def test_a_session_ends_with_its_key(api_on_both: Served):
    alice = visiting(api_on_both, "alice")
    cookie = cookie_of(alice)

    api_on_both.workspace.api_keys.revoke("alice")

    assert not shows(api_on_both.url, cookie)
    assert alice.post("/language", {"code": "de"}).status_code == 303


def test_who_is_signed_out_has_a_cookie_that_opens_nothing_any_more(api_on_both: Served):
    alice = visiting(api_on_both, "alice")
    stolen, other = cookie_of(alice), cookie_of(visiting(api_on_both, "alice"))
    assert shows(api_on_both.url, stolen)

    answer = alice.post("/sign-out")

    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
    assert not shows(api_on_both.url, stolen)
    assert shows(api_on_both.url, other)
    with serving(Workspace(api_on_both.workspace.settings)) as another_process:
        assert not shows(another_process, stolen)
        assert shows(another_process, other)


def test_nobody_is_signed_in_with_a_session_that_was_there_before(shared: Served):
    """Fixation: whoever planted a cookie of their own knows nothing of the session that begins."""
    browser = visiting(shared, "bob")
    planted, csrf = cookie_of(browser), browser.csrf

    browser.client.post("/sign-in", data={"key": shared.keys["alice"]})

    assert cookie_of(browser) != planted
    assert Visitor(browser.client).csrf != csrf
    assert not shows(shared.url, planted)


def test_a_session_sees_what_its_key_may_by_now(api: Served):
    alice, job = visiting(api, "root"), api.job("alice")
    assert alice.get(f"/jobs/{job.id}").status_code == 200

    with api.workspace.jobs.begin() as connection:
        connection.exec_driver_sql("UPDATE batch_job_api_key SET role = 'operator' WHERE name = 'root'")

    assert alice.get(f"/jobs/{job.id}").status_code == 404


def test_two_installations_on_one_machine_do_not_sign_each_other_s_visitors_out(api: Served, tmp_path: Any):
    """A browser keeps one cookie of a name for all ports of a host."""
    alice = visiting(api, "alice")
    other = Workspace(Settings(home=tmp_path / "other", strategies=str(STRATEGIES), api_port=0))
    _, token = other.api_keys.create("alice", Role.ADMIN)

    with serving(other) as url:
        assert alice.client.post(f"{url}/sign-in", data={"key": token}).status_code == 303
        assert alice.client.get(f"{url}/").status_code == 200
        assert alice.client.get("/").status_code == 200
        ours = cookie_name(api)
        assert not shows(url, (ours, alice.client.cookies[ours]))


def cookie_name(api: Served) -> str:
    return cookie_of(visiting(api, "bob"))[0]


@pytest.mark.parametrize("key", ["", " ", "bj_nothing", "x" * 100_000, "é", "\ud800".encode("utf-8", "surrogatepass")])
def test_what_is_no_key_signs_nobody_in(shared: Served, key: Any):
    answer = httpx.post(f"{shared.url}/sign-in", data={"key": key})

    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    assert "This is no key" in answer.text


def test_a_key_is_pasted_with_what_is_around_it(shared: Served):
    answer = httpx.post(f"{shared.url}/sign-in", data={"key": f" {shared.keys['alice']}\n"})

    assert answer.status_code == 303


def test_the_page_counts_what_is_refused_and_what_is_asked(serve: Callable[..., Served], no_prefect: None):
    guessing = serve(api_rate_limit="5/hour").url
    statuses = [httpx.post(f"{guessing}/sign-in", data={"key": f"bj_{n}"}).status_code for n in range(7)]
    assert statuses == [401] * 5 + [429] * 2
    refused = httpx.get(f"{guessing}/")
    assert (refused.status_code, "more requests than 5/hour" in refused.text) == (429, True)
    assert int(refused.headers["retry-after"]) > 0


def test_a_session_counts_with_its_key(serve: Callable[..., Served], no_prefect: None):
    api = serve(api_rate_limit="6/hour")
    alice = visiting(api, "alice")  # signs in and looks at the first page: 2

    assert [alice.client.get("/").status_code for _ in range(5)] == [200] * 4 + [429]
    assert api.by("alice").get("/admin/batch-jobs").status_code == 429
    assert api.by("bob").get("/admin/batch-jobs").status_code == 200


@pytest.fixture
def without_key(home: Any, no_prefect: None) -> Iterator[tuple[Workspace, str]]:
    """An API of a machine where no key was ever made."""
    workspace = Workspace(Settings(home=home, strategies=str(STRATEGIES), api_port=0))
    with serving(workspace) as url:
        yield workspace, url


def owner_at(url: str) -> httpx.Client:
    client = httpx.Client(base_url=url, timeout=30)
    assert client.get("/", follow_redirects=True).status_code == 200
    return client


def test_where_no_key_is_set_the_page_works_for_whoever_is_at_the_machine_and_says_so(
    without_key: tuple[Workspace, str],
):
    _, url = without_key
    client = owner_at(url)

    text = client.get("/").text
    assert "No key is set" in text
    assert pwd.getpwuid(os.getuid()).pw_name in text
    assert "Sign out" not in text
    assert client.get("/admin/batch-jobs").status_code == 401, "the API stays key-only"


#: What a request has that came through somebody in between, or was led here by a page.
ANOTHER_WAY: list[dict[str, str]] = [
    {"host": "jobs.example"},
    {"host": "evil.example:9000"},
    {"host": "127.0.0.1.evil.example"},
    {"host": "localhost.evil.example"},
    {"host": "0.0.0.0"},
    {"host": ""},
    {"forwarded": "for=203.0.113.1"},
    {"x-forwarded-for": "127.0.0.1"},
    {"x-forwarded-host": "jobs.example"},
    {"x-forwarded-proto": "https"},
    {"x-real-ip": "127.0.0.1"},
    {"via": "1.1 proxy"},
    {"cf-connecting-ip": "203.0.113.1"},
    {"true-client-ip": "203.0.113.1"},
    {"x-envoy-external-address": "203.0.113.1"},
    {"x-amzn-trace-id": "Root=1"},
    {"sec-fetch-site": "same-origin", "referer": "https://jobs.example/"},
    {"referer": "https://jobs.example/jobs/x"},
]


def test_who_comes_another_way_is_no_owner(without_key: tuple[Workspace, str]):
    _, url = without_key
    client = owner_at(url)
    cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())

    for headers in ANOTHER_WAY:
        for shown in (headers, {**headers, "cookie": cookie}):
            assert httpx.get(f"{url}/", headers=shown).headers.get("location") == "/sign-in", shown
            answer = httpx.get(f"{url}/sign-in", headers=shown)
            assert (answer.status_code, "set-cookie" in answer.headers) == (200, False), shown
            assert "make one there with" in answer.text


def test_a_proxy_of_the_old_version_of_http_is_no_owner(without_key: tuple[Workspace, str]):
    """nginx as it comes asks in HTTP/1.0, with our own address as Host and no word of whom it asks for."""
    parts = urlsplit(without_key[1])
    with socket.create_connection((parts.hostname, parts.port), 30) as connection:
        connection.sendall(f"GET /sign-in HTTP/1.0\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while data := connection.recv(65536):
            answer += data

    assert answer.startswith(b"HTTP/1.1 200")
    assert b"set-cookie" not in answer.lower()


@pytest.mark.parametrize("settings", [{"api_host": "0.0.0.0"}, {"api_public_url": "https://jobs.example"}])
def test_where_others_may_reach_the_api_nobody_is_the_owner(home: Any, no_prefect: None, settings: dict[str, str]):
    workspace = Workspace(Settings(home=home, strategies=str(STRATEGIES), api_port=0))
    with serving(workspace) as url:
        workspace.settings.__dict__.update(settings)  # as if it listened there; it refuses to start without a key
        assert "set-cookie" not in httpx.get(f"{url}/sign-in").headers


ANOTHER_USER = """
import encodings.idna, os, socket, sys
os.setuid(65534)
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
connection.sendall(b"GET /sign-in HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\nConnection: close\\r\\n\\r\\n")
answer = b""
while data := connection.recv(65536):
    answer += data
print(answer.decode())
"""


@pytest.mark.skipif(os.getuid() != 0 or sys.platform != "linux", reason="only root can be another user")
def test_another_user_of_the_machine_is_no_owner(without_key: tuple[Workspace, str]):
    port = without_key[1].rsplit(":", 1)[1]
    asked = subprocess.run([sys.executable, "-c", ANOTHER_USER, port], capture_output=True, text=True, timeout=60)

    assert asked.stdout.startswith("HTTP/1.1 200"), asked.stderr
    assert "set-cookie" not in asked.stdout.lower()


def test_the_owner_is_gone_as_soon_as_there_is_a_key_also_from_open_streams(without_key: tuple[Workspace, str]):
    workspace, url = without_key
    client = owner_at(url)
    job = Served(workspace, url, {}, None).job("somebody", Status.PROCESSING)  # type: ignore[arg-type]

    with client.stream("GET", f"/jobs/{job.id}/live") as stream:
        parts = stream.iter_text()
        assert "data:" in next(parts)
        workspace.api_keys.create("alice", Role.VIEWER)
        for _ in parts:  # it ends, and the test with it
            pass

    assert client.get("/").headers["location"] == "/sign-in"
    assert "set-cookie" not in client.get("/sign-in").headers


def test_revoking_the_last_key_opens_the_page_to_nobody(without_key: tuple[Workspace, str]):
    workspace, url = without_key
    client = owner_at(url)
    workspace.api_keys.create("alice", Role.VIEWER)
    workspace.api_keys.revoke("alice")

    assert client.get("/").headers["location"] == "/sign-in"
    assert "set-cookie" not in httpx.get(f"{url}/sign-in").headers
    with serving(Workspace(workspace.settings)) as anew:
        assert "set-cookie" not in httpx.get(f"{anew}/sign-in").headers


def test_a_key_of_the_settings_is_a_key(home: Any, no_prefect: None):
    settings = Settings(home=home, strategies=str(STRATEGIES), api_port=0, api_keys=f"carol:viewer:{'k' * 20}")
    with serving(Workspace(settings)) as url:
        assert "set-cookie" not in httpx.get(f"{url}/sign-in").headers
        assert httpx.post(f"{url}/sign-in", data={"key": "k" * 20}).status_code == 303
