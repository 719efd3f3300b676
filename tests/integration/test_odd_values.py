"""What a strategy says that no database can keep: the job ends with one clear error, or with what can be kept of it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.flows.runs.flow import build_flow
from batch_jobs.flows.workspace import Workspace, current_workspace
from support.serving import write_strategy

STRATEGY = '''"""Says odd things."""

import math

from batch_jobs.strategies.sdk.base import BatchJobStrategy


class Odd(BatchJobStrategy):
    """Say what it is made to."""

    identifier = "odd-strategy"
    batch_type = "odd"

    def pre_process(self, job):
        PRE

    def process(self, job):
        PROCESS

    def build_template(self):
        return ""
'''


@pytest.fixture
def workspace(
    home: Path, prefect_here: None, target_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Workspace]:
    monkeypatch.setenv("BATCH_JOBS_STRATEGIES", str(tmp_path / "strategies"))
    monkeypatch.setenv("BATCH_JOBS_DATABASE_URL", target_url)
    monkeypatch.setenv("BATCH_JOBS_TARGET_URL", target_url)
    yield current_workspace()
    current_workspace().jobs.dispose()
    current_workspace().target.dispose()


def run(workspace: Workspace, folder: Path, pre: str = "pass", process: str = "pass") -> Job:
    write_strategy(folder, STRATEGY.replace("PRE", pre).replace("PROCESS", process))
    job = workspace.service.record("odd", {})
    flow = build_flow(workspace.strategies.by_type["odd"])
    flow(context={}, job_id=job.id, return_state=True)
    return workspace.service.get(job.id)


def error_of(job: Job) -> str:
    assert job.status is Status.FAILED
    (entry,) = job.result.errors
    assert "SQL" not in entry.message
    return entry.message


@pytest.mark.parametrize(
    ("pre", "message"),
    [
        ("job.plan['seen'] = [{'ids': {1}}]", "job.plan['seen'][0]['ids'] is a set, which JSON has not"),
        ("job.plan['mean'] = math.nan", "job.plan['mean'] is nan, which JSON has not"),
        ("job.plan[(1, 2)] = 3", "job.plan has a key that is a tuple, which JSON has not"),
        ("job.plan['all'] = job.plan", "job.plan contains itself, which JSON has not"),
    ],
)
def test_a_plan_that_is_no_json_fails_its_job_by_name(workspace: Workspace, tmp_path: Path, pre: str, message: str):
    job = run(workspace, tmp_path, pre=f"job.plan['good'] = 1; {pre}")
    assert error_of(job).startswith(message)
    assert job.plan == {"good": 1}


def test_so_does_a_cursor(workspace: Workspace, tmp_path: Path):
    job = run(
        workspace,
        tmp_path,
        process="[c.close() for c in [job.chunk(cursor={1})] if c.__enter__() and c.__exit__(None, None, None)]",
    )
    assert error_of(job).startswith("the cursor of job.chunk is a set, which JSON has not")


def test_texts_that_no_database_takes_are_kept_without_what_it_does_not_take(workspace: Workspace, tmp_path: Path):
    said = r"'half \ud83d of a pair, \0, é \U0001f600'"
    job = run(
        workspace,
        tmp_path,
        f"job.plan['said'] = {said}; job.describe('said', 'Said', {said})",
        f"raise ValueError({said})",
    )
    for kept in (error_of(job), job.plan["said"], job.result.stat_descriptors[0].message):
        assert kept.startswith("half ? of a pair, \N{REPLACEMENT CHARACTER}, é \U0001f600")
    json.dumps(job.model_dump(mode="json"), ensure_ascii=False).encode()
    events = workspace.service.events(job.id)
    assert (events[-1].why or "").startswith("half ? of a pair")
