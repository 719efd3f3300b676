"""Connections to PostgreSQL that were lost while nobody used them."""

from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from batch_jobs.strategies.sdk.database import for_reading, make_engine
from batch_jobs.strategies.tables.databases import postgresql


def test_a_connection_lost_in_a_pause_is_replaced_before_its_next_use(
    postgres_url: str, pg_server: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(postgresql, "FRESH_SECONDS", 0.0)
    engine = make_engine(postgres_url)
    with engine.connect() as connection:
        pid = connection.scalar(text("SELECT pg_backend_pid()"))
    with psycopg.connect(pg_server.get_uri(), autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])

    with engine.connect() as connection:
        assert connection.scalar(text("SELECT pg_backend_pid()")) != pid
    engine.dispose()


def test_a_single_read_is_one_round_trip(postgres_url: str):
    engine = make_engine(postgres_url)

    with for_reading(engine).connect() as connection:
        assert connection.connection.dbapi_connection.autocommit
        connection.scalar(text("SELECT 1"))
    with engine.connect() as connection:
        assert not connection.connection.dbapi_connection.autocommit
    engine.dispose()
