"""Events that come twice, late, or in any order leave a job where its run is."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import ClassVar
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batch_jobs.flows.errors import JobMoved, PrefectAway
from batch_jobs.flows.jobs.process_identity import ProcessIdentity
from batch_jobs.flows.jobs.store import JobStore
from batch_jobs.flows.jobs.transitions import ENDED, Status
from batch_jobs.flows.prefect.client import PrefectRuns, RunState
from batch_jobs.flows.prefect.mirror import DIED_UNBEGUN, Mirror, following_action
from support.jobs import job_in

#: A run's life as Prefect records it: what follows what.
LIVES = st.sampled_from(
    [
        ["PENDING", "RUNNING", "COMPLETED"],
        ["PENDING", "RUNNING", "PAUSED", "SCHEDULED", "PENDING", "RUNNING", "COMPLETED"],
        ["PENDING", "RUNNING", "CANCELLING", "CANCELLED"],
        ["SCHEDULED", "PENDING", "RUNNING", "CRASHED"],
        ["SCHEDULED", "CANCELLED"],
        ["PENDING", "RUNNING", "FAILED"],
    ]
)


class ARun(PrefectRuns):
    """One run whose present state the test sets."""

    now = RunState("PENDING", "Pending")

    def state(self, run_id: str) -> RunState | None:
        return self.now


def test_duplicated_late_and_reordered_events_are_harmless(store: JobStore):
    @given(life=LIVES, data=st.data(), started=st.sampled_from([Status.CREATED, Status.PROCESSING]))
    @settings(max_examples=20, suppress_health_check=list(HealthCheck))
    def run(life: list[str], data: st.DataObject, started: Status) -> None:
        prefect = ARun()
        mirror = Mirror(store, prefect, timedelta(seconds=60))
        job = store.claim(job_in(store, started), ProcessIdentity.current(), str(uuid4()))
        run_id = job.flow_run_id or ""
        # each state's event comes once at least, at any later moment, any number of times
        for present, kind in enumerate(life):
            prefect.now = RunState(kind, kind.title())
            for _ in range(data.draw(st.integers(1 if present == len(life) - 1 else 0, 3))):
                before = store.get(job.id)
                mirror.follow(run_id)
                after = store.get(job.id)
                expected = following_action(before, prefect.now)
                assert (after.status == before.status) == (expected is None)
                if before.status in ENDED:
                    assert after.status is before.status
        events = len(store.events(job.id))
        mirror.follow(run_id)
        assert len(store.events(job.id)) == events

    run()


def test_a_job_that_moved_between_the_look_at_it_and_at_its_run_is_looked_at_again(store: JobStore):
    job = store.claim(job_in(store, Status.PROCESSING), ProcessIdentity.current(), "run-1")

    class Slow(ARun):
        looks = 0

        def state(self, run_id: str) -> RunState | None:
            self.looks += 1
            if self.looks == 1:
                store.move(store.get(job.id), "complete", who="the run itself")
            return RunState("CRASHED", "Crashed")

    prefect = Slow()
    try:
        Mirror(store, prefect, timedelta(seconds=60)).follow("run-1")
    except JobMoved as error:
        raise AssertionError("the mirror gives in to whoever moved the job") from error
    assert (store.get(job.id).status, prefect.looks) == (Status.COMPLETED, 2)


def test_a_lost_run_is_ended_before_its_job_lets_go_of_it(store: JobStore):
    class Away(ARun):
        ends: ClassVar[list[str | None]] = []

        def states(self, run_ids: Sequence[str]) -> dict[str, RunState]:
            return dict.fromkeys(run_ids, RunState("RUNNING", "Running", since=datetime.now(UTC) - timedelta(hours=1)))

        def end(self, run_id: str, kind: str, message: str, name: str | None = None) -> None:
            self.ends.append(name)
            if len(self.ends) == 1:
                raise PrefectAway("it went away just now")

    job = job_in(store, Status.CREATED)
    store.set_flow_run(job, "run-1")
    prefect = Away()
    mirror = Mirror(store, prefect, timedelta(0))
    with pytest.raises(PrefectAway):
        mirror.follow_all([store.get(job.id)])
    assert store.get(job.id).flow_run_id == "run-1", "else its run would be taken for being worked on for ever"
    assert mirror.follow_all([store.get(job.id)]) == 1
    assert (store.get(job.id).flow_run_id, prefect.ends) == (None, [DIED_UNBEGUN] * 2)


def test_a_run_whose_job_was_taken_up_meanwhile_is_not_ended(store: JobStore):
    class Lost(ARun):
        def states(self, run_ids: Sequence[str]) -> dict[str, RunState]:
            return dict.fromkeys(run_ids, RunState("RUNNING", "Running", since=datetime.now(UTC) - timedelta(hours=1)))

        def end(self, run_id: str, kind: str, message: str, name: str | None = None) -> None:
            raise AssertionError("a process works on it")

    job = job_in(store, Status.CREATED)
    store.set_flow_run(job, "run-1")
    seen = store.get(job.id)
    taken = store.claim(seen, ProcessIdentity.current(), "run-1")
    assert Mirror(store, Lost(), timedelta(0)).follow_all([seen]) == 0
    assert store.get(job.id) == taken
