"""The job follows its Prefect run, whoever moved that: by a person in Prefect's UI, by a worker, by a lost process."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from batch_jobs.flows.errors import JobMoved
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.stillness import Stillness
from batch_jobs.flows.jobs.store import NO_RUN, JobStore
from batch_jobs.flows.jobs.transitions import TRANSITIONS, Action, Status
from batch_jobs.flows.prefect.client import PrefectRuns, RunState

WHO = "prefect"
TRIES = 5  # how often to look again when the job is changed at the same moment
#: What a run that Prefect does not know any more is taken for; no event reports a deletion.
DELETED = RunState("CRASHED", "Deleted", "it was deleted in Prefect")
#: A run that is pending waits for a machine, which may take several times longer than a sign of life.
PENDING_TIMEOUTS = 10
#: The name of a Crashed state that says: the run's process ended, for sure, before it took up the job.
DIED_UNBEGUN = "DiedUnbegun"
#: How often an attempt gets another run in place of one whose process died before it took up the job.
RELAUNCHES = 3
RELAUNCH = "relaunch"

#: What each type of Prefect state says of the job it runs.
STATUS_OF_TYPE: Mapping[str, Status] = {
    "SCHEDULED": Status.CREATED,
    "PENDING": Status.CREATED,
    "RUNNING": Status.PROCESSING,
    "PAUSED": Status.PAUSED,
    "COMPLETED": Status.COMPLETED,
    "CANCELLING": Status.CANCELED,
    "CANCELLED": Status.CANCELED,
    "FAILED": Status.FAILED,
    "CRASHED": Status.FAILED,
}
#: Runs that ended in order while their job waits for a person; by the names that ``flows.runs.run`` gives them.
STATUS_OF_NAME: Mapping[str, Status] = {"AwaitingConfirmation": Status.PRE_PROCESSED, "Paused": Status.PAUSED}

#: How a job is moved that is not where its run is. The steps in between are the run's own to take.
FOLLOWING: Mapping[Status, Action] = {
    Status.PAUSED: Action.PAUSE,
    Status.COMPLETED: Action.COMPLETE,
    Status.CANCELED: Action.CANCEL,
    Status.FAILED: Action.FAIL,
}


def status_of(state_type: str, state_name: str) -> Status:
    """The one status that a Prefect state stands for.

    Args:
        state_type: the state's type, such as ``CRASHED``.
        state_name: its name; Prefect's own names refine a type without changing what it means for a job.
    """
    if state_type == "COMPLETED":
        return STATUS_OF_NAME.get(state_name, Status.COMPLETED)
    return STATUS_OF_TYPE[state_type]


def following_action(job: Job, state: RunState) -> Action | None:
    """What is to be done with a job whose run is in this state; ``None`` for nothing.

    A job that has ended is never moved. A run declared completed before its job had anything processed fails the job:
    to call that completed would not be true. A suspended run pauses the job that it runs, not one that waits for the
    run to be resumed.
    """
    action = FOLLOWING.get(status_of(state.type, state.name))
    if job.has_ended or action is None or (action is Action.PAUSE and job.worker is None):
        return None
    if action is Action.COMPLETE and action not in TRANSITIONS[job.status]:
        return Action.FAIL
    return action if action in TRANSITIONS[job.status] else None


def died_unbegun(job: Job, state: RunState) -> bool:
    """Whether a run's process died before it took up its job: nothing was done, so another run may do it.

    Who saw the process end gives the state its name; a person who sets a run Crashed means the job.
    """
    return job.may_go_on and (state.type, state.name) == ("CRASHED", DIED_UNBEGUN)


def is_lost(job: Job, state: RunState, timeout: timedelta, now: datetime) -> bool:
    """Whether nobody works on a run that Prefect takes for being worked on.

    The process that runs a job gives a sign of life well within ``timeout``; one that died before its first sign, or
    whose job has ended without it, is known by how long its run has been in its state.
    """
    if state.type not in ("PENDING", "RUNNING", "CANCELLING") or state.since is None:
        return False
    heard_of = max(state.since, job.heartbeat_at or state.since)
    return now - heard_of > timeout * (PENDING_TIMEOUTS if state.type == "PENDING" else 1)


class Mirror:
    """Moves jobs after their Prefect runs.

    Args:
        store: the job table.
        prefect: where the runs are.
        timeout: how long the process that runs a job may be silent.

    An event of Prefect is only a hint to look: what counts is the state that the run is in now, so that events which
    come twice, late or in another order do no harm.
    """

    def __init__(self, store: JobStore, prefect: PrefectRuns, timeout: timedelta) -> None:
        self._store = store
        self._prefect = prefect
        self._timeout = timeout
        self._stillness = Stillness()
        #: How many runs seemed lost in the last round, but were not watched for long enough to say so.
        self.suspects = 0

    def follow(self, run_id: str) -> None:
        """Let the job of one run follow it.

        Raises:
            PrefectAway: Prefect does not answer.
        """
        for _ in range(TRIES):
            job = self._store.by_flow_run(run_id)  # read before the state: a change in between is noticed then
            if job is None:
                return
            try:
                self.apply(job, self._prefect.state(run_id) or DELETED)
                return
            except JobMoved:
                continue

    def follow_all(self, jobs: Iterable[Job]) -> int:
        """Let many jobs follow their runs, asking Prefect once for every 200; return how many were moved."""
        by_run = {job.flow_run_id: job for job in jobs if job.flow_run_id is not None}
        found = self._prefect.states(list(by_run))
        states = {run_id: found.get(run_id, DELETED) for run_id in by_run}
        still = self._watch(by_run, states)
        moved = self.suspects = 0
        for run_id, job in by_run.items():
            with suppress(JobMoved):  # whoever moved it knows better, and the next round looks again
                moved += self._end_lost(job, states[run_id], still[run_id]) or self.apply(job, states[run_id])
        return moved

    def watch_anew(self) -> None:
        """Count silence from now on, as the job table or Prefect could not be seen."""
        self._stillness.forget()

    def _watch(self, jobs: Mapping[str, Job], states: Mapping[str, RunState]) -> Mapping[str, float]:
        """For how many seconds each run was seen without a sign of life: the clocks that wrote them may be wrong."""
        marks = {
            run_id: (states[run_id].type, states[run_id].since, job.heartbeat_at, job.worker and job.worker.work_done())
            for run_id, job in jobs.items()
        }
        return self._stillness.look(marks, self._timeout.total_seconds())

    def _end_lost(self, job: Job, state: RunState, still: float) -> bool:
        """End a run that nobody works on, which frees its concurrency slot, and move its job where that is open.

        A run that its job is to leave behind is ended first: if Prefect goes away in between, nobody would know it.
        """
        if not is_lost(job, state, self._timeout, datetime.now(UTC)):
            return False
        if still < self._timeout.total_seconds():
            self.suspects += 1
            return False
        run_id, why = job.flow_run_id or "", f"its worker was not heard of for {self._timeout.total_seconds():g} s"
        if job.may_go_on:
            if self._store.get(job.id).version != job.version:  # a process took it up since the round began
                raise JobMoved(job.id)
            self._prefect.end(run_id, "CRASHED", why, name=DIED_UNBEGUN)
            return self.apply(job, RunState("CRASHED", DIED_UNBEGUN, why))
        if not job.has_ended:
            self._store.move(job, Action.FAIL, who=WHO, why=why)
        self._prefect.end(run_id, "CANCELLED" if job.status is Status.CANCELED else "CRASHED", why)
        return not job.has_ended

    def _relaunched(self, job: Job, state: RunState, why: str) -> bool:
        """Let the job have another run, where its run's process died before it began and did not do so too often."""
        if not died_unbegun(job, state):
            return False
        events = self._store.events(job.id)
        if sum(event.action == RELAUNCH and event.attempt == job.attempt for event in events) >= RELAUNCHES:
            return False
        self._store.note(job, RELAUNCH, who=WHO, why=why, **NO_RUN)
        return True

    def apply(self, job: Job, state: RunState) -> bool:
        """Move a job to where its run's state is, and note the state; return whether it was moved.

        Raises:
            JobMoved: the job was changed since it was read.
        """
        action = following_action(job, state)
        if action is Action.FAIL and self._relaunched(job, state, _why(action, state)):
            return True
        if action is not None:
            self._store.move(job, action, who=WHO, why=_why(action, state))
        if (job.flow_run_state, job.flow_run_state_name) != (state.type, state.name):
            self._store.set_flow_run_state(job.flow_run_id or "", state.type, state.name)
        return action is not None


def _why(action: Action, state: RunState) -> str:
    said = f": {' '.join(state.message.split())}" if state.message else ""
    if action is Action.FAIL and state.type == "COMPLETED":
        return f"its run was set {state.name} before anything was processed"
    return f"its run is {state.name}{said}"[:1_000]
