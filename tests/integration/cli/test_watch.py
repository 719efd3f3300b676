"""A job's progress in plain lines."""

import pytest

from batch_jobs.deployments.cli import watch
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.settings import Settings
from batch_jobs.flows.workspace import Workspace


@pytest.fixture
def job(home) -> Job:
    workspace = Workspace(Settings(home=home))
    home.mkdir()
    return workspace.service.record("table-export", {"table": "goods"})


def test_a_job_that_waits_is_reported_once(job: Job, monkeypatch: pytest.MonkeyPatch):
    printed: list[str] = []
    monkeypatch.setattr(watch.output, "hint", printed.append)
    seconds = iter(range(0, 1000, 10))
    lines = watch.ProgressLines(clock=lambda: next(seconds))

    for _ in range(3):
        lines.show(job)

    assert printed == [f"{job.id} waits for its turn"]
