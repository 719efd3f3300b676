"""Why a job is not completed, and what is advised."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from batch_jobs.deployments.cli.reports import why_it_stopped
from batch_jobs.flows.database import upgrade
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.process_identity import ProcessIdentity
from batch_jobs.flows.jobs.store import JobStore
from batch_jobs.flows.jobs.transitions import Action, Status
from batch_jobs.strategies.sdk.database import make_engine
from batch_jobs.strategies.sdk.result import ErrorEntry
from support.jobs import job_in


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JobStore]:
    engine = make_engine(f"sqlite:///{tmp_path / 'jobs.db'}")
    upgrade(engine)
    yield JobStore(engine)
    engine.dispose()


def refused(store: JobStore, why: str = "the file is empty") -> Job:
    job = store.claim(job_in(store, Status.PROCESSING), ProcessIdentity.current(), None)
    result = job.result.model_copy(update={"errors": [ErrorEntry(message=why, code="Own", refused=True)]})
    store.save_result(job.id, job.claim or 0, result, {})
    return store.move(store.get(job.id), Action.FAIL, who="test", why=why)


def reason(store: JobStore, job: Job) -> str:
    return why_it_stopped(job, store.events(job.id)).removeprefix(f"{job.id} ")


def test_what_was_refused_is_to_be_corrected(store: JobStore):
    job = refused(store)

    assert reason(store, job).endswith("the file is empty; correct the input or the context and run a new job")


def test_a_job_that_was_lost_after_a_refusal_is_to_be_retried(store: JobStore):
    job = store.move(refused(store), Action.RETRY, who="test")
    job = store.move(job, Action.FAIL, who="test", why="its process is gone")

    assert reason(store, job).endswith(f"its process is gone; go on with: batch-jobs retry {job.id} --here")


def test_a_job_that_goes_on_does_not_report_an_earlier_error(store: JobStore):
    job = store.move(refused(store), Action.RETRY, who="test")

    assert "the file is empty" not in reason(store, job)
    assert f"stopped while {job.status}" in reason(store, job)
