"""Correcting what jobs have refused: what would become of corrected rows, and the jobs that they go in with."""

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from tempfile import SpooledTemporaryFile
from typing import IO, Any, BinaryIO, Unpack, cast

from pydantic import BaseModel
from sqlalchemy import Engine

from batch_jobs.flows.errors import CorrectionRefused, JobMoved
from batch_jobs.flows.jobs.given_corrections import Corrected, GivenCorrections, MergedRows
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.jobs.process_identity import ProcessIdentity
from batch_jobs.flows.jobs.queries import JobFilter
from batch_jobs.flows.jobs.rejects import JobRejects, RejectedRow, input_files
from batch_jobs.flows.jobs.service import MOVE_TRIES, BatchJobService, JobOptions
from batch_jobs.flows.jobs.transitions import Status
from batch_jobs.flows.jobs.trial import try_rows
from batch_jobs.flows.secret_fields.contexts import ContextSecrets, secret_places
from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.context_fields import FILE_FIELDS
from batch_jobs.strategies.sdk.corrections import CorrectedFile, Corrections, Head, write_corrections
from batch_jobs.strategies.sdk.data_access import DataAccess
from batch_jobs.strategies.sdk.files import JOBS, FileStore
from batch_jobs.strategies.sdk.lines import named
from batch_jobs.strategies.sdk.registry import Registry

#: Rows that are checked at a time.
MOST_CHECKED = 200
#: What a context has in the place of a secret that is not kept any more.
MASKED = "**********"
#: The field of a context that names a file of corrections.
FIELD = "corrections"
HELD = 1 << 22  # bytes of a file of corrections that are kept in memory while it is made


@dataclass(frozen=True)
class Correction:
    """A job that corrected rows go in with, before it is recorded.

    ``context`` is that of the new job, ``replaces`` whether it comes in the place of the one that waits.
    """

    job: Job
    context: dict[str, Any]
    head: Head
    replaces: bool
    digest: str


#: Looks at the context of a new job before it is recorded; returns the one to have, raises where it may not be.
CheckContext = Callable[[type[BaseModel], Mapping[str, Any]], Mapping[str, Any]]


class JobCorrections:
    """Corrects rows of the jobs of one installation.

    Args:
        service: records jobs.
        rejects: what they have refused.
        files: the file store.
        target: the database that they write.
        strategies: gives the strategies there are.
        secrets: of the contexts.
        access_of: what a job may do with the target.
    """

    def __init__(
        self,
        service: BatchJobService,
        rejects: JobRejects,
        files: FileStore,
        target: Engine,
        strategies: Callable[[], Registry],
        secrets: ContextSecrets,
        access_of: Callable[[Job], DataAccess],
    ) -> None:
        self._service = service
        self._rejects = rejects
        self._files = files
        self._target = target
        self._strategies = strategies
        self._secrets = secrets
        self._access_of = access_of

    def check(self, job: Job, rows: Iterable[Corrected], access: DataAccess | None = None) -> list[RejectedRow]:
        """Look at a few corrected rows as the job's own preview would; nothing is written or kept.

        Rows that go in together, such as those of one product, are looked at together; of the rest of the input nothing
        is known here, such as that it has the same key.

        Args:
            job: whose rows.
            rows: with all corrected cells so far, 200 at most.
            access: of whoever asks, where that is less than the job's.

        Returns:
            Each row with its corrected cells, and what is wrong with it yet, in the order of the input.

        Raises:
            CorrectionRefused: a row is none that the job has refused.
            JobRefused: the input cannot be read as a whole, such as for want of the table.
        """
        strategy = self._strategies().get(job.type)
        context = strategy.for_some_rows(self._context_of(strategy, job))
        self._rejects.require_rows(job)
        wanted = list(rows)
        if len(wanted) > MOST_CHECKED:
            raise CorrectionRefused(f"up to {MOST_CHECKED} rows are checked at a time, not {len(wanted):,}")
        files = input_files(job) or self._named_files(job)
        with self._rejects.rows_of(job) as refused, GivenCorrections(job.id, wanted, files) as given:
            whole = [(row, {**row.cells, **cells}) for row, cells in given.among(refused)]
            head = self._head(job, len(whole), 0, None, refused.names)
        access = access or self._access_of(job)
        found = try_rows(strategy, context, head, whole, self._target, self._files, access)
        several = tuple(files) if len(files) > 1 else ()
        return [RejectedRow.of(row, several) for row in found]

    def correct(
        self,
        job: Job,
        rows: Iterable[Corrected],
        check_context: CheckContext | None = None,
        worker: ProcessIdentity | None = None,
        **options: Unpack[JobOptions],
    ) -> Job:
        """Let corrected rows go in: with the whole input while the job waits for its yes, else by a job of their own.

        A job that waits is canceled, and the new one is in its place, as a dry run that waits for a yes too. Once it
        has completed, the new job has the corrected rows alone, with those that go in together with them.

        Args:
            job: whose rows, as it was read.
            rows: with the cells that are other than they were.
            check_context: see ``CheckContext``.
            worker: the process that is going to run the new job.
            options: of the new job; ``belongs_to`` is set here.

        Raises:
            CorrectionRefused: there is nothing to correct, a row is none that was refused, or it was corrected before.
            ContextRefused: the type takes no corrections.
            BatchJobError: as ``BatchJobService.record`` has it.
        """
        made = self.prepare(job, rows, options.get("created_by"), options.get("idempotency_key"))
        context = made.context
        if check_context is not None:
            context = dict(check_context(self._strategies().get(job.type).Context, context))
        return self._record(made, context, worker, options)

    def prepare(
        self, job: Job, rows: Iterable[Corrected], by: str | None = None, idempotency_key: str | None = None
    ) -> Correction:
        """Make what corrected rows go in with, without recording the job; as ``correct`` otherwise."""
        strategy = self._strategies().get(job.type)
        is_whole = self._is_whole(job, idempotency_key)
        self._rejects.require_rows(job)
        context = self._context_of(strategy, job)
        context = context if is_whole else strategy.for_some_rows(context)
        with MergedRows() as merged:
            head = self._merge(job, rows, merged, is_whole, by)
            values = context.model_dump()
            if FIELD not in strategy.Context.model_fields:
                raise CorrectionRefused(
                    f"{job.type} takes no corrections: its Context has no field {FIELD}; load the corrected rejects "
                    "file by a job of its own"
                )
            key, digest = self._keep(job, head, merged)
            if not is_whole:
                self._refuse_corrected(job, key, merged)
        return Correction(job, {**values, FIELD: key}, head, is_whole, digest)

    def successors(self, job: Job) -> list[Job]:
        """The jobs that belong to a job, the newest first."""
        return list(self._service.list(JobFilter(belongs_to=job.id), limit=1_000))

    def _is_whole(self, job: Job, idempotency_key: str | None) -> bool:
        """Whether the whole input goes in with the corrections, as none of it is in yet."""
        known = self._service.by_idempotency_key(idempotency_key)
        if known is not None and known.belongs_to == job.id:
            return job.status is not Status.COMPLETED
        if job.awaits_confirmation or (job.status is Status.FAILED and job.processing_at is None):
            return True
        if job.status is Status.COMPLETED:
            return False
        after = next((one.id for one in self.successors(job)), None)
        to_do = f"it was corrected by {after}, so correct that one" if after else "create the job anew"
        if job.status is not Status.CANCELED:
            to_do = "rows are corrected while it waits for a yes, and once it has completed"
        raise CorrectionRefused(f"{job.id} is {job.status}; {to_do}. Nothing was changed.")

    def _context_of(self, strategy: BatchJobStrategy, job: Job) -> Any:
        """The job's context with its secrets, for another job that reads the same files."""
        values = {**self._secrets.open(job).values}
        files = input_files(job)
        field = next((name for name in FILE_FIELDS if name in strategy.Context.model_fields), None)
        if field is None:
            raise CorrectionRefused(f"{job.type} reads no file_key, so that there is no input to correct")
        if files:
            values[field] = files[0] if len(files) == 1 else files
        if values.get("source") is not None:
            values["source"] = None  # what was fetched from it is kept, and is what was looked at
        context = strategy.Context.model_validate(values)
        if any(secret == MASKED for _, secret in secret_places(context)):
            raise CorrectionRefused(
                f"the context of {job.id} had secrets, which are not kept once it has ended; load the corrected "
                "rejects file by a job of its own"
            )
        return context

    def _merge(self, job: Job, rows: Iterable[Corrected], merged: MergedRows, is_whole: bool, by: str | None) -> Head:
        """Put together what is corrected now, and what the job had corrected before."""
        before = self._before(job)
        files = input_files(job) or self._named_files(job)
        keeps_rows = not is_whole or (before is not None and before.head.only)
        if before is not None and is_whole:
            for known in before.rows():
                merged.put(known.number, known.cells)
        cells = count = 0
        groups: set[str] = set()
        with self._rejects.rows_of(job) as refused, GivenCorrections(job.id, rows, files) as given:
            for row, other in given.among(refused):
                if not other:
                    continue
                merged.put(row.number, {**row.cells, **other} if keeps_rows else other)
                cells, count = cells + len(other), count + 1
                groups |= {row.group} if row.group is not None else set()
            if not count:
                raise CorrectionRefused("no cell is other than it was, so that there is nothing to correct")
            if keeps_rows and groups:
                for row in refused.all():
                    if row.group in groups and row.number not in merged:
                        merged.put(row.number, row.cells)
            names = refused.names
        if before is not None and is_whole:
            cells, count, names = cells + before.head.cells, count + before.head.rows, before.head.columns or names
        return self._head(job, count, cells, by, names if keeps_rows else None)

    def _head(self, job: Job, rows: int, cells: int, by: str | None, names: list[str] | None) -> Head:
        plan = job.plan or {}
        files = [CorrectedFile.model_validate(file) for file in plan.get("files", [])] or [
            CorrectedFile(key=key, version=self._files.version(key)) for key in self._named_files(job)
        ]
        found = plan.get("_found") if plan.get("frame") is not None and names is not None else None
        return Head(
            files=files, rows=rows, cells=cells, by=by, only=names is not None, columns=names or [], found=found
        )

    def _before(self, job: Job) -> Corrections | None:
        key = job.context.get(FIELD)
        return Corrections(self._files, key) if key else None

    def _named_files(self, job: Job) -> list[str]:
        """The input files by the context, for a strategy that keeps no list of them."""
        given: str | list[str] = next((job.context[name] for name in FILE_FIELDS if job.context.get(name)), [])
        return [key for entry in ([given] if isinstance(given, str) else given) for key in self._files.matching(entry)]

    def _refuse_corrected(self, job: Job, key: str, rows: MergedRows) -> None:
        """Let no row go in twice; the same corrections are those of the same job.

        Raises:
            CorrectionRefused: a job that belongs to this one has it.
        """
        for other in self.successors(job):
            known = other.context.get(FIELD)
            if other.status is Status.CANCELED or known in (None, key) or not self._files.exists(known):
                continue
            for row in Corrections(self._files, known).rows():
                if row.number in rows:
                    files = tuple(input_files(job))
                    place = named(row.number, files if len(files) > 1 else ())
                    raise CorrectionRefused(
                        f"{place} was corrected by {other.id}, which is {other.status}; correct or retry that one"
                    )

    def _keep(self, job: Job, head: Head, merged: MergedRows) -> tuple[str, str]:
        """Put the corrections into the file store, under a key that their content makes."""
        with cast(IO[bytes], SpooledTemporaryFile(HELD)) as held:
            write_corrections(cast(BinaryIO, held), head, merged)
            held.seek(0)
            digest = sha256()
            while block := held.read(1 << 20):
                digest.update(block)
            key = f"{JOBS}/{job.id}/corrections/{digest.hexdigest()[:32]}.jsonl"
            if not self._files.exists(key):
                held.seek(0)
                with self._files.writing(key) as stream:
                    shutil.copyfileobj(held, stream)
        return key, digest.hexdigest()[:32]

    def _record(
        self, made: Correction, context: dict[str, Any], worker: ProcessIdentity | None, options: JobOptions
    ) -> Job:
        job = made.job
        wanted: JobOptions = {"tables": job.tables, "partitions": job.partitions, **options}
        wanted["belongs_to"] = job.id
        if wanted.get("idempotency_key") is None:
            canceled = sum(one.status is Status.CANCELED for one in self.successors(job))
            wanted["idempotency_key"] = f":correct:{job.id}:{made.digest}:{canceled}"
        if made.replaces:
            wanted["dry_run"] = job.dry_run
        if not (made.replaces and job.awaits_confirmation):
            return self._service.record(job.type, context, worker=worker, **wanted)
        for _ in range(MOVE_TRIES):
            try:
                return self._service.replace(job, context, str(made.head), worker, **wanted)
            except JobMoved:
                job = self._service.get(job.id)
                self._is_whole(job, wanted.get("idempotency_key"))
        raise JobMoved(job.id)
