"""Events that come twice, late, or in any order leave a job where its run is."""

from datetime import timedelta
from uuid import uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batch_jobs.flows.errors import JobMoved
from batch_jobs.flows.jobs.process_identity import ProcessIdentity
from batch_jobs.flows.jobs.store import JobStore
from batch_jobs.flows.jobs.transitions import ENDED, Status
from batch_jobs.flows.prefect.client import PrefectRuns, RunState
from batch_jobs.flows.prefect.mirror import Mirror, following_action
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
    @settings(max_examples=40, suppress_health_check=list(HealthCheck))
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
