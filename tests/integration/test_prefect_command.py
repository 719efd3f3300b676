"""An SQLite of Prefect's server that stands still for nobody."""

import asyncio
import gc
from pathlib import Path

import aiosqlite
import pytest

from batch_jobs.deployments.prefect.command import close_failed_cursors


@pytest.fixture
def failed_cursors_close(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("execute", "executemany"):
        monkeypatch.setattr(aiosqlite.Cursor, name, getattr(aiosqlite.Cursor, name))
    close_failed_cursors()


@pytest.mark.usefixtures("failed_cursors_close")
def test_a_cursor_that_failed_is_collected_while_its_connection_waits_for_a_lock(tmp_path: Path):
    asyncio.run(_collect_while_waiting(tmp_path / "prefect.db"))


async def _collect_while_waiting(path: Path) -> None:
    """Raises that the database is locked where the collection holds up the one that has the lock."""
    plain = {"timeout": 0, "isolation_level": None}
    async with aiosqlite.connect(path, **plain) as holder, aiosqlite.connect(path, **plain) as waiting:
        await holder.execute("CREATE TABLE t (i INTEGER)")
        await holder.execute("BEGIN IMMEDIATE")
        failed = await waiting.cursor()
        with pytest.raises(aiosqlite.OperationalError, match="locked"):
            await failed.execute("INSERT INTO t VALUES (1)")
        await waiting.execute("PRAGMA busy_timeout = 3000")
        begun, loop = asyncio.Event(), asyncio.get_running_loop()
        await waiting.set_trace_callback(lambda _: loop.call_soon_threadsafe(begun.set))
        turn = asyncio.create_task(waiting.execute("BEGIN IMMEDIATE"))
        await begun.wait()
        del failed
        gc.collect()
        await holder.rollback()
        await turn
