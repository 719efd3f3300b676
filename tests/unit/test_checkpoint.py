"""Chunks and their checkpoint, on both databases."""

import threading
from typing import Any

import pytest
from sqlalchemy import Engine, text

from batch_jobs.strategies.sdk.checkpoint import Checkpoint, CheckpointStore
from batch_jobs.strategies.sdk.errors import Superseded, TargetOlder
from batch_jobs.strategies.sdk.result import Counters


@pytest.fixture
def numbers(target: Engine) -> Engine:
    with target.begin() as connection:
        connection.execute(text("CREATE TABLE numbers (i INTEGER PRIMARY KEY)"))
    return target


def write(store: CheckpointStore, number: int) -> None:
    with store.transaction() as connection:
        connection.execute(text("INSERT INTO numbers VALUES (:i)"), {"i": number})
        store.save(connection, Checkpoint(number, {"at": number}, Counters(advanced=number)))


def in_table(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.scalars(text("SELECT i FROM numbers ORDER BY i")))


def test_a_job_without_a_checkpoint_is_at_its_start_and_reading_makes_no_table(target: Engine):
    assert CheckpointStore(target, "batch_1", token=1).load() == Checkpoint(0, None, Counters())
    with target.connect() as connection:
        assert not target.dialect.has_table(connection, "batch_job_checkpoint")


def test_rows_and_checkpoint_commit_together(numbers: Engine):
    store = CheckpointStore(numbers, "batch_1", token=1)
    store.take()
    write(store, 1)
    assert in_table(numbers) == [1]
    assert store.load() == Checkpoint(1, {"at": 1}, Counters(advanced=1))


def test_a_chunk_that_fails_leaves_neither_rows_nor_checkpoint(numbers: Engine):
    store = CheckpointStore(numbers, "batch_1", token=1)
    store.take()
    with pytest.raises(ZeroDivisionError), store.transaction() as connection:
        connection.execute(text("INSERT INTO numbers VALUES (1)"))
        store.save(connection, Checkpoint(1, 1, Counters()))
        1 / 0  # noqa: B018
    assert in_table(numbers) == []
    assert store.load().chunk_number == 0


def test_a_later_attempt_goes_on_from_the_checkpoint_and_keeps_the_earlier_one_out(numbers: Engine):
    earlier, later = (CheckpointStore(numbers, "batch_1", token=token) for token in (3, 8))
    earlier.take()
    write(earlier, 1)
    assert later.take().cursor == {"at": 1}
    with pytest.raises(Superseded, match="batch_1 is being run by a later attempt"):
        write(earlier, 2)
    write(later, 2)
    assert in_table(numbers) == [1, 2]


def test_an_earlier_attempt_cannot_take_the_job_back(numbers: Engine):
    CheckpointStore(numbers, "batch_1", token=8).take()
    with pytest.raises(Superseded):
        CheckpointStore(numbers, "batch_1", token=3).take()


def test_two_jobs_do_not_see_each_other(numbers: Engine):
    first, second = (CheckpointStore(numbers, name, token=1) for name in ("batch_1", "batch_2"))
    first.take()
    second.take()
    write(first, 1)
    assert second.load().chunk_number == 0


def test_a_later_attempt_waits_for_the_chunk_that_is_being_committed(numbers: Engine):
    earlier, later = (CheckpointStore(numbers, "batch_1", token=token) for token in (1, 2))
    earlier.take()
    taken: list[Checkpoint] = []
    with earlier.transaction() as connection:
        waiting = threading.Thread(target=lambda: taken.append(later.take()))
        waiting.start()
        connection.execute(text("INSERT INTO numbers VALUES (1)"))
        earlier.save(connection, Checkpoint(1, {"at": 1}, Counters()))
        assert taken == []
    waiting.join(timeout=30)
    assert [checkpoint.cursor for checkpoint in taken] == [{"at": 1}]


@pytest.mark.parametrize("change", ["UPDATE batch_job_checkpoint SET token = 1", "DELETE FROM batch_job_checkpoint"])
def test_a_target_that_was_restored_meanwhile_is_not_taken_for_a_later_attempt(numbers: Engine, change: str):
    store = CheckpointStore(numbers, "job", token=2)
    store.take()
    with numbers.begin() as connection:
        connection.exec_driver_sql(change)

    with (
        pytest.raises(TargetOlder, match="the target was restored from an older backup while job ran"),
        store.transaction(),
    ):
        pass
