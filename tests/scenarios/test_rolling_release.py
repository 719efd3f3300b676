"""A release is rolled out with a migration while the one before it works: no job is failed."""

import subprocess
from pathlib import Path

import pytest

from batch_jobs.flows.jobs.transitions import Status
from support.command_line import COMMAND
from support.releases import copy_release, make_later
from support.servers import wait_until
from support.serving import Served

pytestmark = pytest.mark.long


def command(served: Served, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*COMMAND, *arguments], env=served.environment, capture_output=True, text=True, timeout=120, check=False
    )


def use_release(served: Served, folder: Path) -> None:
    """What is started from now on is of the release in this folder."""
    served.prefect = {**served.prefect, "PYTHONPATH": str(folder)}


def test_the_release_before_finishes_its_runs_and_leaves_the_others_to_the_one_after(
    workspace_served: Served, gate: Path, tmp_path: Path
):
    served, later = workspace_served, copy_release(tmp_path / "later")
    make_later(later)
    old = served.start("worker")
    running = served.create(limit=3, gate=str(gate))
    served.at_gate(running, gate)
    before = dict(served.prefect)

    use_release(served, later)
    assert command(served, "db", "upgrade").returncode == 0
    due = [served.create(limit=2) for _ in range(4)]
    wait_until(lambda: "are left to others" in served.said(), 60, "the old worker's word that it is too old")
    gate.touch()
    assert served.until_status(running, Status.COMPLETED, Status.FAILED).status is Status.COMPLETED
    assert {served.get(job).status for job in due} == {Status.CREATED}

    served.prefect = before
    for refused in (command(served, "list"), command(served, "db", "upgrade"), command(served, "worker")):
        assert refused.returncode == 1
        assert "a newer release has upgraded it; use that release here" in refused.stderr

    use_release(served, later)
    new = served.start("worker")
    due.append(served.create(limit=2))  # by a process of the release before that lives on, as its API does
    for job in due:
        assert served.until_status(job, Status.COMPLETED, Status.FAILED).status is Status.COMPLETED
        assert (served.get(job).attempt, served.tally(job)) == (1, [1, 2])
    assert old.poll() is None
    for process in (old, new):
        served.stop(process)


def test_a_release_that_is_installed_over_the_living_one_waits_for_its_migration(
    prefect_of_module: dict[str, str], postgres_url: str, tmp_path: Path
):
    release = copy_release(tmp_path / "release")
    served = Served(tmp_path, postgres_url, postgres_url, dict(prefect_of_module))
    use_release(served, release)
    old = served.start("worker")
    assert served.until_status(served.create(limit=1), Status.COMPLETED)
    make_later(release)
    job = served.create(limit=2)
    wait_until(lambda: served.history(job) and served.run_type(job) == "SCHEDULED", 60, "the run's being due")
    refused = command(served, "worker")
    assert refused.returncode == 1
    assert "run `batch-jobs db upgrade`" in refused.stderr
    assert served.get(job).status is Status.CREATED
    assert command(served, "db", "upgrade").returncode == 0
    served.start("worker")
    assert served.until_status(job, Status.COMPLETED, Status.FAILED).status is Status.COMPLETED
    assert (served.get(job).attempt, served.tally(job)) == (1, [1, 2])
    served.stop(old)
    served.close()
