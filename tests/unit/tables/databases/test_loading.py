"""Writing rows into a table of each database, by its loader alone."""

import pyarrow as pa
import pytest
from sqlalchemy import Engine, text

from batch_jobs.strategies.sdk.database import database_of
from batch_jobs.strategies.tables.databases.loading import ROW, STAGE, Destination, Written
from batch_jobs.strategies.tables.databases.naming import require_table
from batch_jobs.strategies.tables.databases.statements import difference

PRICE = 'sale " price'


def destination(target: Engine, mode: str, columns: tuple[str, ...] = ("code", PRICE, "note")) -> Destination:
    key = [] if mode == "append" else ["code"]
    return Destination(require_table(target, "my goods"), list(columns), key, mode)


def rows(*goods: tuple[int, int | None, str | None]) -> pa.Table:
    codes, prices, notes = zip(*goods, strict=True)
    return pa.table(
        {"code": pa.array(codes), PRICE: pa.array(prices, pa.int64()), "note": pa.array(notes, pa.string())}
    )


def written(target: Engine, mode: str, given: pa.Table) -> Written:
    loader = database_of(target).loader(destination(target, mode))
    with target.begin() as connection:
        loader.begin(connection, last=True)
        return loader.write(connection, loader.encode(given))


def there(target: Engine) -> list[tuple[int, int | None, str | None]]:
    with target.connect() as connection:
        return [tuple(row) for row in connection.execute(text('SELECT * FROM "my goods" ORDER BY code'))]


def test_an_upsert_counts_what_it_creates_and_what_it_changes_and_leaves_what_is_the_same(goods: Engine):
    found = written(goods, "upsert", rows((1, 11, "old"), (2, None, None), (3, 30, "new")))

    assert (found.created, found.updated) == (1, 1)
    assert there(goods) == [(1, 11, "old"), (2, None, None), (3, 30, "new")]


def test_an_upsert_that_empties_a_cell_is_a_change(goods: Engine):
    assert written(goods, "upsert", rows((1, None, "old"))).updated == 1
    assert there(goods)[0] == (1, None, "old")


def test_an_insert_says_which_rows_are_there_already(goods: Engine):
    found = written(goods, "insert", rows((3, 30, None), (1, 99, "no"), (2, 99, "no")))

    assert (found.created, found.known) == (1, [1, 2])
    assert there(goods) == [(1, 10, "old"), (2, None, None), (3, 30, None)]


def test_an_append_of_a_known_key_is_refused_in_one_line(goods: Engine):
    database = database_of(goods)

    with pytest.raises(database.row_errors) as refused:
        written(goods, "append", rows((1, 1, None)))

    message = database.refusal(refused.value)
    assert "\n" not in message
    assert "unique" in message.lower()
    assert there(goods) == [(1, 10, "old"), (2, None, None)]


def test_staging_replaces_what_was_staged_numbers_the_rows_and_leaves_the_table_alone(goods: Engine):
    loader = database_of(goods).loader(destination(goods, "upsert"))
    with goods.begin() as connection:
        loader.begin(connection, last=False)
        loader.stage(connection, rows((7, 7, None)))
        loader.stage(connection, rows((8, 8, "a"), (9, None, "")))
        staged = connection.execute(text(f"SELECT {ROW}, code, note FROM {STAGE} ORDER BY {ROW}")).all()

    assert [tuple(row) for row in staged] == [(0, 8, "a"), (1, 9, "")]
    assert len(there(goods)) == 2


def test_a_column_differs_where_its_values_do_and_null_is_a_value(goods: Engine):
    database = database_of(goods)
    cells = (f"{side}.{database.quoted(PRICE)}" for side in ("a", "b"))
    differs = difference(database, destination(goods, "upsert"), PRICE, *cells)
    pairs = "(SELECT CAST({0} AS INTEGER) AS {2}) AS a CROSS JOIN (SELECT CAST({1} AS INTEGER) AS {2}) AS b"
    with goods.connect() as connection:

        def differ(left: str, right: str) -> bool:
            source = pairs.format(left, right, database.quoted(PRICE))
            return bool(connection.exec_driver_sql(f"SELECT {differs} FROM {source}").scalar())

        assert not differ("1", "1")
        assert differ("1", "2")
        assert differ("1", "NULL")
        assert not differ("NULL", "NULL")
