"""Partitions on a Ray of this machine: it bears kills and poison, heeds a cancel, and leaves nothing behind."""

import random
from pathlib import Path

import pytest

from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.strategies.sdk.partition import PartitionStatus
from support.parted import (
    CLEAN,
    PARTITIONS,
    ROWS,
    PartedRuns,
    children_of,
    is_gone,
    is_right,
    kill_at_random,
    with_settings,
)
from support.servers import wait_until

pytest.importorskip("prefect_ray", reason="the extra ray is not installed (pip install -e '.[ray]')")
pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


@pytest.fixture
def on_ray(runs: PartedRuns) -> PartedRuns:
    return with_settings(runs, task_runner="ray", heartbeat_timeout=60)


def test_a_killed_worker_changes_nothing(on_ray: PartedRuns):
    kill_at_random(on_ray, random.Random(1), 1)


def test_a_cancel_ends_the_job_and_ray_with_it(on_ray: PartedRuns):
    job = on_ray.new(partitions=PARTITIONS, rows=ROWS, per_chunk=2, seconds_per_chunk=0.5)
    process = on_ray.claimed(job.id)
    on_ray.until(job, lambda: on_ray.rows(job) > 0, process, "rows")
    started = children_of(process.pid)
    servers = [child.environ() for child in started if child.name().startswith(("gcs_server", "raylet"))]
    assert len(servers) >= 2
    assert {server.get("RAY_AUTH_MODE") for server in servers} == {"token"}  # they listen beyond this machine
    assert all(len(server.get("RAY_AUTH_TOKEN", "")) == 64 for server in servers)
    on_ray.workspace.service.cancel(job.id, who="test")
    on_ray.ended(process)
    assert on_ray.get(job).status is Status.CANCELED
    assert on_ray.get(job).result.created == on_ray.rows(job) < CLEAN
    wait_until(lambda: all(is_gone(child.pid) for child in started), what="the end of Ray")


def test_poison_fails_one_partition(on_ray: PartedRuns, tmp_path: Path):
    antidote = tmp_path / "antidote"
    job = on_ray.new(partitions=PARTITIONS, rows=ROWS, poisonous=2, antidote=str(antidote))
    assert on_ray.ended(on_ray.claimed(job.id)) != 0
    message = on_ray.get(job).result.errors[-1].message
    assert message.startswith("1 of 5 partitions failed: part 2: it was begun 3 times"), message
    assert [state.status for state in on_ray.states(job)].count(PartitionStatus.COMPLETED) == PARTITIONS - 1
    antidote.touch()
    on_ray.finish(job.id)
    assert is_right(on_ray, job)
