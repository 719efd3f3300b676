"""From created to processing under ``serve`` and ``worker``, many at once, and reconciling 10,000 jobs."""

import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from benchmarks.report import console, seconds

COMMAND = [sys.executable, "-c", "from batch_jobs.deployments.cli.main import main; main()"]
TRIES = 7
OPEN_JOBS = 10_000
BURST = 60
QUIET_SECONDS = 2
WANTED_SECONDS = 0.5
WANTED_RATIO = 1.1
NOOP = '''"""Does nothing."""

from batch_jobs.strategies.sdk.base import BatchJobStrategy


class Noop(BatchJobStrategy):
    """Do nothing."""

    identifier = "noop-strategy"
    batch_type = "noop"

    def process(self, job):
        pass

    def build_template(self):
        return ""
'''
PLAIN = '''"""What one would write by hand."""

from prefect import flow, serve, task

nothing = task(name="nothing")(lambda: None)


@flow
def plain():
    for _ in range(3):
        nothing()


if __name__ == "__main__":
    serve(plain.to_deployment("plain"))
'''


def measure(work: Path, goods: Path, rows: int) -> None:
    folder = Path(tempfile.mkdtemp(prefix="life-", dir=work))
    (folder / "strategies").mkdir()
    (folder / "strategies" / "noop.py").write_text(NOOP)
    (folder / "plain.py").write_text(PLAIN)
    environment = {
        **os.environ, "BATCH_JOBS_HOME": str(folder / "home"), "BATCH_JOBS_STRATEGIES": str(folder / "strategies"),
        "PREFECT_HOME": str(folder / "prefect"), "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_RUNNER_POLL_FREQUENCY": "2", "PYTHONPATH": str(Path.cwd()),
    }  # fmt: skip
    from batch_jobs.deployments.prefect.server import free_port, running_server

    with running_server(folder, free_port()) as server:
        environment |= server.known.environment()
        command = [sys.executable, "-m", "benchmarks.life", str(folder)]
        subprocess.run(command, check=True, env=environment)


def _work(folder: Path) -> None:
    plain = _until_running(folder, [sys.executable, "plain.py"], "plain/plain")
    console.print(
        f"[bold]Until the second task of a run[/], median of {TRIES} (wanted: {WANTED_RATIO} of a plain flow's)"
    )
    console.print(f"  plain Prefect flow, served: {plain:.2f} s")
    for command in ("serve", "worker"):
        ours = _until_running(folder, [*COMMAND, command], "noop/batch-jobs")
        verdict = "ok" if ours / plain <= WANTED_RATIO else "MISSED"
        console.print(f"  no-op job, batch-jobs {command}: {ours:.2f} s, ratio {ours / plain:.2f} {verdict}")
    console.print(f"[bold]From created to processing[/], median of {TRIES} (wanted: {WANTED_SECONDS} s)")
    for command in ("serve", "worker"):
        with _serving(folder, [*COMMAND, command]):
            begun, all_done = statistics.median([_until_processing() for _ in range(TRIES + 1)][1:]), _burst()
        verdict = "ok" if begun <= WANTED_SECONDS else "MISSED"
        console.print(f"  batch-jobs {command}: {begun:.2f} s {verdict}; {BURST} jobs at once: {all_done:.1f} s")
    _reconcile(next(folder.rglob("prefect.db")))
    console.print()


def _until_processing() -> float:
    job = _ended(_created())
    time.sleep(QUIET_SECONDS)  # the run reports its end to Prefect meanwhile
    return float((job.processing_at - job.created_at).total_seconds())


def _burst() -> float:
    def work() -> None:
        for job_id in [_created() for _ in range(BURST)]:
            _ended(job_id)

    return seconds(work)


def _created() -> str:
    from batch_jobs.flows.workspace import current_workspace

    return current_workspace().service.create("noop", {}).id


def _ended(job_id: str) -> Any:
    from batch_jobs.flows.jobs.transitions import ENDED
    from batch_jobs.flows.workspace import current_workspace

    def ended() -> Any:
        job = current_workspace().service.get(job_id)
        return job if job.status in ENDED else None

    return _when(ended, patience=600)


def _until_running(folder: Path, command: list[str], deployment: str) -> float:
    from prefect.client.orchestration import get_client

    with _serving(folder, command), get_client(sync_client=True) as client:
        found = _when(lambda: _deployment(client, deployment))
        times = [_one(client, found) for _ in range(TRIES + 1)][1:]
    return statistics.median(times)


def _one(client: Any, deployment_id: Any) -> float:
    run = client.create_flow_run_from_deployment(deployment_id)

    def begun() -> Any:
        now = client.read_flow_run(run.id)
        return now if now.state.is_final() else None

    ended = _when(begun)
    # both are in their second task then: a job's process, a plain flow's second step
    tasks = sorted(_task_starts(client, ended))
    return float((tasks[1] - ended.created).total_seconds())


def _task_starts(client: Any, run: Any) -> list[Any]:
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    def all_there() -> Any:
        found = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run.id])))
        return found if len(found) == 3 and all(task.start_time for task in found) else None

    return [task.start_time for task in _when(all_there)]


def _deployment(client: Any, name: str) -> Any:
    from prefect.exceptions import ObjectNotFound

    try:
        found = client.read_deployment_by_name(name)
    except ObjectNotFound:
        return None
    return found.id if found.status is None or found.status.value == "READY" or found.work_pool_name else None


def _when(look: Callable[[], Any], patience: float = 120) -> Any:
    deadline = time.monotonic() + patience
    while not (found := look()):
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.1)
    return found


@contextmanager
def _serving(folder: Path, command: list[str]) -> Iterator[None]:
    with tempfile.NamedTemporaryFile("wb", dir=folder, delete=False) as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        if command[-1] in ("serve", "worker"):
            _when(lambda: "Ctrl-C stops" in Path(log.name).read_text())  # its deployments are there then
        yield
    finally:
        process.terminate()
        process.wait()


def _reconcile(prefect_database: Path) -> None:
    from sqlalchemy import event, insert

    from batch_jobs.flows.jobs.table import batch_job
    from batch_jobs.flows.workspace import current_workspace
    from batch_jobs.strategies.sdk.result import JobResult

    workspace = current_workspace()
    run_ids = _many_runs(prefect_database)
    now, result = datetime.now(UTC), JobResult().model_dump(mode="json")
    same = {
        "type": "noop", "strategy": "noop-strategy", "status": "created", "context": {}, "result": result,
        "dry_run": False, "trigger": "api", "attempt": 1, "version": 1, "created_at": now, "updated_at": now,
        "flow_run_state": "SCHEDULED", "flow_run_state_name": "Scheduled",
    }  # fmt: skip
    with workspace.jobs.begin() as connection:
        rows = [{**same, "id": f"batch_bench_{i:06d}", "flow_run_id": run_id} for i, run_id in enumerate(run_ids)]
        connection.execute(insert(batch_job), rows)
    statements: list[str] = []
    event.listen(workspace.jobs, "before_cursor_execute", lambda *given: statements.append(given[2]))
    took = seconds(workspace.reconciling.run)
    selects = sum(statement.lstrip().upper().startswith("SELECT") for statement in statements)
    questions = -(-OPEN_JOBS // 200)
    console.print(
        f"[bold]Reconciling {OPEN_JOBS:,} open jobs[/]: {took:.1f} s, {selects} queries of the job table,"
        f" {questions} questions to Prefect (its API answers with 200 runs at most)"
    )


def _many_runs(prefect_database: Path) -> list[str]:
    """Copies of one run that lies in the future, so that nobody takes them up; its API would make 20 a second."""
    from prefect.client.orchestration import get_client
    from prefect.states import Scheduled

    later = Scheduled(scheduled_time=datetime.now(UTC) + timedelta(days=365))
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name("noop/batch-jobs")
        one = str(client.create_flow_run_from_deployment(deployment.id, state=later).id)
    ids = [str(uuid4()) for _ in range(OPEN_JOBS)]
    with closing(sqlite3.connect(prefect_database, timeout=60)) as connection, connection:
        states = {run_id: str(uuid4()) for run_id in ids}
        _copy(connection, "flow_run", f"id = '{one}'", [{"id": i, "state_id": states[i], "name": i} for i in ids])
        _copy(
            connection, "flow_run_state", f"flow_run_id = '{one}'", [{"id": states[i], "flow_run_id": i} for i in ids]
        )
    return ids


def _copy(connection: sqlite3.Connection, table: str, which: str, changes: list[dict[str, str]]) -> None:
    found = connection.execute(f"SELECT * FROM {table} WHERE {which} LIMIT 1")
    row = dict(zip((column[0] for column in found.description), found.fetchone(), strict=True))
    places = ", ".join("?" * len(row))
    copies = ([{**row, **change}[name] for name in row] for change in changes)
    connection.executemany(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", copies)


if __name__ == "__main__":
    _work(Path(sys.argv[1]))
