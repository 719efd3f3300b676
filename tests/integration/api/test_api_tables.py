"""Which tables and queries a key may name, and what a context's texts are taken for."""

import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from batch_jobs.flows.access.keys import Role
from support.api_server import Served
from support.servers import wait_until

QUERY = {"type": "table-export", "context": {"query": "SELECT 1 AS one"}}
MEGABYTE = 900_000  # of characters; a body may have 1 MB


def upload(client: httpx.Client) -> str:
    key: str = client.post("/admin/uploads", files=[("files", ("a.csv", b"a\n1\n"))]).json()["uploads"][0]["key"]
    return key


def with_key(api: Served, tables: list[str], role: Role = Role.OPERATOR) -> httpx.Client:
    """The client of somebody whose key is for some tables."""
    api.keys["narrow"] = api.workspace.api_keys.create("narrow", role, None, tables)[1]
    return api.by("narrow")


def test_a_query_is_for_admins(shared: Served):
    answer = shared.by("alice").post("/admin/batch-jobs", json=QUERY)

    assert answer.status_code == 403
    assert answer.json()["message"] == "a key with the role operator may not export by a query"
    assert shared.by("root").post("/admin/batch-jobs", json=QUERY).status_code == 201


def test_the_settings_may_open_queries_to_operators(serve: Callable[..., Served], no_prefect: None):
    api = serve(queries_by="operator")
    assert api.by("alice").post("/admin/batch-jobs", json=QUERY).status_code == 201


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_no_operator_s_query_reaches_the_database_of_the_keys(
    serve: Callable[..., Served], no_prefect: None, home: Any, request: pytest.FixtureRequest, kind: str
):
    if kind == "sqlite":
        urls = {"target_url": f"sqlite:///{home / 'jobs.db'}"}
    else:  # the same one by another address
        url = request.getfixturevalue("postgres_url")
        urls = {"database_url": url, "target_url": f"{url}&application_name=target"}
    api = serve(queries_by="operator", **urls)

    answer = api.by("alice").post("/admin/batch-jobs", json=QUERY)

    assert answer.status_code == 403
    assert "the target holds the tables of the jobs too" in answer.json()["message"]
    assert api.by("root").post("/admin/batch-jobs", json=QUERY).status_code == 201


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("hidden", "BATCH_JOBS_TABLES allows goods, shop.pri*, and not the table hidden"),
        ("other.thing", "BATCH_JOBS_TABLES allows goods, shop.pri*, and not the table other.thing"),
        ("batch_job_checkpoint", "is a table of the jobs themselves"),
        ("sqlite_sequence", "is a table of the database itself"),
        ("main.SQLITE_MASTER", "is a table of the database itself"),
    ],
)
def test_a_table_that_is_not_allowed_makes_no_job(
    serve: Callable[..., Served], no_prefect: None, table: str, said: str
):
    api = serve(tables="goods, shop.pri*")
    alice = api.by("alice")
    key = upload(alice)
    for context in ({"file_key": key, "table": table}, {"table": table}):
        batch_type = "table-import" if "file_key" in context else "table-export"

        answer = alice.post("/admin/batch-jobs", json={"type": batch_type, "context": context})

        assert answer.status_code == 422, answer.text
        assert said in answer.json()["message"]
    for table in ("goods", "shop.prices", "main.goods"):
        assert alice.post("/admin/batch-jobs", json={"type": "table-export", "context": {"table": table}}).is_success


@pytest.mark.parametrize(
    ("batch_type", "more"),
    [("table-import", {"table": "goods"}), ("product-import", {}), ("price-list-import", {"price_list_id": "pl_1"})],
)
def test_an_address_that_is_not_allowed_makes_no_job(
    serve: Callable[..., Served], no_prefect: None, batch_type: str, more: dict[str, str]
):
    allowing, closed = serve(sources="https://files.example.com/public/*"), serve()
    sent = {
        "https://me:pw@files.example.com/x.csv?sig=s3cr3t": "BATCH_JOBS_SOURCES says which are",
        "https://files.example.com/public/../x.zip#a.csv": "BATCH_JOBS_SOURCES says which are",
        "file:///etc/passwd": "BATCH_JOBS_SOURCES says which are",
        "x.csv": "source is no address such as https",
    }
    for api in (allowing, closed):
        for source, said in sent.items():
            asked = {"type": batch_type, "context": {"source": source, **more}}
            answer = api.by("alice").post("/admin/batch-jobs", json=asked)

            assert answer.status_code == 422, answer.text
            assert said in answer.json()["message"]
            assert "pw" not in answer.text
            assert "s3cr3t" not in answer.text
    assert allowing.by("root").get("/admin/batch-jobs").json()["count"] == 0

    asked["context"]["source"] = "https://files.example.com/public/x.zip#a.csv"
    assert closed.by("alice").post("/admin/batch-jobs", json=asked).status_code == 422
    assert allowing.by("alice").post("/admin/batch-jobs", json=asked).status_code == 201


def test_a_key_narrows_the_tables_and_its_jobs_keep_that(serve: Callable[..., Served], no_prefect: None):
    api = serve(tables="goods*")
    narrow = with_key(api, ["goods_of_nora", "hidden"])

    refused = [
        narrow.post("/admin/batch-jobs", json={"type": "table-export", "context": {"table": table}})
        for table in ("goods", "hidden")
    ]
    made = narrow.post("/admin/batch-jobs", json={"type": "table-export", "context": {"table": "goods_of_nora"}})

    assert [answer.status_code for answer in refused] == [422, 422]
    assert "the API key of this job is for the tables goods_of_nora, hidden, and not" in refused[0].text
    assert "BATCH_JOBS_TABLES allows goods*, and not the table hidden" in refused[1].text
    job = api.workspace.service.get(made.json()["batch_job"]["id"])
    access = api.workspace.access.of(job)
    assert access.by_key
    assert [patterns.patterns for patterns in access.tables] == [("goods*",), ("goods_of_nora", "hidden")]


def test_tables_and_columns_may_be_called_as_the_folders_of_files_are(shared: Served):
    alice = shared.by("alice")
    for table in ("jobs", "uploads", "uploads.jobs"):
        loading = {
            "file_key": upload(alice),
            "table": table,
            "mode": "sync",
            "key": ["jobs"],
            "columns": {"file_key": "jobs", "a": "uploads", "b": "jobs/x"},
            "where": {"jobs": "uploads/done", "state": ["jobs/", "uploads"], "file_key": "none"},
        }
        answer = alice.post("/admin/batch-jobs", json={"type": "table-import", "context": loading})
        assert answer.status_code == 201, answer.text
        exporting = {"table": table, "columns": ["jobs", "uploads"], "rename": {"jobs": "uploads", "uploads": "jobs"}}
        answer = alice.post("/admin/batch-jobs", json={"type": "table-export", "context": exporting})
        assert answer.status_code == 201, answer.text
    assert alice.post("/admin/batch-jobs", json={"type": "noting", "context": {"note": "jobs"}}).status_code == 201


#: Every field of a body that takes a text, and a text that made some search start again at each of its places.
TEXTS = ["/* " * (MEGABYTE // 3), "-" * MEGABYTE, "*a" * (MEGABYTE // 2), "../" * (MEGABYTE // 3), "%" * MEGABYTE]
FIELDS: list[tuple[str, str, Callable[[str], Any]]] = [
    ("POST", "/admin/batch-jobs", lambda t: {"type": t, "context": {}}),
    ("POST", "/admin/batch-jobs", lambda t: {"type": "table-export", "context": {"query": f"SELECT 1 {t}"}}),
    ("POST", "/admin/batch-jobs", lambda t: {"type": "table-export", "context": {"query": t}}),
    ("POST", "/admin/batch-jobs", lambda t: {"type": "table-export", "context": {"table": t}}),
    ("POST", "/admin/batch-jobs", lambda t: {"type": "table-export", "context": {"table": "a", "order_by": [t]}}),
    ("POST", "/admin/batch-jobs", lambda t: {"type": "table-export", "context": {"table": "a", "delimiter": t}}),
    ("POST", "/admin/batch-jobs", lambda t: {"type": "table-export", "context": {"table": "a", "date_format": t}}),
    ("POST", "/admin/batch-jobs", lambda t: {"type": "table-import", "context": {"file_key": t, "table": "a"}}),
    ("POST", "/admin/batch-jobs", lambda t: {"type": "table-import", "context": {"source": t, "table": "a"}}),
    ("POST", "/admin/batch-jobs", lambda t: {"type": "table-import", "context": {"file_key": [t, t], "table": t}}),
    ("POST", "/admin/batch-jobs", lambda t: {"type": "product-export", "context": {"order": t}}),
    ("POST", "/admin/batch-jobs", lambda t: {"type": "noting", "context": {"note": t, "password": t}}),
    ("POST", "/admin/batch-jobs", lambda t: {"type": "noting", "context": {}, "start_at": t}),
    ("POST", "/admin/uploads/download-url", lambda t: {"file_key": t}),
    ("DELETE", "/admin/uploads", lambda t: {"file_key": t}),
]


@pytest.mark.parametrize("number", range(len(FIELDS)))
def test_a_megabyte_in_a_text_keeps_nobody_waiting(shared: Served, number: int):
    method, path, body = FIELDS[number]
    root, done = shared.by("root"), threading.Event()
    statuses: list[int] = []

    def ask() -> None:
        try:
            for part in TEXTS:
                statuses.append(root.request(method, path, json=body(part[:MEGABYTE])).status_code)
        finally:
            done.set()

    thread = threading.Thread(target=ask)
    thread.start()
    with httpx.Client(base_url=shared.url, timeout=5) as other:
        while not done.is_set():
            assert other.get("/healthz").status_code == 200  # within five seconds, where it once took fourteen
            done.wait(0.05)
    thread.join()
    assert len(statuses) == len(TEXTS)
    assert max(statuses) < 500, statuses
    wait_until(lambda: httpx.get(f"{shared.url}/healthz").status_code == 200, what="the API")


def test_the_rules_of_a_job_hold_in_its_run(home: Any, prefect_here: None, monkeypatch: pytest.MonkeyPatch):
    from batch_jobs.flows.jobs.model import Trigger
    from batch_jobs.flows.runs.flow import build_flow
    from batch_jobs.flows.workspace import current_workspace
    from batch_jobs.strategies.table_export import TableExport

    monkeypatch.setenv("BATCH_JOBS_QUERY_TIMEOUT", "2")
    workspace = current_workspace()
    with workspace.target.begin() as connection:
        connection.execute(text("CREATE TABLE goods (a INTEGER)"))
        connection.execute(text("CREATE TABLE hidden (a INTEGER)"))
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) AS c FROM n"
    said = {
        "SELECT a FROM hidden": "the API key of this job is for the tables goods, and not the table hidden",
        endless: "the query took longer than the 2 s of BATCH_JOBS_QUERY_TIMEOUT",
    }
    for query, message in said.items():
        job = workspace.service.record(
            "table-export", {"query": query}, created_by="nora", trigger=Trigger.API, tables=["goods"]
        )
        with pytest.raises(Exception, match=message):
            build_flow(TableExport)(context=job.context, dry_run=False, job_id=job.id)
        failed = workspace.service.get(job.id)
        assert failed.status == "failed"
        assert message in failed.result.errors[0].message
