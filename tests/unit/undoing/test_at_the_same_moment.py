"""Others write the same rows while an undo puts them back: what they wrote stays."""

from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import Engine, text

from support.importing import Importing
from support.servers import wait_until
from support.undoing import Undoing, imported

Sql = Callable[[str], list[tuple[Any, ...]]]
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


@pytest.fixture
def target_url(postgres_url: str) -> str:
    """On PostgreSQL: SQLite has one writer at a time."""
    return postgres_url


def beside(target: Engine, undoing: Undoing, job_id: str, statement: str) -> list[str]:
    """Undo a job while somebody has a transaction open that has written; returns the rejects."""
    undo = undoing.preview(job_id)
    with target.begin() as connection:
        connection.execute(text(statement))
        thread = Thread(target=undoing.process, args=(undo,))
        thread.start()

        def waits() -> bool:
            with target.connect() as other:
                return bool(other.scalar(text(WAITING)))

        wait_until(waits, what="the undo's waiting for the row")
    thread.join(60)
    return undoing.rejects(undo)


def test_a_row_that_is_changed_at_the_same_moment_stays(
    target: Engine, importing: Importing, undoing: Undoing, goods: Any, run_sql: Sql
):
    job = imported(importing, "code,price\nA,7\nB,8\n", table="goods", mode="update")
    rejects = beside(target, undoing, job.id, "UPDATE goods SET price = 9 WHERE code = 'A'")
    assert [str(row[0]) for row in run_sql("SELECT price FROM goods WHERE code < 'C' ORDER BY code")] == [
        "9.00",
        "2.00",
    ]
    assert "somebody wrote it at the same moment" in "\n".join(rejects)


def test_a_row_that_is_referred_to_at_the_same_moment_stays(
    target: Engine, importing: Importing, undoing: Undoing, goods: Any, run_sql: Sql
):
    run_sql("CREATE TABLE sold (id INTEGER PRIMARY KEY, code VARCHAR(20) REFERENCES goods ON DELETE CASCADE)")
    job = imported(importing, "code,name\nX,New\nY,New\n", table="goods", mode="insert")
    rejects = beside(target, undoing, job.id, "INSERT INTO sold VALUES (1, 'X')")
    assert run_sql("SELECT code FROM sold") == [("X",)]
    assert run_sql("SELECT code FROM goods WHERE code > 'M'") == [("X",)]
    assert "rows of sold refer to it" in "\n".join(rejects)
