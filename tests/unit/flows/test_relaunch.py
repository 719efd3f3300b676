"""A run that died before it took up its job: what the process that reports its end does about the job."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.flows.prefect.client import PrefectRuns, RunState
from batch_jobs.flows.prefect.mirror import DIED_UNBEGUN, RELAUNCHES
from batch_jobs.flows.settings import Settings
from batch_jobs.flows.workspace import Workspace


class Launching(PrefectRuns):
    """Gives each job that is started the next run."""

    runs = 0

    def launch(self, job: Job) -> str:
        self.runs += 1
        return f"run-{self.runs}"


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    made = Workspace(Settings(home=tmp_path))
    made.prefect = Launching()
    yield made
    made.jobs.dispose()


def test_its_job_has_another_run_at_once_and_fails_after_the_last(workspace: Workspace):
    job = workspace.service.create("table-export", {"table": "goods"})
    died = RunState("CRASHED", DIED_UNBEGUN, "its process was ended by SIGKILL")
    for number in range(1, RELAUNCHES + 1):
        workspace.note_end(f"run-{number}", died)
        now = workspace.service.get(job.id)
        assert (now.status, now.flow_run_id) == (Status.CREATED, f"run-{number + 1}")
    workspace.note_end(f"run-{RELAUNCHES + 1}", died)
    assert workspace.service.get(job.id).status is Status.FAILED


def test_a_run_that_was_set_crashed_by_hand_fails_its_job(workspace: Workspace):
    job = workspace.service.create("table-export", {"table": "goods"})
    workspace.note_end("run-1", RunState("CRASHED", "Crashed", "by hand"))
    assert workspace.service.get(job.id).status is Status.FAILED
