"""What becomes of jobs that lost their process or were left waiting, on both databases and without Prefect."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from batch_jobs.flows.errors import ActionIllegal, ConfirmedTooLate, JobTaken, PrefectAway
from batch_jobs.flows.jobs.claims import EXPIRY, Claims
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.process_identity import ProcessIdentity
from batch_jobs.flows.jobs.store import JobStore
from batch_jobs.flows.jobs.table import batch_job
from batch_jobs.flows.jobs.transitions import Action, Status
from batch_jobs.flows.prefect.client import PrefectRuns, RunState
from support.jobs import job_in, new_job
from support.servers import wait_until

HERE = ProcessIdentity.current()
PARENT = ProcessIdentity.of(os.getppid())
DEAD = ProcessIdentity(HERE.host, HERE.pid, 1.0)  # a process of this pid that began long before this one
ELSEWHERE = ProcessIdentity("elsewhere", 7, 1.0)
HOUR = timedelta(hours=1)


class PrefectThatIsAway(PrefectRuns):
    def states(self, run_ids: Any) -> dict[str, RunState]:
        raise PrefectAway("away")


@pytest.fixture
def claims(store: JobStore) -> Claims:
    return Claims(store, PrefectThatIsAway(), confirm_timeout=HOUR)


def run_by(store: JobStore, worker: ProcessIdentity, silent_for: timedelta = timedelta(0)) -> Job:
    job = store.claim(job_in(store, Status.PROCESSING), worker, None)
    return changed(store, job, heartbeat_at=datetime.now(UTC) - silent_for)


def previewed(store: JobStore, ago: timedelta) -> Job:
    job = store.insert(new_job(dry_run=True), who="test")
    assert job is not None
    job = store.move(job, Action.PRE_PROCESS, who="test")
    return changed(store, job, pre_processed_at=datetime.now(UTC) - ago)


def changed(store: JobStore, job: Job, **values: Any) -> Job:
    with store._engine.begin() as connection:
        connection.execute(update(batch_job).where(batch_job.c.id == job.id).values(values))
    return store.get(job.id)


def test_a_job_whose_process_is_dead_fails_and_one_that_lives_or_may_live_stays(store: JobStore, claims: Claims):
    dead, living, unknown = (run_by(store, worker) for worker in (DEAD, HERE, ELSEWHERE))
    assert claims.fail_if_dead(dead.id).status is Status.FAILED
    assert store.events(dead.id)[-1].why == f"{DEAD} died"
    assert claims.fail_if_dead(living.id) == living
    assert claims.fail_if_dead(unknown.id) == unknown


def test_every_job_that_was_seen_silent_for_the_timeout_fails_and_no_other(store: JobStore):
    ended: list[str] = []
    claims = Claims(store, PrefectThatIsAway(), HOUR, end_sessions=lambda job: ended.append(job.id))
    silent, living = run_by(store, ELSEWHERE), run_by(store, ELSEWHERE)
    others = [job_in(store, Status.PAUSED), job_in(store, Status.CREATED)]
    failed = 0

    def one_has_failed() -> bool:
        nonlocal failed
        assert store.beat(living.id, living.claim or 0)
        failed += claims.fail_lost(timedelta(seconds=0.5))
        return failed > 0

    wait_until(one_has_failed, what="the failure of the silent one")
    assert (failed, ended) == (1, [silent.id])
    assert store.get(silent.id).status is Status.FAILED
    assert store.events(silent.id)[-1].why == f"{ELSEWHERE} was not heard of for 0.5 s"
    assert store.get(living.id).status is Status.PROCESSING
    assert [store.get(job.id) for job in others] == others


def test_a_process_of_this_machine_that_computes_is_not_silent(store: JobStore, claims: Claims):
    programs = ("while True: pass", "input()")  # as one call that holds the interpreter, and one that hangs
    processes = [subprocess.Popen([sys.executable, "-c", text], stdin=subprocess.PIPE) for text in programs]
    try:
        computing, hanging = (run_by(store, ProcessIdentity.of(process.pid)) for process in processes)
        timeout = timedelta(seconds=2)
        wait_until(lambda: claims.fail_lost(timeout) > 0, what="the failure of the one that hangs")
        assert store.get(hanging.id).status is Status.FAILED
        assert store.get(computing.id).status is Status.PROCESSING
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def test_a_clock_that_is_wrong_or_set_makes_nobody_silent(store: JobStore, claims: Claims):
    long_ago, ahead = (run_by(store, ELSEWHERE, silent_for=hours * HOUR) for hours in (5, -5))
    for _ in range(3):
        assert claims.fail_lost(timedelta(minutes=1)) == 0
    assert [store.get(job.id) for job in (long_ago, ahead)] == [long_ago, ahead]


def test_a_preview_that_nobody_confirmed_in_time_is_canceled_and_cannot_be_confirmed(store: JobStore, claims: Claims):
    late, early = previewed(store, 2 * HOUR), previewed(store, timedelta(0))
    assert claims.expire_unconfirmed() == 1
    assert (store.get(late.id).status, store.events(late.id)[-1].who) == (Status.CANCELED, EXPIRY)
    with pytest.raises(ConfirmedTooLate, match="not confirmed within 1:00:00"):
        claims.refuse_expired(store.get(late.id))
    claims.refuse_expired(early)
    assert store.get(early.id) == early


def test_confirming_too_late_cancels_though_nothing_reconciled_before(store: JobStore, claims: Claims):
    late = previewed(store, 2 * HOUR)
    with pytest.raises(ConfirmedTooLate):
        claims.refuse_expired(late)
    assert store.get(late.id).status is Status.CANCELED


def test_a_job_is_claimed_from_a_dead_process_and_not_from_a_living_one_or_after_its_end(
    store: JobStore, claims: Claims
):
    taken = claims.claim(run_by(store, DEAD).id, "run")
    assert (taken.worker, taken.claim, taken.flow_run_id) == (HERE, taken.version, "run")
    with pytest.raises(JobTaken, match=f"is being run by process {PARENT.pid}"):
        claims.claim(run_by(store, PARENT).id, "run")
    with pytest.raises(ActionIllegal, match="is completed"):
        claims.claim(job_in(store, Status.COMPLETED).id, "run")


def test_the_run_of_a_job_that_is_started_again_in_prefect_takes_up_the_job(store: JobStore, claims: Claims):
    for status, action in ((Status.PAUSED, Action.RESUME), (Status.FAILED, Action.RETRY)):
        job = changed(store, job_in(store, status), flow_run_id=f"run-{status}")
        assert not claims.claim(job.id, f"run-{status}").has_stopped
        assert action in [event.action for event in store.events(job.id)]
        with pytest.raises(ActionIllegal):
            claims.claim(job_in(store, status).id, "another run")
