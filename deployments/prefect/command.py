"""Prefect's own command (``python -m batch_jobs.deployments.prefect.command``); its server never stops on its SQLite.

A cursor whose statement failed is left open by SQLAlchemy 2.0. Python collects it later, in the thread of the server's
event loop, and this has to wait for the cursor's connection. Where that one waits for a lock which only the event loop
can release, the server answers nobody until SQLite gives up: for a minute.
"""

import runpy
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from aiosqlite import Cursor


def close_failed_cursors() -> None:
    """Let every cursor of this process close where its statement fails, by the thread of its connection."""
    for name in ("execute", "executemany"):
        setattr(Cursor, name, _closing_failed(getattr(Cursor, name)))


def _closing_failed(execute: Callable[..., Awaitable[Cursor]]) -> Callable[..., Awaitable[Cursor]]:
    @wraps(execute)
    async def execute_or_close(cursor: Cursor, *statement: Any) -> Cursor:
        try:
            return await execute(cursor, *statement)
        except Exception:
            await cursor.close()
            raise

    return execute_or_close


if __name__ == "__main__":
    close_failed_cursors()
    runpy.run_module("prefect", run_name="__main__", alter_sys=True)
