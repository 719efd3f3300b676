"""Uploads and downloads over HTTP."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from itsdangerous import URLSafeTimedSerializer

from batch_jobs.deployments.api.form_uploads import OVERHEAD
from support.api_server import Served

LIMIT = 200_000
ROOT = Path(__file__).parents[3]


def upload(client: httpx.Client, *contents: bytes, name: str = "a.csv") -> httpx.Response:
    return client.post("/admin/uploads", files=[("files", (name, content)) for content in contents])


def stored(api: Served) -> list[str]:
    """Whatever lies in the file store, unfinished files too."""
    folder = api.workspace.settings.home / "files"
    return [str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()] if folder.exists() else []


def test_files_come_out_as_they_went_in(api: Served):
    contents = [b"a,b\r\n1,\xff\n", b"", b"--boundary\r\n" * 9_000]

    uploads = upload(api.by("alice"), *contents).json()["uploads"]

    assert [httpx.get(sent["url"]).content for sent in uploads] == contents
    assert [api.workspace.files.size(sent["key"]) for sent in uploads] == [len(content) for content in contents]


def test_a_download_is_an_attachment_of_a_harmless_type(alice: httpx.Client):
    page = httpx.get(upload(alice, b"<script>", name="x.html").json()["uploads"][0]["url"])
    table = httpx.get(upload(alice, b"a\n", name="x.csv").json()["uploads"][0]["url"])

    assert page.headers["content-type"] == "application/octet-stream"
    assert page.headers["content-disposition"] == 'attachment; filename="x.html"'
    assert table.headers["content-type"].startswith("text/csv")


@pytest.mark.parametrize(
    ("asked", "status", "content", "told"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=4-", 206, b"456789", "bytes 4-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
        ("bytes=10-", 416, None, "bytes */10"),
        ("bytes=-0", 416, None, "bytes */10"),
        ("bytes=5-2", 200, b"0123456789", None),
        ("bytes=0-1,3-4", 200, b"0123456789", None),
        ("lines=1-2", 200, b"0123456789", None),
        ("bytes=-", 200, b"0123456789", None),
    ],
)
def test_a_part_of_a_file_can_be_had(
    alice: httpx.Client, asked: str, status: int, content: bytes | None, told: str | None
):
    url = upload(alice, b"0123456789").json()["uploads"][0]["url"]

    answer = httpx.get(url, headers={"Range": asked})

    assert (answer.status_code, answer.headers.get("content-range")) == (status, told)
    if content is not None:
        assert answer.content == content


@pytest.mark.parametrize("version", ['"another"', 'W/"weak"', "Thu, 26 Nov 2026 03:00:00 GMT", ""])
def test_a_part_of_another_version_of_a_file_is_the_whole_file(alice: httpx.Client, version: str):
    url = upload(alice, b"0123456789").json()["uploads"][0]["url"]

    answer = httpx.get(url, headers={"Range": "bytes=0-3", "If-Range": version})

    assert (answer.status_code, answer.content) == (200, b"0123456789")
    assert "content-range" not in answer.headers


def test_the_headers_of_a_file_can_be_had_without_the_file(alice: httpx.Client):
    url = upload(alice, b"0123456789").json()["uploads"][0]["url"]

    whole, headers = httpx.get(url), httpx.head(url, headers={"Range": "bytes=0-1"})

    assert (headers.status_code, headers.content) == (200, b"")
    for name in ("content-length", "content-type", "content-disposition", "accept-ranges"):
        assert headers.headers[name] == whole.headers[name]


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("/etc/shadow", "shadow"),
        ("$(reboot);`id`|x&.csv", "reboot-id-x-.csv"),
        ("a b\tc'\"\\.csv", "file.csv"),
        ("..", "file"),
        (".hidden", "file.hidden"),
        ("ünïcode.csv", "n-code.csv"),
        ("产品.csv", "file.csv"),
        ("x" * 300 + ".csv", "x" * 96 + ".csv"),
        ("evil\r\nSet-Cookie: a=b.csv", "evil-0D-0ASet-Cookie-a-b.csv"),
        ("%2e%2e%2fpasswd", "2e-2e-2fpasswd"),
        ("a\x00b.csv", "a-00b.csv"),
    ],
)
def test_s51_a_name_is_made_harmless(api: Served, name: str, kept: str):
    sent = upload(api.by("alice"), b"a", name=name)

    assert sent.status_code == 200, sent.text
    key = sent.json()["uploads"][0]["key"]
    folder, ulid, harmless = key.split("/")
    assert (folder, len(ulid)) == ("uploads", 26)
    assert harmless == kept
    assert set(harmless) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    assert stored(api) == [key]
    assert "set-cookie" not in httpx.get(sent.json()["uploads"][0]["url"]).headers


@pytest.mark.parametrize(
    "key", ["../secret.key", "/etc/passwd", "uploads/../../secret.key", "uploads/a\\b", "file:///etc/passwd", "a\0b"]
)
@pytest.mark.parametrize("who", ["alice", "root"])
def test_s51_a_key_that_points_out_of_the_store_is_refused(shared: Served, who: str, key: str):
    client = shared.by(who)

    for answer in (
        client.post("/admin/uploads/download-url", json={"file_key": key}),
        client.request("DELETE", "/admin/uploads", json={"file_key": key}),
    ):
        assert answer.status_code == 400, answer.text
    assert (shared.workspace.settings.home / "secret.key").exists()


def test_too_large_files_are_refused_while_they_are_read_and_leave_nothing(
    serve: Callable[..., Served], no_prefect: None
):
    api = serve(max_upload_bytes=LIMIT)
    alice = api.by("alice")

    assert upload(alice, b"x" * LIMIT).status_code == 200
    kept = stored(api)
    over = upload(alice, b"x" * (LIMIT + 1))
    together = upload(alice, b"x" * (LIMIT // 2), b"y" * (LIMIT // 2 + 1))

    assert [answer.status_code for answer in (over, together)] == [413, 413]
    assert over.json()["message"] == f"the files of an upload may have at most {LIMIT} bytes"
    assert stored(api) == kept


@pytest.mark.parametrize(
    ("body", "kind", "status", "told"),
    [
        (b"", "multipart/form-data; boundary=x", 400, "the form is cut off"),
        (b"garbage", "multipart/form-data; boundary=x", 400, "the form cannot be read"),
        (b"--x\r\n", "multipart/form-data; boundary=x", 400, "the form is cut off"),
        (b"--x--\r\n", "multipart/form-data; boundary=x", 400, ""),
        (b"--x\r\nA: b\r\n\r\n", "multipart/form-data; boundary=x", 400, "each part of the form must have a name"),
        (
            b'--x\r\nContent-Disposition: form-data; name=""; filename="a"\r\n\r\n',
            "multipart/form-data; boundary=x",
            400,
            "each part of the form must have a name",
        ),
        (b"--x\r\nno colon here\r\n\r\n", "multipart/form-data; boundary=x", 400, "the form cannot be read"),
        (b"--x\r\n" + b"A: b\r\n" * 500 + b"\r\n", "multipart/form-data; boundary=x", 400, "the form cannot be read"),
        (b"--x\r\nA: " + b"b" * 100_000, "multipart/form-data; boundary=x", 400, "the form cannot be read"),
        (b"a=b", "application/x-www-form-urlencoded", 415, "an upload is multipart/form-data"),
        (b"{}", "application/json", 415, "an upload is multipart/form-data"),
        (b"", "multipart/form-data", 415, "an upload is multipart/form-data"),
        (b"", "multipart/form-data; boundary=" + "x" * 5000, 400, "the form cannot be read"),
        (b"", "", 415, "an upload is multipart/form-data"),
    ],
    ids=range(14),
)
def test_a_malformed_form_is_refused_and_leaves_nothing(api: Served, body: bytes, kind: str, status: int, told: str):
    answer = api.by("alice").post("/admin/uploads", content=body, headers={"Content-Type": kind})

    assert answer.status_code == status, answer.text
    assert told in answer.json()["message"]
    assert stored(api) == []


@pytest.mark.parametrize(("before", "after"), [(b"\r\n", b""), (b"", b"\r\nx")], ids=["preamble", "epilogue"])
def test_what_is_beside_the_files_of_a_form_is_bounded(api: Served, before: bytes, after: bytes):
    form = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.csv"\r\n\r\na\r\n--x--\r\n'
    many = OVERHEAD // max(1, len(before + after)) + 1

    def sent() -> Iterator[bytes]:
        yield from (before * many, form, after * many)

    answer = api.by("alice").post(
        "/admin/uploads", content=sent(), headers={"Content-Type": "multipart/form-data; boundary=x"}
    )

    assert answer.status_code == 413, answer.text
    assert answer.json()["message"] == f"what a form has beside its files may have at most {OVERHEAD} bytes"
    assert stored(api) == []


def test_a_form_cut_off_in_the_middle_of_a_file_leaves_nothing(api: Served):
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.csv"\r\n\r\n'

    answer = api.by("alice").post(
        "/admin/uploads", content=head + b"half", headers={"Content-Type": "multipart/form-data; boundary=x"}
    )

    assert answer.status_code == 400
    assert stored(api) == []


def test_a_form_has_files_and_nothing_else(alice: httpx.Client):
    assert alice.post("/admin/uploads", files=[("file", ("a.csv", b"a"))]).json()["message"] == (
        "property file should not exist"
    )
    assert alice.post("/admin/uploads", files={"files": (None, "text")}).status_code == 400
    assert upload(alice, *[b"x"] * 101).status_code == 400


@pytest.mark.parametrize("forgery", ["altered", "other secret", "other purpose", "expired", "not a token", "empty"])
def test_a_forged_or_old_link_gives_nothing(shared: Served, forgery: str, monkeypatch: pytest.MonkeyPatch):
    sent = upload(shared.by("alice"), b"secret").json()["uploads"][0]
    token = sent["url"].split("/files/")[1].split("/")[0]
    content = [sent["key"], "key_x"]
    links = shared.workspace.seal.key("links")
    forged: dict[str, Any] = {
        "altered": lambda: f"{token[:-2]}AA" if not token.endswith("AA") else f"{token[:-2]}BB",
        "other secret": lambda: URLSafeTimedSerializer("guessed", salt="download").dumps(content),
        "other purpose": lambda: URLSafeTimedSerializer(links, salt="itsdangerous").dumps(content),
        "expired": lambda: _made_long_ago(monkeypatch, links, content),
        "not a token": lambda: "..%2f..%2fetc",
        "empty": lambda: "%20",
    }

    answer = httpx.get(f"{shared.url}/files/{forged[forgery]()}/a.csv")

    assert answer.status_code in (403, 404)
    assert b"secret" not in answer.content


def _made_long_ago(monkeypatch: pytest.MonkeyPatch, secret: bytes, content: list[str]) -> str:
    with monkeypatch.context() as earlier:
        earlier.setattr(time, "time", lambda: 1_700_000_000.0)
        return str(URLSafeTimedSerializer(secret, salt="download").dumps(content))


def test_a_link_to_another_file_needs_another_signature(shared: Served):
    """The name at the end is what a browser calls the file, nothing more."""
    alice = shared.by("alice")
    one, two = (upload(alice, content).json()["uploads"][0]["url"] for content in (b"one", b"two"))

    renamed = httpx.get(one.rsplit("/", 1)[0] + "/..%2f" + two.rsplit("/", 1)[1])

    assert renamed.status_code == 404 or renamed.content == b"one"


def test_a_deleted_file_is_gone_and_deleting_it_again_is_fine(shared: Served):
    alice = shared.by("alice")
    sent = upload(alice, b"a").json()["uploads"][0]

    answers = [alice.request("DELETE", "/admin/uploads", json={"file_key": sent["key"]}) for _ in range(2)]

    assert [answer.json() for answer in answers] == [{"id": sent["key"], "object": "file", "deleted": True}] * 2
    assert httpx.get(sent["url"]).status_code == 404
    assert alice.post("/admin/uploads/download-url", json={"file_key": sent["key"]}).status_code == 404


def test_a_file_of_a_job_that_has_not_ended_is_not_deleted(shared: Served):
    job = shared.job("alice")
    with shared.workspace.files.writing(f"jobs/{job.id}/out.csv") as stream:
        stream.write(b"a")

    answer = shared.by("alice").request("DELETE", "/admin/uploads", json={"file_key": f"jobs/{job.id}/out.csv"})

    assert answer.status_code == 409
    assert shared.workspace.files.exists(f"jobs/{job.id}/out.csv")


def test_an_upload_is_not_held_in_memory(tmp_path: Path):
    """In a process of its own, as its peak is measured: 200 MB go in and out."""
    path = f"{ROOT}{os.pathsep}{ROOT / 'tests'}"
    environment = {**os.environ, "PYTHONPATH": path, "PREFECT_PROFILES_PATH": str(tmp_path / "none.toml")}
    script = MEASURED.format(home=str(tmp_path / "home"))

    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=240, check=False
    )

    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout.split()[-1]) < 40, done.stdout


MEASURED = """
import io, httpx
from batch_jobs.flows.access.keys import Role
from batch_jobs.flows.settings import Settings
from batch_jobs.flows.workspace import Workspace
from support.api_server import serving
from support.memory import peak_mb

workspace = Workspace(Settings(home={home!r}, api_port=0))
token = workspace.api_keys.create("big", Role.OPERATOR)[1]

class Zeros(io.RawIOBase):
    def __init__(self, size): self.left = size
    def read(self, size=-1):
        given = min(self.left, 1 << 16 if size < 0 else size)
        self.left -= given
        return b"0" * given

def send(client, size):
    sent = client.post("/admin/uploads", files=[("files", ("big.csv", Zeros(size)))], timeout=200)
    assert sent.status_code == 200, sent.text
    with client.stream("GET", sent.json()["uploads"][0]["url"]) as answer:
        assert sum(len(block) for block in answer.iter_raw()) == size

with serving(workspace) as url, httpx.Client(base_url=url, headers={{"x-medusa-access-token": token}}) as client:
    send(client, 1 << 20)
    before = peak_mb()
    send(client, 200 << 20)
    print(int(peak_mb() - before))
"""


def test_a_pattern_means_one_s_own_files_and_nobody_else_s(api: Served):
    alice, bob = api.by("alice"), api.by("bob")
    mine = [upload(alice, b"a\n1\n", name=name).json()["uploads"][0]["key"] for name in ("x.csv", "y.csv")]
    theirs = upload(bob, b"a\n2\n", name="z.csv").json()["uploads"][0]["key"]

    def create(file_key: Any) -> httpx.Response:
        context = {"file_key": file_key, "table": "goods"}
        return alice.post("/admin/batch-jobs", json={"type": "table-import", "context": context, "dry_run": True})

    made = create("uploads/*.csv")
    assert made.status_code == 201
    assert made.json()["batch_job"]["context"]["file_key"] == mine
    assert create([mine[1], mine[0]]).json()["batch_job"]["context"]["file_key"] == [mine[1], mine[0]]
    for refused in (theirs, [mine[0], theirs], "uploads/*z.csv", f"{theirs}#a.csv", f"{theirs[:-5]}?.csv"):
        assert create(refused).status_code == 404


def test_uploads_are_listed_as_one_s_own_page_by_page_and_an_administrator_sees_all(api_on_both: Served):
    alice, bob, root = (api_on_both.by(name) for name in ("alice", "bob", "root"))
    mine = [upload(alice, b"a\n", name=f"{number}.csv").json()["uploads"][0]["key"] for number in range(5)]
    theirs = upload(bob, b"bb\n", name="z.csv").json()["uploads"][0]["key"]
    alice.request("DELETE", "/admin/uploads", json={"file_key": mine[0]})
    newest_first = sorted(mine[1:], reverse=True)

    whole = alice.get("/admin/uploads").json()
    first = alice.get("/admin/uploads?limit=3").json()
    upload(alice, b"a\n", name="between.csv")
    second = alice.get(f"/admin/uploads?limit=3&cursor={first['next_cursor']}").json()

    assert [one["key"] for one in whole["uploads"]] == newest_first
    assert (whole["count"], whole["offset"], whole["limit"], whole["next_cursor"]) == (4, 0, 10, None)
    assert {(one["size"], one["owner"]) for one in whole["uploads"]} == {(2, "alice")}
    assert [one["key"] for one in first["uploads"] + second["uploads"]] == newest_first
    assert "count" not in second
    assert [one["key"] for one in alice.get("/admin/uploads?offset=4").json()["uploads"]] == newest_first[3:]
    assert [one["key"] for one in bob.get("/admin/uploads").json()["uploads"]] == [theirs]
    assert {one["owner"] for one in root.get("/admin/uploads").json()["uploads"]} == {"alice", "bob"}


@pytest.mark.parametrize(
    "query",
    [
        "limit=-1",
        "limit=501",
        "cursor=%C3%BC",
        "cursor=AA",
        "cursor=dXBs&offset=1",
        "order=size",
        "limit[]=1",
        "offset=x",
    ],
)
def test_a_query_of_uploads_that_cannot_be_used_is_refused(shared: Served, query: str):
    answer = shared.by("alice").get(f"/admin/uploads?{query}")

    assert (answer.status_code, answer.json()["type"]) == (400, "invalid_data")


def test_a_link_in_the_store_is_not_followed_out_of_it(serve: Callable[..., Served], no_prefect: None, tmp_path: Path):
    api = serve()
    root, folder = api.by("root"), api.workspace.settings.home / "files"
    (tmp_path / "secret.csv").write_text("a\n1\n")
    folder.mkdir(exist_ok=True)
    (folder / "link").symlink_to(tmp_path)
    key = {"file_key": "link/secret.csv"}

    answers = [
        root.post("/admin/uploads/download-url", json=key),
        root.request("DELETE", "/admin/uploads", json=key),
        root.post("/admin/batch-jobs", json={"type": "table-import", "context": {**key, "table": "goods"}}),
        root.post(
            "/admin/batch-jobs", json={"type": "table-import", "context": {"file_key": "link/*", "table": "goods"}}
        ),
    ]

    for answer in answers:
        assert answer.status_code == 400, answer.text
        assert "leads out of the file store, by a symbolic link" in answer.json()["message"]
    assert (tmp_path / "secret.csv").exists()
    assert root.get("/admin/batch-jobs").json()["count"] == 0
