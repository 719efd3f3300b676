"""Corrected cells go in with the job that waits, or afterwards by a job of their own."""

from typing import Any

import pytest
from sqlalchemy import text

from batch_jobs.flows.errors import CorrectionRefused
from batch_jobs.flows.jobs.given_corrections import Corrected
from batch_jobs.flows.jobs.queries import JobFilter
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.flows.workspace import Workspace
from support.phases import finished, put, waiting

GOODS = "code,price,stock\nA,1.50,1\nB,dear,2\nC,3.00,many\nD,4.00,4\nA,9.00,9\n"


def goods(workspace: Workspace, content: str = GOODS, name: str = "goods.csv", **context: Any):
    with workspace.target.begin() as connection:
        connection.execute(text("CREATE TABLE goods (code varchar(20) PRIMARY KEY, price numeric(8,2), stock integer)"))
    given = {"table": "goods", "key": ["code"], "mode": "upsert", **context}
    return waiting(workspace, "table-import", file_key=put(workspace, content, name), **given)


def rows(workspace: Workspace) -> list[tuple[Any, ...]]:
    with workspace.target.connect() as connection:
        found = connection.execute(text("SELECT code, CAST(price AS float), stock FROM goods ORDER BY code"))
        return [tuple(row) for row in found]


def test_rows_are_shown_with_their_bad_cells_and_why(workspace: Workspace):
    job = goods(workspace)

    page = workspace.job_rejects.page(job)

    assert [(row.line, sorted(row.bad), len(row.reasons)) for row in page.rows] == [
        (3, ["price"], 0), (4, ["stock"], 0), (6, [], 1),
    ]  # fmt: skip
    assert (page.total, page.cursor, dict(page.columns)) == (3, None, {"price": 1, "stock": 1})
    assert page.rows[0].cells == {"code": "B", "price": "dear", "stock": "2"}
    first = workspace.job_rejects.page(job, limit=2)
    assert [row.line for row in workspace.job_rejects.page(job, first.cursor, 2).rows] == [6]
    assert [row.line for row in workspace.job_rejects.page(job, column="stock").rows] == [4]


def test_corrected_rows_are_checked_at_once_and_nothing_is_left_of_it(workspace: Workspace):
    job = goods(workspace)
    files = [file.key for file in workspace.files.list()]

    found = workspace.job_corrections.check(
        job, [Corrected(3, {"price": "2.50"}), Corrected(4, {"stock": "few"}), Corrected(6, {"code": "E"})]
    )

    assert [(row.line, list(row.bad), row.reasons) for row in found] == [(3, [], []), (4, ["stock"], []), (6, [], [])]
    assert found[0].cells == {"code": "B", "price": "2.50", "stock": "2"}
    assert [file.key for file in workspace.files.list()] == files
    assert rows(workspace) == []


def test_a_waiting_job_is_replaced_by_one_with_the_corrections(workspace: Workspace):
    job = goods(workspace)

    after = workspace.job_corrections.correct(
        job, [Corrected(3, {"price": "2.50"}), Corrected(6, {"code": "E"})], created_by="alice"
    )

    before = workspace.service.get(job.id)
    last = workspace.service.events(job.id)[-1]
    assert (before.status, after.belongs_to, after.dry_run) == (Status.CANCELED, job.id, True)
    assert after.id in (last.why or "")
    assert "2 cells of 2 rows corrected by alice" in (last.why or "")
    assert [one.id for one in workspace.service.list(JobFilter(belongs_to=job.id))] == [after.id]
    done = finished(workspace, after)
    assert rows(workspace) == [("A", 1.5, 1), ("B", 2.5, 2), ("D", 4.0, 4), ("E", 9.0, 9)]
    assert (done.result.rejected, done.result.created) == (1, 4)
    assert any("2 cells of 2 rows corrected by alice" in entry.message for entry in done.result.summary)


def test_afterwards_the_corrected_rows_go_in_alone(workspace: Workspace):
    job = finished(workspace, goods(workspace))
    assert rows(workspace) == [("A", 1.5, 1), ("D", 4.0, 4)]

    after = workspace.job_corrections.correct(job, [Corrected(3, {"price": "2.50"})], created_by="alice")

    assert workspace.service.get(job.id).status is Status.COMPLETED
    done = finished(workspace, after)
    assert (done.result.count, done.result.created, done.belongs_to) == (1, 1, job.id)
    assert rows(workspace) == [("A", 1.5, 1), ("B", 2.5, 2), ("D", 4.0, 4)]
    with pytest.raises(CorrectionRefused, match="line 3 was corrected by"):
        workspace.job_corrections.correct(job, [Corrected(3, {"price": "7"})], created_by="alice")


def test_a_job_of_corrected_rows_removes_nothing_that_they_lack(workspace: Workspace):
    job = finished(workspace, goods(workspace, mode="sync", max_removed="100%"))

    after = workspace.job_corrections.correct(job, [Corrected(3, {"price": "2.50"})], created_by="alice")

    finished(workspace, after)
    assert [row[0] for row in rows(workspace)] == ["A", "B", "D"]


def test_a_job_that_somebody_has_confirmed_meanwhile_is_not_replaced(workspace: Workspace):
    job = goods(workspace)
    confirmed = workspace.service.confirm(job.id, "carol")

    with pytest.raises(CorrectionRefused, match="rows are corrected while it waits"):
        workspace.job_corrections.correct(job, [Corrected(3, {"price": "2.50"})], created_by="alice")

    assert workspace.service.get(job.id).status is confirmed.status
    assert not workspace.job_corrections.successors(job)


def test_the_same_corrections_twice_are_one_job(workspace: Workspace):
    job = finished(workspace, goods(workspace))
    given = [Corrected(3, {"price": "2.50"})]

    first = workspace.job_corrections.correct(job, given, created_by="alice", idempotency_key="once")
    second = workspace.job_corrections.correct(job, given, created_by="alice", idempotency_key="once")

    assert first.id == second.id


def test_corrected_rows_are_undone_by_themselves(workspace: Workspace):
    job = finished(workspace, goods(workspace))
    after = finished(
        workspace, workspace.job_corrections.correct(job, [Corrected(3, {"price": "2.50"})], created_by="alice")
    )

    finished(workspace, workspace.service.record("undo", {"job": after.id}, dry_run=True, created_by="alice"))

    assert [row[0] for row in rows(workspace)] == ["A", "D"]


def test_what_failed_for_its_rejects_goes_in_with_the_corrections(workspace: Workspace):
    job = goods(workspace, max_rejects=0)
    assert job.status is Status.FAILED
    given = [Corrected(3, {"price": "2"}), Corrected(4, {"stock": "3"}), Corrected(6, {"code": "E"})]
    assert not any(row.bad or row.reasons for row in workspace.job_corrections.check(job, given))

    done = finished(workspace, workspace.job_corrections.correct(job, given, created_by="alice"))

    assert (done.result.created, done.result.rejected) == (5, 0)


def test_rejects_of_a_release_that_kept_no_rows_are_shown_by_their_parts(workspace: Workspace):
    job = goods(workspace)
    workspace.files.remove(f"jobs/{job.id}/rejects.rows")

    first = workspace.job_rejects.page(job, limit=2)
    rest = workspace.job_rejects.page(job, first.cursor, 2)

    assert [row.line for row in [*first.rows, *rest.rows]] == [3, 4, 6]
    assert first.rows[0].bad == {"price": ["'dear' is not a number"]} or list(first.rows[0].bad) == ["price"]
    assert rest.cursor is None
    with pytest.raises(CorrectionRefused, match="is of an earlier release"):
        workspace.job_corrections.correct(job, [Corrected(3, {"price": "2.50"})])
