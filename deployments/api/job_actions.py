"""What callers do with jobs, after a look at what they may: the API's routes and the page ask here alike."""

import re
from collections.abc import Callable, Iterable

from batch_jobs.deployments.api.auth import Caller, Right
from batch_jobs.deployments.api.dependencies import Api
from batch_jobs.deployments.api.errors import FileGone, InputWrong, NotPermitted
from batch_jobs.deployments.api.file_access import FileAccess
from batch_jobs.deployments.api.schemas import Confirm, CreateJob, UndoJob
from batch_jobs.deployments.log import add_facts
from batch_jobs.flows.access.target import holds_the_jobs
from batch_jobs.flows.jobs.given_corrections import Corrected
from batch_jobs.flows.jobs.model import Job, Trigger
from batch_jobs.flows.jobs.undos import UNDO, UNDONE
from batch_jobs.strategies.sdk.context_fields import Names, named

IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,128}")
#: What is done to a job without a body; each is a method of the service.
MOVES = ("cancel", "pause", "resume", "retry")


class JobActions:
    """The actions of one caller; each is an error where the caller may not, or the service refuses."""

    def __init__(self, api: Api, caller: Caller) -> None:
        self._api = api
        self._caller = caller

    def create(self, wanted: CreateJob, idempotency_key: str | None = None) -> Job:
        """Record a job, which Prefect is asked to start."""
        api, caller = self._api, self._caller
        caller.require_type(wanted.type)
        model = api.strategies.get(wanted.type).Context
        if wanted.type == UNDO:
            self._check_undo(str(wanted.context.get(UNDONE, "")))
        if named(model, wanted.context, Names.QUERY):
            self.require_queries()
        access, key = FileAccess(api, caller), scoped(idempotency_key, caller)
        context = access.check_context(model, wanted.context)
        try:
            access.check_present(model, context)
        except FileGone:
            if not api.service.has_idempotency_key(key):  # else this is the answer of before: the file was there then
                raise
        job = api.service.record(
            wanted.type,
            context,
            dry_run=wanted.dry_run,
            created_by=caller.name,
            trigger=Trigger.API,
            idempotency_key=key,
            start_at=wanted.start_at,
            tables=caller.tables,
            partitions=wanted.partitions,
        )
        add_facts(action="create", job=job.id, type=job.type, dry_run=job.dry_run)
        api.starter.notify(job)
        return job

    def undo(self, job_id: str, wanted: UndoJob, idempotency_key: str | None = None) -> Job:
        """Record a job that takes back what another one changed."""
        api, caller = self._api, self._caller
        self._check_undo(job_id)
        job = api.service.record(
            UNDO,
            {UNDONE: job_id, "force": wanted.force},
            dry_run=wanted.dry_run,
            created_by=caller.name,
            trigger=Trigger.API,
            idempotency_key=scoped(idempotency_key, caller),
            tables=caller.tables,
        )
        add_facts(action="undo", job=job.id, undone=job_id, dry_run=job.dry_run)
        api.starter.notify(job)
        return job

    def correct(
        self, job_id: str, rows: Iterable[Corrected], dry_run: bool = False, idempotency_key: str | None = None
    ) -> Job:
        """Let corrected rows go in: with the job while it waits, else by a job of their own."""
        api, caller = self._api, self._caller
        known = api.job(job_id, caller)
        caller.require_type(known.type)
        job = api.workspace.job_corrections.correct(
            known,
            rows,
            check_context=FileAccess(api, caller).check_context,
            dry_run=dry_run,
            created_by=caller.name,
            trigger=Trigger.API,
            idempotency_key=scoped(idempotency_key, caller),
            tables=caller.tables,
        )
        add_facts(action="correct", job=job.id, corrected=job_id, dry_run=job.dry_run)
        api.starter.notify(job)
        return job

    def confirm(self, job_id: str, wanted: Confirm) -> Job:
        """Say yes to what a dry run found, or to a part of it."""
        known = self._api.job(job_id, self._caller)
        add_facts(action="confirm")
        job = self._api.service.confirm(known.id, who=self._caller.name, leave_out=wanted.leave_out)
        self._api.starter.notify(job)
        return job

    def move(self, job_id: str, name: str) -> Job:
        """Do one of ``MOVES`` to a job."""
        known = self._api.job(job_id, self._caller)
        add_facts(action=name)
        move: Callable[..., Job] = getattr(self._api.service, name)
        job = move(known.id, who=self._caller.name)
        self._api.starter.notify(job)
        return job

    def _check_undo(self, job_id: str) -> None:
        """Let a caller undo only what they could have done: a job that they see, of a type that they may create."""
        self._caller.require_type(self._api.service.undos.type_of(self._api.job(job_id, self._caller)))

    def require_queries(self) -> None:
        """Let operators export by a query only where the settings say so, and never from the database of the keys.

        Raises:
            NotPermitted: they may not.
        """
        if self._caller.may(Right.QUERIES):
            return
        if self._api.settings.queries_by != "operator":
            self._caller.require(Right.QUERIES)
        if holds_the_jobs(self._api.workspace.target):
            raise NotPermitted(
                "the target holds the tables of the jobs too, so that only an admin may export by a query"
            )


def scoped(key: str | None, caller: Caller) -> str | None:
    """An idempotency key as the table has it: each caller's keys are its own."""
    if key is not None and not IDEMPOTENCY_KEY.fullmatch(key):
        raise InputWrong("Idempotency-Key must be 1 to 128 visible characters of ASCII")
    return key and f"{caller.name}/{key}"
