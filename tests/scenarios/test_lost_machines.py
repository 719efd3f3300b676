"""Machines and databases that are cut off, and a role that may have few connections."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text, update
from sqlalchemy.engine import make_url

from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.table import batch_job
from batch_jobs.flows.jobs.transitions import Status
from support.proxy import Proxy, proxied
from support.servers import wait_until
from support.serving import Served

pytestmark = pytest.mark.long

LIMIT = 9
#: Its workspace has a connection to each database.
OF_THIS_PROCESS = 2


@pytest.fixture
def way(postgres_of_module: str) -> Iterator[Proxy]:
    """A way to the database that can be cut and closed."""
    with proxied(postgres_of_module) as proxy:
        yield proxy


@pytest.fixture
def served(tmp_path: Path, postgres_of_module: str, prefect_of_module: dict[str, str]) -> Iterator[Served]:
    """A workspace that is not served yet; this process looks at it by a way of its own."""
    served = Served(tmp_path, postgres_of_module, postgres_of_module, prefect_of_module)
    yield served
    served.close()


def use(served: Served, url: str, *names: str) -> None:
    """Let servers that are started from now on use this address of the job database, the target or both."""
    served.settings.update(dict.fromkeys(names, url))


def test_a_machine_that_is_cut_off_in_a_chunk_keeps_nobody_from_its_job(served: Served, way: Proxy, tmp_path: Path):
    gate = tmp_path / "gate"
    direct = served.jobs_url
    use(served, way.url, "DATABASE_URL", "TARGET_URL")
    lost = served.start()
    job = served.create(gate=str(gate), inside=True)
    served.at_gate(job, gate)
    way.cut()
    served.kill_with_runs(lost)
    with served.workspace.jobs.begin() as connection:  # nobody can see that machine's processes
        connection.execute(update(batch_job).where(batch_job.c.id == job.id).values(worker_host="elsewhere"))
    use(served, direct, "DATABASE_URL", "TARGET_URL")
    served.start()
    failed = served.until_status(job, Status.FAILED)
    assert "was not heard of for" in (served.workspace.service.events(job.id)[-1].why or "")
    assert failed.worker is None

    gate.touch()
    served.workspace.service.start(served.workspace.service.retry(job.id, who="test"))

    done = served.until_status(job, Status.COMPLETED)
    assert (done.attempt, done.result.created, served.tally(job)) == (2, 4, [1, 2, 3, 4])


def test_a_job_database_that_is_away_for_longer_than_the_heartbeat_timeout_fails_no_job(
    served: Served, way: Proxy, tmp_path: Path
):
    use(served, way.url, "DATABASE_URL")
    served.start()
    inside, between = tmp_path / "inside", tmp_path / "between"
    jobs = [served.create(gate=str(inside), inside=True), served.create(gate=str(between))]
    for job, gate in zip(jobs, (inside, between), strict=True):
        served.at_gate(job, gate)
    way.refuse()
    between.touch()  # it goes on to its next chunk, whose edge has nobody to ask
    wait_until(lambda: served.tally(jobs[1]) == [1, 2], what="a chunk that is committed all the same")
    inside.touch()
    wait_until(lambda: served.tally(jobs[0]) == [1, 2], what="the other chunk")
    back_at = time.monotonic() + 1.5 * served.heartbeat_timeout
    wait_until(lambda: time.monotonic() > back_at, what="a long outage")
    way.open()
    for job in jobs:
        done = served.until_status(job, Status.COMPLETED, Status.FAILED)
        assert (done.status, done.attempt, served.tally(job)) == (Status.COMPLETED, 1, [1, 2, 3, 4])
        assert done.result.created == 4
        assert not any("liveness" in step for step in served.history(job))


def test_five_jobs_of_a_role_with_nine_connections_wait_for_each_other(served: Served):
    role = f"role_{make_url(served.jobs_url).database}"
    with served.workspace.target.begin() as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT {LIMIT}"))
        for table in ("TABLES", "SEQUENCES"):
            connection.execute(text(f"GRANT ALL ON ALL {table} IN SCHEMA public TO {role}"))
        connection.execute(text(f"GRANT ALL ON SCHEMA public TO {role}"))
    limited = make_url(served.jobs_url).set(username=role).render_as_string(hide_password=False)
    use(served, limited, "DATABASE_URL", "TARGET_URL")
    served.start()
    jobs = [served.create(limit=40) for _ in range(5)]
    for job in jobs:
        done = served.until_status(job, Status.COMPLETED, Status.FAILED)
        assert done.status is Status.COMPLETED, served.history(job)
        assert served.tally(job) == list(range(1, 41))
        assert done.attempt == 1


def test_a_job_takes_one_connection_to_each_database_and_serve_five_at_most(served: Served, tmp_path: Path):
    gate = tmp_path / "gate"
    served.start()
    job = served.create(gate=str(gate), inside=True)
    claim = served.at_gate(job, gate).claim
    of_the_run = f"batch-jobs {job.id} {claim}"
    names = sessions(served)
    assert [names.count(name) for name in (of_the_run, "batch-jobs run")] == [1, 1]
    assert names.count("batch-jobs") <= 5 + OF_THIS_PROCESS
    gate.touch()
    served.until_status(job, Status.COMPLETED)
    wait_until(lambda: not {of_the_run, "batch-jobs run"} & set(sessions(served)), what="the end of the run's sessions")


def test_a_chunk_that_waits_for_somebody_elses_lock_is_canceled(served: Served):
    served.start()
    with served.workspace.target.connect() as connection:
        connection.execute(text("LOCK TABLE tally"))
        job = served.create()
        wait_until(lambda: waiting(served, job) == 1, what="a chunk that waits")
        served.workspace.service.cancel(job.id, who="test")
        served.until(
            job, lambda now: any(line.key == "tidied" for line in now.result.stat_descriptors), "its on_cancel"
        )
        assert waiting(served, job) == 0
    assert served.until_run(job, "CANCELLED") == "CANCELLED"
    assert served.tally(job) == []


def waiting(served: Served, job: Job) -> int:
    """How many of a job's sessions wait for a lock."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name LIKE :name"
    with served.workspace.jobs.connect() as connection:
        return int(connection.scalar(text(query), {"name": f"batch-jobs {job.id} %"}) or 0)


def sessions(served: Served) -> list[str]:
    """The names of all sessions of the database."""
    query = "SELECT application_name FROM pg_stat_activity WHERE datname = current_database()"
    with served.workspace.jobs.connect() as connection:
        return list(connection.scalars(text(query)))
