"""The one way in to jobs, for Python, the command line, schedules and Prefect."""

from collections.abc import Callable, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from ulid import ULID

from flows.context_secrets import OpenedContext, opened, secret_places
from flows.errors import ActionIllegal, IdempotencyKeyTaken, JobMoved, JobTaken
from flows.job import Job, JobEvent, Trigger
from flows.job_filter import JobFilter, Page
from flows.job_store import RESTING, JobStore, NewJob, owner
from flows.process_identity import ProcessIdentity
from flows.sealing import Seal
from flows.transitions import Action, Status
from strategies.base import BatchJobStrategy
from strategies.errors import ContextRefused
from strategies.registry import Registry

#: Tells Prefect to run a job and returns the flow run's id; raises ``NotLaunched``.
Launcher = Callable[[Job], str]
#: A job that goes on needs a Prefect run of its own again; without one, ``waiting`` finds it.
NOT_LAUNCHED: dict[str, Any] = dict.fromkeys(("flow_run_id", "flow_run_state", "flow_run_state_name"))
MOVE_TRIES = 20  # how often a change starts anew when others change the job at the same moment


class BatchJobService:
    """Creates jobs, moves them through their life, and reads them.

    Args:
        store: the job table.
        strategies: gives the strategies there are; called when one is needed, as loading them takes a moment.
        launcher: tells Prefect to run a job.
        seal: gives what secret fields of contexts are closed with; called when there is one.
    """

    def __init__(
        self, store: JobStore, strategies: Callable[[], Registry], launcher: Launcher, seal: Callable[[], Seal]
    ) -> None:
        self._store = store
        self._strategies = strategies
        self._launcher = launcher
        self._seal = seal

    def create(
        self,
        batch_type: str,
        context: BaseModel | dict[str, Any] | None = None,
        *,
        dry_run: bool = False,
        created_by: str | None = None,
        trigger: Trigger = Trigger.PYTHON,
        idempotency_key: str | None = None,
    ) -> Job:
        """Record a job and hand it to Prefect.

        Args:
            batch_type: the strategy's ``batch_type``.
            context: its parameters.
            dry_run: look at the input, then wait for ``confirm``.
            created_by: who wants it.
            trigger: what made it.
            idempotency_key: the same key with the same job gives the same job again.

        Raises:
            StrategyUnknown: no strategy has this type.
            ContextRefused: the strategy does not accept the context; there is no job.
            IdempotencyKeyTaken: the key belongs to another job.
            NotLaunched: the job is recorded, but Prefect does not answer or has no deployment of its type.
        """
        job = self.record(
            batch_type,
            context,
            dry_run=dry_run,
            created_by=created_by,
            trigger=trigger,
            idempotency_key=idempotency_key,
        )
        return self.start(job) if job.status is Status.CREATED and job.flow_run_id is None else job

    def record(
        self,
        batch_type: str,
        context: BaseModel | dict[str, Any] | None = None,
        *,
        dry_run: bool = False,
        created_by: str | None = None,
        trigger: Trigger = Trigger.PYTHON,
        idempotency_key: str | None = None,
        job_id: str | None = None,
        worker: ProcessIdentity | None = None,
    ) -> Job:
        """Record a job without handing it to Prefect; as ``create`` otherwise.

        Args:
            job_id: the id to give it; the job of this id is returned when there is one.
            worker: the process that is going to run it.
        """
        strategy = self._strategies().get(batch_type)
        prepared = prepared_context(strategy, context or {})
        secrets = secret_places(prepared)
        given = NewJob(
            id=job_id or f"batch_{ULID()}",
            type=batch_type,
            strategy=strategy.identifier,
            context=prepared.model_dump(mode="json"),
            dry_run=dry_run,
            trigger=trigger,
            created_by=created_by,
            idempotency_key=idempotency_key,
            worker=worker,
            sealed=self._seal().close(secrets) if secrets else None,
        )
        return self._store.insert(given, who=created_by or trigger) or self._existing(given)

    def start(self, job: Job) -> Job:
        """Hand a recorded job to Prefect.

        Raises:
            NotLaunched: Prefect does not answer or has no deployment of its type; the job stays as it is.
        """
        self._store.set_flow_run(job.id, self._launcher(job))
        return self._store.get(job.id)

    def waiting(self) -> Sequence[Job]:
        """The jobs that are recorded but were never handed to Prefect, oldest first."""
        return self._store.waiting()

    def get(self, job_id: str) -> Job:
        """Return a job; ``JobUnknown`` where there is none."""
        return self._store.get(job_id)

    def list(self, wanted: JobFilter | None = None, limit: int = 50) -> Sequence[Job]:
        """Return the newest jobs first; the next page is that of ``JobFilter(before=<the last one's id>)``."""
        return self._store.newest(wanted or JobFilter(), limit)

    def page(self, wanted: JobFilter, page: Page) -> Sequence[Job]:
        """Return a page of the jobs that the filter lets through."""
        return self._store.page(wanted, page)

    def count(self, wanted: JobFilter) -> int:
        """How many jobs the filter lets through."""
        return self._store.count(wanted)

    def find(self, job_id: str, created_by: str | None = None, types: Sequence[str] | None = None) -> Job:
        """Return a job, of a person or of some types where these are given.

        Raises:
            JobUnknown: there is no such job; it takes as long to say of one that is another's.
        """
        return self._store.find(job_id, created_by, types)

    def events(self, job_id: str, after: int = 0) -> Sequence[JobEvent]:
        """Return a job's history, oldest first; ``JobUnknown`` where there is no such job.

        Args:
            job_id: the job's id.
            after: only what follows the event of this id.
        """
        return self._store.events(self._store.get(job_id).id, after)

    def opened_context(self, job: Job) -> OpenedContext:
        """A job's context with its secret fields, for the run and nobody else.

        Raises:
            SealBroken: they were sealed with another secret than this installation's.
        """
        sealed = self._store.sealed(job.id)
        return opened(job.context, self._seal().open(sealed) if sealed else [])

    def confirm(self, job_id: str, who: str, worker: ProcessIdentity | None = None) -> Job:
        """Say yes to what the preview showed; ``worker`` is the process that goes on with it."""
        return self._move(job_id, Action.CONFIRM, who, **owner(worker), **NOT_LAUNCHED)

    def cancel(self, job_id: str, who: str, why: str | None = None) -> Job:
        """Stop a job for good, at its next chunk edge when it runs; canceling twice is fine."""
        return self._move(job_id, Action.CANCEL, who, why)

    def pause(self, job_id: str, who: str, why: str | None = None) -> Job:
        """Stop a job at its next chunk edge, to go on later."""
        return self._move(job_id, Action.PAUSE, who, why)

    def resume(self, job_id: str, who: str, worker: ProcessIdentity | None = None) -> Job:
        """Let a paused job go on; ``worker`` is the process that goes on with it."""
        return self._move(job_id, Action.RESUME, who, **owner(worker), **NOT_LAUNCHED)

    def retry(self, job_id: str, who: str, worker: ProcessIdentity | None = None) -> Job:
        """Try a failed job again under the same id, from its last checkpoint.

        A job whose process is known to be dead counts as failed.
        """
        self.bury(job_id)
        return self._move(job_id, Action.RETRY, who, **owner(worker))

    def bury(self, job_id: str) -> Job:
        """Mark a job failed whose process is known to be dead; leave any other as it is."""
        job = self._store.get(job_id)
        if job.worker is None or job.status in RESTING or not job.worker.is_known_dead():
            return job
        try:
            return self._store.move(job, Action.FAIL, who="liveness", why=f"{job.worker} died")
        except JobMoved:
            return self._store.get(job_id)

    def claim(self, job_id: str, flow_run_id: str | None) -> Job:
        """Make this process the one that runs the job.

        Raises:
            ActionIllegal: the job has ended or is paused.
            JobTaken: another living process has it, or was quicker.
        """
        job, worker = self._store.get(job_id), ProcessIdentity.current()
        if job.status in RESTING:
            raise ActionIllegal(job_id, job.status, Action.PROCESS)
        if job.worker not in (None, worker) and not job.worker.is_known_dead():
            raise JobTaken(job_id, str(job.worker))
        try:
            return self._store.claim(job, worker, flow_run_id)
        except JobMoved:
            raise JobTaken(job_id, str(self._store.get(job_id).worker or "another process")) from None

    def _move(self, job_id: str, action: Action, who: str, why: str | None = None, **values: Any) -> Job:
        for _ in range(MOVE_TRIES):
            job = self._store.get(job_id)
            try:
                return self._store.move(job, action, who=who, why=why, **values)
            except JobMoved:
                continue
        raise JobMoved(job_id)

    def _existing(self, given: NewJob) -> Job:
        if given.idempotency_key is None:
            return self._store.get(given.id)
        known = self._store.by_idempotency_key(given.idempotency_key)
        if known is None:
            return self._store.get(given.id)
        same = (known.type, known.context, known.dry_run) == (given.type, given.context, given.dry_run)
        if not same or not self._same_secrets(known, given):
            raise IdempotencyKeyTaken(given.idempotency_key, known.id)
        return known

    def _same_secrets(self, known: Job, given: NewJob) -> bool:
        sealed = self._store.sealed(known.id)
        if sealed is None or given.sealed is None:  # the secrets of an ended job are gone; the rest has to do
            return True
        return bool(self._seal().open(sealed) == self._seal().open(given.sealed))


def prepared_context(strategy: BatchJobStrategy, context: BaseModel | dict[str, Any]) -> BaseModel:
    """Check a context against the strategy and let it prepare it.

    Raises:
        ContextRefused: it has unknown or wrong fields, or the strategy refuses it.
    """
    model = strategy.Context
    values = context.model_dump() if isinstance(context, BaseModel) else context
    known = {name for key, field in model.model_fields.items() for name in (key, field.alias, *_aliases(field)) if name}
    unknown = sorted(set(values) - known)
    if unknown and model.model_config.get("extra") is None:
        fields = ", ".join(sorted(model.model_fields)) or "no fields"
        raise ContextRefused(f"{strategy.batch_type} takes no {', '.join(unknown)}; its context has {fields}")
    try:
        prepared: BaseModel = model.model_validate(strategy.prepare(model.model_validate(values)))
    except ValidationError as error:
        raise ContextRefused(f"the context of {strategy.batch_type} is wrong: {_one_line(error)}") from None
    return prepared


def _aliases(field: Any) -> list[str]:
    alias = field.validation_alias
    choices = getattr(alias, "choices", [alias])
    return [choice for choice in choices if isinstance(choice, str)]


def _one_line(error: ValidationError) -> str:
    details = error.errors(include_url=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, entry['loc'])) or 'it'}: {entry['msg']}" for entry in details)
