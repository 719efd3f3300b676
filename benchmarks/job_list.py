"""Listing 50 jobs out of few and out of many."""

import statistics
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from sqlalchemy import Engine, event, insert, text
from ulid import ULID

from batch_jobs.flows.database import upgrade
from batch_jobs.flows.jobs.queries import JobFilter
from batch_jobs.flows.jobs.store import JobStore
from batch_jobs.flows.jobs.table import batch_job
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.strategies.sdk.database import make_engine
from batch_jobs.strategies.sdk.result import JobResult
from benchmarks.databases import Postgres
from benchmarks.report import console, seconds

FEW, MANY, PAGE = 100, 100_000, 50
WANTED_MS = 20


def measure(work: Path, goods: Path, rows: int) -> None:
    postgres = Postgres(work / "pg-list")
    with postgres.database() as uri:
        console.print(
            f"[bold]Listing {PAGE} jobs out of {FEW} and {MANY:,}[/] (wanted: under {WANTED_MS} ms, same SQL count)"
        )
        for name, url in (("PostgreSQL", uri), ("SQLite", f"sqlite:///{work / 'list.db'}")):
            _measure_on(name, make_engine(url))
    postgres.stop()
    console.print()


def _measure_on(name: str, engine: Engine) -> None:
    upgrade(engine)
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    figures = []
    for count in (FEW, MANY - FEW):
        _fill(engine, count)
        statements.clear()
        JobStore(engine).newest(JobFilter(), PAGE)
        figures.append((len(statements), _slowest_ms(JobStore(engine))))
    engine.dispose()
    verdict = "ok" if figures[1][1] < WANTED_MS and figures[0][0] == figures[1][0] else "MISSED"
    shown = " and ".join(f"{ms:.1f} ms with {queries} query" for queries, ms in figures)
    console.print(f"  {name}: {shown} {verdict}")


def _slowest_ms(store: JobStore) -> float:
    filters = (JobFilter(), JobFilter(status=Status.FAILED), JobFilter(type="type-3"))
    return 1000 * max(
        statistics.median([seconds(partial(store.newest, wanted, PAGE)) for _ in range(20)]) for wanted in filters
    )


def _fill(engine: Engine, count: int) -> None:
    now, statuses = datetime.now(UTC), list(Status)
    result = JobResult(count=1000, advancement_count=1000).model_dump(mode="json")
    same = {"strategy": "s", "result": result, "dry_run": False, "trigger": "api", "attempt": 1, "version": 1}
    rows = [
        {**same, "id": f"batch_{ULID()}", "type": f"type-{i % 7}", "status": statuses[i % 8], "context": {"a": i}}
        for i in range(count)
    ]
    with engine.begin() as connection:
        connection.execute(insert(batch_job).values(created_at=now, updated_at=now), rows)
        connection.execute(text("ANALYZE batch_job"))  # as the database does by itself within a minute
