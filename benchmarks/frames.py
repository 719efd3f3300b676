"""A FrameImport whose ``transform`` does nothing, beside table-import of the same file and beside plain pandas."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from sqlalchemy import text

from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.database import make_engine
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.table_import import TableImport
from batch_jobs.strategies.tables.frames.frame_import import FrameImport
from benchmarks import ours
from benchmarks.data import TABLE
from benchmarks.databases import Postgres
from benchmarks.report import Measured, seconds, show
from benchmarks.table_import import to_sql

#: Of each the best of some runs, taken in turns.
RUNS = 3

Database = Callable[[], AbstractContextManager[str]]


class Identity(FrameImport):
    """Load a file as it is, by way of frames."""

    identifier, batch_type = "identity-strategy", "identity"
    table, key = "goods", ["id"]

    def transform(self, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        return frame


KINDS: dict[type[FrameImport], dict[str, Any]] = {TableImport: {"table": "goods", "key": ["id"]}, Identity: {}}


def measure(work: Path, goods: Path, rows: int) -> None:
    postgres = Postgres(work / "pg")
    few = min(rows, 100_000)
    databases: dict[str, Database] = {"PostgreSQL": postgres.database, "SQLite": lambda: _sqlite(work)}
    for name, database in databases.items():
        rates = _rates(database, work, goods, rows)
        with _table(database) as url:
            plain = few / seconds(lambda url=url: to_sql(url, goods, few))  # type: ignore[misc]
        show(
            f"FrameImport on {name}, {rows:,} rows x 10 columns, upsert into an empty table, the whole job",
            "rows/s",
            [
                Measured("table-import", rates[TableImport]),
                Measured("FrameImport with a transform that does nothing", rates[Identity], rates[TableImport], 0.83),
                Measured(f"pandas: read_csv in chunks + to_sql ({few:,} rows)", plain),
                Measured("FrameImport, beside it", rates[Identity], plain),
            ],
        )
    postgres.stop()


def _rates(database: Database, work: Path, goods: Path, rows: int) -> dict[type[FrameImport], float]:
    best = dict.fromkeys(KINDS, 0.0)
    for _ in range(RUNS):
        for kind, context in KINDS.items():
            with _table(database) as url:
                best[kind] = max(best[kind], rows / _seconds(kind(), context, url, work, goods, rows))
    return best


def _seconds(strategy: FrameImport, context: dict[str, Any], url: str, work: Path, goods: Path, rows: int) -> float:
    engine, key = make_engine(url), ours.put(goods, work / "files")
    job = ours.open_job(strategy, {**context, "mode": "upsert", "file_key": key}, engine, work / "files")
    taken = seconds(lambda: hooks.pre_process(strategy, job)) + seconds(lambda: hooks.process(strategy, job))
    assert job.result.created == rows
    engine.dispose()
    return taken


@contextmanager
def _table(database: Database) -> Iterator[str]:
    with database() as url:
        engine = make_engine(url)
        with engine.begin() as connection:
            connection.execute(text(TABLE))
        engine.dispose()
        yield url


@contextmanager
def _sqlite(work: Path) -> Iterator[str]:
    for ending in ("", "-wal", "-shm"):
        (work / f"frames.db{ending}").unlink(missing_ok=True)
    yield f"sqlite:///{work / 'frames.db'}"
