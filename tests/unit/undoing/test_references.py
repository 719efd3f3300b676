"""Every foreign key that leads to a row is found, wherever it is and whatever it does."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, inspect

from support.importing import Importing
from support.undoing import Undoing, imported

Sql = Callable[[str], list[tuple[Any, ...]]]
FILE = "shop,code\n1,A\n1,B\n2,A\n"


@pytest.fixture
def item(run_sql: Sql) -> None:
    run_sql("CREATE TABLE item (shop INTEGER, code VARCHAR(9), PRIMARY KEY (shop, code), UNIQUE (code, shop))")


@pytest.mark.parametrize("what", ["ON DELETE CASCADE", "ON DELETE SET NULL", "ON DELETE SET DEFAULT", ""])
def test_a_key_of_several_columns_keeps_the_row_it_names(
    importing: Importing, undoing: Undoing, item: None, run_sql: Sql, what: str
):
    run_sql(
        "CREATE TABLE line (id INTEGER PRIMARY KEY, c VARCHAR(9), s INTEGER, "
        f"FOREIGN KEY (c, s) REFERENCES item (code, shop) {what})"
    )
    job = imported(importing, FILE, table="item", mode="insert")
    run_sql("INSERT INTO line VALUES (1, 'A', 1), (2, 'B', NULL), (3, NULL, NULL)")
    lines = run_sql("SELECT * FROM line ORDER BY id")
    undo = undoing(job.id)
    assert run_sql("SELECT shop, code FROM item") == [(1, "A")]
    assert run_sql("SELECT * FROM line ORDER BY id") == lines
    assert (undo.result.removed, undo.result.rejected) == (2, 1)
    assert undo.plan["counts"]["reject"] == 1


def test_a_table_of_another_schema_counts_too(
    target: Engine, importing: Importing, undoing: Undoing, item: None, run_sql: Sql
):
    if target.dialect.name == "sqlite":
        pytest.skip("SQLite has no schemas")
    run_sql('CREATE SCHEMA "Other one"')
    run_sql(
        'CREATE TABLE "Other one".line (id INTEGER PRIMARY KEY, c VARCHAR(9), s INTEGER, '
        "FOREIGN KEY (s, c) REFERENCES public.item ON DELETE CASCADE)"
    )
    job = imported(importing, FILE, table="public.item", mode="insert")
    run_sql("INSERT INTO \"Other one\".line VALUES (1, 'A', 2)")
    undo = undoing(job.id)
    assert run_sql("SELECT shop, code FROM item") == [(2, "A")]
    assert "rows of Other one.line refer to it" in "\n".join(undoing.rejects(undo))


def test_rows_that_the_job_made_in_another_table_do_not_keep_what_they_refer_to(
    importing: Importing, undoing: Undoing, run_sql: Sql
):
    run_sql("CREATE TABLE node (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES node ON DELETE CASCADE)")
    job = imported(importing, "id,parent\n" + "1,\n" + "".join(f"{n},{n - 1}\n" for n in range(2, 12)), table="node")
    undo = undoing.preview(job.id)
    assert undo.plan["counts"]["remove"] == 11
    undoing.process(undo)
    assert run_sql("SELECT count(*) FROM node") == [(0,)]
    assert undo.result.removed == 11


def test_tables_called_as_those_of_a_shop_refer_to_nothing_by_their_names(
    importing: Importing, undoing: Undoing, run_sql: Sql
):
    run_sql("CREATE TABLE product (id INTEGER PRIMARY KEY, name TEXT)")
    run_sql("CREATE TABLE product_sales_channel (product_id INTEGER, note TEXT)")
    job = imported(importing, "id,name\n1,One\n2,Two\n", table="product", mode="insert")
    run_sql("INSERT INTO product_sales_channel VALUES (1, 'not of that product')")
    undoing(job.id)
    assert run_sql("SELECT count(*) FROM product") == [(0,)]


@pytest.fixture
def many(importing: Importing, run_sql: Sql) -> str:
    """The id of a job that made 1,500 rows; another table with as many rows refers to such without an index."""
    importing.chunk_size = 2000
    run_sql("CREATE TABLE item (id INTEGER PRIMARY KEY)")
    run_sql("CREATE TABLE line (id INTEGER PRIMARY KEY, item INTEGER REFERENCES item)")
    numbers = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500)"
    run_sql(f"INSERT INTO line (id) {numbers} SELECT i FROM n")
    job = imported(importing, "id\n" + "".join(f"{number}\n" for number in range(1500)), table="item", mode="insert")
    run_sql("UPDATE line SET item = 7 WHERE id = 3")
    return job.id


def test_a_reference_without_an_index_is_named_where_others_write_too(target: Engine, undoing: Undoing, many: str):
    undo = undoing.preview(many)
    said = [line.message for line in undo.result.stat_descriptors if line.name == "Index"]
    is_named = ["line has no index on item" in message for message in said]
    assert is_named == ([] if target.dialect.name == "sqlite" else [True])


def test_nothing_stays_of_what_checks_many_references_quickly(
    target: Engine, undoing: Undoing, many: str, run_sql: Sql
):
    undo = undoing(many)
    assert run_sql("SELECT id FROM item") == [(7,)]
    assert (undo.plan["counts"]["remove"], undo.result.removed, undo.result.rejected) == (1499, 1499, 1)
    assert inspect(target).get_indexes("line") == []
