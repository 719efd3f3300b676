"""Sees to everything that nobody told us of: lost processes, runs moved behind our back, jobs Prefect does not know."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from batch_jobs.flows.errors import NotLaunched, PrefectAway
from batch_jobs.flows.jobs.queries import OpenJobs
from batch_jobs.flows.jobs.service import BatchJobService
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.flows.prefect.mirror import Mirror


@dataclass(frozen=True)
class Reconciled:
    """What one round did, in numbers of jobs; ``prefect_away`` is why the part that needs Prefect was left out."""

    expired: int
    lost: int
    followed: int = 0
    started: int = 0
    prefect_away: str | None = None

    def __str__(self) -> str:
        counts = {"expired": self.expired, "lost": self.lost, "followed": self.followed, "started": self.started}
        told = ", ".join(f"{count} {what}" for what, count in counts.items())
        return f"{told}; {self.prefect_away}" if self.prefect_away else told


class Reconciling:
    """Goes over the open jobs; two rounds at once do no harm, as each change is made by one of them.

    Args:
        open_jobs: finds the jobs to look at.
        service: moves them.
        mirror: lets them follow their runs.
        heartbeat_timeout: how long a job's process may be silent.
        confirm_timeout: how long a job waits to be confirmed.
    """

    def __init__(
        self,
        open_jobs: OpenJobs,
        service: BatchJobService,
        mirror: Mirror,
        heartbeat_timeout: timedelta,
        confirm_timeout: timedelta,
    ) -> None:
        self._open_jobs = open_jobs
        self._service = service
        self._mirror = mirror
        self._heartbeat_timeout = heartbeat_timeout
        self._confirm_timeout = confirm_timeout

    def run(self) -> Reconciled:
        """Do one round."""
        expired, lost = self._expire(), self._bury()
        try:
            followed = self._mirror.follow_all(self._open_jobs.with_open_runs())
            return Reconciled(expired, lost, followed, len(self._service.start_waiting()))
        except (PrefectAway, NotLaunched) as away:
            return Reconciled(expired, lost, prefect_away=str(away))

    def _expire(self) -> int:
        due = self._open_jobs.unconfirmed_since(datetime.now(UTC) - self._confirm_timeout)
        return sum(self._service.expire(job).status is Status.CANCELED for job in due)

    def _bury(self) -> int:
        looked_at = [self._service.bury(job.id, self._heartbeat_timeout) for job in self._open_jobs.worked_on()]
        return sum(job.status is Status.FAILED for job in looked_at)
