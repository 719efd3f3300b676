"""table-import beside a hand-written COPY and upsert, executemany, DataFrame.to_sql and django-import-export."""

import csv
import sqlite3
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pandas as pd
import psycopg
from sqlalchemy import text

from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.database import make_engine
from batch_jobs.strategies.table_import import TableImport
from benchmarks import ours
from benchmarks.data import COLUMNS, TABLE
from benchmarks.databases import Postgres
from benchmarks.report import Measured, seconds, show

UPSERT = f"""INSERT INTO goods SELECT * FROM staged ON CONFLICT (id) DO UPDATE SET
    {", ".join(f"{column} = excluded.{column}" for column in COLUMNS[1:])}"""
UPSERT_CHANGED = f"""{UPSERT}
    WHERE ({", ".join(f"goods.{column}" for column in COLUMNS[1:])})
    IS DISTINCT FROM ({", ".join(f"excluded.{column}" for column in COLUMNS[1:])})"""
CONTEXT = {"table": "goods", "mode": "upsert", "key": ["id"]}


def copy_and_upsert(uri: str, path: Path, upsert: str = UPSERT) -> None:
    """What one would write by hand: one transaction, no checkpoint, no checks."""
    with psycopg.connect(uri) as connection, path.open("rb") as file:
        connection.execute("CREATE TEMP TABLE staged (LIKE goods) ON COMMIT DROP")
        with connection.cursor().copy("COPY staged FROM STDIN (FORMAT csv, HEADER)") as copy:
            while block := file.read(1 << 20):
                copy.write(block)
        connection.execute(upsert)


def raw_copy(uri: str, path: Path) -> None:
    with psycopg.connect(uri) as connection, path.open("rb") as file:
        with connection.cursor().copy("COPY goods FROM STDIN (FORMAT csv, HEADER)") as copy:
            while block := file.read(1 << 20):
                copy.write(block)


def executemany(database: Path, path: Path) -> None:
    insert = f"INSERT INTO goods VALUES ({','.join('?' * len(COLUMNS))}) ON CONFLICT (id) DO UPDATE SET "
    insert += ", ".join(f"{column} = excluded.{column}" for column in COLUMNS[1:])
    with sqlite3.connect(database) as connection, path.open(newline="") as file:
        rows = csv.reader(file)
        next(rows)
        connection.executemany(insert, rows)


def to_sql(url: str, path: Path, rows: int) -> None:
    engine = make_engine(url)
    for frame in pd.read_csv(path, chunksize=10_000, nrows=rows, parse_dates=["added"]):
        frame.to_sql("goods", engine, if_exists="append", index=False)
    engine.dispose()


def measure(work: Path, goods: Path, rows: int) -> None:
    postgres = Postgres(work / "pg")
    on_postgres(postgres, work, goods, rows)
    again_on_postgres(postgres, work, goods, rows)
    on_sqlite(work, goods, rows)
    postgres.stop()


def on_postgres(postgres: Postgres, work: Path, goods: Path, rows: int) -> None:
    by_hand, raw = (
        rows / _with_table(postgres, lambda uri, do=do: do(uri, goods)) for do in (copy_and_upsert, raw_copy)
    )
    phases = list(_phases(postgres, work, goods))
    process, whole = rows / phases[1], rows / (phases[0] + phases[1])
    few = min(rows, 100_000)
    # into the same keyed table as everything else here
    frames = few / _with_table(postgres, lambda uri: to_sql(uri, goods, few))
    show(
        f"table-import on PostgreSQL, {rows:,} rows x 10 columns, upsert into an empty table",
        "rows/s",
        [
            Measured("COPY into a keyed table, by hand, no upsert", raw),
            Measured("COPY + INSERT ON CONFLICT, by hand", by_hand),
            Measured("table-import, process (checkpoints and all)", process, by_hand, 0.8),
            Measured("table-import, the whole job", whole, by_hand, 0.5),
            Measured(f"DataFrame.to_sql ({few:,} rows)", frames),
            Measured("table-import, the whole job, beside to_sql", whole, frames, 5),
            *_django(postgres, goods, whole),
        ],
    )


def again_on_postgres(postgres: Postgres, work: Path, goods: Path, rows: int) -> None:
    with postgres.database() as uri:
        with psycopg.connect(uri) as connection:
            connection.execute(TABLE)
        raw_copy(uri, goods)
        with psycopg.connect(uri, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE goods")
        before, process = _again(uri, work, goods, "unchanged")
        by_hand = rows / seconds(lambda: copy_and_upsert(uri, goods, UPSERT_CHANGED))
        with psycopg.connect(uri, autocommit=True) as connection:
            connection.execute("UPDATE goods SET stock = stock + 1")
            connection.execute("VACUUM FULL ANALYZE goods")
        _, changing = _again(uri, work, goods, "updated")
    show(
        f"table-import on PostgreSQL, the same {rows:,} rows again",
        "rows/s",
        [
            Measured("COPY + INSERT ON CONFLICT WHERE DISTINCT, by hand, unchanged", by_hand),
            Measured("table-import, process, unchanged", rows / process, by_hand, 1 / 1.2),
            Measured("table-import, the whole job, unchanged", rows / (before + process), by_hand),
            Measured("table-import, process, every row changed", rows / changing),
        ],
    )


def _again(uri: str, work: Path, goods: Path, outcome: str) -> tuple[float, float]:
    engine = make_engine(uri)
    strategy, key = TableImport(), ours.put(goods, work / "files")
    job = ours.open_job(strategy, {**CONTEXT, "file_key": key}, engine, work / "files")
    phases = seconds(lambda: hooks.pre_process(strategy, job)), seconds(lambda: hooks.process(strategy, job))
    assert getattr(job.result, outcome) == job.result.count
    engine.dispose()
    return phases


def on_sqlite(work: Path, goods: Path, rows: int) -> None:
    by_hand = rows / seconds(lambda: executemany(_sqlite(work / "hand.db"), goods))
    engine = make_engine(f"sqlite:///{_sqlite(work / 'ours.db')}")
    strategy, key = TableImport(), ours.put(goods, work / "files")
    job = ours.open_job(strategy, {**CONTEXT, "file_key": key}, engine, work / "files")
    before = seconds(lambda: hooks.pre_process(strategy, job))
    process = seconds(lambda: hooks.process(strategy, job))
    show(
        f"table-import on SQLite, {rows:,} rows x 10 columns, upsert into an empty table",
        "rows/s",
        [
            Measured("csv.reader + executemany, one transaction, by hand", by_hand),
            Measured("table-import, process (checkpoints and all)", rows / process, by_hand, 0.6),
            Measured("table-import, the whole job", rows / (before + process), by_hand),
        ],
    )


def _phases(postgres: Postgres, work: Path, goods: Path) -> Iterator[float]:
    with postgres.database() as uri:
        engine = make_engine(uri)
        with engine.begin() as connection:
            connection.execute(text(TABLE))
        strategy, key = TableImport(), ours.put(goods, work / "files")
        job = ours.open_job(strategy, {**CONTEXT, "file_key": key}, engine, work / "files")
        yield seconds(lambda: hooks.pre_process(strategy, job))
        yield seconds(lambda: hooks.process(strategy, job))
        assert job.result.created == job.result.count
        engine.dispose()


def _with_table(postgres: Postgres, work) -> float:  # type: ignore[no-untyped-def]
    with postgres.database() as uri:
        with psycopg.connect(uri) as connection:
            connection.execute(TABLE)
        return seconds(lambda: work(uri))


def _sqlite(path: Path) -> Path:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(TABLE)
    return path


def _django(postgres: Postgres, goods: Path, ours_rate: float) -> list[Measured]:
    try:
        from benchmarks.django_peer import import_rows
    except ImportError:
        return []
    few = 20_000
    with goods.open() as file:
        text_of_few = "".join(islice(file, few + 1))
    with postgres.database() as uri:
        with psycopg.connect(uri) as connection:
            connection.execute(TABLE)
        rate = few / seconds(lambda: import_rows(uri, text_of_few))
    return [
        Measured(f"django-import-export, use_bulk ({few:,} rows)", rate),
        Measured("table-import, the whole job, beside it", ours_rate, rate),
    ]
