"""`make soak`: many jobs over several workers while workers, their runs and Prefect itself are killed at random."""

import os
import random
import signal
import time
from pathlib import Path

import psutil
import pytest
from sqlalchemy import text

from flows.errors import ActionIllegal, NotLaunched
from flows.job import Job
from flows.job_store import JobFilter
from flows.transitions import Status
from support.servers import PrefectServer, free_port
from support.serving import Served

JOBS = int(os.environ.get("BATCH_JOBS_SOAK_JOBS", "1000"))
ROWS = 5
WORKERS = 4
#: Seconds between two blows.
PAUSE = (2.0, 8.0)


@pytest.mark.soak
@pytest.mark.timeout(4 * 3600)
def test_each_row_of_every_job_is_applied_once_while_everything_is_killed_at_random(tmp_path: Path, postgres_url: str):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    chance = random.Random(1848)
    prefect = PrefectServer(tmp_path, free_port())
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
    service = served.workspace.service
    for number in range(JOBS):
        try:
            service.create("gated", {"limit": ROWS, "key": str(number)})
        except NotLaunched:
            continue  # recorded; a worker starts it
    blows = {"run": 0, "worker": 0, "deploy": 0, "prefect": 0}
    next_blow = time.monotonic() + chance.uniform(*PAUSE)
    while open_jobs := [job for job in _all_jobs(served) if job.status is not Status.COMPLETED]:
        for job in open_jobs:
            if job.status is Status.FAILED:
                _retry(served, job)
        if time.monotonic() > next_blow and len(open_jobs) > JOBS // 20:
            blow = chance.choices(list(blows), weights=[6, 2, 2, 1])[0]
            _strike(blow, served, prefect, chance)
            blows[blow] += 1
            next_blow = time.monotonic() + chance.uniform(*PAUSE)
        time.sleep(1)
    return blows


def _retry(served: Served, job: Job) -> None:
    try:
        served.workspace.service.retry(job.id, who="soak")
    except ActionIllegal:
        return


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
