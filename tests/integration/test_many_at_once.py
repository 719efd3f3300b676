"""Many people and many workers at one job table, on both databases."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from batch_jobs.flows.access.target import TargetAccess
from batch_jobs.flows.database import upgrade
from batch_jobs.flows.errors import ActionIllegal, JobActive, JobMoved, JobTaken, PrefectAway
from batch_jobs.flows.jobs.claims import Claims
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.process_identity import ProcessIdentity
from batch_jobs.flows.jobs.service import BatchJobService
from batch_jobs.flows.jobs.store import JobFilter, JobStore
from batch_jobs.flows.jobs.transitions import Action, Status
from batch_jobs.flows.prefect.client import PrefectRuns, RunState
from batch_jobs.flows.secret_fields.contexts import ContextSecrets
from batch_jobs.flows.secret_fields.sealing import Seal
from batch_jobs.flows.settings import Settings
from batch_jobs.strategies.sdk.checkpoint import Checkpoint, CheckpointStore
from batch_jobs.strategies.sdk.registry import Registry, load_strategies
from batch_jobs.strategies.sdk.result import Counters
from support.jobs import new_job
from support.serving import STRATEGIES


class PrefectThatIsAway(PrefectRuns):
    """No run can be asked for: what is tested here needs none."""

    def states(self, run_ids: Any) -> dict[str, RunState]:
        raise PrefectAway("away")


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_strategies([STRATEGIES])


@pytest.fixture
def claims(store: JobStore) -> Claims:
    return Claims(store, PrefectThatIsAway(), confirm_timeout=timedelta(hours=1))


@pytest.fixture
def service(store: JobStore, registry: Registry, claims: Claims) -> BatchJobService:
    def no_seal() -> Seal:
        raise AssertionError("none of these contexts has a secret")

    secrets = ContextSecrets(store, no_seal)
    return BatchJobService(store, lambda: registry, PrefectThatIsAway(), claims, secrets, TargetAccess(Settings()))


def at_once(people: int, act: Callable[[int], Any]) -> list[Any]:
    """What many get that act at the same moment; an error is what one gets who was too late."""
    start = threading.Barrier(people)

    def one(number: int) -> Any:
        start.wait()
        try:
            return act(number)
        except (ActionIllegal, JobActive, JobMoved, JobTaken) as error:
            return error

    with ThreadPoolExecutor(people) as pool:
        return list(pool.map(one, range(people)))


def test_S23_a_retry_sent_twenty_times_at_once_begins_one_attempt(service: BatchJobService, store: JobStore):
    job = store.insert(new_job(type="gated"), who="test")
    assert job is not None
    store.move(job, Action.FAIL, who="test")
    got = at_once(20, lambda number: service.retry(job.id, who=f"person {number}"))
    assert sum(isinstance(one, Job) for one in got) == 1
    assert all("retry is possible from failed" in str(one) for one in got if isinstance(one, ActionIllegal))
    assert (store.get(job.id).attempt, store.get(job.id).status) == (2, Status.CREATED)


def test_S25_one_idempotency_key_makes_one_job_however_many_send_it_at_once(service: BatchJobService):
    got = at_once(12, lambda _: service.record("gated", {"limit": 2}, idempotency_key="k"))
    assert len({job.id for job in got}) == 1
    assert len(service.list()) == 1


def test_of_jobs_that_are_unique_by_type_one_is_active_and_the_others_name_it(
    service: BatchJobService, store: JobStore
):
    got = at_once(10, lambda _: service.record("single", {}))
    jobs = [one for one in got if isinstance(one, Job)]
    assert len(jobs) == 1
    refused = [one for one in got if isinstance(one, JobActive)]
    assert len(refused) == 9
    assert str(refused[0]) == (
        f"single allows one such job at a time and {jobs[0].id} is created; wait for it or cancel it first"
    )
    store.move(jobs[0], Action.FAIL, who="test")
    second = service.record("single", {})
    with pytest.raises(JobActive, match=second.id):
        service.retry(jobs[0].id, who="test")
    service.cancel(second.id, who="test")
    assert service.retry(jobs[0].id, who="test").status is Status.CREATED


def test_jobs_that_queue_by_a_key_come_to_their_turn_in_the_order_of_their_creation(
    service: BatchJobService, claims: Claims, store: JobStore
):
    first, second, third = (service.record("queued", {"key": "a"}) for _ in range(3))
    other = service.record("queued", {"key": "b"})
    assert claims.claim(other.id, None).active_key == "queued:b"
    with pytest.raises(JobActive, match=f"{first.id} is created"):
        claims.claim(second.id, None)
    assert store.activate(first) is not None
    assert store.activate(second) is None
    store.move(store.get(first.id), Action.CANCEL, who="test")
    assert store.activate(third) is None
    turned = at_once(6, lambda _: store.activate(second))
    assert sum(isinstance(one, Job) for one in turned) == 1


@pytest.mark.long
def test_S28_of_many_jobs_and_ten_workers_each_job_is_worked_on_once(target: Engine):
    upgrade(target)
    store = JobStore(target)
    wanted = 1_000 if target.dialect.name == "postgresql" else 150
    with target.begin() as connection:
        connection.execute(text("CREATE TABLE done (job_id TEXT, worker INTEGER)"))
    for _ in range(wanted):
        store.insert(new_job(), who="test")
    here = ProcessIdentity.current()

    def work(number: int) -> int:
        worked = 0
        while open_jobs := store.newest(JobFilter(status=Status.CREATED), limit=20):
            free = [job for job in open_jobs if job.worker is None]
            if not free:
                continue
            job = free[(number * 7 + worked) % len(free)]
            try:
                job = store.claim(job, here, None)
            except JobMoved:
                continue
            checkpoints = CheckpointStore(target, job.id, token=job.claim or 0)
            begun = checkpoints.take()
            with checkpoints.transaction() as connection:
                connection.execute(text("INSERT INTO done VALUES (:job, :worker)"), {"job": job.id, "worker": number})
                checkpoints.save(connection, Checkpoint(begun.chunk_number + 1, "done", Counters()))
            for action in (Action.PRE_PROCESS, Action.CONFIRM, Action.PROCESS, Action.COMPLETE):
                job = store.move(job, action, who=f"worker {number}")
            worked += 1
        return worked

    counts = at_once(10, work)
    assert sum(counts) == wanted
    with target.connect() as connection:
        tally = connection.execute(text("SELECT count(*), count(DISTINCT job_id) FROM done")).one()
    assert tuple(tally) == (wanted, wanted)
