"""A job's progress in plain lines."""

import pytest

from batch_jobs.deployments.cli import live
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.settings import Settings
from batch_jobs.flows.workspace import Workspace


@pytest.fixture
def job(home) -> Job:
    workspace = Workspace(Settings(home=home))
    home.mkdir()
    return workspace.service.record("table-export", {"table": "goods"})


def test_a_job_that_waits_says_so_once(job: Job, monkeypatch: pytest.MonkeyPatch):
    said: list[str] = []
    monkeypatch.setattr(live.output, "hint", said.append)
    seconds = iter(range(0, 1000, 10))
    view = live.LinesView(clock=lambda: next(seconds))
    for _ in range(3):
        view.show(job)
    assert said == [f"{job.id} waits for its turn"]
