"""An undo goes by the chunks of the job: it stops, is fenced and goes on between them, and keeps groups together."""

from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import BaseModel
from sqlalchemy import Engine, text

from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.change_log import Kind
from batch_jobs.strategies.sdk.checkpoint import CheckpointStore
from batch_jobs.strategies.sdk.errors import StopRequested, Superseded
from batch_jobs.strategies.sdk.job import JobIdentity, JobParts, JobRun, SilentReport
from batch_jobs.strategies.sdk.testing import new_job
from batch_jobs.strategies.tables.changes.blocks import ChangedRows
from batch_jobs.strategies.tables.changes.recording import changed_rows, record
from batch_jobs.strategies.tables.databases.loading import Destination, RowChanges
from batch_jobs.strategies.tables.databases.naming import require_table
from batch_jobs.strategies.undo import Undo
from support.importing import Importing
from support.undoing import Undoing, imported

Sql = Callable[[str], list[tuple[Any, ...]]]
Table = Callable[[], list[tuple[Any, ...]]]
NEW = "code,name,price,stock\n" + "".join(f"N{n},New {n},{n}.25,{n}\n" for n in range(9)) + "A,Apricot,2,2\n"


class Canceled(SilentReport):
    """Has a job stop at its n-th chunk."""

    def __init__(self, at: int) -> None:
        self._left = at

    def stop_reason(self) -> str | None:
        self._left -= 1
        return "canceled" if self._left < 0 else None


def undo_of(job_id: str, target: Engine, importing: Importing, before: JobRun | None = None, **parts: Any) -> JobRun:
    """An undo, or another attempt at one."""
    attempt = before.attempt + 1 if before else 1
    own = before.id if before else f"batch_undo_of_{job_id[-8:]}"
    given = JobParts(target, importing.files, CheckpointStore(target, own, attempt), chunk_size=3, **parts)
    context = Undo.Context(job=job_id)
    identity = JobIdentity(own, "undo", context, attempt=attempt)
    return JobRun(identity, given, before.result if before else None, before.plan if before else None)


def test_a_canceled_undo_leaves_whole_chunks_and_another_one_goes_on(
    target: Engine, importing: Importing, undoing: Undoing, goods: Table
):
    before = goods()
    job = imported(importing, NEW, table="goods", mode="upsert")
    undo = undo_of(job.id, target, importing)
    hooks.pre_process(Undo(), undo)
    stopped = undo_of(job.id, target, importing, undo, report=Canceled(2))
    with pytest.raises(StopRequested):
        hooks.process(Undo(), stopped)
    left = goods()
    assert before != left
    assert len(left) < len(before) + 9

    goes_on = undo_of(job.id, target, importing, stopped)
    hooks.process(Undo(), goes_on)

    assert goods() == before
    assert goes_on.result.removed == 9
    assert goes_on.result.updated == 1
    undoing(goes_on.id)
    assert len(goods()) == len(before) + 9, "its log has what all attempts did"


def test_a_canceled_undo_can_be_undone_itself(target: Engine, importing: Importing, undoing: Undoing, goods: Table):
    job = imported(importing, NEW, table="goods", mode="upsert")
    after = goods()
    undo = undo_of(job.id, target, importing)
    hooks.pre_process(Undo(), undo)
    stopped = undo_of(job.id, target, importing, undo, report=Canceled(2))
    with pytest.raises(StopRequested):
        hooks.process(Undo(), stopped)
    undoing(undo.id)
    assert goods() == after


def test_an_import_that_was_broken_off_is_undone_as_far_as_it_got(importing: Importing, undoing: Undoing, goods: Table):
    before = goods()
    job = importing.preview(NEW, table="goods", mode="upsert")
    writing, numbers = job.chunk, count(1)
    job.chunk = lambda cursor: writing(cursor) if next(numbers) < 3 else 1 / 0  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        hooks.process(importing.strategy, job)
    assert len(goods()) > len(before)
    undoing(job.id)
    assert goods() == before


def test_neither_the_undone_job_nor_an_older_attempt_writes_beside_an_undo(
    target: Engine, importing: Importing, goods: Table
):
    job = importing.preview(NEW, table="goods", mode="upsert")
    job.begin_processing()
    with job.chunk(cursor=1) as connection:
        connection.execute(text("UPDATE goods SET stock = 5 WHERE code = 'A'"))
        rows = {"=code": ["A"], "-stock": ["1"], "+stock": ["5"], "line": [2]}
        record(connection, [ChangedRows("goods", "updated", ["code"], pa.table(rows))])
    undo = undo_of(job.id, target, importing)
    hooks.pre_process(Undo(), undo)
    hooks.process(Undo(), undo)
    with pytest.raises(Superseded), job.chunk(cursor=2) as connection:
        connection.execute(text("UPDATE goods SET stock = 6"))
    later = undo_of(job.id, target, importing, undo)
    later.begin_processing()
    with pytest.raises(Superseded), undo.chunk(cursor={}):
        pass
    assert [row[3] for row in goods()] == [1, None, 3, 4]


class Grouped(BatchJobStrategy):
    """Writes two tables, whose rows belong together."""

    identifier, batch_type = "grouped-strategy", "grouped"

    class Context(BaseModel):
        pass

    def process(self, job: JobRun) -> None:
        with job.chunk(cursor=1) as connection:
            for product in ("p1", "p2", "p3"):
                connection.execute(text("INSERT INTO product VALUES (:id, 'new')"), {"id": product})
            for number, product in enumerate(("p1", "p1", "p2", "p3")):
                values = {"id": f"v{number}", "product": product}
                connection.execute(text("INSERT INTO variant VALUES (:id, :product, 1)"), values)
            products = {"=id": ["p1", "p2", "p3"], "+title": ["new"] * 3, "group": ["p1", "p2", "p3"]}
            variants = {
                "=id": ["v0", "v1", "v2", "v3"],
                "+product_id": ["p1", "p1", "p2", "p3"],
                "+stock": ["1"] * 4,
                "group": ["p1", "p1", "p2", "p3"],
            }
            record(connection, [_created("product", products), _created("variant", variants)])

    def build_template(self) -> str:
        return ""


def _created(table: str, rows: dict[str, list[str]]) -> ChangedRows:
    kind: Kind = "created"
    typed = {name: list(map(int, cells)) if name == "+stock" else cells for name, cells in rows.items()}
    return ChangedRows(table, kind, ["id"], pa.table(typed))


def test_rows_of_a_group_go_back_together_or_not_at_all(
    target: Engine, importing: Importing, undoing: Undoing, run_sql: Sql
):
    run_sql("CREATE TABLE product (id VARCHAR(9) PRIMARY KEY, title TEXT)")
    run_sql(
        "CREATE TABLE variant (id VARCHAR(9) PRIMARY KEY, product_id VARCHAR(9) REFERENCES product ON DELETE CASCADE, "
        "stock INTEGER)"
    )
    job = new_job(Grouped(), Grouped.Context(), target, importing.files)
    hooks.process(Grouped(), job)
    run_sql("UPDATE variant SET stock = 2 WHERE id = 'v0'")
    run_sql("INSERT INTO variant VALUES ('v9', 'p2', 1)")

    undo = undoing.preview(job.id)
    assert undo.plan["counts"] == {"create": 0, "update": 0, "unchanged": 0, "remove": 2, "reject": 5}
    undoing.process(undo)

    assert run_sql("SELECT id FROM product ORDER BY id") == [("p1",), ("p2",)]
    assert run_sql("SELECT id FROM variant ORDER BY id") == [("v0",), ("v1",), ("v2",), ("v9",)]
    rejects = "\n".join(undoing.rejects(undo))
    assert "stays with the rest of p1, of which not all can be put back" in rejects
    assert undo.result.rejected == 5
    undoing(undo.id)
    assert run_sql("SELECT count(*) FROM product") == [(3,)]


def test_the_log_names_rows_rightly_in_whatever_order_the_database_returns_them(target: Engine, goods: Table):
    table = require_table(target, "goods")
    destination = Destination(table, ["code", "stock"], ["code"], "update", logged_by=("code",))
    rows = pa.table({"code": ["A", "B", "C"], "stock": [7, 8, 9]})
    values = pa.table({"-stock": ["3", "1", "2"], "+stock": ["9", "7", "8"]})
    change = RowChanges("updated", np.array([2, 0, 1]), values)
    found = changed_rows(destination, rows, np.array([2, 3, 4]), change).rows
    assert found.column("=code").to_pylist() == ["C", "A", "B"]
    assert found.column("line").to_pylist() == [4, 2, 3]
