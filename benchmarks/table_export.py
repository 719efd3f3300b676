"""table-export beside a raw COPY TO STDOUT into a file."""

from pathlib import Path

import psycopg

from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.database import make_engine
from batch_jobs.strategies.table_export import TableExport
from benchmarks import ours
from benchmarks.data import TABLE
from benchmarks.databases import Postgres
from benchmarks.report import Measured, seconds, show
from benchmarks.table_import import raw_copy


def copy_out(uri: str, path: Path) -> None:
    with psycopg.connect(uri) as connection, path.open("wb") as file:
        with connection.cursor().copy("COPY (SELECT * FROM goods ORDER BY id) TO STDOUT (FORMAT csv, HEADER)") as copy:
            for block in copy:
                file.write(block)


def measure(work: Path, goods: Path, rows: int) -> None:
    postgres = Postgres(work / "pg-export")
    with postgres.database() as uri:
        with psycopg.connect(uri) as connection:
            connection.execute(TABLE)
        raw_copy(uri, goods)
        with psycopg.connect(uri, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE goods")
        by_hand = rows / min(seconds(lambda: copy_out(uri, work / "by-hand.csv")) for _ in range(2))
        engine = make_engine(uri)
        process = rows / min(_export(engine, work) for _ in range(2))
        engine.dispose()
    postgres.stop()
    lines = [
        Measured("COPY TO STDOUT into a file, by hand", by_hand),
        Measured("table-export, process", process, by_hand, 0.8),
    ]
    show(f"table-export from PostgreSQL, {rows:,} rows x 10 columns, CSV", "rows/s", lines)


def _export(engine, work: Path) -> float:  # type: ignore[no-untyped-def]
    strategy = TableExport()
    job = ours.open_job(strategy, {"table": "goods"}, engine, work / "files")
    hooks.pre_process(strategy, job)
    return seconds(lambda: hooks.process(strategy, job))
