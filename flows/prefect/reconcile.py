"""Finds what no notification came for: lost processes, runs that were moved or deleted, jobs Prefect does not know."""

import time
from dataclasses import dataclass
from datetime import timedelta

from batch_jobs.flows.errors import NotLaunched, PrefectAway
from batch_jobs.flows.jobs.claims import Claims
from batch_jobs.flows.jobs.service import BatchJobService
from batch_jobs.flows.jobs.store import JobStore
from batch_jobs.flows.prefect.mirror import Mirror

#: How often one that did not watch before looks whether a job gives a sign of life.
LOOKS_PER_TIMEOUT = 8
LOOK_SECONDS = 5.0


@dataclass(frozen=True)
class Reconciled:
    """What one round did, in numbers of jobs; ``prefect_away`` is why the part that needs Prefect was left out."""

    expired: int
    lost: int
    followed: int = 0
    started: int = 0
    prefect_away: str | None = None

    def with_round(self, later: "Reconciled") -> "Reconciled":
        """What this round and a later one did together."""
        return Reconciled(
            self.expired + later.expired,
            self.lost + later.lost,
            self.followed + later.followed,
            self.started + later.started,
            later.prefect_away,
        )

    def __str__(self) -> str:
        counts = {"expired": self.expired, "lost": self.lost, "followed": self.followed, "started": self.started}
        done = ", ".join(f"{count} {what}" for what, count in counts.items())
        return f"{done}; {self.prefect_away}" if self.prefect_away else done


class Reconciling:
    """Goes over the open jobs; two rounds at once do no harm, as each change is made by one of them.

    Args:
        store: where the jobs are.
        service: hands over those that wait for Prefect.
        claims: ends those that expired or lost their process.
        mirror: lets jobs follow their runs.
        heartbeat_timeout: how long a job's process may be silent.
    """

    def __init__(
        self, store: JobStore, service: BatchJobService, claims: Claims, mirror: Mirror, heartbeat_timeout: timedelta
    ) -> None:
        self._store = store
        self._service = service
        self._claims = claims
        self._mirror = mirror
        self._heartbeat_timeout = heartbeat_timeout

    def run(self) -> Reconciled:
        """Do one round of many; what needs Prefect is left to the next one while Prefect is away."""
        try:
            expired, lost = self._claims.expire_unconfirmed(), self._claims.fail_lost(self._heartbeat_timeout)
            try:
                followed = self._mirror.follow_all(self._store.open_jobs.with_open_runs())
                return Reconciled(expired, lost, followed, len(self._service.start_waiting()))
            except (PrefectAway, NotLaunched) as away:
                self._mirror.watch_anew()
                return Reconciled(expired, lost, prefect_away=str(away))
        except Exception:
            self._claims.watch_anew()
            self._mirror.watch_anew()
            raise

    def run_alone(self) -> Reconciled:
        """Do rounds until it is known of every job that seems lost whether it is; at once where none does.

        For who did not watch the jobs before: who was not heard of for long may have had nowhere to say so.
        """
        timeout = self._heartbeat_timeout.total_seconds()
        done, until = self.run(), time.monotonic() + timeout + LOOK_SECONDS
        while self._seems_any_lost() and time.monotonic() < until:
            time.sleep(min(timeout / LOOKS_PER_TIMEOUT, LOOK_SECONDS))
            done = done.with_round(self.run())
        return done

    def _seems_any_lost(self) -> bool:
        open_jobs = self._store.open_jobs.with_workers()
        return self._mirror.suspects > 0 or any(job.is_silent(self._heartbeat_timeout) for job in open_jobs)
