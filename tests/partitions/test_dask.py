"""Partitions on Dask, whose workers and scheduler die, and which runs a task again by itself."""

import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.strategies.sdk.partition import PartitionStatus
from support.clusters import DaskCluster, dask_cluster
from support.parted import (
    CLEAN,
    PARTITIONS,
    ROWS,
    PartedRuns,
    children_of,
    is_gone,
    is_right,
    kill_at_random,
    parted_runs,
    signal_to,
    with_settings,
)
from support.runs import kill
from support.servers import wait_until

pytest.importorskip("prefect_dask", reason="the extra dask is not installed (pip install -e '.[dask]')")
pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

Cluster = tuple[PartedRuns, DaskCluster]
SLOW: dict[str, Any] = {"partitions": PARTITIONS, "rows": ROWS, "per_chunk": 2, "seconds_per_chunk": 0.1}


def test_a_cluster_made_for_the_run_bears_kills_of_its_workers(runs: PartedRuns):
    runs = with_settings(runs, task_runner="dask")
    kill_at_random(runs, random.Random(1), 4)


def test_a_cluster_of_four_processes_is_gone_with_the_run(runs: PartedRuns):
    runs = with_settings(runs, task_runner="dask", partitions=4)
    job = runs.new(**SLOW)
    process = runs.claimed(job.id)
    runs.until(job, lambda: len(runs.at_work(job)) == 4, process, "four at work")
    started = children_of(process.pid)
    assert runs.ended(process) == 0, process.errors()[-3000:]
    assert is_right(runs, job)
    wait_until(lambda: all(is_gone(child.pid) for child in started), what="the end of the cluster")

    job = runs.new(**SLOW)  # and where the run is killed, its cluster does not stay
    process = runs.claimed(job.id)
    runs.until(job, lambda: runs.rows(job) > 0, process, "rows")
    started = children_of(process.pid)
    kill(process)
    wait_until(lambda: all(is_gone(child.pid) for child in started), what="the end of the cluster of a killed run")
    runs.finish(job.id)
    assert is_right(runs, job)


@pytest.fixture
def cluster(
    postgres_url: str, tmp_path: Path, prefect_server: dict[str, str]
) -> Iterator[tuple[PartedRuns, DaskCluster]]:
    """A scheduler and two workers with the settings of the jobs, as of machines of their own."""
    shared = {"secret_key": "x" * 40, "files_url": (tmp_path / "shared").as_uri(), "heartbeat_timeout": 5}
    with parted_runs(postgres_url, tmp_path, prefect_server, **shared) as runs:
        with dask_cluster(tmp_path, runs.environment, 2) as made:
            yield with_settings(runs, task_runner=f"dask://{made.address}"), made


def test_workers_the_scheduler_and_the_run_itself_may_die(cluster: Cluster):
    runs, dask = cluster
    job = runs.new(**SLOW)
    process = runs.claimed(job.id)
    runs.until(job, lambda: bool(runs.at_work(job)), process, "a worker")
    signal_to(runs.at_work(job)[0].pid, signal.SIGKILL)
    done = runs.rows(job)
    runs.until(job, lambda: runs.rows(job) > done, process, "more rows")
    dask.kill_scheduler()
    dask.start_scheduler()
    for _ in range(2):
        dask.start_worker()  # as those end that have lost their scheduler
    done = runs.rows(job)
    runs.until(job, lambda: runs.rows(job) > done, process, "more rows after the scheduler's end")
    kill(process)  # its workers live on, and stop at their chunk's edge as they have lost the job
    runs.finish(job.id)
    assert is_right(runs, job)


def test_a_worker_that_stands_still_is_replaced(cluster: Cluster):
    runs, _ = cluster
    job = runs.new(**SLOW)
    process = runs.claimed(job.id)
    runs.until(job, lambda: runs.rows(job) > 0 and bool(runs.at_work(job)), process, "a worker")
    frozen = runs.at_work(job)[0]
    psutil.Process(frozen.pid or 0).suspend()
    try:
        runs.until(job, lambda: runs.state(job, frozen.number).pid != frozen.pid, process, "another worker")
    finally:
        psutil.Process(frozen.pid or 0).resume()
    assert runs.ended(process) == 0, process.errors()[-3000:]
    assert is_right(runs, job)


def test_poison_and_cancel(cluster: Cluster, tmp_path: Path):
    runs, _ = cluster
    antidote = tmp_path / "antidote"
    job = runs.new(partitions=PARTITIONS, rows=ROWS, poisonous=2, antidote=str(antidote))
    assert runs.ended(runs.claimed(job.id)) != 0
    assert runs.get(job).result.errors[-1].message.startswith("1 of 5 partitions failed: part 2: it was begun 3 times")
    assert [state.status for state in runs.states(job)].count(PartitionStatus.COMPLETED) == PARTITIONS - 1
    antidote.touch()
    runs.finish(job.id)
    assert is_right(runs, job)

    job = runs.new(**SLOW)
    process = runs.claimed(job.id)
    runs.until(job, lambda: runs.rows(job) > 0, process, "rows")
    runs.workspace.service.cancel(job.id, who="test")
    runs.ended(process)
    assert runs.get(job).status is Status.CANCELED
    assert runs.get(job).result.created == runs.rows(job) < CLEAN
