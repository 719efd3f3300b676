"""Moving jobs, on both databases."""

import itertools
import threading

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from batch_jobs.flows.errors import ActionIllegal, JobMoved, JobUnknown
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.process_identity import ProcessIdentity
from batch_jobs.flows.jobs.queries import JobFilter
from batch_jobs.flows.jobs.store import JobStore
from batch_jobs.flows.jobs.transitions import TRANSITIONS, Action, Status
from batch_jobs.strategies.sdk.result import JobResult
from support.jobs import job_in, new_job

HERE = ProcessIdentity.current()


def test_of_all_statuses_and_actions_the_legal_ones_pass_and_the_others_change_nothing(store: JobStore):
    for status in Status:
        for action in Action:
            job = job_in(store, status)
            events = len(store.events(job.id))
            if action in TRANSITIONS[status]:
                moved = store.move(job, action, who="test")
                assert moved.status is TRANSITIONS[status][action]
            else:
                with pytest.raises(ActionIllegal, match=f"{job.id} is {status}; {action} is possible from "):
                    store.move(job, action, who="test")
                assert store.get(job.id) == job
                assert len(store.events(job.id)) == events


def test_a_change_of_a_job_that_changed_since_is_refused(store: JobStore):
    job = job_in(store, Status.CREATED)
    store.move(job, Action.CANCEL, who="somebody")
    with pytest.raises(JobMoved):
        store.move(job, Action.FAIL, who="somebody else")
    assert store.get(job.id).status is Status.CANCELED


def test_every_change_leaves_its_event_with_who_and_why(store: JobStore):
    job = job_in(store, Status.PROCESSING)
    store.move(job, Action.FAIL, who="attempt 1", why="the disk is full")
    steps = [(event.from_status, event.to_status) for event in store.events(job.id)]
    assert steps == [
        (None, Status.CREATED),
        (Status.CREATED, Status.PRE_PROCESSED),
        (Status.PRE_PROCESSED, Status.CONFIRMED),
        (Status.CONFIRMED, Status.PROCESSING),
        (Status.PROCESSING, Status.FAILED),
    ]
    last = store.events(job.id)[-1]
    assert (last.who, last.why) == ("attempt 1", "the disk is full")


def test_a_retry_begins_the_next_attempt_and_forgets_the_old_run(store: JobStore):
    job = store.claim(job_in(store, Status.PROCESSING), HERE, "run-1")
    retried = store.move(store.move(job, Action.FAIL, who="test"), Action.RETRY, who="test")
    assert (retried.attempt, retried.flow_run_id, retried.failed_at) == (2, None, None)
    assert retried.worker is None


def test_of_many_claims_at_once_one_wins(store: JobStore):
    job = job_in(store, Status.CREATED)
    won: list[Job] = []
    lost: list[JobMoved] = []
    start = threading.Barrier(8)

    def claim() -> None:
        start.wait()
        try:
            won.append(store.claim(job, HERE, None))
        except JobMoved as error:
            lost.append(error)

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 7)


def test_a_result_is_saved_only_by_the_claim_that_holds_the_job(store: JobStore):
    first = store.claim(job_in(store, Status.PROCESSING), HERE, None)
    second = store.claim(first, HERE, None)
    assert not store.save_result(job_id=first.id, claim=first.claim or 0, result=JobResult(created=1), plan={})
    assert store.save_result(job_id=first.id, claim=second.claim or 0, result=JobResult(created=2), plan={"a": 1})
    assert (store.get(first.id).result.created, store.get(first.id).plan) == (2, {"a": 1})


def test_a_job_that_is_not_there_is_an_error_naming_it(store: JobStore):
    with pytest.raises(JobUnknown, match="there is no job batch_nothing"):
        store.get("batch_nothing")


def test_jobs_are_listed_newest_first_by_status_type_and_page(store: JobStore):
    jobs = [job_in(store, status) for status in (Status.CREATED, Status.FAILED, Status.CREATED)]
    other = store.insert(new_job(type="other"), who="test")
    assert other is not None
    ids = [job.id for job in store.newest(JobFilter(), limit=10)]
    assert ids == sorted([*(job.id for job in jobs), other.id], reverse=True)
    assert [job.id for job in store.newest(JobFilter(status=Status.FAILED), limit=10)] == [jobs[1].id]
    assert [job.id for job in store.newest(JobFilter(type="other"), limit=10)] == [other.id]
    assert [job.id for job in store.newest(JobFilter(), 1, before=store.get(ids[1]))] == [ids[2]]


def test_any_history_of_actions_follows_the_table(store: JobStore):
    """Whatever is tried in whatever order, the row is where the table says, and its history tells how it got there."""

    class Life(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.job = job_in(store, Status.CREATED)
            self.stale = self.job
            self.status = Status.CREATED
            self.moves = 0

        @rule(action=st.sampled_from(Action))
        def act(self, action: Action) -> None:
            expected = TRANSITIONS[self.status].get(action)
            if expected is None:
                with pytest.raises(ActionIllegal):
                    store.move(self.job, action, who="test")
                return
            self.stale = self.job if expected is not self.status else self.stale
            self.moves += expected is not self.status
            self.job, self.status = store.move(self.job, action, who="test"), expected

        @rule(action=st.sampled_from(Action))
        def act_on_an_old_reading(self, action: Action) -> None:
            if self.stale.version == self.job.version or TRANSITIONS[self.stale.status].get(action) in (
                None,
                self.stale.status,
            ):
                return
            with pytest.raises(JobMoved):
                store.move(self.stale, action, who="test")

        @invariant()
        def row_and_history_agree(self) -> None:
            row, events = store.get(self.job.id), store.events(self.job.id)
            assert row == self.job
            assert row.status is self.status
            assert len(events) == 1 + self.moves
            assert events[-1].to_status is self.status
            assert all(before.to_status is after.from_status for before, after in itertools.pairwise(events))
            assert row.attempt == 1 + sum(event.action == Action.RETRY for event in events)

    quick = settings(max_examples=10, stateful_step_count=20, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(Life, settings=quick)
