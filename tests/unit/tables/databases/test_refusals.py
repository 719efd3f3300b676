"""Which errors of a database are about a row, and what its keys are."""

import pytest
from sqlalchemy import Engine, text

from batch_jobs.strategies.sdk.database import database_of
from batch_jobs.strategies.tables.databases.naming import require_table


@pytest.mark.parametrize(
    ("statement", "is_about_a_row"),
    [
        ("INSERT INTO t VALUES (1, 1)", True),
        ("INSERT INTO t VALUES (2, 5)", True),
        ("INSERT INTO nowhere VALUES (1)", False),
        ("INSERT INTO", False),
    ],
)
def test_what_is_about_a_row(target: Engine, statement: str, is_about_a_row: bool):
    with target.begin() as connection:
        connection.execute(text("CREATE TABLE t (k BIGINT NOT NULL PRIMARY KEY, n BIGINT CHECK (n < 5))"))
        connection.execute(text("INSERT INTO t VALUES (1, 1)"))
    database = database_of(target)
    with target.connect() as connection:
        driver = connection.connection.driver_connection
        with pytest.raises(Exception) as refused:  # each database has classes of its own
            driver.execute(statement)
        assert database.is_about_a_row(refused.value) is is_about_a_row
        driver.rollback()


def test_keys_are_found_by_primary_key_constraint_and_whole_unique_index(target: Engine):
    with target.begin() as connection:
        connection.execute(text("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT UNIQUE, c TEXT, d TEXT, UNIQUE (c, d))"))
        connection.execute(text("CREATE UNIQUE INDEX whole ON t (d, a)"))
        connection.execute(text("CREATE UNIQUE INDEX partial ON t (d) WHERE a > 0"))
        connection.execute(text("CREATE UNIQUE INDEX computed ON t (lower(c))"))
        connection.execute(text("CREATE INDEX common ON t (c)"))
    table = require_table(target, "t")
    with target.connect() as connection:
        found = {tuple(sorted(key.columns)) for key in database_of(target).unique_keys(connection, table)}

    assert found == {("a",), ("b",), ("c", "d"), ("a", "d")}


@pytest.mark.parametrize("value", ["it's", '"', "\\", "%s", ":x", "1", 1, 1.5, True, False, None])
def test_a_literal_is_what_it_was(target: Engine, value: object):
    database = database_of(target)
    kind = {bool: "BOOLEAN", int: "INTEGER", float: "DOUBLE PRECISION"}.get(type(value), "TEXT")
    with target.begin() as connection:
        connection.execute(text(f"CREATE TABLE t (v {kind})"))
        driver = connection.connection.driver_connection
        driver.execute(f"INSERT INTO t VALUES ({database.literal(value)})")
        (found,) = driver.execute("SELECT v FROM t").fetchone()
        assert found == value
