"""The hooks of a job's end: they wait for the target as work does, and hide nothing of how the job ended."""

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Timer

import pytest
from sqlalchemy import text

from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.queries import JobFilter
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.flows.runs.flow import build_flow
from batch_jobs.flows.workspace import Workspace, current_workspace
from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.job import JobRun
from support.proxy import Proxy, proxied

AWAY_SECONDS = 1.0


@pytest.fixture
def way(postgres_url: str) -> Iterator[Proxy]:
    """The way to the target."""
    with proxied(postgres_url) as proxy:
        yield proxy


@pytest.fixture
def workspace(
    home: Path, prefect_here: None, postgres_url: str, way: Proxy, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workspace]:
    monkeypatch.setenv("BATCH_JOBS_DATABASE_URL", postgres_url)
    monkeypatch.setenv("BATCH_JOBS_TARGET_URL", way.url)
    yield current_workspace()
    current_workspace().jobs.dispose()


def ended(workspace: Workspace, work: Callable[[JobRun], None], last: Callable[[JobRun], None]) -> Job:
    """A job that did some work, and at its end what its last hook does."""

    class Ending(BatchJobStrategy):
        """Works, and ends."""

        identifier = "ending-strategy"
        batch_type = "ending"

        def process(self, job: JobRun) -> None:
            with job.chunk(cursor=1):
                work(job)

        def on_cancel(self, job: JobRun) -> None:
            last(job)

        def on_failure(self, job: JobRun, error: BaseException) -> None:
            last(job)

        def build_template(self) -> str:
            return ""

    workspace.strategies.by_type["ending"] = Ending
    build_flow(Ending)(context={}, return_state=True)
    (job,) = workspace.store.newest(JobFilter(), 1)
    return job


def fail(job: JobRun) -> None:
    raise ValueError("what went wrong first")


def cancel(job: JobRun) -> None:
    current_workspace().service.cancel(job.id, who="a person")


ENDS = pytest.mark.parametrize(("work", "status"), [(cancel, Status.CANCELED), (fail, Status.FAILED)])


@ENDS
def test_the_last_hook_waits_for_a_target_that_is_away(
    workspace: Workspace, way: Proxy, work: Callable[[JobRun], None], status: Status
):
    answers = []

    def ask(job: JobRun) -> None:
        job.target.dispose()
        way.refuse()
        Timer(AWAY_SECONDS, way.open).start()
        with job.target.connect() as connection:
            answers.append(connection.scalar(text("SELECT 1")))

    job = ended(workspace, work, ask)
    assert (job.status, answers) == (status, [1])
    assert "first" in str(job.result.errors) or status is Status.CANCELED


@ENDS
def test_a_last_hook_that_fails_hides_nothing(workspace: Workspace, work: Callable[[JobRun], None], status: Status):
    def break_down(job: JobRun) -> None:
        raise LookupError("in the hook")

    job = ended(workspace, work, break_down)
    assert job.status is status
    assert workspace.prefect.state(job.flow_run_id or "").type == ("CANCELLED" if work is cancel else "FAILED")
