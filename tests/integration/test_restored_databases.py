"""A job table or a target is restored from an older backup: a retry doubles nothing, loses nothing, or says why not."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect import Flow
from sqlalchemy import Engine, MetaData, delete, insert, select, text

from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.flows.runs.flow import build_flow
from batch_jobs.flows.workspace import Workspace, current_workspace

STRATEGIES = Path(__file__).parent.parent / "support" / "strategies"
LIMIT = 5


@pytest.fixture(params=["sqlite", "postgres"])
def workspace(
    home: Path, prefect_here: None, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Workspace]:
    """A workspace whose job table and target are in one kind of database."""
    monkeypatch.setenv("BATCH_JOBS_STRATEGIES", str(STRATEGIES))
    if request.param == "postgres":
        monkeypatch.setenv("BATCH_JOBS_DATABASE_URL", request.getfixturevalue("postgres_url"))
        monkeypatch.setenv("BATCH_JOBS_TARGET_URL", request.getfixturevalue("postgres_url"))
    yield current_workspace()
    current_workspace().target.dispose()
    current_workspace().jobs.dispose()


@pytest.fixture
def counting(workspace: Workspace) -> Flow[..., Any]:
    return build_flow(workspace.strategies.by_type["counting"])


JOBS, TARGET = ("batch_job", "batch_job_event"), ("numbers", "batch_job_checkpoint")


def backup(engine: Engine, names: tuple[str, ...]) -> Callable[[], None]:
    """Keep what tables have now; returns what restores them."""
    metadata = MetaData()
    metadata.reflect(engine, only=names)
    tables = [metadata.tables[name] for name in names]
    with engine.connect() as connection:
        kept = {table: [dict(row._mapping) for row in connection.execute(select(table))] for table in tables}

    def restore() -> None:
        with engine.begin() as connection:
            for table in reversed(tables):
                connection.execute(delete(table))
            for table in tables:
                if kept[table]:
                    connection.execute(insert(table), kept[table])

    return restore


def numbers(workspace: Workspace) -> list[int]:
    with workspace.target.connect() as connection:
        return list(connection.scalars(text("SELECT i FROM numbers ORDER BY i")))


def failed_at(counting: Flow[..., Any], workspace: Workspace, number: int) -> Job:
    counting(context={"limit": LIMIT, "fail_at": number}, return_state=True)
    return workspace.service.list()[0]


def retried(counting: Flow[..., Any], workspace: Workspace, job: Job) -> Job:
    workspace.service.retry(job.id, who="test")
    counting(context={}, job_id=job.id, return_state=True)
    return workspace.service.get(job.id)


def later_attempts(counting: Flow[..., Any], workspace: Workspace, job: Job) -> None:
    """Attempts that the job table is going to forget: they write two numbers more, and stop in the third's chunk."""
    for _ in range(3):
        claimed = workspace.service.retry(job.id, who="test")
        claimed = workspace.claims.claim(job.id, None)
        workspace.service.fail(job.id, who="test", why="lost")
    with workspace.target.begin() as connection:
        connection.execute(text("INSERT INTO numbers VALUES (3, 2), (4, 2)"))
        now = {"token": claimed.claim, "cursor": "4"}
        connection.execute(
            text('UPDATE batch_job_checkpoint SET token = :token, chunk_number = 4, "cursor" = :cursor'), now
        )


def test_a_job_table_that_is_older_than_the_target_goes_on_after_the_targets_last_chunk(
    counting: Flow[..., Any], workspace: Workspace
):
    job = failed_at(counting, workspace, 3)
    restore = backup(workspace.jobs, JOBS)
    later_attempts(counting, workspace, job)
    restore()

    refused = retried(counting, workspace, job)

    assert refused.status is Status.FAILED
    assert refused.result.errors[-1].message == (
        f"the target has a later attempt of {job.id} than the job table, which was restored from an older backup;"
        f" nothing was written. `batch-jobs retry {job.id}` goes on after the last chunk in the target"
    )
    assert numbers(workspace) == [1, 2, 3, 4]
    done = retried(counting, workspace, job)
    assert (done.status, numbers(workspace)) == (Status.COMPLETED, [1, 2, 3, 4, 5])


def test_a_job_table_that_knows_no_preview_of_what_is_in_is_refused(counting: Flow[..., Any], workspace: Workspace):
    job = workspace.service.record("counting", {"limit": LIMIT, "fail_at": 3})
    restore = backup(workspace.jobs, JOBS)
    counting(context=job.context, job_id=job.id, return_state=True)
    restore()

    counting(context=job.context, job_id=job.id, return_state=True)

    refused = workspace.service.get(job.id)
    assert refused.status is Status.FAILED
    assert refused.result.errors[-1].message == (
        f"the target has 2 chunks of {job.id} already, of which the job table knows nothing: it was restored from an"
        " older backup. Restore the target to the same time, or create a new job"
    )
    assert numbers(workspace) == [1, 2]


def test_a_target_that_is_older_than_the_job_table_gets_again_what_it_lost(
    counting: Flow[..., Any], workspace: Workspace
):
    job = failed_at(counting, workspace, 2)
    restore = backup(workspace.target, TARGET)
    later_attempts(counting, workspace, job)
    restore()

    done = retried(counting, workspace, job)

    assert (done.status, numbers(workspace)) == (Status.COMPLETED, [1, 2, 3, 4, 5])
    assert (done.result.created, done.result.advancement_count, done.result.progress) == (LIMIT, LIMIT, 1.0)
