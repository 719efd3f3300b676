"""A new job from the page: which types and files somebody sees, the form, what is wrong with it, uploads."""

import html
import json
import re
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from batch_jobs.deployments.api.middleware import LARGEST_PART
from batch_jobs.flows.access.keys import Role
from batch_jobs.flows.jobs.model import Job, Trigger
from support.api_server import Served
from support.visitors import Visitor, visiting

HOSTILE = '"><script>alert(1)</script>..\\../{{7*7}} ü\u202e.csv'


def visitor(served: Served, name: str, role: Role, **limits: Any) -> Visitor:
    served.keys[name] = served.workspace.api_keys.create(name, role, **limits)[1]
    return visiting(served, name)


def value(page: httpx.Response, name: str) -> str:
    """What is in a field of the form."""
    found = re.search(
        rf'<(?:input|textarea)[^>]* name="{re.escape(name)}"[^>]*?(?: value="([^"]*)"|>([^<]*)<)', page.text
    )
    assert found, name
    return html.unescape(found[1] or found[2] or "")


def sent(page: httpx.Response, **fields: str) -> dict[str, str]:
    return {"key": value(page, "key"), **{f"context.{name}": text for name, text in fields.items()}}


def made(served: Served, answer: httpx.Response) -> Job:
    assert answer.status_code == 303, answer.text
    return served.workspace.service.get(answer.headers["location"].rpartition("/")[2])


def message(page: httpx.Response, field: str) -> str:
    found = re.search(rf'id="field-{field}-error">([^<]*)<', page.text)
    return html.unescape(found[1]) if found else ""


def upload(visitor: Visitor, name: str, content: bytes = b"note\nx\n", **fields: str) -> httpx.Response:
    data = {"csrf": visitor.csrf, "type": "noting", **fields}
    return visitor.client.post("/uploads/file", data=data, files={"files": (name, content)})


def key_of(answer: httpx.Response) -> str:
    assert answer.status_code == 303, answer.text
    return httpx.URL(answer.headers["location"]).params["file_key"]


def call(
    visitor: Visitor, method: str, path: str, content: bytes | dict[str, Any] = b"", **headers: str
) -> httpx.Response:
    body = json.dumps(content).encode() if isinstance(content, dict) else content
    kind = {"content-type": "application/json" if isinstance(content, dict) else "application/octet-stream"}
    given = {"x-csrf": visitor.csrf, **kind, **{name.replace("_", "-"): text for name, text in headers.items()}}
    return visitor.client.request(method, path, content=body, headers=given)


# who sees what


def test_types_are_those_that_the_key_is_for(shared: Served):
    alice, tina, vera = (visiting(shared, name) for name in ("alice", "tina", "vera"))

    assert all(f'href="/new/{name}"' in alice.get("/new").text for name in ("noting", "table-import", "undo"))
    assert re.findall(r'href="/new/([^"/]+)"', tina.get("/new").text) == ["noting"]
    hidden, unknown = tina.get("/new/table-import"), tina.get("/new/there-is-none")
    assert (hidden.status_code, unknown.status_code) == (404, 404)
    assert hidden.text.replace("table-import", "there-is-none") == unknown.text
    assert [tina.get(f"/new/table-import/{part}").status_code for part in ("file", "tables", "template")] == [404] * 3
    assert tina.post("/new/table-import", {"context.table": "a", "context.file_key": "b"}).status_code == 404
    assert [vera.get(path).status_code for path in ("/new", "/new/noting", "/new/noting/tables")] == [403] * 3
    assert vera.post("/new/noting").status_code == 403


def test_tables_are_those_that_the_key_is_for(shared: Served):
    with shared.workspace.target.begin() as connection:
        for name in ("goods", "wages"):
            connection.execute(text(f"CREATE TABLE IF NOT EXISTS {name} (id INTEGER PRIMARY KEY)"))
    bound = visitor(shared, "bound", Role.OPERATOR, tables=["goods"])

    named = bound.get("/new/table-import/tables").text
    everything = visiting(shared, "alice").get("/new/table-import/tables").text

    assert re.findall(r'value="(\w+)"', named) == ["goods"]
    assert {"goods", "wages"} <= set(re.findall(r'value="(\w+)"', everything))
    assert "batch_job" not in everything
    page = bound.get("/new/table-import?file_key=")
    key = key_of(upload(bound, "a.csv"))
    answer = bound.post("/new/table-import", sent(page, table="wages", file_key=key))
    assert answer.status_code == 422
    assert "the API key of this job is for the tables goods, and not the table wages" in html.unescape(answer.text)


def test_queries_are_offered_to_those_who_may_write_them(shared: Served):
    alice, root = visiting(shared, "alice"), visiting(shared, "root")

    assert 'name="context.query"' not in alice.get("/new/table-export").text
    page = root.get("/new/table-export")
    job = made(shared, root.post("/new/table-export", sent(page, query="SELECT 1\r\n  AS one")))
    assert job.context["query"] == "SELECT 1\n  AS one"
    page = alice.get("/new/table-export")
    answer = alice.post("/new/table-export", {**sent(page), "context.query": "SELECT 1"})
    assert answer.status_code == 422  # what no field of theirs is called is not read


def test_files_are_named_to_those_who_own_them_only(shared: Served):
    alice, bob, root = (visiting(shared, name) for name in ("alice", "bob", "root"))
    key = key_of(upload(alice, "alices-secret.csv"))

    for visitor_, sees in ((alice, True), (bob, False), (root, True)):
        for path in ("/new/noting/file", "/new/noting/file?find=SECRET", "/new/noting?file_key="):
            assert ("alices-secret" in visitor_.get(path).text) is sees, path
    assert "alices-secret" not in alice.get("/new/noting/file?find=other").text.partition("<table")[2]
    page = bob.get("/new/noting?file_key=")
    answer = bob.post("/new/noting", sent(page, file_key=key))
    assert answer.status_code == 404
    assert message(answer, "file_key") == f"there is no file {key}"
    assert value(answer, "context.file_key") == key
    gone = bob.post("/new/noting", sent(page, file_key=key.replace("alices", "no")))
    assert message(gone, "file_key") == message(answer, "file_key").replace("alices", "no")


# the form


def test_a_job_is_made_once_of_one_form(shared: Served):
    alice = visiting(shared, "alice")
    page = alice.get("/new/noting?note=by+the+address")
    form = sent(page, note=value(page, "context.note"), password="s3cret")

    first, second = (made(shared, alice.post("/new/noting", form)) for _ in range(2))
    other = alice.post("/new/noting", {**form, "context.note": "another"})

    assert first.id == second.id
    assert (first.context["note"], first.created_by, first.trigger) == ("by the address", "alice", Trigger.API)
    assert other.status_code == 409
    assert first.id in other.text
    assert made(shared, alice.post("/new/noting", sent(other, note="another"))).id != first.id


def test_what_was_entered_stays_and_errors_stand_at_their_fields(shared: Served):
    alice = visiting(shared, "alice")
    page = alice.get("/new/table-import?file_key=")

    answer = alice.post(
        "/new/table-import",
        sent(page, table=HOSTILE, skip_rows="-1", columns="a", null_values="NA\r\n-", source="https://u:s3cret@x/",
             max_removed="5%%s") | {
            "start_at": "tomorrow", "partitions": "0", "dry_run": "no",
        },
    )  # fmt: skip

    assert answer.status_code == 422
    assert message(answer, "columns") == "line 1 has to be: name = value"
    assert "greater than or equal to 0" in message(answer, "skip_rows")
    assert "Input should be a valid" in message(answer, "max_removed")
    assert "must be a date" in answer.text
    assert "must be a whole number from 1" in answer.text
    assert value(answer, "context.table") == HOSTILE
    assert value(answer, "context.null_values") == "NA\n-"
    assert "<script>alert" not in answer.text
    assert "s3cret" not in answer.text
    assert re.search(r'<textarea id="field-columns"[^>]* autofocus', answer.text) or re.search(
        r'id="field-skip_rows"[^>]* autofocus', answer.text
    )
    assert answer.text.count(" autofocus") == 1
    assert re.findall(r"<details open>|<details>", answer.text) == ["<details open>"] * 2
    assert re.search(r'value="no" checked', answer.text)


def test_a_refusal_of_the_strategy_stands_at_the_field_that_it_is_about(shared: Served):
    alice = visiting(shared, "alice")

    answer = alice.post("/new/noting", sent(alice.get("/new/noting?note=x"), note="refused"))

    assert answer.status_code == 422
    assert message(answer, "note") == "note must not be 'refused'"
    page = alice.get("/new/table-import?file_key=")
    assert message(alice.post("/new/table-import", sent(page, table="t")), "file_key") == "This is needed."


def test_a_job_starts_later_in_the_zone_of_the_reader(shared: Served):
    alice = visiting(shared, "alice")
    form = sent(alice.get("/new/noting?note=x")) | {"start_at": "2099-01-31T12:00", "partitions": ""}

    job = made(shared, alice.post("/new/noting", form | {"time_zone": "Asia/Tokyo"}))

    assert job.start_at is not None
    assert job.start_at.isoformat() == "2099-01-31T03:00:00+00:00"
    for zone in ("../../etc/passwd", "No/Such", "\0"):
        form = sent(alice.get("/new/noting?note=x")) | {"start_at": "2099-01-31T12:00", "time_zone": zone}
        assert alice.post("/new/noting", form).status_code == 422


@pytest.mark.parametrize(("query", "is_first"), [("/new/noting?note=x", True), ("/new/table-export?table=a", False)])
def test_what_imports_looks_first_by_default(shared: Served, query: str, is_first: bool):
    page = visiting(shared, "alice").get(query).text

    assert ('value="yes" checked' in page, 'value="no" checked' in page) == (is_first, not is_first)


def test_a_job_is_made_again_with_the_settings_of_another(shared: Served):
    alice, bob = visiting(shared, "alice"), visiting(shared, "bob")
    job = shared.workspace.service.record(
        "noting",
        {"note": " a\tb", "fails": True, "password": "s3cret", "logins": [{"a": "s3cret"}]},
        created_by="alice",
        trigger=Trigger.API,
    )

    page = alice.get(f"/new/noting?from={job.id}")

    assert value(page, "context.note") == '" a\\tb"'
    assert re.search(r'value="true" checked[^>]*', page.text)
    assert "s3cret" not in page.text
    assert "*****" not in page.text
    assert 'value="no" checked' in page.text
    again = made(shared, alice.post("/new/noting", sent(page, note=value(page, "context.note"), fails="true")))
    assert again.context | {"password": None, "logins": []} == job.context | {"password": None, "logins": []}
    assert bob.get(f"/new/noting?from={job.id}").status_code == 404


def test_a_template_is_the_strategys(shared: Served):
    alice = visiting(shared, "alice")

    answer = alice.get("/new/noting/template")

    assert answer.text == "note\nhello\n"
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''noting-template.csv"
    assert alice.get("/new/table-export/template").status_code == 404
    assert 'href="/new/noting/template"' in alice.get("/new").text
    assert 'href="/new/table-export/template"' not in alice.get("/new").text


# uploads


def test_a_file_goes_up_without_a_script_and_leads_on(shared: Served):
    alice = visiting(shared, "alice")
    assert alice.get("/new/noting").url.path == "/new/noting/file"

    answer = upload(alice, HOSTILE, b"x" * (2 << 20))

    key = key_of(answer)
    assert re.fullmatch(r"uploads/[0-9A-Z]{26}/[^/\\<>\"]+", key)
    assert shared.workspace.files.size(key) == 2 << 20
    page = alice.get(answer.headers["location"])
    assert value(page, "context.file_key") == key
    assert "<script>alert" not in page.text
    job = made(shared, alice.post("/new/noting", sent(page, file_key=key)))
    assert job.context["file_key"] == key


def test_a_form_with_a_file_has_to_be_ours(shared: Served):
    alice, vera = visiting(shared, "alice"), visiting(shared, "vera")
    before = shared.workspace.uploads.count(None), len(shared.workspace.files.list("uploads"))

    assert upload(alice, "a.csv", csrf="").status_code == 403
    assert upload(alice, "a.csv", csrf=vera.csrf).status_code == 403
    assert upload(alice, "a.csv", other="x").status_code == 400
    assert upload(vera, "a.csv").status_code == 403
    foreign = {"origin": "https://elsewhere.example"}
    answer = alice.client.post("/uploads/file", data={"csrf": alice.csrf}, files={"files": b"x"}, headers=foreign)
    assert answer.status_code == 403
    assert httpx.post(f"{shared.url}/uploads/file", files={"files": b"x"}).status_code in (303, 401)
    assert (shared.workspace.uploads.count(None), len(shared.workspace.files.list("uploads"))) == before


def test_a_file_comes_in_parts_of_which_each_begins_where_the_last_one_ended(shared: Served):
    alice, bob = visiting(shared, "alice"), visiting(shared, "bob")
    content = bytes(range(256)) * (LARGEST_PART // 256) + b"rest"
    known = {"name": HOSTILE, "size": len(content), "fingerprint": "f1"}
    begun = call(alice, "POST", "/uploads", known).json()
    path = f"/uploads/{begun['id']}"

    assert begun["offset"] == 0
    part = call(alice, "PATCH", path, content[:LARGEST_PART], upload_offset="0")
    assert part.json() == {"offset": LARGEST_PART}
    assert call(alice, "PATCH", path, b"x", upload_offset="0").status_code == 409
    assert call(alice, "PATCH", path, b"x" * 5, upload_offset=str(LARGEST_PART)).status_code == 413
    assert call(alice, "PATCH", path, b"x", upload_offset="-1").status_code == 400
    assert call(alice, "PATCH", path, b"x" * (LARGEST_PART + 1), upload_offset="0").status_code == 413
    assert call(bob, "PATCH", path, b"rest", upload_offset=str(LARGEST_PART)).status_code == 404
    assert call(bob, "POST", f"{path}/finish", {}).status_code == 404
    assert call(alice, "POST", f"{path}/finish", {}).status_code == 409
    assert call(alice, "POST", "/uploads", known).json() == {"id": begun["id"], "offset": LARGEST_PART}
    assert call(bob, "POST", "/uploads", known).json()["offset"] == 0
    assert call(alice, "PATCH", path, b"rest", upload_offset=str(LARGEST_PART)).json() == {"offset": len(content)}
    key = call(alice, "POST", f"{path}/finish", {}).json()["key"]

    assert re.fullmatch(r"uploads/[0-9A-Z]{26}/[^/\\<>\"]+", key)
    with shared.workspace.files.open(key) as stored:
        assert stored.read() == content
    assert key in html.unescape(alice.get("/new/noting?file_key=").text)


@pytest.mark.parametrize(
    ("known", "status"),
    [({}, 400), ({"name": "a", "size": "1", "fingerprint": "f"}, 400),
     ({"name": "a\0", "size": 1, "fingerprint": "f"}, 400), ({"name": "a", "size": -1, "fingerprint": "f"}, 413),
     ({"name": "", "size": 1, "fingerprint": "f"}, 413), ({"name": "a", "size": 1 << 62, "fingerprint": "f"}, 413),
     ({"name": "a", "size": 1, "fingerprint": "f" * 1000}, 413)],
)  # fmt: skip
def test_an_upload_that_cannot_be_is_not_begun(shared: Served, known: dict[str, Any], status: int):
    assert call(visiting(shared, "alice"), "POST", "/uploads", known).status_code == status


def test_parts_are_taken_from_sessions_only(shared: Served):
    path = f"/uploads/{'0' * 26}"

    for client in (httpx.Client(base_url=shared.url), shared.by("alice")):
        answer = client.patch(path, content=b"x" * (2 << 20), headers={"upload-offset": "0"})
        assert answer.status_code in (303, 401)
    assert call(visiting(shared, "vera"), "PATCH", path, b"x", upload_offset="0").status_code == 403
    alice = visiting(shared, "alice")
    assert call(alice, "PATCH", path, b"x", upload_offset="0", x_csrf="").status_code == 403
    assert call(alice, "PATCH", path, b"x", upload_offset="0").status_code == 404
    assert call(alice, "PATCH", "/uploads/ä%2F..", b"x", upload_offset="0").status_code == 404
