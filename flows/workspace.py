"""What the settings open: the job database, the target, the file store, the strategies, and the service over them.

What looking up jobs does not need is imported when it is opened.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cached_property, lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING
from urllib.parse import unquote

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from batch_jobs.flows.access.target import TargetAccess
from batch_jobs.flows.database import ensure_current
from batch_jobs.flows.errors import JobMoved, NotLaunched
from batch_jobs.flows.home import close_home
from batch_jobs.flows.jobs.claims import Claims
from batch_jobs.flows.jobs.confirm_by_other import ConfirmByOther
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.service import BatchJobService
from batch_jobs.flows.jobs.store import JobStore
from batch_jobs.flows.prefect.address import find_prefect
from batch_jobs.flows.prefect.client import PrefectRuns, RunState
from batch_jobs.flows.secret_fields.contexts import ContextSecrets
from batch_jobs.flows.settings import Settings, current_settings
from batch_jobs.strategies.sdk.connecting import RUN_SECONDS, wait_for_connections
from batch_jobs.strategies.sdk.database import database_of, make_engine, make_small_engine
from batch_jobs.strategies.sdk.registry import Registry, load_strategies
from batch_jobs.strategies.sdk.sessions import NAME, Session, end_sessions_before, make_attempt_engine

if TYPE_CHECKING:
    from batch_jobs.flows.access.ended_sessions import EndedSessions
    from batch_jobs.flows.access.keys import ApiKeyStore
    from batch_jobs.flows.access.resumable import ResumableUploads
    from batch_jobs.flows.access.uploads import UploadStore
    from batch_jobs.flows.jobs.changes import JobChanges
    from batch_jobs.flows.jobs.corrections import JobCorrections
    from batch_jobs.flows.jobs.pruning import Pruning
    from batch_jobs.flows.jobs.rejects import JobRejects
    from batch_jobs.flows.jobs.samples import Samples
    from batch_jobs.flows.prefect.mirror import Mirror
    from batch_jobs.flows.prefect.reconcile import Reconciling
    from batch_jobs.flows.secret_fields.sealing import Seal
    from batch_jobs.strategies.sdk.change_log import ChangeOptions
    from batch_jobs.strategies.sdk.files import FileStore

#: How many connections a process has to the job table at most; each is used for milliseconds.
CONNECTIONS = 5
#: Statements on the job table follow each other at once: where nothing follows for so long, the process is gone.
IDLE_SECONDS = 30

logger = logging.getLogger("batch_jobs")


class Workspace:
    """One installation's parts, each opened when it is first needed."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        #: Whether this process does one thing after the other, as one that runs a job: one connection is enough then.
        self.is_for_a_run = False

    @cached_property
    def jobs(self) -> Engine:
        """The job database, with its tables."""
        name, most = (f"{NAME} run", 1) if self.is_for_a_run else (NAME, CONNECTIONS)
        engine = wait_for_connections(make_small_engine(self._closed(self.settings.jobs_url), name, most))
        database_of(engine).end_idle_transactions(engine, IDLE_SECONDS)
        ensure_current(engine)
        return engine

    @cached_property
    def target(self) -> Engine:
        """The database that strategies read and write."""
        return wait_for_connections(make_engine(self._closed(self.settings.data_url)))

    @contextmanager
    def target_of(self, session: Session, stop_if_asked: Callable[[], None]) -> Iterator[Engine]:
        """The target for one attempt at a job: its sessions have the attempt's name, and they end with the block.

        Args:
            session: whose they are.
            stop_if_asked: raises when the job is to stop while a connection is waited for.
        """
        engine = make_attempt_engine(self._closed(self.settings.data_url), session)
        wait_for_connections(engine, RUN_SECONDS, stop_if_asked)
        try:
            yield engine
        finally:
            engine.dispose()

    def end_sessions_of(self, job: Job) -> None:
        """End what a lost process has left open in the target, so that nobody waits for what it has locked."""
        engine = make_small_engine(self.settings.data_url, NAME, kept=1)
        try:
            for left in end_sessions_before(engine, Session(job.id, (job.claim or 0) + 1)):
                logger.warning("%s was lost: %s", job.id, left)
        except DBAPIError as error:  # the next attempt does it
            logger.warning("the sessions of %s could not be ended: %s", job.id, error.orig)
        finally:
            engine.dispose()

    @cached_property
    def files(self) -> "FileStore":
        """The file store."""
        from batch_jobs.strategies.sdk.files import FileStore

        return FileStore(self._closed(self.settings.store_url))

    @cached_property
    def strategies(self) -> Registry:
        """The strategies there are."""
        return load_strategies(self.settings.strategy_folders)

    @cached_property
    def store(self) -> JobStore:
        """The rows of the job table."""
        return JobStore(self.jobs)

    @cached_property
    def seal(self) -> "Seal":
        """What secrets are closed and links are signed with."""
        from batch_jobs.flows.secret_fields.sealing import Seal

        return Seal(self._secret)

    @cached_property
    def changes(self) -> "ChangeOptions":
        """What is said of the changes that jobs keep."""
        from batch_jobs.strategies.sdk.change_log import ChangeOptions

        keep, hidden = self.settings.keep_changes, self.settings.hidden_columns
        if not hidden:
            return ChangeOptions(keep)
        return ChangeOptions(keep, hidden, blake2b(self._secret, digest_size=32, person=b"changes").digest())

    @cached_property
    def job_changes(self) -> "JobChanges":
        """What reads the changes that jobs make."""
        from batch_jobs.flows.jobs.changes import JobChanges

        return JobChanges(self.target, self.files, self.settings)

    @cached_property
    def job_rejects(self) -> "JobRejects":
        """What reads the rows that jobs have refused."""
        from batch_jobs.flows.jobs.rejects import JobRejects

        return JobRejects(self.files)

    @cached_property
    def job_corrections(self) -> "JobCorrections":
        """What corrects the rows that jobs have refused."""
        from batch_jobs.flows.jobs.corrections import JobCorrections

        parts = (self.service, self.job_rejects, self.files, self.target, lambda: self.strategies)
        return JobCorrections(*parts, self.context_secrets, self.access.of)

    @cached_property
    def context_secrets(self) -> ContextSecrets:
        """The secret fields of contexts."""
        return ContextSecrets(self.store, lambda: self.seal)

    @cached_property
    def api_keys(self) -> "ApiKeyStore":
        """The keys of the HTTP API."""
        from batch_jobs.flows.access.keys import ApiKeyStore

        return ApiKeyStore(self.jobs)

    @cached_property
    def ended_sessions(self) -> "EndedSessions":
        """The sessions of the page that were signed out."""
        from batch_jobs.flows.access.ended_sessions import EndedSessions

        return EndedSessions(self.jobs)

    @cached_property
    def uploads(self) -> "UploadStore":
        """Who owns which file of the store."""
        from batch_jobs.flows.access.uploads import UploadStore

        return UploadStore(self.jobs)

    @cached_property
    def resumable_uploads(self) -> "ResumableUploads":
        """What takes uploads in parts."""
        from batch_jobs.flows.access.resumable import ResumableUploads

        return ResumableUploads(self.jobs, self.files, self.settings.max_upload_bytes)

    @cached_property
    def service(self) -> BatchJobService:
        """What people do with jobs."""
        secrets, access = self.context_secrets, self.access
        rule = ConfirmByOther.parsed(self.settings.confirm_by_other)
        parts = (self.store, lambda: self.strategies, self.prefect, self.claims, secrets, access)
        return BatchJobService(*parts, rule, lambda: self.files)

    @cached_property
    def access(self) -> TargetAccess:
        """What jobs may do with the target."""
        return TargetAccess(self.settings)

    @cached_property
    def samples(self) -> "Samples":
        """What looks at the files of jobs that are still being made."""
        from batch_jobs.flows.jobs.samples import Samples

        opened = (lambda: self.strategies, lambda: self.target, lambda: self.files)
        return Samples(*opened, self.access, lambda: self.store)

    @cached_property
    def claims(self) -> Claims:
        """What runs do with jobs."""
        return Claims(self.store, self.prefect, timedelta(seconds=self.settings.confirm_timeout), self.end_sessions_of)

    @cached_property
    def prefect(self) -> PrefectRuns:
        """The runs of jobs in Prefect."""
        return PrefectRuns(lambda: find_prefect(self.settings.home))

    @cached_property
    def mirror(self) -> "Mirror":
        """What moves jobs after their runs."""
        from batch_jobs.flows.prefect.mirror import Mirror

        return Mirror(self.store, self.prefect, timedelta(seconds=self.settings.heartbeat_timeout))

    @cached_property
    def pruning(self) -> "Pruning":
        """What removes old jobs."""
        from batch_jobs.flows.jobs.pruning import Pruning

        return Pruning(self.jobs, self.target, self.files)

    @cached_property
    def reconciling(self) -> "Reconciling":
        """What finds and mends everything that was missed."""
        from batch_jobs.flows.prefect.reconcile import Reconciling

        timeout = timedelta(seconds=self.settings.heartbeat_timeout)
        return Reconciling(self.store, self.service, self.claims, self.mirror, timeout)

    def undoable(self, job: Job) -> str | None:
        """What a person is told of undoing a job that has ended: until when that is possible; ``None`` where it is not.

        Where the target does not answer, nobody knows.
        """
        from batch_jobs.flows.jobs.undos import OVER
        from batch_jobs.strategies.sdk.change_log import first_change

        with suppress(DBAPIError):
            first = first_change(self.target, job.id) if job.status in OVER else None
            if first is not None:
                days = self.settings.keep_changes_days
                until = f", until {first + timedelta(days=days):%Y-%m-%d}" if days is not None else ""
                return f"take back what it changed{until}"
        return None

    @cached_property
    def _secret(self) -> bytes:
        """What secrets are closed and hidden values are hashed with."""
        from batch_jobs.flows.secret_fields.sealing import installation_secret

        given = self.settings.secret_key.get_secret_value()
        return installation_secret(given, self.settings.home if given else close_home(self.settings.home))

    def _closed(self, url: str) -> str:
        """The URL, after HOME was made and closed where it leads there: nobody needs a HOME with nothing in it."""
        if str(self.settings.home) in unquote(url):
            close_home(self.settings.home)
        return url

    def note_end(self, flow_run_id: str, state: RunState) -> None:
        """Let the job of a run that ends in this process follow it; what waits after that is started at once.

        This is the job itself where its run's process died before it took it up, or one that queued behind it.
        """
        from batch_jobs.flows.prefect.mirror import died_unbegun

        job = self.store.by_flow_run(flow_run_id)
        if job is None:
            return
        with suppress(JobMoved):
            self.mirror.apply(job, state)
        if job.queue_key is not None or died_unbegun(job, state):
            with suppress(NotLaunched):
                self.service.start_waiting()


@lru_cache
def current_workspace() -> Workspace:
    """The workspace of this process's settings."""
    return Workspace(current_settings())
