"""Reading rows from each database, by its source and its lookup alone."""

import io

import pyarrow as pa
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from batch_jobs.strategies.sdk.database import Database
from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.tables.selecting import select_query, select_table


def test_a_reading_sees_one_state_however_others_write_meanwhile(database: Database, goods: Engine):
    source = database.source(goods)
    selection = select_table(goods, "my goods", [], [])
    with source.reading() as connection:
        assert selection.count(connection) == 2
        with goods.begin() as other:
            other.execute(text('DELETE FROM "my goods"'))
        assert selection.count(connection) == 2
    with source.reading() as connection:
        assert selection.count(connection) == 0


def test_connections_beside_a_reading_see_the_same_state(database: Database, goods: Engine):
    source = database.source(goods)
    selection = select_table(goods, "my goods", [], [])
    with source.reading() as connection:
        selection.count(connection)
        with goods.begin() as other:
            other.execute(text('DELETE FROM "my goods"'))
        with source.beside(connection) as others:
            assert [selection.count(beside) for beside in others] == [2] * len(others)


def test_a_reading_cannot_write_and_the_next_transaction_can(database: Database, goods: Engine):
    delete = text('DELETE FROM "my goods"')
    with pytest.raises(DBAPIError), database.source(goods).reading() as connection:
        connection.execute(delete)
    with goods.begin() as connection:
        assert connection.execute(delete).rowcount == 2


def test_rows_come_as_text_and_as_csv_in_the_order_asked_for(database: Database, goods: Engine):
    source = database.source(goods)
    selection = select_table(goods, "my goods", ["note", "code"], ["code"])
    stream = io.BytesIO()
    with source.reading() as connection:
        (batch,) = source.batches(connection, selection)
        assert sum(source.copy_csv(connection, selection, ";", False, stream)) == 2
    assert batch.to_pylist() == [{"note": "old", "code": "1"}, {"note": None, "code": "2"}]
    assert stream.getvalue() == b"old;1\n;2\n"


def test_a_cell_that_a_spreadsheet_would_run_is_neutralised(database: Database, target: Engine):
    source, stream = database.source(target), io.BytesIO()
    query = "SELECT '=1+1' AS cell"
    with source.reading() as connection:
        selection = select_query(query, source.query_columns(connection, query), [], [])
        list(source.copy_csv(connection, selection, ",", True, stream))
    assert stream.getvalue() == b"'=1+1\n"


def test_a_query_that_the_database_does_not_take_is_refused_in_one_line(database: Database, target: Engine):
    source = database.source(target)
    with source.reading() as connection, pytest.raises(JobRefused, match=r"the query is refused: [^\n]*nothing_there"):
        source.query_columns(connection, "SELECT * FROM nothing_there")


@pytest.mark.parametrize("texts", [["old"], ["old", "it's", 'a "b" \\ c, {d}', "é"], []])
def test_rows_are_found_by_many_texts_whatever_is_in_them(database: Database, goods: Engine, texts: list[str]):
    lookup_of = pa.array(texts, pa.string())
    with goods.begin() as connection:
        for code, note in enumerate(texts[1:], 10):
            connection.execute(
                text('INSERT INTO "my goods" (code, note) VALUES (:code, :note)'), {"code": code, "note": note}
            )
        lookup = database.lookup(connection)
        table = '"my goods"'
        by_condition = f"SELECT note FROM {table} WHERE {lookup.any_of('note', lookup_of)}"
        by_source = f"SELECT note FROM {lookup.rows_with(table, 'note', lookup_of)}"
        one_by_one = f"SELECT note FROM {lookup.rows_with_one(table, 'note', lookup_of, 'code > 0')}"

        for query in (by_condition, by_source, one_by_one):
            (notes,) = lookup.columns(query, ["note"])
            assert sorted(map(str, notes)) == sorted(texts)
