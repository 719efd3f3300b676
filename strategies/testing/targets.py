"""Databases for tests, each fresh, and what is in their tables."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import Engine, make_url, select, text

from batch_jobs.strategies.sdk.database import make_engine
from batch_jobs.strategies.tables.databases.naming import require_table


@contextmanager
def sqlite_target(folder: Path) -> Iterator[Engine]:
    """A database in a file of this folder."""
    engine = make_engine(f"sqlite:///{folder / 'target.db'}")
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def postgresql_target(server: str) -> Iterator[Engine]:
    """A database on a PostgreSQL server, which is removed again.

    Args:
        server: the URL of any database of it, with a role that may create some.
    """
    name = f"batch_jobs_test_{uuid4().hex[:12]}"
    admin = make_engine(server).execution_options(isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine = make_engine(make_url(server).set(database=name).render_as_string(hide_password=False))
    try:
        yield engine
    finally:
        engine.dispose()
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        admin.dispose()


def rows_in(target: Engine, table: str) -> list[dict[str, Any]]:
    """The rows of a table, in the order of its primary key, or else in one that their values alone decide.

    Raises:
        JobRefused: there is no such table; says which there are.
    """
    found = require_table(target, table)
    query = select(found).order_by(*found.primary_key)
    with target.connect() as connection:
        rows = [dict(row) for row in connection.execute(query).mappings()]
    return rows if len(found.primary_key) else sorted(rows, key=lambda row: repr([*row.values()]))
