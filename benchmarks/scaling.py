"""Partitions: of a far database on 1 to 8 Dask workers, and of an import in two processes beside the uncut one."""

import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.databases import Postgres
from benchmarks.report import console

WORKERS = (1, 2, 4, 8)
CHUNKS, PARTITIONS = 100, 16
#: What a chunk waits for a far database.
FAR_SECONDS = 0.05
WANTED_LINEAR = 0.85
WANTED_TWO = 1.25
TRIES = 3
FAR = '''"""Writes to a database that is far away."""

import time

from pydantic import BaseModel
from sqlalchemy import text

from batch_jobs.strategies import BatchJobStrategy, Partition


class Far(BatchJobStrategy):
    """Write numbers, each after a wait."""

    identifier, batch_type = "far-strategy", "far"

    class Context(BaseModel):
        partitions: int
        chunks: int
        seconds: float

    def partition(self, job, size):
        return [Partition(f"part {number}", number, job.context.chunks) for number in range(job.context.partitions)]

    def process(self, job):
        for chunk in range(job.checkpoint or 0, job.context.chunks):
            with job.chunk(chunk + 1) as connection:
                time.sleep(job.context.seconds)
                connection.execute(text("INSERT INTO far VALUES (:n)"), {"n": chunk})

    def build_template(self):
        return ""
'''


def measure(work: Path, goods: Path, rows: int) -> None:
    folder = Path(tempfile.mkdtemp(prefix="scaling-", dir=work))
    (folder / "strategies").mkdir()
    (folder / "strategies" / "far.py").write_text(FAR)
    from batch_jobs.deployments.prefect.server import free_port, running_server

    postgres = Postgres(folder / "postgres")
    try:
        with postgres.database() as url, running_server(folder, free_port()) as server:
            environment = {
                **os.environ, **server.known.environment(), "BATCH_JOBS_HOME": str(folder / "home"),
                "BATCH_JOBS_STRATEGIES": str(folder / "strategies"), "BATCH_JOBS_SECRET_KEY": "x" * 40,
                "BATCH_JOBS_FILES_URL": (folder / "files").as_uri(), "PYTHONPATH": str(Path.cwd()),
                "BATCH_JOBS_DATABASE_URL": url.replace("postgresql://", "postgresql+psycopg://"),
            }  # fmt: skip
            _show_far(environment)
            _show_import(environment, goods, rows)
    finally:
        postgres.stop()


def _show_far(environment: dict[str, str]) -> None:
    waits = f"{PARTITIONS} partitions of {CHUNKS} chunks that wait {FAR_SECONDS * 1000:.0f} ms"
    console.print(f"[bold]{waits}[/] (wanted: {WANTED_LINEAR} of linear at {WORKERS[-1]} Dask workers)")
    if find_spec("prefect_dask") is None:
        console.print("  not measured: prefect-dask is not installed (pip install '.[dask]')\n")
        return
    one = 0.0
    for workers in WORKERS:
        taken = _seconds_of(environment, "far", str(workers))
        one = one or taken
        times = one / taken
        linear = times / workers
        verdict = ("ok" if linear >= WANTED_LINEAR else "MISSED") if workers == WORKERS[-1] else ""
        console.print(f"  {workers} workers: {taken:6.1f} s, {times:.2f} times one, {linear:.2f} of linear {verdict}")
    console.print()


def _show_import(environment: dict[str, str], goods: Path, rows: int) -> None:
    console.print(f"[bold]table-import of {rows:,} rows, upserted into an empty table[/], best of {TRIES}")
    whole, cut = [], []
    for _ in range(TRIES):
        whole.append(_seconds_of(environment, "import", str(goods), "1"))
        cut.append(_seconds_of(environment, "import", str(goods), "2"))
    ratio = min(whole) / min(cut)
    console.print(f"  uncut: {min(whole):.2f} s; in two processes: {min(cut):.2f} s, from begun to done")
    console.print(f"  ratio {ratio:.2f} (wanted: {WANTED_TWO}) {'ok' if ratio >= WANTED_TWO else 'MISSED'}\n")


def _seconds_of(environment: dict[str, str], *arguments: str) -> float:
    command = [sys.executable, "-m", "benchmarks.scaling", *arguments]
    done = subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True)
    return float(done.stdout.split()[-1])


def _far(workers: int) -> float:
    """Seconds from the first partition's beginning to the last one's end; a cluster that is there already runs them."""
    from distributed import LocalCluster
    from sqlalchemy import text

    with LocalCluster(n_workers=workers, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as cluster:
        os.environ["BATCH_JOBS_TASK_RUNNER"] = cluster.scheduler_address.replace("tcp://", "dask://")
        os.environ["BATCH_JOBS_PARTITIONS"] = str(workers)
        workspace = _workspace()
        with workspace.target.begin() as connection:
            connection.execute(text("CREATE TABLE IF NOT EXISTS far (n integer)"))
        from batch_jobs.flows.catalog import far

        far({"partitions": workers * 2, "chunks": 1, "seconds": 0})  # each worker has imported what it needs then
        far({"partitions": PARTITIONS, "chunks": CHUNKS, "seconds": FAR_SECONDS})
        return _partitions_took(workspace)


def _import(goods: Path, partitions: int) -> float:
    """Seconds of the process phase: of the partitions where there are any, without the start of their processes."""
    os.environ["BATCH_JOBS_PARTITIONS"] = str(partitions)
    workspace = _workspace()
    with workspace.target.begin() as connection:
        connection.exec_driver_sql("DROP TABLE IF EXISTS goods")
    with goods.open("rb") as stream:
        key = workspace.files.put(stream, "goods.csv")
    from batch_jobs.flows.catalog import table_import

    job = table_import({"file_key": key, "table": "goods", "mode": "upsert", "key": ["id"]})
    if partitions > 1:
        return _partitions_took(workspace)
    return float((job.completed_at - job.processing_at).total_seconds())


def _partitions_took(workspace: Any) -> float:
    from sqlalchemy import func, select

    from batch_jobs.strategies.sdk.partition_table import partition_table

    last = select(func.max(partition_table.c.job_id)).scalar_subquery()
    took = select(func.max(partition_table.c.ended_at) - func.min(partition_table.c.started_at))
    with workspace.target.connect() as connection:
        return float(connection.scalar(took.where(partition_table.c.job_id == last)).total_seconds())


def _workspace() -> Any:
    from batch_jobs.flows.workspace import current_workspace

    return current_workspace()


if __name__ == "__main__":
    kind, *given = sys.argv[1:]
    print(_far(int(given[0])) if kind == "far" else _import(Path(given[0]), int(given[1])))
