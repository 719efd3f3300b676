"""Looking at 2,000,000 changes: the first page, the last one, and a row's history, from a preview and from the log."""

import statistics
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
from sqlalchemy import Engine

from batch_jobs.strategies.sdk.change_log import ChangeOptions, Changes, change_table
from batch_jobs.strategies.sdk.checkpoint import create_table
from batch_jobs.strategies.sdk.database import make_engine
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.tables.changes.blocks import ChangedRows
from batch_jobs.strategies.tables.changes.logged import LoggedBlocks, LoggedRows
from batch_jobs.strategies.tables.changes.planned import ChangesFile, planning
from batch_jobs.strategies.tables.changes.reading import ChangeFilter, Cursor, WantedKey, read_page
from benchmarks.databases import Postgres
from benchmarks.report import Measured, seconds, show

CHANGES, OF_A_BLOCK = 2_000_000, 10_000
PAGE = 100
WANTED_SECONDS = 0.1
JOB = "batch_01KB3V5W7Q9M4T8R2YXGZN6H1C"


def measure(work: Path, goods: Path, rows: int) -> None:
    files = FileStore(str(work / "changes"))
    with planning(files, JOB) as planned:
        for number in range(CHANGES // OF_A_BLOCK):
            planned.add([_block(number)])
    lines = [_line("preview, first page", lambda: _page_of_file(files)), _line("its last page", lambda: _end(files))]
    postgres = Postgres(work / "pg-changes")
    with postgres.database() as uri:
        for name, url in {
            "PostgreSQL": uri,
            "SQLite": f"sqlite:///{work / 'changes.db'}",
        }.items():
            engine = make_engine(url)
            _fill(engine)
            lines.append(_line(f"log on {name}, first page", lambda on=engine: _page_of_log(on)))
            lines.append(_line("history of a row", lambda on=engine: _history(on)))
            engine.dispose()
    postgres.stop()
    show(f"Looking at {CHANGES:,} changes, {PAGE} a page", "pages/s", lines)


def _block(number: int) -> ChangedRows:
    first = number * OF_A_BLOCK
    keys = list(range(first, first + OF_A_BLOCK))
    cells = {"-price": [f"{key % 97}.50" for key in keys], "+price": [f"{key % 89}.90" for key in keys]}
    return ChangedRows("goods", "updated", ["id"], pa.table({"=id": list(map(str, keys)), **cells, "line": keys}))


def _fill(engine: Engine) -> None:
    create_table(engine, change_table)
    changes = Changes(ChangeOptions(), asked=True)
    with engine.begin() as connection:
        for number in range(CHANGES // OF_A_BLOCK):
            changes.add(_block(number).encoded())
            changes.write(connection, JOB, None, number)


def _page_of_file(files: FileStore) -> None:
    with ChangesFile(files, JOB) as planned:
        assert len(read_page(planned, ChangeFilter(), None, PAGE).entries) == PAGE


def _end(files: FileStore) -> None:
    last = Cursor((CHANGES // OF_A_BLOCK - 1, 0), 0)
    with ChangesFile(files, JOB) as planned:
        assert len(read_page(planned, ChangeFilter(), last, PAGE).entries) == PAGE


def _page_of_log(engine: Engine) -> None:
    with engine.connect() as connection:
        assert len(read_page(LoggedBlocks(connection, JOB), ChangeFilter(), None, PAGE).entries) == PAGE


def _history(engine: Engine) -> None:
    with engine.connect() as connection:
        wanted = ChangeFilter(key=WantedKey(["123456"]))
        assert len(read_page(LoggedRows(connection, ["goods"]), wanted, None, PAGE, seconds=60).entries) == 1


def _line(name: str, work: Callable[[], object]) -> Measured:
    took = statistics.median(seconds(work) for _ in range(5))
    return Measured(name, 1 / took, 1 / WANTED_SECONDS, 1.0)
