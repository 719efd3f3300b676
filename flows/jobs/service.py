"""What people do with jobs, by Python, the command line, the API, a schedule or Prefect: create, look at, move them."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from pydantic import BaseModel
from ulid import ULID

from batch_jobs.flows.access.target import TargetAccess
from batch_jobs.flows.errors import (
    IdempotencyKeyTaken,
    JobActive,
    JobMoved,
    JobUnknown,
    NotLaunched,
    PrefectAway,
)
from batch_jobs.flows.jobs.claims import Claims, stop_run
from batch_jobs.flows.jobs.confirm_by_other import ConfirmByOther
from batch_jobs.flows.jobs.confirmations import Confirmations
from batch_jobs.flows.jobs.context import checked_partitions, prepared_context, unique_key
from batch_jobs.flows.jobs.model import Job, JobEvent, Trigger
from batch_jobs.flows.jobs.named_files import NamedFiles
from batch_jobs.flows.jobs.process_identity import ProcessIdentity
from batch_jobs.flows.jobs.queries import JobFilter, Page
from batch_jobs.flows.jobs.store import NO_RUN, JobStore, NewJob, owner
from batch_jobs.flows.jobs.transitions import Action, Status
from batch_jobs.flows.jobs.undos import UNDO, UNDONE, Undos
from batch_jobs.flows.prefect.client import PrefectRuns
from batch_jobs.flows.secret_fields.contexts import ContextSecrets
from batch_jobs.flows.tracing import traceparent_of_new_job
from batch_jobs.strategies.sdk.errors import ContextRefused
from batch_jobs.strategies.sdk.leaving_out import LeaveOut
from batch_jobs.strategies.sdk.registry import Registry

if TYPE_CHECKING:
    from batch_jobs.strategies.sdk.files import FileStore

#: What two jobs of one idempotency key have in common.
SAME = ("type", "context", "dry_run", "start_at", "tables", "partitions", "belongs_to")
MOVE_TRIES = 20  # how often a change starts anew when others change the job at the same moment


class JobOptions(TypedDict, total=False):
    """What may be said of a job that is wanted, beside its type and context."""

    #: Look at the input, then wait for ``confirm``; not so by default.
    dry_run: bool
    #: Who wants it.
    created_by: str | None
    #: What makes it, ``Trigger.PYTHON`` by default.
    trigger: Trigger
    #: The same key with the same job gives the same job again.
    idempotency_key: str | None
    #: When Prefect is to start it; at once by default.
    start_at: datetime | None
    #: Patterns of the tables of the target that it may use, beside those of the settings; all by default.
    tables: list[str] | None
    #: How many partitions are worked on at a time where the strategy cuts the job; the setting's number by default.
    partitions: int | None
    #: The job whose rows it corrects; none by default.
    belongs_to: str | None


class BatchJobService:
    """Creates jobs, moves them through their life, and reads them.

    Args:
        store: the job table.
        strategies: gives the strategies there are; called when one is needed, as loading them takes a moment.
        prefect: the runs of jobs in Prefect.
        claims: finds out about dead processes and late confirmations.
        secrets: keeps the secret fields of contexts.
        access: which tables of the target jobs may use, and from where they may fetch files.
        by_other: which jobs somebody else than created them has to confirm.
        files: gives the file store, where previews keep what they found.
    """

    def __init__(
        self,
        store: JobStore,
        strategies: Callable[[], Registry],
        prefect: PrefectRuns,
        claims: Claims,
        secrets: ContextSecrets,
        access: TargetAccess,
        by_other: ConfirmByOther | None = None,
        files: "Callable[[], FileStore] | None" = None,
    ) -> None:
        self._store = store
        self._strategies = strategies
        self._prefect = prefect
        self._claims = claims
        self._secrets = secrets
        self._access = access
        #: Which jobs can be undone, and were.
        self.undos = Undos(store, claims)
        rule = by_other or ConfirmByOther()
        self._confirmations = Confirmations(store, claims, strategies, self.undos, rule, files)

    def create(
        self, batch_type: str, context: BaseModel | dict[str, Any] | None = None, **options: Unpack[JobOptions]
    ) -> Job:
        """Record a job and hand it to Prefect.

        Args:
            batch_type: the strategy's ``batch_type``.
            context: its parameters.
            options: see ``JobOptions``.

        Raises:
            StrategyUnknown: no strategy has this type.
            ContextRefused: the strategy does not accept the context, or it names a table or an address that is not
                allowed, or the number of partitions is none.
            IdempotencyKeyTaken: the key belongs to another job.
            JobActive: the strategy allows one such job at a time, and there is one.
            NotLaunched: the job is recorded, but Prefect does not answer or has no deployment of its type; it is
                started once it can be, by ``batch-jobs serve``, a worker or the reconcile flow.
        """
        job = self.record(batch_type, context, **options)
        return self.start(job) if job.waits_for_prefect else job

    def record(
        self,
        batch_type: str,
        context: BaseModel | dict[str, Any] | None = None,
        *,
        job_id: str | None = None,
        worker: ProcessIdentity | None = None,
        **options: Unpack[JobOptions],
    ) -> Job:
        """Record a job without handing it to Prefect; as ``create`` otherwise.

        Args:
            batch_type: the strategy's ``batch_type``.
            context: its parameters.
            job_id: the id to give it; the job of this id is returned when there is one.
            worker: the process that is going to run it.
            options: see ``JobOptions``.
        """
        given = self._new(batch_type, context, job_id, worker, options)
        return self._store.insert(given, who=given.created_by or given.trigger) or self._existing(given)

    def replace(
        self,
        job: Job,
        context: BaseModel | dict[str, Any],
        why: str,
        worker: ProcessIdentity | None = None,
        **options: Unpack[JobOptions],
    ) -> Job:
        """Record a job of the same type in the place of one that waits for a confirmation, which is canceled.

        Args:
            job: as it was read.
            context: of the new one, which ``belongs_to`` the old one.
            why: for the old one's history; the new one's id is put behind it.
            worker: the process that is going to run it.
            options: see ``JobOptions``.

        Raises:
            JobMoved: the job was changed meanwhile.
            BatchJobError: as ``record`` has it.
        """
        given = self._new(job.type, context, None, worker, {**options, "belongs_to": job.id})
        who = given.created_by or given.trigger
        made = self._store.replace(job, given, who=who, why=f"{why}; {given.id} is in its place")
        if made is None:
            return self._existing(given)
        with suppress(PrefectAway):  # the reconcile flow ends it later
            stop_run(self._prefect, job)
        return made

    def by_idempotency_key(self, key: str | None) -> Job | None:
        """Return the job that was created with this key."""
        return None if key is None else self._store.by_idempotency_key(key)

    def _new(
        self,
        batch_type: str,
        context: BaseModel | dict[str, Any] | None,
        job_id: str | None,
        worker: ProcessIdentity | None,
        options: JobOptions,
    ) -> NewJob:
        strategy = self._strategies().get(batch_type)
        _require_partitions(options.get("partitions"))
        prepared = prepared_context(strategy, context or {})
        self._access.check(prepared, options.get("tables"))
        if batch_type == UNDO and not self.has_idempotency_key(options.get("idempotency_key")):
            self.undos.check(getattr(prepared, UNDONE))
        key = unique_key(strategy, prepared)
        queues = strategy.on_duplicate == "queue"
        new_id = job_id or f"batch_{ULID()}"
        wanted: JobOptions = {"dry_run": False, "trigger": Trigger.PYTHON, **options}
        return NewJob(
            id=new_id,
            type=batch_type,
            strategy=strategy.identifier,
            context=prepared.model_dump(mode="json"),
            queue_key=key if queues else None,
            active_key=None if queues else key,
            traceparent=traceparent_of_new_job(new_id, batch_type),
            worker=worker,
            sealed=self._secrets.seal(prepared),
            **wanted,
        )

    def undo(self, job_id: str, *, force: bool = False, **options: Unpack[JobOptions]) -> Job:
        """Record a job that takes back what another one changed, and hand it to Prefect.

        By default it looks at what it will do and waits for ``confirm``; ``dry_run=False`` goes straight through.

        Args:
            job_id: the job to undo, which has ended.
            force: whether changes are taken back too that others have written over.
            options: see ``JobOptions``.

        Raises:
            JobUnknown: there is no such job.
            NotUndoable: it has not ended, or was undone.
            BatchJobError: as ``create`` has it.
        """
        wanted: JobOptions = {"dry_run": True, **options}
        return self.create(UNDO, {UNDONE: job_id, "force": force}, **wanted)

    def start(self, job: Job) -> Job:
        """Hand a recorded job to Prefect: its suspended run goes on, or it gets a new one; a queued one waits its turn.

        Raises:
            NotLaunched: Prefect does not answer or has no deployment of its type; the job stays as it is.
        """
        if job.waits_for_its_turn:
            active = self._store.activate(job)
            if active is None:
                return self._store.get(job.id)
            job = active
        self._store.set_flow_run(job, self._resumed_run(job) or self._prefect.launch(job))
        return self._store.get(job.id)

    def _resumed_run(self, job: Job) -> str | None:
        """The job's run where that goes on, ``None`` where it needs a new one."""
        if job.flow_run_id is None:
            return None
        try:
            state = self._prefect.state(job.flow_run_id)
            if state is None or state.is_over:
                return None
            if state.type == "PAUSED":
                self._prefect.resume(job.flow_run_id, self._who_confirmed(job))
            return job.flow_run_id
        except PrefectAway as error:
            raise NotLaunched(job, str(error)) from None

    def _who_confirmed(self, job: Job) -> str:
        said_yes = [
            event.who for event in self._store.events(job.id) if event.action in (Action.CONFIRM, Action.RESUME)
        ]
        return said_yes[-1] if said_yes else job.trigger

    def start_waiting(self) -> Sequence[Job]:
        """Hand over every job that waits for it, oldest first, and return those that have a run now.

        Raises:
            NotLaunched: Prefect does not answer. One that lacks a deployment does not keep the others.
        """
        started = []
        lacking: NotLaunched | None = None
        for job in self._store.open_jobs.waiting_for_prefect():
            try:
                started.append(self.start(job))
            except NotLaunched as error:
                lacking = error
        if lacking is not None and not started:
            raise lacking
        return [job for job in started if job.flow_run_id is not None]

    def waiting(self) -> Sequence[Job]:
        """The jobs that are recorded but were never handed to Prefect, oldest first."""
        return self._store.open_jobs.waiting_for_prefect()

    def get(self, job_id: str) -> Job:
        """Return a job; ``JobUnknown`` where there is none."""
        return self._store.get(job_id)

    def list(self, wanted: JobFilter | None = None, limit: int = 50, before: str | None = None) -> Sequence[Job]:
        """Return the newest jobs first, those made before the job of an id where it is given: the next page.

        The results of these have no partitions; ``get`` gives all there is of a job.

        Raises:
            JobUnknown: there is no job ``before``.
        """
        return self._store.newest(wanted or JobFilter(), limit, None if before is None else self._store.get(before))

    def page(self, wanted: JobFilter, page: Page) -> Sequence[Job]:
        """Return a page of the jobs that the filter lets through, without their partitions."""
        return self._store.page(wanted, page)

    def of_ids(self, ids: Sequence[str]) -> Sequence[Job]:
        """Return the jobs of some ids, as far as there are such."""
        return self._store.of_ids(ids)

    def count(self, wanted: JobFilter) -> int:
        """How many jobs the filter lets through."""
        return self._store.count(wanted)

    def find(self, job_id: str, created_by: str | None = None, types: Sequence[str] | None = None) -> Job:
        """Return a job, of a person or of some types where these are given.

        Raises:
            JobUnknown: there is no such job; it takes as long to say of one that is another's.
        """
        try:
            return self._store.find(job_id, created_by, types)
        except JobUnknown:
            if types is None:
                raise
        undo = self._store.find(job_id, created_by, [UNDO])
        if self.undos.type_of(undo) not in types:
            raise JobUnknown(job_id)
        return undo

    def files_in_use(self) -> NamedFiles:
        """The files that jobs which have not ended name in their contexts."""
        return self._store.open_jobs.named_files()

    def has_idempotency_key(self, key: str | None) -> bool:
        """Whether a job was created with this key."""
        return key is not None and self._store.by_idempotency_key(key) is not None

    def events(self, job_id: str, after: int = 0) -> Sequence[JobEvent]:
        """Return a job's history, oldest first, after the event of an id; ``JobUnknown`` where there is no such job."""
        return self._store.events(self._store.get(job_id).id, after)

    def confirm(
        self,
        job_id: str,
        who: str,
        worker: ProcessIdentity | None = None,
        leave_out: LeaveOut | Mapping[str, Any] | None = None,
    ) -> Job:
        """Confirm what the preview showed, all of it or but for some parts.

        Args:
            job_id: the job.
            who: confirms it.
            worker: the process that goes on with it.
            leave_out: the parts that are left out, see ``LeaveOut``.

        Raises:
            ConfirmedTooLate: it was not confirmed in time and is canceled.
            ActionIllegal: it does not wait for a confirmation; of many that confirm at once, one succeeds.
            OtherMustConfirm: by the two-person rule it is not ``who`` that may.
            NotUndoable: it is an undo of a job that goes on meanwhile, or was undone.
            LeaveOutRefused: its type does not offer to leave that out, or there is no such part.
        """
        self._confirmations.check(job_id, who)
        values = self._confirmations.choice(job_id, leave_out)
        return self._go_on(job_id, Action.CONFIRM, who, worker, **values)

    def confirm_by_form(self, job_id: str, said: str) -> Job:
        """The same, by who only says who they are: anybody can enter any name in Prefect's form.

        Raises:
            OtherMustConfirm: by the two-person rule it has to be known who confirms.
        """
        self._confirmations.check(job_id, None)
        return self._go_on(job_id, Action.CONFIRM, said, None)

    def why_by_other(self, job: Job, plan: dict[str, Any] | None) -> str | None:
        """Why somebody else than created a job has to confirm it, ``None`` where that may be anybody.

        Args:
            job: the job.
            plan: what its preview found.
        """
        return self._confirmations.why_by_other(job, plan)

    def why_not_confirm(self, job: Job, who: str) -> str | None:
        """Why by the two-person rule it is not ``who`` that may confirm a job that waits, ``None`` where they may."""
        return self._confirmations.why_not(job, who)

    def cancel(self, job_id: str, who: str, why: str | None = None) -> Job:
        """Stop a job for good, at its next chunk edge when it runs; canceling twice is fine."""
        was = self._store.get(job_id)
        job = self._move(job_id, Action.CANCEL, who, why)
        with suppress(PrefectAway):  # the run also learns it from the row, at its next chunk edge
            stop_run(self._prefect, was)
        return job

    def fail(self, job_id: str, who: str, why: str) -> Job:
        """Record that a job cannot be run; it can be retried."""
        return self._move(job_id, Action.FAIL, who, why)

    def pause(self, job_id: str, who: str, why: str | None = None) -> Job:
        """Stop a job at its next chunk edge, to go on later."""
        return self._move(job_id, Action.PAUSE, who, why)

    def resume(self, job_id: str, who: str, worker: ProcessIdentity | None = None) -> Job:
        """Let a paused job go on; ``worker`` is the process that goes on with it."""
        return self._go_on(job_id, Action.RESUME, who, worker)

    def retry(self, job_id: str, who: str, worker: ProcessIdentity | None = None) -> Job:
        """Try a failed job again under its id, from its last checkpoint; one whose process is dead is failed first.

        Raises:
            StrategyUnknown: its strategy is not there any more; the job stays as it is.
            JobActive: its strategy allows one such job at a time, and there is another one by now.
            NotUndoable: it was undone.
        """
        was = self._claims.fail_if_dead(job_id)
        self.undos.check_retry(was)
        self._strategies().get(was.type)
        job = self._move(job_id, Action.RETRY, who, **owner(worker))
        if was.flow_run_id is not None:
            with suppress(PrefectAway):
                self._prefect.end(was.flow_run_id, "CRASHED", f"{job_id} is tried again")
        return job

    def sync_to_prefect(self, job_id: str) -> None:
        """Let the Prefect run of a job follow what was done to the job: go on, or be canceled.

        Raises:
            PrefectAway: Prefect does not answer.
        """
        job = self._store.get(job_id)
        if job.status is Status.CANCELED:
            stop_run(self._prefect, job)
        elif job.may_go_on and job.status is not Status.CREATED:
            with suppress(NotLaunched):
                self.start(job)

    def _go_on(self, job_id: str, action: Action, who: str, worker: ProcessIdentity | None, **values: Any) -> Job:
        was = self._store.get(job_id)
        self._strategies().get(was.type)  # it may be gone since; nothing is changed then
        if worker is None:
            return self._move(job_id, action, who, **values)
        job = self._move(job_id, action, who, **owner(worker), **NO_RUN, **values)
        if was.flow_run_id is not None:
            with suppress(PrefectAway):
                self._prefect.end(was.flow_run_id, "CANCELLED", f"{job_id} goes on in {worker}")
        return job

    def _move(self, job_id: str, action: Action, who: str, why: str | None = None, **values: Any) -> Job:
        for _ in range(MOVE_TRIES):
            job = self._store.get(job_id)
            try:
                return self._store.move(job, action, who=who, why=why, **values)
            except JobMoved:
                continue
        raise JobMoved(job_id)

    def _existing(self, given: NewJob) -> Job:
        known = self._store.by_idempotency_key(given.idempotency_key) if given.idempotency_key else None
        if known is None:
            active = self._store.by_active_key(given.active_key) if given.active_key else None
            if active is not None and active.id != given.id:
                raise JobActive(given.type, active.id, active.status)
            return self._store.get(given.id)
        # one that was to go through, and waits by the two-person rule, says dry_run by now
        waits = known.dry_run and self._confirmations.may_need_other(known.type)
        same = all(getattr(known, name) == getattr(given, name) for name in SAME if name != "dry_run" or not waits)
        if not same or not self._secrets.are_same(known.id, given.sealed):
            raise IdempotencyKeyTaken(given.idempotency_key or "", known.id)
        return known


def _require_partitions(number: int | None) -> None:
    try:
        checked_partitions(number)
    except ValueError as error:
        raise ContextRefused(f"partitions {error}, not {number!r:.100}") from None
