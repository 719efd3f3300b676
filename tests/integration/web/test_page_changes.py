"""The view of a job's changes: filters, pages, and what is ticked to be left out."""

import html
import json
import re
from typing import Any

import pyarrow as pa
import pytest

from batch_jobs.deployments.web.choices import Choices
from batch_jobs.deployments.web.routes.look import LIMIT
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.strategies.tables.changes.blocks import ChangedRows
from batch_jobs.strategies.tables.changes.planned import planning
from support.api_server import Served
from support.visitors import visiting

ROWS = 300


def previewed(api: Served, owner: str = "alice") -> Job:
    """A job that waits for a yes, with a preview of its changes."""
    job = api.job(owner, Status.PRE_PROCESSED)
    rows = pa.table(
        {
            "=code": [f"A{number}" for number in range(ROWS)],
            "-price": ["10.00"] * ROWS,
            "+price": ["5.00" if number % 2 else "11.00" for number in range(ROWS)],
            "-name": ["<b>old</b>"] * ROWS,
            "+name": [None] * ROWS,
            "line": [*range(2, ROWS + 2)],
        }
    )
    with planning(api.workspace.files, job.id) as planned:
        planned.add([ChangedRows("products", "updated", ["code"], rows)])
        planned.add([ChangedRows("stock", "created", ["code"], pa.table({"=code": ["N"], "+price": ["5"]}))])
    return job


def keys_on(text: str) -> list[dict[str, Any]]:
    """The rows that a page shows ticks for."""
    return [json.loads(html.unescape(found)) for found in re.findall(r'name="seen" value="([^"]+)"', text)]


def test_every_change_is_on_one_of_the_pages_with_before_and_after(shared: Served):
    alice, job = visiting(shared, "alice"), previewed(shared)
    seen, address = [], f"/jobs/{job.id}/changes"
    first = alice.get(address).text
    assert "10.00" in first
    assert "&lt;b&gt;old&lt;/b&gt;" in first
    while address:
        text = alice.get(address).text
        seen += keys_on(text)
        onward = re.search(r'name="go" value="(\?[^"]*cursor[^"]*)"', text)
        address = f"/jobs/{job.id}/changes{html.unescape(onward[1])}" if onward else ""

    assert [key["code"] for key in seen] == [*(f"A{number}" for number in range(ROWS)), "N"]


@pytest.mark.parametrize(
    ("asked", "rows"),
    [
        ("column=price&fell=20", ROWS // 2),
        ("column=price&rose=5,5", ROWS // 2),
        ("kind=created", 1),
        ("key=A7", 1),
        ("key_begins=a7", 11),
        ("emptied=true", LIMIT),
        ("filled=true", 0),
        ("key=A7&column=none", 0),
    ],
)
def test_filters_show_some(shared: Served, asked: str, rows: int):
    alice, job = visiting(shared, "alice"), previewed(shared)

    assert len(keys_on(alice.get(f"/jobs/{job.id}/changes?{asked}").text)) == rows


def test_what_is_ticked_on_several_pages_is_kept_until_it_is_confirmed(shared: Served):
    alice, job = visiting(shared, "alice"), previewed(shared)
    address, tick = f"/jobs/{job.id}/changes", '{"code": "A%d"}'
    alice.post(address, {"seen": [tick % 1, tick % 2], "row": [tick % 1, tick % 2], "left_column": "name"})
    rule = {"rule_column": "price", "rule_how": "fell", "rule_percent": "20", "left_column": "name"}
    answer = alice.post(address, {"seen": [tick % 2, tick % 3], "row": [tick % 3], "go": "?key=A7", **rule})

    assert answer.headers["location"] == f"{address}?key=A7"
    assert Choices(shared.workspace.files).of(job.id).leave_out.as_json() == {
        "columns": ["name"],
        "keys": [{"code": "A1"}, {"code": "A3"}],
        "rules": [{"column": "price", "change_percent_below": "-20.0"}],
    }
    page = alice.get(f"{address}?key=A3").text
    assert re.search(r'name="row" value="[^"]*A3[^"]*" checked', page)
    assert "2 rows are ticked" in page

    alice.post(address, {"without_rule": "0"})
    assert not Choices(shared.workspace.files).of(job.id).leave_out.rules


@pytest.mark.parametrize("wrong", [{"seen": "{"}, {"rule_column": "price", "rule_how": "fell", "rule_percent": "x"}])
def test_a_form_that_makes_no_sense_keeps_nothing(shared: Served, wrong: dict[str, str]):
    alice, job = visiting(shared, "alice"), previewed(shared)

    answer = alice.post(f"/jobs/{job.id}/changes", {"left_kind": "created", **wrong})

    assert answer.status_code == 400
    assert not Choices(shared.workspace.files).of(job.id).leave_out


def test_only_who_may_change_a_job_chooses_and_only_as_long_as_it_waits(shared: Served):
    job, running = previewed(shared), shared.job("alice", Status.PROCESSING)
    changes = f"/jobs/{job.id}/changes"

    assert visiting(shared, "bob").get(changes).status_code == 404
    assert visiting(shared, "bob").post(changes, {"left_kind": "created"}).status_code == 404
    assert visiting(shared, "vera").get(changes).status_code == 403
    assert visiting(shared, "alice").post(f"/jobs/{running.id}/changes", {}).status_code == 409
    assert visiting(shared, "alice").post(changes, {"csrf": "other", "left_kind": "created"}).status_code == 403
    assert not Choices(shared.workspace.files).of(job.id).leave_out


def test_a_job_without_changes_says_why(shared: Served):
    alice, job = visiting(shared, "alice"), shared.job("alice", Status.CREATED)

    page = alice.get(f"/jobs/{job.id}/changes")

    assert page.status_code == 200
    assert "no preview of its changes is there" in page.text


def test_what_is_shown_can_be_had_as_a_file(shared: Served):
    alice, job = visiting(shared, "alice"), previewed(shared)
    address = f"/jobs/{job.id}/changes/file?column=price&fell=20"

    lines = alice.get(f"{address}&format=csv").text.splitlines()
    book = alice.get(address)

    assert len(lines) == 1 + ROWS // 2
    assert book.content[:2] == b"PK"
    assert "attachment" in book.headers["content-disposition"]
    assert visiting(shared, "bob").get(address).status_code == 404
    assert visiting(shared, "vera").get(address).status_code == 403


def test_a_form_of_many_fields_is_taken_however_it_shows_the_secret(shared: Served):
    """htmx sends the session's secret as a header, a plain form among its fields."""
    alice, job = visiting(shared, "alice"), previewed(shared)
    ticks = {"seen": [f'{{"code": "M{number}"}}' for number in range(1_500)]}
    address = f"/jobs/{job.id}/changes"

    answers = [alice.post(address, ticks), alice.client.post(address, data=ticks, headers={"x-csrf": alice.csrf})]

    assert [answer.status_code for answer in answers] == [303, 303]


@pytest.mark.parametrize(("number", "status"), [("x", 400), ("²", 400), ("-1", 303), ("99", 303)])
def test_a_rule_that_is_not_there_is_not_taken_away(shared: Served, number: str, status: int):
    alice, job = visiting(shared, "alice"), previewed(shared)
    alice.post(f"/jobs/{job.id}/changes", {"rule_column": "price", "rule_how": "emptied"})

    answer = alice.post(f"/jobs/{job.id}/changes", {"without_rule": number})

    assert answer.status_code == status
    assert len(Choices(shared.workspace.files).of(job.id).leave_out.rules) == 1
