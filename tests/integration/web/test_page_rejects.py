"""The view of refused rows: bad cells, corrected in place, checked at once, and on their way in."""

import html
import json
import re

import pytest
from sqlalchemy import text

from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.queries import JobFilter
from batch_jobs.flows.jobs.transitions import Status
from support.api_server import Served
from support.phases import finished, put, waiting
from support.visitors import Visitor, visiting

FILE = 'code,stock,note\nA,1,x\nB,two,"y\nz<b>"\nC,3,\nD,4.5,w\n'


@pytest.fixture
def job(shared: Served) -> Job:
    """A job that waits for a yes, with two refused rows."""
    workspace = shared.workspace
    with workspace.target.begin() as connection:
        connection.execute(text("DROP TABLE IF EXISTS shelf"))
        connection.execute(text("CREATE TABLE shelf (code VARCHAR(20) PRIMARY KEY, stock INTEGER, note TEXT)"))
    key = put(workspace, FILE)
    workspace.uploads.add("alice", [(key, len(FILE))])
    return waiting(workspace, "table-import", file_key=key, table="shelf", key=["code"], mode="upsert")


def cell(line: int, column: str) -> str:
    return f"{json.dumps([line, None])} {column}"


def stock(shared: Served) -> dict[str, int]:
    with shared.workspace.target.connect() as connection:
        return {row.code: row.stock for row in connection.execute(text("SELECT code, stock FROM shelf"))}


def inputs(page: str) -> list[str]:
    return [html.unescape(name) for name in re.findall(r'<(?:input|textarea) id="c[^>]* name="([^"]+)"', page)]


def correct(alice: Visitor, job: Job, go: str, **more: str) -> str:
    """What a form with both rows corrected leads to."""
    answer = alice.post(f"/jobs/{job.id}/rejects", {cell(3, "stock"): "2", cell(6, "stock"): "4", "go": go, **more})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def test_only_bad_cells_can_be_corrected_and_each_says_why(shared: Served, job: Job):
    page = visiting(shared, "alice").get(f"/jobs/{job.id}/rejects").text

    assert inputs(page) == [cell(3, "stock"), cell(6, "stock")]
    assert "&#39;two&#39; is not a whole number" in page
    assert "z&lt;b&gt;" in page


def test_what_is_corrected_is_checked_at_once_in_the_page_that_is_open(shared: Served, job: Job):
    alice = visiting(shared, "alice")
    given = {cell(3, "stock"): "2", cell(6, "stock"): "many", cell(3, "note"): "y\r\nz<b>"}

    part = alice.post(f"/jobs/{job.id}/rejects", given, headers={"hx-request": "true"}).text

    assert "<html" not in part
    assert part.count("good now") == 1
    assert "&#39;many&#39; is not a whole number" in part
    assert "2 rows are corrected." in alice.get(f"/jobs/{job.id}/rejects").text
    assert stock(shared) == {}


def test_of_a_job_that_waits_the_whole_input_is_looked_at_again_with_the_corrections(shared: Served, job: Job):
    alice = visiting(shared, "alice")

    to = correct(alice, job, "in")

    made = shared.workspace.service.get(to.rpartition("/")[2])
    assert (made.belongs_to, made.dry_run, made.created_by) == (job.id, True, "alice")
    assert shared.workspace.service.get(job.id).status is Status.CANCELED
    assert finished(shared.workspace, made).result.rejected == 0
    assert stock(shared) == {"A": 1, "B": 2, "C": 3, "D": 4}


def test_once_it_is_done_the_corrected_rows_go_in_by_a_job_of_their_own(shared: Served, job: Job):
    done = finished(shared.workspace, job)
    assert stock(shared) == {"A": 1, "C": 3}

    to = correct(visiting(shared, "alice"), done, "in", look="on")

    made = shared.workspace.service.get(to.rpartition("/")[2])
    assert (made.belongs_to, made.dry_run) == (done.id, True)
    assert finished(shared.workspace, made).result.created == 2
    assert stock(shared) == {"A": 1, "B": 2, "C": 3, "D": 4}


def test_nothing_goes_in_twice(shared: Served, job: Job):
    alice = visiting(shared, "alice")

    assert correct(alice, job, "in") == correct(alice, job, "in")

    assert len(shared.workspace.service.list(JobFilter(belongs_to=job.id))) == 1


@pytest.mark.parametrize(("who", "status"), [("bob", 404), ("vera", 403), ("tina", 404)])
def test_nobody_else_reads_or_corrects_them(shared: Served, job: Job, who: str, status: int):
    other = visiting(shared, who)

    assert other.get(f"/jobs/{job.id}/rejects").status_code == status
    assert other.post(f"/jobs/{job.id}/rejects", {cell(3, "stock"): "2", "go": "in"}).status_code == status
    assert shared.workspace.service.get(job.id).awaits_confirmation


@pytest.mark.parametrize("name", ["[", "[1] stock", '["a", null] stock', "[3, null"])
def test_a_form_that_makes_no_sense_is_refused_in_a_sentence(shared: Served, job: Job, name: str):
    answer = visiting(shared, "alice").post(f"/jobs/{job.id}/rejects", {name: "2"})

    assert answer.status_code == 400
    assert "open the page again" in answer.text
