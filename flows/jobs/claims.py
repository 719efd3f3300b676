"""What runs do with jobs: take one to run it, and end those that nobody goes on with any more."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from batch_jobs.flows.errors import ActionIllegal, ConfirmedTooLate, JobActive, JobMoved, JobTaken, PrefectAway
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.process_identity import ProcessIdentity
from batch_jobs.flows.jobs.stillness import Stillness
from batch_jobs.flows.jobs.store import JobStore
from batch_jobs.flows.jobs.transitions import Action, Status
from batch_jobs.flows.prefect.client import PrefectRuns

#: Who cancels a job that was not confirmed in time.
EXPIRY = "expiry"


class Claims:
    """Which process has a job, and what becomes of jobs that have lost theirs or were left waiting.

    Args:
        store: the job table.
        prefect: the runs of jobs in Prefect.
        confirm_timeout: how long after its preview a job can be confirmed.
        end_sessions: ends what a lost process has left open in the target.
    """

    def __init__(
        self,
        store: JobStore,
        prefect: PrefectRuns,
        confirm_timeout: timedelta,
        end_sessions: Callable[[Job], None] = lambda _job: None,
    ) -> None:
        self._store = store
        self._prefect = prefect
        self._confirm_timeout = confirm_timeout
        self._end_sessions = end_sessions
        self._stillness = Stillness()

    def claim(self, job_id: str, flow_run_id: str | None) -> Job:
        """Make this process the one that runs the job.

        A run of the job that Prefect starts again takes up a job that was paused or has failed: somebody resumed or
        retried that run in Prefect.

        Raises:
            ActionIllegal: the job has ended or is paused.
            JobTaken: another living process has it, or was quicker.
            JobActive: it has not come to its turn: another job of its kind is active.
        """
        job, worker = self._taken_up(self._store.get(job_id), flow_run_id), ProcessIdentity.current()
        if job.has_stopped:
            raise ActionIllegal(job_id, job.status, Action.PROCESS)
        if job.worker not in (None, worker) and not job.has_dead_worker:
            raise JobTaken(job_id, str(job.worker))
        try:
            return self._store.claim(self._in_turn(job), worker, flow_run_id)
        except JobMoved:
            raise JobTaken(job_id, str(self._store.get(job_id).worker or "another process")) from None

    def _taken_up(self, job: Job, flow_run_id: str | None) -> Job:
        if flow_run_id is None or job.flow_run_id != flow_run_id:
            return job
        action = {Status.PAUSED: Action.RESUME, Status.FAILED: Action.RETRY}.get(job.status)
        return self._store.move(job, action, who="prefect", why="its run was started again") if action else job

    def _in_turn(self, job: Job) -> Job:
        if not job.waits_for_its_turn:
            return job
        active = self._store.activate(job)
        if active is None:
            other = self._store.ahead_of(job) or job
            raise JobActive(job.type, other.id, other.status)
        return active

    def fail_if_dead(self, job_id: str) -> Job:
        """Mark a job failed where its process is known to be dead; return the job as it is then."""
        job = self._store.get(job_id)
        if job.worker is None or job.has_stopped or not job.has_dead_worker:
            return job
        return self._fail(job, f"{job.worker} died")

    def fail_lost(self, timeout: timedelta) -> int:
        """Fail every job whose process is dead, or gave no sign of life for so long; return how many.

        How long that is counts from when this object saw the last sign, see ``Stillness``. What such a process has open
        in the target is ended.
        """
        seconds = timeout.total_seconds()
        jobs = self._store.open_jobs.with_workers()
        silent = self._stillness.look({job.id: _sign_of_life(job) for job in jobs}, seconds)
        failed = 0
        for job in jobs:
            if job.has_stopped or not (job.has_dead_worker or silent[job.id] >= seconds):
                continue
            why = f"{job.worker} died" if job.has_dead_worker else f"{job.worker} was not heard of for {seconds:g} s"
            if self._fail(job, why).status is Status.FAILED:
                failed += 1
                self._end_sessions(job)
        return failed

    def watch_anew(self) -> None:
        """Count silence from now on, as the job table could not be seen: nobody can have given a sign of life there."""
        self._stillness.forget()

    def _fail(self, job: Job, why: str) -> Job:
        try:
            return self._store.move(job, Action.FAIL, who="liveness", why=why)
        except JobMoved:
            return self._store.get(job.id)

    def expire(self, job: Job) -> Job:
        """Cancel a job that was not confirmed in time."""
        try:
            expired = self._store.move(job, Action.CANCEL, who=EXPIRY, why=self._too_late)
        except JobMoved:
            return self._store.get(job.id)
        with suppress(PrefectAway):
            stop_run(self._prefect, job)
        return expired

    def expire_unconfirmed(self) -> int:
        """Cancel every job that was not confirmed in time; return how many."""
        due = self._store.open_jobs.unconfirmed_since(datetime.now(UTC) - self._confirm_timeout)
        return sum(self.expire(job).status is Status.CANCELED for job in due)

    def refuse_expired(self, job: Job) -> None:
        """Let no job be confirmed that waited for too long.

        Raises:
            ConfirmedTooLate: it did, and is canceled.
        """
        previewed_at = job.pre_processed_at
        if job.status is Status.PRE_PROCESSED and previewed_at and self._is_due(previewed_at):
            job = self.expire(job)
        if job.status is Status.CANCELED and self._store.events(job.id)[-1].who == EXPIRY:
            raise ConfirmedTooLate(job.id, self._too_late)

    def _is_due(self, previewed_at: datetime) -> bool:
        return datetime.now(UTC) - previewed_at > self._confirm_timeout

    @property
    def _too_late(self) -> str:
        return f"it was not confirmed within {self._confirm_timeout}"


def _sign_of_life(job: Job) -> object:
    """What changes when the process that runs a job gives a sign of life."""
    return job.claim, job.heartbeat_at, job.updated_at, job.worker and job.worker.work_done()


def stop_run(prefect: PrefectRuns, job: Job) -> None:
    """End the Prefect run of a job that was canceled: by its worker where that may live, else at once.

    Raises:
        PrefectAway: Prefect does not answer.
    """
    if job.flow_run_id is None:
        return
    why = f"{job.id} was canceled"
    if job.has_dead_worker:
        prefect.end(job.flow_run_id, "CANCELLED", why)
    else:
        prefect.cancel(job.flow_run_id, why)
