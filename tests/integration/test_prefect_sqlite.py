"""An SQLite of Prefect's server that stands still for nobody."""

import asyncio
from pathlib import Path

import aiosqlite
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import create_async_engine


def test_a_cursor_whose_statement_failed_is_closed_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """SQLAlchemy 2.0 left it to be collected in the event loop's thread, which then could wait for itself."""
    closed: list[aiosqlite.Cursor] = []
    close = aiosqlite.Cursor.close

    async def noted(cursor: aiosqlite.Cursor) -> None:
        closed.append(cursor)
        await close(cursor)

    monkeypatch.setattr(aiosqlite.Cursor, "close", noted)
    asyncio.run(_fail_on_a_locked_database(tmp_path / "prefect.db", closed))

    assert len(closed) == 1


async def _fail_on_a_locked_database(path: Path, closed: list[aiosqlite.Cursor]) -> None:
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}", connect_args={"timeout": 0})
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE t (i INTEGER)"))
    async with aiosqlite.connect(path, isolation_level=None) as holder:
        await holder.execute("BEGIN IMMEDIATE")
        closed.clear()
        async with engine.connect() as connection:
            with pytest.raises(OperationalError, match="locked"):
                await connection.execute(text("INSERT INTO t VALUES (1)"))
    await engine.dispose()
