"""What each database says in a way of its own."""

from sqlalchemy import Column, Engine, Integer, MetaData, Table, text

from batch_jobs.strategies.sdk.database import Database, database_of, for_reading, for_writing


def test_an_identifier_is_quoted_whatever_is_in_it(database: Database, target: Engine):
    name = 'a "b" %c'
    with target.connect() as connection:
        cursor = connection.connection.cursor()
        cursor.execute(f"SELECT 1 AS {database.quoted(name)}")
        assert cursor.description[0][0] == name
    assert database.quoted_table(Table("t", MetaData(), schema="s")) == '"s"."t"'
    assert database.names(["a", "b"]) == '"a", "b"'


def test_the_limits_are_those_of_the_server(database: Database, target: Engine):
    widest = [Column(f"c{number}", Integer) for number in range(database.max_columns)]
    name = "n" * min(database.max_name_bytes, 1000)
    table = Table("widest", MetaData(), *widest[:-1], Column(name, Integer))
    with target.begin() as connection:
        table.create(connection)
        cursor = connection.connection.cursor()
        cursor.execute(f"SELECT {name} FROM widest")
        assert cursor.description[0][0] == name


def test_its_insert_can_update_what_is_there(database: Database, target: Engine):
    table = Table("t", MetaData(), Column("id", Integer, primary_key=True), Column("n", Integer))
    with target.begin() as connection:
        table.create(connection)
        for number in (1, 2):
            first = database.insert(table).values(id=1, n=number)
            connection.execute(first.on_conflict_do_update(index_elements=["id"], set_={"n": first.excluded.n}))
        assert connection.execute(table.select()).all() == [(1, 2)]


def test_a_time_is_written_as_browsers_do(database: Database, target: Engine):
    moment = "'2026-11-24 03:04:45'"
    if database.has_time_zones:
        moment = "TIMESTAMP WITH TIME ZONE '2026-11-24 05:04:45+02:00'"
    with target.connect() as connection:
        driver = connection.connection.driver_connection
        (found,) = driver.execute(f"SELECT {database.http_date(moment)}").fetchone()
    assert found == "Tue, 24 Nov 2026 03:04:45 GMT"


def test_words_are_put_together_by_key_in_their_order(database: Database, target: Engine):
    rows = (
        "SELECT 1 AS key, 'b' AS word, 2 AS place UNION ALL SELECT 1, 'a', 3 UNION ALL SELECT 2, 'x', 1 "
        "UNION ALL SELECT 1, 'c', 1"
    )
    with target.connect() as connection:
        found = connection.execute(text(database.concatenated(f"SELECT * FROM ({rows}) AS given"))).all()
    assert sorted(map(tuple, found)) == [(1, "c,b,a"), (2, "x")]


def test_rows_are_in_the_order_in_which_they_were_written(database: Database, target: Engine):
    with target.begin() as connection:
        connection.execute(text("CREATE TABLE t (n INTEGER)"))
        for number in (3, 1, 2):
            connection.execute(text("INSERT INTO t VALUES (:n)"), {"n": number})
        assert connection.execute(text(f"SELECT n FROM t ORDER BY {database.written_order}")).scalars().all() == [
            3,
            1,
            2,
        ]


def test_two_writers_who_read_first_wait_for_each_other(sqlite: Engine):
    """Without the lock taken first, SQLite would refuse the second one at once."""
    with sqlite.begin() as connection:
        connection.execute(text("CREATE TABLE t (n INTEGER)"))
    with for_writing(sqlite.connect()) as connection, connection.begin():
        connection.execute(text("SELECT * FROM t"))
        with for_reading(sqlite).connect() as other:
            assert other.execute(text("SELECT count(*) FROM t")).scalar() == 0
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        connection.execute(text("INSERT INTO t VALUES (1)"))


def test_a_name_is_locked_until_the_transaction_ends(postgresql: Engine):
    database = database_of(postgresql)
    with postgresql.connect() as other:
        with postgresql.begin() as connection:
            database.lock(connection, "mine")
            with other.begin():
                assert not database.try_lock(other, "mine")
                assert database.try_lock(other, "another")
        with other.begin():
            assert database.try_lock(other, "mine")


def test_what_sets_a_transaction_up_works_on_every_database(database: Database, target: Engine):
    with target.begin() as connection:
        database.lock(connection, "mine")
        database.commit_lazily(connection)
        database.expect_many_rows(connection)
        assert database.has_extension(connection, "no_such_extension") is False
