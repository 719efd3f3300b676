"""What it costs table-import to keep what it changes: each import with the log beside the same one without."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from statistics import median

import psycopg
from sqlalchemy import text

from batch_jobs.strategies.sdk.database import make_engine
from batch_jobs.strategies.table_import import TableImport
from benchmarks import ours
from benchmarks.data import TABLE
from benchmarks.databases import Postgres
from benchmarks.report import Measured, seconds, show
from benchmarks.table_import import CONTEXT

ROUNDS = 3
CHANGE_ALL = "UPDATE goods SET stock = stock + 1, price = price + 1"

#: Gives the URL of a database with the empty table.
Databases = Callable[[], AbstractContextManager[str]]


def measure(work: Path, goods: Path, rows: int) -> None:
    """Create, update and leave unchanged, on both databases."""
    postgres = Postgres(work / "pg-changes")

    @contextmanager
    def on_postgres() -> Iterator[str]:
        with postgres.database() as uri:
            with psycopg.connect(uri) as connection:
                connection.execute(TABLE)
            yield uri

    @contextmanager
    def on_sqlite() -> Iterator[str]:
        path = work / "changes.db"
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(TABLE)
        yield f"sqlite:///{path}"
        for each in work.glob("changes.db*"):
            each.unlink()

    for name, databases in (("PostgreSQL", on_postgres), ("SQLite", on_sqlite)):
        _compare(name, databases, work, goods, rows)
    postgres.stop()


def _compare(name: str, databases: Databases, work: Path, goods: Path, rows: int) -> None:
    taken: dict[tuple[str, bool], list[float]] = {}
    for turn in range(ROUNDS):
        for keeps in (False, True) if turn % 2 else (True, False):
            with databases() as url:
                for what, lasted in _imports(url, work, goods, keeps):
                    taken.setdefault((what, keeps), []).append(lasted)
    lines = []
    for what, wanted in (("creates all rows", 1 / 1.1), ("changes all rows", 1 / 1.35), ("changes nothing", 1 / 1.02)):
        without, kept = (rows / median(taken[what, keeps]) for keeps in (False, True))
        lines.append(Measured(f"an import that {what}, without the log", without))
        lines.append(Measured(f"an import that {what}, with the log", kept, without, round(wanted, 2)))
    show(f"the change log on {name}, {rows:,} rows x 10 columns, whole jobs", "rows/s", lines)


def _imports(url: str, work: Path, goods: Path, keeps: bool) -> Iterator[tuple[str, float]]:
    engine = make_engine(url)
    for what in ("creates all rows", "changes all rows", "changes nothing"):
        if what == "changes all rows":
            with engine.begin() as connection:
                connection.execute(text(CHANGE_ALL))
            _tidy(url)
        job = ours.open_job(
            TableImport(),
            {**CONTEXT, "file_key": ours.put(goods, work / "files"), "keep_changes": keeps},
            engine,
            work / "files",
        )
        yield what, seconds(lambda job=job: ours.run(TableImport(), job))  # type: ignore[misc]
    engine.dispose()


def _tidy(url: str) -> None:
    if url.startswith("sqlite"):
        return
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM FULL ANALYZE goods")
        connection.execute("CHECKPOINT")
