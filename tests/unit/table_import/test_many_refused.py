"""A chunk whose every row the database refuses."""

import pytest

ROWS = 8_000


@pytest.mark.long
def test_thousands_of_rows_that_the_database_refuses_are_rejects(importing, run_sql):
    """PostgreSQL holds a lock for each savepoint that is not released, and has room for some thousands."""
    importing.chunk_size = ROWS
    run_sql("CREATE TABLE goods (code INTEGER CHECK (code > 0))")
    content = "code\n1\n" + "".join(f"{-number}\n" for number in range(ROWS))
    result = importing(content, table="goods")
    assert (result.created, result.rejected) == (1, ROWS)
    assert run_sql("SELECT code FROM goods") == [(1,)]
