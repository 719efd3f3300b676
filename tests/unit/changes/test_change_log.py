"""What the log says of an import is what the import did, whatever the table, the file and the mode."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.change_log import ChangeOptions, Changes
from batch_jobs.strategies.sdk.errors import TooManyRejects
from batch_jobs.strategies.tables.frames.frame_import import FrameImport
from batch_jobs.strategies.tables.frames.frame_update import FrameUpdate
from support.change_log import comparable, differences, logged, rows_of
from support.importing import Importing

RunSql = Callable[[str], list[tuple[Any, ...]]]

#: With columns that the file does not have, and without.
TABLES = {
    "all columns": "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, price NUMERIC(8, 2))",
    "further columns": "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, price NUMERIC(8, 2), "
    "stock INTEGER DEFAULT 7, note TEXT)",
}
MODES = ["append", "insert", "upsert", "update", "sync", "marking"]

names = st.sampled_from(["", "mug", "Mug", 'a "b", c', "x\ny", "ü", "10"])
prices = st.sampled_from(["", "1", "1.5", "2.25", "wrong"])
ids = st.integers(1, 9)


def csv_of(rows: list[tuple[int, str, str]]) -> str:
    frame = pd.DataFrame(rows, columns=["id", "name", "price"], dtype=str)
    return str(frame.to_csv(index=False))


@pytest.mark.parametrize("columns", TABLES)
@pytest.mark.parametrize("mode", MODES)
def test_the_log_is_the_difference_between_before_and_after(importing: Importing, run_sql: RunSql, mode, columns):
    context: dict[str, Any] = {"mode": "sync", "missing": {"mark": {"name": "gone"}}} if mode == "marking" else {}
    if mode in ("sync", "marking"):
        context["max_removed"] = 10

    @settings(max_examples=6)
    @given(there=st.dictionaries(ids, names), file=st.lists(st.tuples(ids, names, prices), min_size=1, max_size=9))
    def check(there: dict[int, str], file: list[tuple[int, str, str]]) -> None:
        for table in ("t", "batch_job_change", "batch_job_checkpoint"):
            run_sql(f"DROP TABLE IF EXISTS {table}")
        run_sql(TABLES[columns])
        for number, name in there.items():
            run_sql(f"INSERT INTO t (id, name) VALUES ({number}, '{name}')")
        before = rows_of(importing.target, "t")
        if mode in ("sync", "marking"):
            file = [(number, name, price.replace("wrong", "3")) for number, name, price in file]

        job = importing.preview(csv_of(file), table="t", **{"mode": mode, **context})
        hooks.process(importing.strategy, job)

        expected = differences(before, rows_of(importing.target, "t"), ["id"])
        assert comparable(logged(importing.target, job.id)) == comparable(expected)

    check()


def test_an_import_that_broke_off_and_was_tried_again_is_in_the_log_once(importing: Importing, run_sql: RunSql):
    run_sql(TABLES["all columns"])
    run_sql("INSERT INTO t VALUES (2, 'old', 1), (7, 'old', 1)")
    before = rows_of(importing.target, "t")
    file = csv_of([(number, "new", "2") for number in range(1, 9)])

    again = importing.broken_off(importing.job(file, table="t", mode="upsert"), at=2)

    expected = differences(before, rows_of(importing.target, "t"), ["id"])
    assert comparable(logged(importing.target, again.id)) == comparable(expected)


def test_a_chunk_that_is_undone_leaves_nothing_in_the_log(importing: Importing, run_sql: RunSql):
    run_sql("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, price NUMERIC(8, 2) CHECK (price < 100))")
    job = importing.preview(csv_of([(1, "a", "1"), (2, "b", "100")]), table="t", mode="upsert", max_rejects=0)

    with pytest.raises(TooManyRejects):
        hooks.process(importing.strategy, job)

    assert rows_of(importing.target, "t") == logged(importing.target) == []


@pytest.mark.parametrize("keep", [False, None])
def test_nothing_is_kept_where_the_job_or_the_missing_key_says_so(importing: Importing, run_sql: RunSql, keep):
    run_sql("CREATE TABLE t (id INTEGER, name TEXT, price NUMERIC(8, 2))")
    key = {} if keep is None else {"keep_changes": keep}

    importing(csv_of([(1, "a", "1")]), table="t", mode="append", **key)

    assert logged(importing.target) == []


@pytest.mark.parametrize(("asked", "setting", "kept"), [(None, None, True), (None, False, False), (True, False, True)])
def test_a_jobs_own_word_goes_before_the_setting(asked, setting, kept):
    assert Changes(ChangeOptions(setting), asked).are_kept is kept


def test_the_values_of_hidden_columns_are_not_in_the_log(importing: Importing, run_sql: RunSql):
    run_sql(TABLES["all columns"])
    job = importing.preview(csv_of([(1, "secret", "1.5"), (2, "", "2")]), table="t", mode="upsert")
    job.changes.options = ChangeOptions(hidden=("t.na*",), secret=b"key")

    hooks.process(importing.strategy, job)

    (_, _, first), (_, _, second) = logged(importing.target)
    assert len(first["name"][1]) == 24
    assert second["name"] == (None, None)
    assert float(first["price"][1]) == 1.5


def test_of_rows_made_of_one_only_those_that_stay_are_logged(importing: Importing, run_sql: RunSql):
    run_sql("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, price NUMERIC(8, 2) CHECK (price < 100))")
    importing.strategy = _doubling()

    result = importing(csv_of([(1, "a", "1"), (2, "b", "99"), (3, "c", "3")]), mode="upsert")

    assert (result.created, result.rejected) == (4, 1)
    in_log = {int(key[0]) for _, key, _ in logged(importing.target)}
    assert in_log == {int(row["id"]) for row in rows_of(importing.target, "t")}


def _doubling() -> FrameImport:
    def transform(self: Any, frame: pd.DataFrame, job: Any) -> pd.DataFrame:
        more = frame.assign(id=frame["id"] + 10, price=frame["price"] + 1)
        return pd.concat([frame, more])

    named = {"identifier": "doubling-strategy", "batch_type": "doubling", "table": "t", "key": ["id"]}
    strategy: FrameImport = type("Doubling", (FrameImport,), {**named, "transform": transform})()
    return strategy


def test_an_update_of_a_table_is_logged(importing: Importing, run_sql: RunSql):
    class Dearer(FrameUpdate):
        """Raise prices."""

        identifier, batch_type, table, columns = "dearer-strategy", "dearer", "t", ["price"]

        def transform(self, frame: pd.DataFrame, job: Any) -> pd.DataFrame:
            return frame.assign(price=frame["price"] + 1)

    run_sql(TABLES["further columns"])
    run_sql("INSERT INTO t (id, price) VALUES (1, 1.5), (2, NULL), (3, 2), (4, 8), (5, 9)")
    before = rows_of(importing.target, "t")
    importing.strategy = Dearer()  # type: ignore[assignment]
    job = importing.job_of(Dearer.Context())

    hooks.pre_process(importing.strategy, job)
    hooks.process(importing.strategy, job)

    expected = differences(before, rows_of(importing.target, "t"), ["id"])
    assert len(expected) == 4
    assert comparable(logged(importing.target, job.id)) == comparable(expected)


class Triggered:
    """PostgreSQL tables with triggers."""

    FUNCTION = (
        "CREATE FUNCTION louder() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF NEW.name = 'not me' THEN RETURN NULL; END IF; NEW.name = upper(NEW.name); RETURN NEW; END $$"
    )
    TRIGGER = "CREATE TRIGGER louder BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION louder()"


@pytest.mark.parametrize("target_url", ["postgres"], indirect=True)
@pytest.mark.parametrize("mode", ["append", "insert", "upsert", "update"])
def test_what_a_trigger_makes_of_rows_is_logged_as_it_is_stored(importing: Importing, run_sql: RunSql, mode):
    run_sql(TABLES["all columns"])
    if mode != "append":
        run_sql("INSERT INTO t VALUES (1, 'old', 1), (2, 'OLD', 1)")
    run_sql(Triggered.FUNCTION)
    run_sql(Triggered.TRIGGER)
    before = rows_of(importing.target, "t")

    job = importing.preview(
        csv_of([(1, "new", "2"), (2, "not me", "3"), (3, "x", "4"), (4, "not me", "")]), table="t", mode=mode
    )
    hooks.process(importing.strategy, job)

    expected = differences(before, rows_of(importing.target, "t"), ["id"])
    assert expected
    assert comparable(logged(importing.target, job.id)) == comparable(expected)


@pytest.mark.parametrize("target_url", ["postgres"], indirect=True)
@pytest.mark.parametrize("meanwhile", ["UPDATE t SET name = 'new'", "INSERT INTO t VALUES (2, 'other', 9)"])
def test_what_others_write_between_two_statements_is_seen(
    importing: Importing, run_sql: RunSql, monkeypatch, meanwhile
):
    from batch_jobs.strategies.tables.databases.postgresql import loader

    run_sql(TABLES["all columns"])
    run_sql("INSERT INTO t VALUES (1, 'old', NULL)")
    others = [meanwhile]
    step = "update_logged" if meanwhile.startswith("UPDATE") else "insert_new_logged"
    before = getattr(loader, step)

    def after_others(*arguments: Any) -> Any:
        if others:
            run_sql(others.pop())
        return before(*arguments)

    monkeypatch.setattr(loader, step, after_others)
    job = importing.preview(csv_of([(1, "new", ""), (2, "new", "")]), table="t", mode="upsert")
    hooks.process(importing.strategy, job)

    seen = {str(key[0]): sides for _, key, sides in logged(importing.target, job.id)}
    assert run_sql("SELECT * FROM t ORDER BY id") == [(1, "new", None), (2, "new", None)]
    if meanwhile.startswith("UPDATE"):
        assert seen == {"2": {"name": (None, "new"), "price": (None, None)}}
    else:
        assert seen["2"] == {"name": ("other", "new"), "price": ("9.00", None)}


def test_rows_written_by_statements_of_an_authors_own_are_logged(importing: Importing, run_sql: RunSql):
    run_sql(TABLES["further columns"])
    run_sql("INSERT INTO t (id, name) VALUES (1, 'one'), (2, 'two'), (3, 'three'), (4, 'four')")
    before = rows_of(importing.target, "t")
    job = importing.job("", table="t")
    job.begin_processing()

    with job.chunk(cursor=1) as connection:
        job.changes.watch(connection, "t", [{"id": number} for number in (1, 2, 3, 5, 6)])
        _write(connection)

    expected = differences(before, rows_of(importing.target, "t"), ["id"])
    assert len(expected) == 3
    assert comparable(logged(importing.target, job.id)) == comparable(expected)


def _write(connection: Connection) -> None:
    for statement in (
        "DELETE FROM t WHERE id = 1",
        "UPDATE t SET price = 5, note = 'n' WHERE id = 2",
        "UPDATE t SET name = name WHERE id = 3",
        "INSERT INTO t (id, name) VALUES (5, 'five')",
    ):
        connection.execute(text(statement))


def test_watching_needs_a_key(importing: Importing, run_sql: RunSql):
    run_sql("CREATE TABLE t (id INTEGER)")
    job = importing.job("", table="t")
    job.begin_processing()

    with pytest.raises(Exception, match="t has no primary key; give watch the columns"), job.chunk(cursor=1) as chunk:
        job.changes.watch(chunk, "t", [{"id": 1}])
    with pytest.raises(Exception, match="have no column code"), job.chunk(cursor=1) as chunk:
        job.changes.watch(chunk, "t", [{"id": 1}], ["code"])
