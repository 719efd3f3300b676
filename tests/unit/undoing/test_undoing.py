"""What a job changed is taken back: rows as before, those left alone that somebody changed since."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from sqlalchemy import Engine, text

from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.change_log import ChangeOptions, Changes
from batch_jobs.strategies.sdk.errors import JobRefused, TooManyRejects
from batch_jobs.strategies.tables.changes.blocks import ChangedRows
from batch_jobs.strategies.tables.changes.recording import record
from support.importing import Importing
from support.undoing import Undoing, imported

Sql = Callable[[str], list[tuple[Any, ...]]]
Table = Callable[[], list[tuple[Any, ...]]]

FILE = "code,name,price,stock\nA,Apple,3.00,1\nB,,2,7\nC,Corn,0.5,\nE,Egg,0.30,12\nF,Fig,1.10,\n"


def sync(importing: Importing) -> Any:
    return imported(importing, FILE, table="goods", mode="sync", max_removed=4)


def test_rows_are_as_before_whatever_was_done_to_them(importing: Importing, undoing: Undoing, goods: Table):
    before = goods()
    job = sync(importing)
    after = goods()
    assert after != before

    undo = undoing(job.id)

    assert goods() == before
    counts = undo.result
    assert (counts.created, counts.updated, counts.removed, counts.rejected, counts.unchanged) == (1, 3, 2, 0, 0)
    redo = undoing(undo.id)
    assert goods() == after
    undoing(redo.id)
    assert goods() == before


def test_the_plan_says_what_will_be_put_back_and_writes_nothing(importing: Importing, undoing: Undoing, goods: Table):
    job = sync(importing)
    after = goods()

    plan = undoing.preview(job.id).plan

    assert goods() == after
    assert plan["counts"] == {"create": 1, "update": 3, "unchanged": 0, "remove": 2, "reject": 0}
    assert plan["columns"]["name"] == {"changed": 2, "emptied": 1}
    assert plan["columns"]["price"] == {"changed": 2, "emptied": 1}
    assert {"line": 2, "key": {"code": "A"}, "column": "price", "before": "3.00", "after": "1.50"} in [
        {**change, "before": "3.00", "after": "1.50"} for change in plan["sample"]
    ]
    assert plan["job"] == job.id


def test_what_somebody_changed_since_stays_and_is_listed(
    importing: Importing, undoing: Undoing, goods: Table, run_sql: Sql
):
    job = sync(importing)
    run_sql("UPDATE goods SET price = 9 WHERE code = 'A'")
    run_sql("UPDATE goods SET stock = 5 WHERE code = 'E'")
    run_sql("INSERT INTO goods VALUES ('D', 'Dill', 1, 1)")
    run_sql("UPDATE goods SET stock = 8 WHERE code = 'C'")

    undo = undoing(job.id)

    rows = {row[0]: tuple(None if cell is None else str(cell) for cell in row[1:]) for row in goods()}
    assert rows["A"][1] in ("9", "9.00")
    assert rows["E"][2] == "5"
    assert rows["D"][0] == "Dill"
    assert rows["C"][0] == "Corn", "one of its columns was changed since"
    assert "F" not in rows
    rejects = "\n".join(undoing.rejects(undo))
    assert undo.result.rejected == 4
    assert "price is" in rejects
    assert "by somebody else" in rejects
    assert "a row with its key was made since" in rejects


def test_a_change_of_another_column_does_not_keep_an_updated_row(
    importing: Importing, undoing: Undoing, goods: Table, run_sql: Sql
):
    job = imported(importing, "code,price\nA,7\n", table="goods", mode="update")
    run_sql("UPDATE goods SET name = 'Apricot' WHERE code = 'A'")
    undoing(job.id)
    assert [str(cell) for cell in goods()[0]][:2] == ["A", "Apricot"]
    assert float(goods()[0][2]) == 1.5


def test_the_later_job_is_named(importing: Importing, undoing: Undoing, goods: Table):
    job = sync(importing)
    later = imported(importing, "code,price\nA,8\n", table="goods", mode="update")
    undo = undoing.preview(job.id)
    (kept,) = undo.plan["rejects"]
    assert kept["by"] == later.id
    assert kept["at"][:4].isdigit()
    assert f"; by {later.id} at {kept['at']}" in kept["message"]
    assert kept["key"] == {"code": "A"}


def test_force_overwrites_what_was_changed_since_and_can_be_undone(
    importing: Importing, undoing: Undoing, goods: Table, run_sql: Sql
):
    before = goods()
    job = sync(importing)
    run_sql("UPDATE goods SET price = 9 WHERE code = 'A'")
    run_sql("UPDATE goods SET stock = 5 WHERE code = 'E'")
    run_sql("INSERT INTO goods VALUES ('D', 'Dill', 1, 1)")
    edited = goods()

    undo = undoing.preview(job.id, force=True)
    assert undo.plan["forced"] == 3
    assert len(undo.plan["overwritten"]) == 3
    undoing.process(undo)

    assert goods() == before
    undoing(undo.id)
    assert goods() == edited


def test_rows_that_others_refer_to_stay(importing: Importing, undoing: Undoing, goods: Table, run_sql: Sql):
    run_sql("CREATE TABLE sold (id INTEGER PRIMARY KEY, code VARCHAR(20) REFERENCES goods ON DELETE CASCADE)")
    job = sync(importing)
    run_sql("INSERT INTO sold VALUES (1, 'E')")

    undo = undoing.preview(job.id)
    assert undo.plan["counts"]["reject"] == 1
    undoing.process(undo)

    assert run_sql("SELECT code FROM sold") == [("E",)]
    assert [row[0] for row in goods()] == ["A", "B", "C", "D", "E"]
    assert "rows of sold refer to it" in "\n".join(undoing.rejects(undo))


def test_rows_that_refer_to_each_other_go_together_unless_one_is_needed(
    importing: Importing, undoing: Undoing, run_sql: Sql
):
    run_sql("CREATE TABLE node (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES node)")
    content = "id,parent\n1,\n2,1\n3,2\n4,1\n5,3\n6,\n7,6\n"
    job = imported(importing, content, table="node", mode="insert")
    run_sql("INSERT INTO node VALUES (8, 5)")
    undo = undoing.preview(job.id)
    assert undo.plan["counts"] == {"create": 0, "update": 0, "unchanged": 0, "remove": 3, "reject": 4}
    undoing.process(undo)
    assert run_sql("SELECT id FROM node ORDER BY id") == [(1,), (2,), (3,), (5,), (8,)]


def test_what_a_row_cannot_be_put_back_for_is_its_reject(importing: Importing, undoing: Undoing, run_sql: Sql):
    run_sql("CREATE TABLE tag (id INTEGER PRIMARY KEY, name TEXT UNIQUE)")
    run_sql("INSERT INTO tag VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    job = imported(importing, "id,name\n1,x\n2,y\n3,z\n", table="tag", mode="update")
    run_sql("INSERT INTO tag VALUES (4, 'b')")
    undo = undoing(job.id)
    assert run_sql("SELECT name FROM tag ORDER BY id") == [("a",), ("y",), ("c",), ("b",)]
    assert undo.result.rejected == 1
    assert undo.result.updated == 2


def test_a_table_altered_since_keeps_the_rows_that_need_what_it_had(
    importing: Importing, undoing: Undoing, goods: Table, run_sql: Sql
):
    job = imported(importing, "code,name,price\nA,Apple,5\nB,Bun,2\n", table="goods", mode="update")
    run_sql("ALTER TABLE goods DROP COLUMN name")
    undo = undoing(job.id)
    assert [float(row[1]) for row in goods() if row[1] is not None][:2] == [1.5, 2]
    assert "the table was altered: it has no column name any more" in "\n".join(undoing.rejects(undo))


def test_a_table_that_the_job_created_stays_empty(importing: Importing, undoing: Undoing, run_sql: Sql):
    job = imported(importing, FILE, table="fresh", mode="insert", key=["code"])
    undo = undoing(job.id)
    assert run_sql("SELECT count(*) FROM fresh") == [(0,)]
    assert undo.plan["emptied"] == ["fresh"]
    assert any("fresh will be empty" in entry.message for entry in undo.result.stat_descriptors)


def test_a_job_without_a_log_is_refused_in_one_line(importing: Importing, undoing: Undoing, goods: Table):
    job = imported(importing, FILE, table="goods", mode="upsert", keep_changes=False)
    with pytest.raises(JobRefused, match="nothing is kept of what"):
        undoing(job.id)
    with pytest.raises(JobRefused, match="nothing is kept of what"):
        undoing("batch_unknown")


def test_a_job_that_was_undone_is_refused(importing: Importing, undoing: Undoing, goods: Table):
    job = sync(importing)
    undoing(job.id)
    with pytest.raises(JobRefused, match="undone already"):
        undoing(job.id)


def test_more_rows_that_stay_than_may_fail_it(importing: Importing, undoing: Undoing, goods: Table, run_sql: Sql):
    job = sync(importing)
    run_sql("UPDATE goods SET price = 9")
    after = goods()
    with pytest.raises(TooManyRejects):
        undoing(job.id, max_rejects=0)
    assert goods() == after


def test_rows_whose_hidden_columns_changed_stay_and_all_others_go_back(
    importing: Importing, undoing: Undoing, goods: Table
):
    before = goods()
    job = importing.preview("code,name,price\nA,Apricot,5\nB,Bread,6\n", table="goods", mode="update")
    job.changes = Changes(ChangeOptions(None, ("goods.na*",), b"secret"), None)
    hooks.process(importing.strategy, job)

    undo = undoing(job.id)

    assert goods()[0][1] == "Apricot"
    assert goods()[1:] == before[1:]
    assert "what name was is not kept (CHANGES_HIDE)" in "\n".join(undoing.rejects(undo))


def test_a_trigger_that_keeps_a_row_is_its_reject(
    target: Engine, importing: Importing, undoing: Undoing, goods: Table, run_sql: Sql
):
    job = sync(importing)
    if target.dialect.name == "sqlite":
        run_sql("CREATE TRIGGER keeps BEFORE UPDATE ON goods WHEN old.code = 'A' BEGIN SELECT RAISE(IGNORE); END")
    else:
        run_sql(
            "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN IF old.code = 'A' THEN RETURN NULL; END IF; RETURN new; END $$"
        )
        run_sql("CREATE TRIGGER keeps BEFORE UPDATE ON goods FOR EACH ROW EXECUTE FUNCTION keep()")
    undo = undoing(job.id)
    assert float(goods()[0][2]) == 3
    assert undo.result.rejected == 1
    assert undo.result.updated == 2
    assert "a trigger kept it" in "\n".join(undoing.rejects(undo))


def test_what_the_job_did_twice_to_a_row_is_taken_back_twice(
    target: Engine, importing: Importing, undoing: Undoing, goods: Table
):
    before = goods()
    frame = "code,price\nA,7\n"
    job = importing.preview(frame, table="goods", mode="update")
    job.begin_processing()
    for cursor, (old, new) in enumerate([("1.50", "7.00"), ("7.00", "8.00")]):
        with job.chunk(cursor=cursor) as connection:
            connection.execute(text("UPDATE goods SET price = CAST(:new AS NUMERIC) WHERE code = 'A'"), {"new": new})
            rows = pa.table({"=code": ["A"], "-price": [float(old)], "+price": [float(new)]})
            record(connection, [ChangedRows("goods", "updated", ["code"], rows)])
    undo = undoing.preview(job.id)
    assert (undo.plan["counts"]["update"], undo.plan["counts"]["reject"]) == (2, 0)
    undoing.process(undo)
    assert goods() == before
