"""A plan as text, whatever a strategy keeps in it."""

from pathlib import Path

import pytest

from batch_jobs.deployments.cli import plans
from batch_jobs.flows.database import upgrade
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.process_identity import ProcessIdentity
from batch_jobs.flows.jobs.store import JobStore
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.strategies.sdk.database import make_engine
from support.jobs import job_in

PLAN = {
    "total": 3,
    "file": {"format": "csv", "delimiter": "semicolon"},
    "key": ["code", "shop"],
    "columns": {"price": {"changed": 2, "emptied": 1}, "name": {"changed": 1, "emptied": 0}},
    "sample": [{"line": 2, "column": "price", "before": "1", "after": None}],
    "creates": None,
    "_found": {"quotes": 0},
}


@pytest.fixture
def job(tmp_path: Path) -> Job:
    engine = make_engine(f"sqlite:///{tmp_path / 'jobs.db'}")
    upgrade(engine)
    store = JobStore(engine)
    job = store.claim(job_in(store, Status.PROCESSING), ProcessIdentity.current(), None)
    store.save_result(job.id, job.claim or 0, job.result, PLAN)
    return store.get(job.id)


def test_every_key_is_printed_but_the_strategys_own(job: Job, capsys: pytest.CaptureFixture[str]):
    plans.print_whole(job.shown_plan, job.id)

    printed = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    assert "total 3" in lines
    assert {"format csv", "delimiter semicolon", "code,shop"} <= set(lines)
    assert {"changed emptied", "price 2 1", "name 1 0"} <= set(lines)
    assert {"line column before after", "2 price 1"} <= set(lines)
    assert "quotes" not in printed


def test_a_job_without_a_plan_says_so(job: Job, capsys: pytest.CaptureFixture[str]):
    plans.print_whole({}, job.id)

    assert capsys.readouterr().out == f"{job.id} has no plan\n"
