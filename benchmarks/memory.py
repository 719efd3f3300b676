"""Peak resident memory with few and with many rows, each in a process of its own."""

import sys
from pathlib import Path

from sqlalchemy import text

from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.database import make_engine
from batch_jobs.strategies.table_export import TableExport
from batch_jobs.strategies.table_import import TableImport
from benchmarks import ours
from benchmarks.data import TABLE, write_goods
from benchmarks.databases import Postgres
from benchmarks.report import console

FEW, MANY = 200_000, 2_000_000
LIMIT_MB = 400


def measure(work: Path, goods: Path, rows: int) -> None:
    postgres = Postgres(work / "pg-memory")
    peaks = {count: _peaks(postgres, work, count) for count in (FEW, MANY)}
    postgres.stop()
    console.print(
        f"[bold]Peak memory, {FEW:,} and {MANY:,} rows, PostgreSQL[/] (wanted: below {LIMIT_MB} MB, at most 1.15)"
    )
    for way in ("import", "export"):
        few, many = peaks[FEW][way], peaks[MANY][way]
        verdict = "ok" if many < LIMIT_MB and many / few <= 1.15 else "MISSED"
        console.print(f"  table-{way}: {few:.0f} MB and {many:.0f} MB, ratio {many / few:.2f} {verdict}")
    console.print()


def _peaks(postgres: Postgres, work: Path, rows: int) -> dict[str, float]:
    path = write_goods(work / f"goods-{rows}.csv", rows)
    with postgres.database() as uri:
        found = {
            way: ours.peak_mb("benchmarks.memory", way, uri, str(path), str(work / "files"))
            for way in ("import", "export")
        }
    path.unlink()
    return found


def _work(way: str, uri: str, path: Path, files: Path) -> None:
    engine = make_engine(uri)
    strategy: BatchJobStrategy = TableExport()
    context: dict[str, object] = {"table": "goods"}
    if way == "import":
        with engine.begin() as connection:
            connection.execute(text(TABLE))
        strategy, context = TableImport(), {"table": "goods", "mode": "upsert", "file_key": ours.put(path, files)}
    ours.run(strategy, ours.open_job(strategy, context, engine, files))


if __name__ == "__main__":
    _work(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
    ours.print_peak()
