"""Others write the same rows while an import does: what it has to write is written, and counted as what it was."""

from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import Engine, text

from batch_jobs.strategies.sdk import hooks
from support.importing import Importing
from support.servers import wait_until

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


@pytest.fixture
def target_url(postgres_url: str) -> str:
    """On PostgreSQL: SQLite has one writer at a time."""
    return postgres_url


@pytest.mark.parametrize("keep_changes", [False, True])
def test_a_row_that_came_in_after_the_look_at_its_chunk_is_updated_too(
    target: Engine, importing: Importing, run_sql: Callable[[str], list[tuple[Any, ...]]], keep_changes: bool
):
    run_sql("CREATE TABLE goods (code VARCHAR(9) PRIMARY KEY, price INTEGER)")
    run_sql("INSERT INTO goods VALUES ('A', 1), ('B', 5), ('C', 5), ('D', 5)")
    importing.chunk_size = 3  # from the second chunk on it knows that not all rows are new
    content = "code,price\nB,5\nC,5\nD,5\nA,5\nN,5\nO,5\n"
    job = importing.preview(content, table="goods", mode="upsert", keep_changes=keep_changes)
    importing_here = Thread(target=hooks.process, args=(importing.strategy, job))
    with target.begin() as connection:
        connection.execute(text("UPDATE goods SET price = 2 WHERE code = 'A'"))
        importing_here.start()

        def waits() -> bool:
            with target.connect() as other:
                return bool(other.scalar(text(WAITING)))

        wait_until(waits, what="the import's waiting for A")
        connection.execute(text("INSERT INTO goods VALUES ('N', 9)"))
    importing_here.join(60)

    assert run_sql("SELECT code, price FROM goods ORDER BY code") == [(code, 5) for code in "ABCDNO"]
    assert (job.result.created, job.result.updated, job.result.unchanged) == (1, 2, 3)
