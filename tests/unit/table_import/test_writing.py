import pytest

from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.errors import TooManyRejects
from batch_jobs.strategies.table_import import TableImport


class Died(Exception):
    """Stands for a process that dies."""


def test_rows_that_the_database_refuses_are_rejected_and_all_others_go_in(importing, products):
    importing.chunk_size = 100
    content = "code,name,stock\n" + "".join(
        f"K{number:03},n,{2000 if number in (3, 40, 41) else number}\n" for number in range(60)
    )

    result = importing(content, table="products", mode="upsert")

    assert (result.created, result.rejected) == (57, 3)
    lines = importing.rejects(result)
    assert [line.split(",")[3] for line in lines[1:]] == ["5", "42", "43"]
    assert all("check" in line.lower() for line in lines[1:])


def test_a_row_that_breaks_another_unique_column_is_rejected(importing, run_sql):
    run_sql("CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT UNIQUE)")

    result = importing("id,email\n1,a@x\n2,b@x\n3,a@x\n", table="users", mode="upsert")

    assert (result.created, result.rejected) == (2, 1)
    assert run_sql("SELECT id FROM users ORDER BY id") == [(1,), (2,)]


def test_too_many_refused_rows_stop_at_their_chunk_and_are_told(importing, products):
    importing.chunk_size = 2
    content = "code,name,stock\nC,c,1\nD,d,2\nE,e,2000\nF,f,3\n"

    with pytest.raises(TooManyRejects, match="1 row is rejected and max_rejects is 0; 2 rows before them are done"):
        importing(content, table="products", mode="upsert", max_rejects=0)

    assert [row[0] for row in products()] == ["A", "B", "C", "D"]
    assert importing.rejects(importing.jobs[-1].result)[1].startswith("E,e,2000,4,")


@pytest.mark.parametrize("mode", ["append", "insert", "upsert"])
@pytest.mark.parametrize("chunks_before_death", [0, 1, 3])
def test_a_retried_import_ends_as_one_that_never_died(importing, run_sql, mode, chunks_before_death, monkeypatch):
    run_sql("CREATE TABLE items (id INTEGER PRIMARY KEY, n INTEGER)")
    content = (
        "id,n\n" + "".join(f"{number},{'bad' if number % 7 == 0 else number}\n" for number in range(1, 30)) + "2,2\n"
    )
    job = importing.preview(content, table="items", mode=mode)
    committed = 0
    original = type(job).chunk

    def dying(self, cursor):
        nonlocal committed
        if committed == chunks_before_death:
            raise Died
        committed += 1
        return original(self, cursor)

    with monkeypatch.context() as patch:
        patch.setattr(type(job), "chunk", dying)
        with pytest.raises(Died):
            hooks.process(TableImport(), job)

    retried = importing.again(job)
    hooks.pre_process(TableImport(), retried)
    hooks.process(TableImport(), retried)

    assert run_sql("SELECT id FROM items ORDER BY id") == [(number,) for number in range(1, 30) if number % 7]
    assert (retried.result.created, retried.result.rejected) == (25, 5)
    assert retried.result.advancement_count == retried.result.count == 30
    assert len(importing.rejects(retried.result)) == 6


def test_the_table_is_created_with_the_key_as_its_primary_key(importing, target, run_sql):
    from sqlalchemy import inspect

    result = importing("code,n,day\n007,1,2024-02-29\n008,,2024-03-01\n", table="fresh", mode="upsert", key=["code"])

    assert result.created == 2
    assert inspect(target).get_pk_constraint("fresh")["constrained_columns"] == ["code"]
    assert run_sql("SELECT code, n FROM fresh ORDER BY code") == [("007", 1), ("008", None)]
    assert importing("code,n,day\n007,1,2024-02-29\n", table="fresh", mode="upsert").unchanged == 1


def test_values_in_sqlite_read_back_through_sqlalchemy(importing, target):
    from datetime import date, datetime
    from decimal import Decimal

    from sqlalchemy import Boolean, Column, Date, DateTime, Float, Integer, MetaData, Numeric, Table, Text, select

    table = Table(
        "values_of_types",
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("day", Date),
        Column("at", DateTime),
        Column("yes", Boolean),
        Column("price", Numeric(10, 2)),
        Column("ratio", Float),
        Column("text", Text),
    )
    table.create(target)
    row = {
        "id": 1,
        "day": date(2024, 2, 29),
        "at": datetime(2024, 2, 29, 1, 2, 3, 4),
        "yes": True,
        "price": Decimal("12.50"),
        "ratio": 0.1,
        "text": "ß",
    }
    with target.begin() as connection:
        connection.execute(table.insert(), row)
    content = "id,day,at,yes,price,ratio,text\n" + "".join(
        f"{number},2024-02-29,2024-02-29 01:02:03.000004,true,12.50,0.1,ß\n" for number in (1, 2)
    )

    result = importing(content, table="values_of_types", mode="upsert")

    assert (result.unchanged, result.created) == (1, 1)
    with target.connect() as connection:
        rows = [dict(found._mapping) for found in connection.execute(select(table).order_by(table.c.id))]
    assert rows == [row, {**row, "id": 2}]


def test_defaults_and_generated_keys_apply_to_columns_that_the_file_lacks(importing, target, run_sql):
    serial = "SERIAL PRIMARY KEY" if target.dialect.name == "postgresql" else "INTEGER PRIMARY KEY"
    run_sql(f"CREATE TABLE notes (id {serial}, text TEXT, state TEXT NOT NULL DEFAULT 'new')")

    assert importing("text\na\nb\n", table="notes").created == 2
    assert run_sql("SELECT id, state FROM notes ORDER BY id") == [(1, "new"), (2, "new")]


def test_the_template_can_be_loaded(importing):
    template = TableImport().build_template()

    assert importing(template, table="from_template", mode="upsert", key=["code"]).created == template.count("\n") - 1
