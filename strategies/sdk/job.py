"""The handle ``job`` that every hook of a strategy receives."""

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from sqlalchemy import Connection, Engine

from batch_jobs.strategies.sdk.change_log import ChangeOptions, Changes
from batch_jobs.strategies.sdk.checkpoint import Checkpoint, Checkpoints
from batch_jobs.strategies.sdk.data_access import DataAccess
from batch_jobs.strategies.sdk.errors import StopRequested
from batch_jobs.strategies.sdk.files import FileStore, harmless_name
from batch_jobs.strategies.sdk.forks import ending_forks, refuse_fork, this_process
from batch_jobs.strategies.sdk.json_values import is_json, require_json, storable_json
from batch_jobs.strategies.sdk.partition import Partition, PartitionState, parts_folder
from batch_jobs.strategies.sdk.rejects import PART_SIZE, Reject, RejectLog, chunk_series
from batch_jobs.strategies.sdk.result import Counters, JobResult, Progress, add_up
from batch_jobs.strategies.sdk.sources import Sources
from batch_jobs.strategies.sdk.written_rows import WrittenRows

if TYPE_CHECKING:
    from batch_jobs.strategies.tables.frames.source_reader import FrameChunk

DEFAULT_CHUNK_SIZE = 10_000


@dataclass(frozen=True)
class JobIdentity:
    """Which job runs, and how."""

    id: str
    type: str
    context: Any
    dry_run: bool = False
    attempt: int = 1
    created_by: str | None = None


class Report(Protocol):
    """Where a job's progress is reported, and what says that it is to stop."""

    def save(self, result: JobResult, plan: dict[str, Any]) -> None:
        """Keep the result and the plan."""

    def save_soon(self, result: JobResult, plan: dict[str, Any]) -> None:
        """Keep them where that can be done at once; a later ``save`` follows."""

    def stop_reason(self) -> str | None:
        """``canceled``, ``paused``, ``interrupted`` or ``superseded`` when the job is to stop at this chunk edge."""

    def heed(self) -> None:
        """Ask nothing to stop any more: the job has stopped, and what it does yet is its end."""


class Refusing(Protocol):
    """Takes what is refused of the rows of a frame."""

    def reject(self, mask: Any, column: str | None, message: str) -> None:
        """Refuse the rows that are marked."""


class SilentReport:
    """A report nobody reads, for running a strategy by itself."""

    def save(self, result: JobResult, plan: dict[str, Any]) -> None:
        """Keep nothing."""

    def save_soon(self, result: JobResult, plan: dict[str, Any]) -> None:
        """Keep nothing."""

    def stop_reason(self) -> str | None:
        """Never stop."""
        return None

    def heed(self) -> None:
        """Nothing is asked to stop."""


@dataclass
class JobParts:
    """What a run works with: the target, the files, the checkpoint, where it reports, what it may fetch and use."""

    target: Engine
    files: FileStore
    checkpoints: Checkpoints
    report: Report = field(default_factory=SilentReport)
    logger: Any = field(default_factory=lambda: logging.getLogger("batch_jobs"))
    chunk_size: int = DEFAULT_CHUNK_SIZE
    sources: Sources = field(default_factory=Sources)
    access: DataAccess = field(default_factory=DataAccess)
    changes: ChangeOptions = field(default_factory=ChangeOptions)
    #: Which partition this is the work on, ``None`` for the job as a whole.
    partition: PartitionState | None = None
    #: What ``around_partitions`` yielded.
    shared: Any = None


class JobRun:
    """One attempt at a job, as its strategy sees it.

    ``id, type, context, dry_run, attempt, created_by`` say which job this is; ``logger`` writes to the run's log;
    ``target`` is the SQLAlchemy engine of the database that strategies read and write; ``plan`` is a dict of JSON
    values that ``pre_process`` leaves for ``process`` (kept with the job, so that another machine may go on) and that
    people are shown, but for keys that begin with an underscore;
    ``chunk_size`` is the configured number of rows a chunk should have. Of a job that is cut, ``partition`` is the one
    that ``process`` is to do, and ``shared`` what its strategy's ``around_partitions`` yielded; else both are ``None``.
    """

    def __init__(
        self,
        identity: JobIdentity,
        parts: JobParts,
        result: JobResult | None = None,
        plan: dict[str, Any] | None = None,
    ) -> None:
        self.id, self.type, self.context = identity.id, identity.type, identity.context
        self.dry_run, self.attempt, self.created_by = identity.dry_run, identity.attempt, identity.created_by
        self.target, self.logger, self.chunk_size = parts.target, parts.logger, parts.chunk_size
        self.result = result or JobResult()
        self.plan: dict[str, Any] = dict(plan or {})
        self.files = parts.files
        self.sources = parts.sources
        self.access = parts.access
        #: What the job changes, for the log.
        self.changes = Changes(parts.changes, getattr(identity.context, "keep_changes", None))
        self.progress = Progress(self.result, self._save_soon)
        self.partition: Partition | None = parts.partition.partition if parts.partition else None
        self.shared = parts.shared
        self._number = parts.partition.number if parts.partition else None
        #: The partitions of a job that is cut, as they stood at last.
        self._states: list[PartitionState] = []
        self.rejects = RejectLog(parts.files, identity.id, self._number)
        self._process = this_process()
        self._report = parts.report
        self._checkpoints = parts.checkpoints
        self._checkpoint: Checkpoint | None = None
        self._has_begun_chunk = False
        self._refusing: Refusing | None = None

    @property
    def chunks_done(self) -> int:
        """How many chunks are committed, by this attempt and those before it."""
        return self._checkpoint.chunk_number if self._checkpoint else 0

    @property
    def chunks_committed(self) -> int:
        """How many chunks are committed, those of the job's partitions among them."""
        return self.chunks_done + sum(state.chunk_number for state in self._states)

    @property
    def can_go_on(self) -> bool:
        """Whether ``process`` may run again from the checkpoint: what was done so far, if anything, is in chunks."""
        return self._checkpoint is None or self._has_begun_chunk or self.chunks_done > 0

    @property
    def checkpoint(self) -> Any:
        """The cursor of the last committed chunk, ``None`` when there is none yet; go on after it."""
        return (self._checkpoint or self._checkpoints.load()).cursor

    def describe(self, key: str, name: str, message: str) -> None:
        """Add a line to the job's summary, or replace the one with this key."""
        self.result.describe(key, name, message)

    def count(self, *, created: int = 0, updated: int = 0, unchanged: int = 0, removed: int = 0) -> None:
        """Count rows by outcome; in a chunk they are committed with it."""
        counters = self.progress.counters
        counters.created += created
        counters.updated += updated
        counters.unchanged += unchanged
        counters.removed += removed

    def reject(
        self, line: int, column: str | None, message: str, row: dict[str, str | None], group: str | None = None
    ) -> None:
        """Refuse an input row.

        Args:
            line: where it starts in the input file, from 1.
            column: the bad cell's column, ``None`` when the row as a whole is bad.
            message: why, in a few words.
            row: the row as it was read, so that it can be corrected and loaded again.
            group: what rows have in common that go in together or not at all, ``None`` where each goes by itself.
        """
        self.rejects.add(Reject(line, column, message, row, group))
        if self._checkpoint is None:
            self.rejects.flush_before(PART_SIZE)

    def reject_rows(self, mask: Any, column: str | None, message: str) -> None:
        """Refuse rows of the frame that ``transform`` was given, by their lines of the input.

        Args:
            mask: true where a row is refused: a series with the frame's index, such as ``frame["price"] <= 0``, or an
                array as long as the frame. What is neither true nor false is not refused.
            column: of the reason, ``None`` when the row as a whole is bad.
            message: why, in a few words.

        Raises:
            RuntimeError: there is no frame.
            ValueError: the mask does not fit the frame.
        """
        if self._refusing is None:
            raise RuntimeError("job.reject_rows belongs in transform, or in a loop over job.frames")
        self._refusing.reject(mask, column, message)

    @contextmanager
    def refusing_in(self, rows: Refusing) -> Iterator[None]:
        """Have ``reject_rows`` mean these rows inside the block."""
        before, self._refusing = self._refusing, rows
        try:
            yield
        finally:
            self._refusing = before

    def frames(self, file_key: str, after: Any = None, **options: Any) -> "Iterator[FrameChunk]":
        """A file as frames of ``chunk_size`` rows at most, in columns of Arrow's types, indexed by their lines.

        Each is written in a chunk with its cursor: ``with job.chunk(cursor=chunk.cursor) as connection``. What cannot
        be read is rejected, and ``reject_rows`` refuses rows of the frame that the loop has.

        Args:
            file_key: of the file store, or a pattern for several files.
            after: the cursor of the last chunk, as ``job.checkpoint`` has it.
            options: how to read it, as ``table-import`` takes them: ``decimal=","``, ``types={"code": "text"}``. Types
                that are not given are found over the whole file.

        Raises:
            InputRefused: the file is not what it should be.
        """
        from batch_jobs.strategies.tables.frames.file_frames import file_frames  # which needs pandas, and this module

        return file_frames(self, file_key, after, options)

    def open_input(self, file_key: str) -> BinaryIO:
        """Open a file of the file store for reading.

        Raises:
            FileMissing: the store has no such file.
        """
        return self.files.open(file_key)

    @contextmanager
    def write_output(self, name: str) -> Iterator[BinaryIO]:
        """Write the job's result file; it is offered as ``result.file_key`` only once the block has ended well.

        A partition writes its part of it, for ``post_process`` to put together, see ``output_parts``.
        """
        refuse_fork(self._process, "write its files")
        key = f"{self._folder}/{harmless_name(name)}"
        with self.files.writing(key) as stream, ending_forks():
            yield stream
        self.result.file_key, self.result.file_size = key, self.files.size(key)

    def output_parts(self, name: str) -> list[str]:
        """The keys of what the job's partitions have written as this output, in their order."""
        keys = [f"{parts_folder(self.id, state.number)}/{harmless_name(name)}" for state in self._states]
        return [key for key in keys if self.files.exists(key)]

    @property
    def rejected_elsewhere(self) -> int:
        """The rows that the job's other partitions have rejected so far."""
        return self._checkpoints.elsewhere().rejected if self.partition else self.progress.elsewhere.rejected

    @contextmanager
    def chunk(self, cursor: Any) -> Iterator[Connection]:
        """A transaction on the target in which the block's writes and the checkpoint commit together, or not at all.

        Args:
            cursor: a JSON value saying where to go on after this chunk; comes back as ``job.checkpoint``.

        Counts what the block gave to ``job.progress.advance``, or else the rows that its statements wrote. Its end is
        the point where a cancel or a pause takes effect. Only ``process`` may use it. Where the database ends it for a
        reason that passes, such as a deadlock, ``process`` is run again from the checkpoint, some times.

        Raises:
            Superseded: a later attempt runs this job; nothing of the block was written.
            ChunkIsIn: the last commit got no answer and was made; nothing of the block was written.
            ForkOfJob: this is a fork of the process that runs the job.
            StopRequested: after the commit, when the job is to stop here.
        """
        refuse_fork(self._process, "commit chunks")
        done = self._checkpoint
        if done is None:
            raise RuntimeError("job.chunk belongs in process(); before it a job writes nothing to the target")
        self._has_begun_chunk = True
        before = self.progress.begin_chunk()
        try:
            with self._checkpoints.transaction() as connection:
                with WrittenRows(connection) as written, self.changes.in_chunk(connection), ending_forks():
                    yield connection
                committed = self._close_chunk(
                    connection, Checkpoint(done.chunk_number + 1, cursor, before), written.rows
                )
        except BaseException:
            self.rejects.drop_pending()
            self.progress.end_chunk(before)
            raise
        self._checkpoint = committed
        self.progress.end_chunk(committed.counters)
        self.stop_if_asked()

    def fenced(self) -> AbstractContextManager[Connection]:
        """A transaction on the target that is no chunk, and that no later attempt can overlap.

        Raises:
            Superseded: a later attempt runs this job; nothing was written.
        """
        return self._checkpoints.transaction()

    def stop_if_asked(self) -> None:
        """Stop here when the job was canceled or paused; for work that has no chunks, such as writing a file."""
        reason = self._report.stop_reason()
        if reason:
            raise StopRequested(reason)

    def save(self) -> None:
        """Report now, without waiting for the next second."""
        refuse_fork(self._process, "report")
        self._report.save(self.result, self._plan_to_keep())

    def require_plan(self) -> None:
        """Refuse a plan that cannot be kept.

        Raises:
            NotJson: names what in it is no JSON.
        """
        require_json(self.plan, "job.plan")

    def _plan_to_keep(self) -> dict[str, Any]:
        # what is no JSON is reported by ``require_plan``; the rest is kept
        if is_json(self.plan):
            return self.plan
        return {name: value for name, value in self.plan.items() if is_json({name: value})}

    def _save_soon(self) -> None:
        # in a chunk nothing is waited for: what it has locked is waited for by others
        self._report.save_soon(self.result, self._plan_to_keep())

    def begin_processing(self) -> None:
        """Take the right to write, and go on from where the last attempt got to."""
        self._checkpoint = self._checkpoints.take()
        self.changes.make_table(self.target)
        self.rejects.discard_after(self._checkpoint.chunk_number)
        self.progress.end_chunk(self._checkpoint.counters.model_copy())

    def parts_of(self, state: PartitionState, checkpoints: Checkpoints) -> JobParts:
        """What one of the job's partitions works with in this process."""
        return JobParts(
            self.target,
            self.files,
            checkpoints,
            SilentReport(),
            self.logger,
            self.chunk_size,
            self.sources,
            self.access,
            self.changes.options,
            state,
            self.shared,
        )

    def show_partitions(self, states: list[PartitionState]) -> None:
        """Take over how the partitions stand: their sums are the job's."""
        self._states = states
        self.result.partitions = [state.entry() for state in states]
        self.progress.elsewhere = add_up(state.counters for state in states)
        self.progress.publish()

    def keep_rejects(self) -> None:
        """Put together the rejects file of what is in so far; of a partition its job does that.

        Raises:
            RejectsMissing: the store does not have all of it.
        """
        ends, counted = {chunk_series(state.number): state.chunk_number + 1 for state in self._states}, 0
        if self._checkpoint is None:
            self.rejects.flush_before()
        else:
            last_chunk = self._checkpoint.chunk_number + 1  # what was refused after the last chunk counts too
            self.rejects.flush_chunk(last_chunk)
            ends[chunk_series()] = last_chunk
            counted = add_up([self._checkpoint.counters, self.progress.elsewhere]).rejected
        file = self.rejects.assemble(ends, counted) if self.partition is None else None
        if file:
            self.result.rejects_file_key, self.result.rejected = file.key, file.rows

    @property
    def _folder(self) -> str:
        return f"jobs/{self.id}" if self._number is None else parts_folder(self.id, self._number)

    def _close_chunk(self, connection: Connection, begun: Checkpoint, written_rows: int) -> Checkpoint:
        counters: Counters = self.progress.counters.model_copy()
        if counters.advanced == begun.counters.advanced:
            counters.advanced += written_rows
        counters.rejected += self.rejects.pending_rows()
        require_json(begun.cursor, "the cursor of job.chunk")
        checkpoint = Checkpoint(begun.chunk_number, storable_json(begun.cursor), counters)
        self.changes.write(connection, self.id, self._number, checkpoint.chunk_number)
        self._checkpoints.save(connection, checkpoint)
        self.rejects.flush_chunk(checkpoint.chunk_number)
        return checkpoint
