"""`make soak`: many jobs over several workers while workers, their runs and Prefect itself are killed at random.

Several workers want a Prefect on PostgreSQL: ``BATCH_JOBS_SOAK_PREFECT_DATABASE`` is the address of an empty database
with pg_trgm (``postgresql+asyncpg://...``). Without there are fewer jobs, as the writes of its SQLite block each other.
"""

import os
import random
import signal
import time
from contextlib import suppress
from itertools import islice
from pathlib import Path

import psutil
import pytest
from sqlalchemy import text

from batch_jobs.flows.errors import ActionIllegal, NotLaunched
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.store import JobFilter
from batch_jobs.flows.jobs.transitions import Status
from support.servers import PrefectServer, free_port
from support.serving import Served

PREFECT_DATABASE = os.environ.get("BATCH_JOBS_SOAK_PREFECT_DATABASE")
JOBS = int(os.environ.get("BATCH_JOBS_SOAK_JOBS", "1000" if PREFECT_DATABASE else "60"))
ROWS = 5
WORKERS = 4
#: Jobs that are created between two looks at those that are open.
AT_ONCE = 20
#: Seconds between two blows.
PAUSE = (2.0, 8.0)


@pytest.mark.soak
@pytest.mark.timeout(4 * 3600)
def test_each_row_of_every_job_is_applied_once_while_everything_is_killed_at_random(tmp_path: Path, postgres_url: str):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    chance = random.Random(1848)
    prefect = PrefectServer(tmp_path, free_port())
    if PREFECT_DATABASE:
        prefect.environment["PREFECT_API_DATABASE_CONNECTION_URL"] = PREFECT_DATABASE
    prefect.start()
    served = Served(tmp_path, postgres_url, postgres_url, prefect.environment, heartbeat_timeout=15)
    try:
        with temporary_settings({PREFECT_API_URL: prefect.environment["PREFECT_API_URL"]}):
            for _ in range(WORKERS):
                served.start("worker")
            blows = _finish_all(served, prefect, chance)
    finally:
        served.close()
        prefect.stop()
    jobs = _all_jobs(served)
    with served.workspace.target.connect() as connection:
        rows, distinct = connection.execute(text("SELECT count(*), count(DISTINCT (job_id, i)) FROM tally")).one()
    print(f"\n{len(jobs)} jobs, {blows} blows, {sum(job.attempt - 1 for job in jobs)} retries, {rows} rows")
    assert {job.status for job in jobs} == {Status.COMPLETED}
    assert (rows, distinct) == (JOBS * ROWS, JOBS * ROWS)
    assert all((job.result.created, job.result.advancement_count) == (ROWS, ROWS) for job in jobs)


def _finish_all(served: Served, prefect: PrefectServer, chance: random.Random) -> dict[str, int]:
    blows = {"run": 0, "worker": 0, "deploy": 0, "prefect": 0}
    next_blow = time.monotonic() + chance.uniform(*PAUSE)
    numbers, open_jobs = iter(range(JOBS)), list[Job]()
    while (to_create := [*islice(numbers, AT_ONCE)]) or open_jobs:
        _create(served, to_create)
        open_jobs = _open_jobs(served)
        for job in open_jobs:
            if job.status is Status.FAILED:
                _retry(served, job)
        if time.monotonic() > next_blow and (to_create or len(open_jobs) > JOBS // 20):
            blow = chance.choices(list(blows), weights=[6, 2, 2, 1])[0]
            _strike(blow, served, prefect, chance)
            blows[blow] += 1
            next_blow = time.monotonic() + chance.uniform(*PAUSE)
        time.sleep(0.5)
    return blows


def _create(served: Served, numbers: list[int]) -> None:
    for number in numbers:
        with suppress(NotLaunched):  # it is recorded; a worker starts it
            served.workspace.service.create("gated", {"limit": ROWS, "key": str(number)})


def _open_jobs(served: Served) -> list[Job]:
    return [job for job in _all_jobs(served) if job.status is not Status.COMPLETED]


def _retry(served: Served, job: Job) -> None:
    with suppress(ActionIllegal, NotLaunched):
        served.workspace.service.retry(job.id, who="soak")


def _strike(blow: str, served: Served, prefect: PrefectServer, chance: random.Random) -> None:
    if blow == "prefect":
        prefect.kill()
        prefect.start()
        return
    workers = [process for process in served.processes if process.poll() is None]
    if blow == "run":
        runs = [run for worker in workers for run in psutil.Process(worker.pid).children(recursive=True)]
        if runs:
            try:
                chance.choice(runs).kill()
            except psutil.NoSuchProcess:
                return
        return
    if workers:
        victim = chance.choice(workers)
        if blow == "worker":
            served.kill_with_runs(victim)
        else:
            served.stop(victim, signal.SIGTERM)
    served.start("worker")


def _all_jobs(served: Served) -> list[Job]:
    return list(served.workspace.store.newest(JobFilter(), limit=10 * JOBS))
