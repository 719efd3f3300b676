"""Undoing updates, beside the import that made them."""

from collections.abc import Callable
from pathlib import Path

import psycopg
from sqlalchemy import Engine, text

from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.database import make_engine
from batch_jobs.strategies.table_import import TableImport
from batch_jobs.strategies.undo import Undo
from benchmarks import ours
from benchmarks.data import TABLE
from benchmarks.databases import Postgres
from benchmarks.report import Measured, seconds, show

CONTEXT = {"table": "goods", "mode": "upsert", "key": ["id"]}
#: What is changed before the import, so that it updates every row: in one column, and in five.
EDITS = {
    "1 column": "UPDATE goods SET stock = stock + 1",
    "5 columns": "UPDATE goods SET stock = stock + 1, price = price + 1, name = name || '.', weight = 0, note = 'none'",
}


def measure(work: Path, goods: Path, rows: int) -> None:
    for changed in EDITS:
        postgres = Postgres(work / "pg-undo")
        with postgres.database() as uri:
            _beside(f"PostgreSQL, {changed}", uri, work, goods, rows, changed, lambda uri=uri: _vacuum(uri))  # type: ignore[misc]
        postgres.stop()
        database = work / f"undo-{changed[0]}.db"
        _beside(f"SQLite, {changed}", f"sqlite:///{database}", work, goods, rows, changed, lambda: None)


def _beside(name: str, url: str, work: Path, goods: Path, rows: int, changed: str, tidy: Callable[[], None]) -> None:
    engine = make_engine(url)
    with engine.begin() as connection:
        connection.execute(text(TABLE))
    _import(engine, work, goods)
    with engine.begin() as connection:
        connection.execute(text(EDITS[changed]))
    tidy()
    made, importing = _import(engine, work, goods)
    tidy()
    undo = ours.open_job(Undo(), {"job": made}, engine, work / "files")
    undoing = [seconds(lambda hook=hook: hook(Undo(), undo)) for hook in (hooks.pre_process, hooks.process)]  # type: ignore[misc]
    assert undo.result.updated == rows, undo.result
    engine.dispose()
    show(
        f"undo of {rows:,} updates, {name}",
        "rows/s",
        [
            Measured("the import, preview", rows / importing[0]),
            Measured("the undo, preview", rows / undoing[0], rows / importing[0]),
            Measured("the import, process", rows / importing[1]),
            Measured("the undo, process", rows / undoing[1], rows / importing[1], 1),
            Measured("the undo beside the import, the whole job", rows / sum(undoing), rows / sum(importing), 1),
        ],
    )


def _import(engine: Engine, work: Path, goods: Path) -> tuple[str, list[float]]:
    strategy, key = TableImport(), ours.put(goods, work / "files")
    job = ours.open_job(strategy, {**CONTEXT, "file_key": key}, engine, work / "files")
    return job.id, [seconds(lambda hook=hook: hook(strategy, job)) for hook in (hooks.pre_process, hooks.process)]  # type: ignore[misc]


def _vacuum(uri: str) -> None:
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE goods")
