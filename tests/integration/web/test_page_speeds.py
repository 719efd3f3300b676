"""How quickly a job goes on, by what was seen of it."""

from datetime import UTC, datetime, timedelta

import pytest

from batch_jobs.deployments.web.speeds import WINDOW_SECONDS, Speeds
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.transitions import Status
from support.api_server import Served

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def job(shared: Served) -> Job:
    return shared.job("alice", Status.PROCESSING)


def at(job: Job, seconds: float, rows: int, status: Status = Status.PROCESSING) -> Job:
    """The job as it was after some seconds."""
    result = job.result.model_copy(update={"advancement_count": rows})
    return job.model_copy(update={"updated_at": BEGUN + timedelta(seconds=seconds), "result": result, "status": status})


def test_it_is_that_of_the_last_seconds_and_not_since_the_beginning(job: Job):
    speeds = Speeds()

    assert speeds.of(at(job, 0, 0)) is None
    assert speeds.of(at(job, 1, 1_000)) == 1_000
    for second in range(2, 60):
        speed = speeds.of(at(job, second, 1_000 + 10 * second))
    assert speed == pytest.approx(10, rel=0.01)
    assert WINDOW_SECONDS < 30


def test_a_job_that_gives_signs_of_life_and_no_rows_slows_down(job: Job):
    speeds = Speeds()
    for second in range(5):
        speeds.of(at(job, second, 100 * second))

    assert speeds.of(at(job, 60, 400)) == pytest.approx(0, abs=1)
    assert speeds.of(at(job, 75, 400)) == 0


def test_the_same_look_twice_and_another_attempt_say_nothing_wrong(job: Job):
    speeds = Speeds()
    speeds.of(at(job, 0, 0))
    speeds.of(at(job, 1, 100))

    assert speeds.of(at(job, 1, 100)) == 100
    assert speeds.of(at(job, 2, 100, Status.PAUSED)) is None
    assert speeds.of(at(job, 60, 100)) is None
