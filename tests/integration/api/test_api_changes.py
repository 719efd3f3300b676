"""What a job changes and what was changed in a row, by HTTP: pages, filters, and who sees which."""

from typing import Any

import httpx
import pyarrow as pa
import pytest

from batch_jobs.flows.access.keys import Role
from batch_jobs.flows.errors import ChangesUnknown
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.transitions import Action, Status
from batch_jobs.strategies.sdk.data_access import DataAccess
from batch_jobs.strategies.tables.changes.blocks import ChangedRows
from batch_jobs.strategies.tables.changes.planned import planning
from batch_jobs.strategies.tables.changes.reading import ChangeFilter
from support.api_server import Served
from support.change_log import log_change

CHANGE = {
    "table": "products",
    "kind": "updated",
    "key": {"code": "A"},
    "line": 2,
    "column": "price",
    "before": "9.50",
    "after": "9.90",
}


def previewed(api: Served, owner: str = "alice") -> Job:
    """A job that waits for a yes, with a preview of its changes."""
    job = api.job(owner, Status.PRE_PROCESSED)
    rows = pa.table({"=code": ["A", "B"], "-price": ["9.50", "1"], "+price": ["9.90", "3"], "line": [2, 3]})
    new = pa.table({"=code": ["C"], "+price": ["5"], "line": [4]})
    with planning(api.workspace.files, job.id) as planned:
        planned.add([ChangedRows("products", "updated", ["code"], rows)])
        planned.add([ChangedRows("stock", "created", ["code"], new)])
    return job


def changes_of(client: httpx.Client, job: Job, **params: Any) -> list[dict[str, Any]]:
    """All pages."""
    found, cursor = [], {}
    while True:
        answer = client.get(f"/admin/batch-jobs/{job.id}/changes", params={**params, **cursor})
        assert answer.status_code == 200, answer.text
        found += answer.json()["changes"]
        cursor = {"cursor": answer.json()["next_cursor"]}
        if cursor["cursor"] is None:
            return found


def test_before_it_runs_a_job_shows_what_it_will_change_and_then_what_it_has_changed(shared: Served):
    alice, job = shared.by("alice"), previewed(shared)

    before = changes_of(alice, job)
    assert before[0] == CHANGE
    assert [(entry["kind"], entry["key"]["code"]) for entry in before] == [
        ("updated", "A"),
        ("updated", "B"),
        ("created", "C"),
    ]
    assert changes_of(alice, job, limit=1) == before
    assert changes_of(alice, job, change_percent_above=100) == [before[1]]
    assert changes_of(alice, job, kind="created", column="price") == [before[2]]
    assert changes_of(alice, job, key='{"code": "B"}') == [before[1]]
    assert changes_of(alice, job, key_begins="b", filled="false") == [before[1]]
    assert changes_of(alice, job, emptied="true", filled="true") == []

    ran = shared.job("alice", Status.COMPLETED)
    log_change(shared.workspace.target, ran.id)
    assert changes_of(alice, ran) == [CHANGE]


def test_a_cursor_of_the_preview_goes_on_though_the_job_has_begun(shared: Served):
    alice, job = shared.by("alice"), previewed(shared)
    first = alice.get(f"/admin/batch-jobs/{job.id}/changes", params={"limit": 1}).json()
    shared.workspace.store.move(shared.workspace.service.confirm(job.id, who="alice"), Action.PROCESS, who="test")

    rest = changes_of(alice, job, cursor=first["next_cursor"])

    assert [entry["key"]["code"] for entry in rest] == ["B", "C"]


def test_the_history_of_a_row_has_the_jobs_that_its_reader_sees(shared: Served):
    mine, others = shared.job("alice", Status.COMPLETED), shared.job("bob", Status.COMPLETED)
    log_change(shared.workspace.target, mine.id, code=["H 1"], price=[("1", "2")])
    log_change(shared.workspace.target, others.id, code=["H 1"], price=[("2", "3")])

    def jobs_by(who: str) -> list[tuple[str, str]]:
        answer = shared.by(who).get("/admin/history", params={"table": "products", "key": "H 1"})
        return [(entry["job"], entry["after"]) for entry in answer.json()["changes"]]

    assert jobs_by("alice") == [(mine.id, "2")]
    assert jobs_by("root") == [(others.id, "3"), (mine.id, "2")]
    (entry,) = shared.by("bob").get("/admin/history?table=products&key=H%201").json()["changes"]
    assert entry["created_by"] == "bob"
    assert entry["at"].endswith("Z")


def test_a_key_for_some_tables_sees_no_change_of_others(shared: Served):
    job = previewed(shared, "narrow")
    ran = shared.job("narrow", Status.COMPLETED)
    log_change(shared.workspace.target, ran.id)
    shared.keys["narrow"] = shared.workspace.api_keys.create("narrow", Role.OPERATOR, None, ["stock"])[1]
    narrow = shared.by("narrow")

    assert [entry["table"] for entry in changes_of(narrow, job)] == ["stock"]
    assert changes_of(narrow, ran) == []
    refused = narrow.get("/admin/history", params={"table": "products", "key": "A"})
    assert refused.status_code == 422
    assert refused.json()["message"] == "the API key of this job is for the tables stock, and not the table products"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("kind=changed", "kind must be one of created, updated, removed"),
        ("cursor=pnone", "cursor must be the next_cursor of the page before"),
        ("cursor=x", "cursor must be the next_cursor of the page before"),
        ("change_percent_below=much", "change_percent_below must be a number such as -50, and not beyond 1000000"),
        ("change_percent_above=nan", "change_percent_above must be a number such as -50, and not beyond 1000000"),
        ("emptied=1", "emptied must be true or false"),
        ("key=[null]", 'key must be texts, or JSON of such: {"code": "A-001", "region": "EU"}'),
        ("colum=price", "property colum should not exist"),
        ("limit=501", "limit must be a number conforming to the specified constraints"),
    ],
)
def test_what_cannot_be_meant_is_one_line(shared: Served, query: str, message: str):
    answer = shared.by("alice").get(f"/admin/batch-jobs/{previewed(shared).id}/changes?{query}")

    assert (answer.status_code, answer.json()["message"]) == (400, message)


def test_a_history_needs_a_table_that_jobs_have_changed_and_a_key(shared: Served):
    alice = shared.by("alice")
    log_change(shared.workspace.target, "batch_other")

    assert alice.get("/admin/history?table=products").json()["message"].startswith("table and key are needed")
    answer = alice.get("/admin/history?table=nothing&key=1")
    assert (answer.status_code, answer.json()["type"]) == (404, "not_found")
    assert answer.json()["message"].startswith("no job has kept a change of nothing;")


def test_why_there_are_no_changes_is_said(shared: Served):
    alice, new = shared.by("alice"), shared.job("alice", Status.CREATED)
    answer = alice.get(f"/admin/batch-jobs/{new.id}/changes")
    assert answer.status_code == 404
    assert "no preview of its changes is there" in answer.json()["message"]

    nothing = shared.job("alice", Status.COMPLETED)
    assert changes_of(alice, nothing) == []

    counted = nothing.model_copy(update={"result": nothing.result.model_copy(update={"created": 1})})
    reading = shared.workspace.job_changes
    with pytest.raises(ChangesUnknown, match="kept no changes: keep_changes is off"):
        reading.page(counted, ChangeFilter(), DataAccess())

    settings = shared.workspace.settings.model_copy(update={"keep_changes_days": 1.0})
    forgotten = type(reading)(shared.workspace.target, shared.workspace.files, settings)
    old = counted.model_copy(update={"updated_at": counted.updated_at.replace(year=2020)})
    with pytest.raises(ChangesUnknown, match=r"are forgotten: they are kept for 1 days \(KEEP_CHANGES_DAYS\)"):
        forgotten.page(old, ChangeFilter(), DataAccess())
