"""Sequences that several transactions raise at the same time."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest
from sqlalchemy import Engine, text

from batch_jobs.strategies.sdk.database import database_of, make_engine
from batch_jobs.strategies.tables.databases.loading import Destination
from batch_jobs.strategies.tables.databases.naming import require_table
from batch_jobs.strategies.tables.databases.postgresql.sequences import Sequences


@pytest.fixture
def engine(postgres_url: str) -> Iterator[Engine]:
    engine = make_engine(postgres_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE goods (id serial PRIMARY KEY)"))
    yield engine
    engine.dispose()


def sequences(engine: Engine) -> Sequences:
    return Sequences(database_of(engine), Destination(require_table(engine, "goods"), ["id"], ["id"], "upsert"))


def test_what_keeps_others_from_raising_a_sequence_ends_before_the_transaction_does(engine: Engine):
    with engine.begin() as open_one, engine.begin() as other:
        other.execute(text("SET LOCAL lock_timeout = '10s'"))
        sequences(engine).raise_to(open_one, pa.table({"id": [100]}))
        sequences(engine).raise_to(other, pa.table({"id": [200]}))
        other.rollback()
    with engine.begin() as connection:
        assert connection.scalar(text("SELECT nextval('goods_id_seq')")) == 201


def test_one_that_looks_at_a_sequence_waits_for_one_that_sets_it(engine: Engine):
    def raise_to(number: int) -> None:
        with engine.begin() as connection:
            sequences(engine).raise_to(connection, pa.table({"id": [number]}))

    with ThreadPoolExecutor(1) as pool:
        with engine.begin() as setting:
            setting.execute(text("SELECT pg_advisory_xact_lock(hashtext('setval ' || 'goods_id_seq'::regclass::oid))"))
            raising = pool.submit(raise_to, 100)
            waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
            while not setting.scalar(waiting):
                assert not raising.done()
            setting.execute(text("SELECT setval('goods_id_seq', 200)"))
        raising.result()
    with engine.begin() as connection:
        assert connection.scalar(text("SELECT nextval('goods_id_seq')")) == 201
