"""Loading a file into a table: what ``table-import`` does, and strategies that change the rows on their way."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel
from sqlalchemy import Table

from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.database import database_of
from batch_jobs.strategies.sdk.errors import (
    ContextRefused,
    InputRefused,
    JobRefused,
    StrategyIncomplete,
    count_rows,
)
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.sdk.leaving_out import LeaveOut
from batch_jobs.strategies.sdk.partition import Partition, in_one
from batch_jobs.strategies.sdk.sample import FileSample, header_of
from batch_jobs.strategies.tables.changes.planned import leave_out_repeats, planning
from batch_jobs.strategies.tables.changes.recording import named_by_key
from batch_jobs.strategies.tables.databases.loading import Destination
from batch_jobs.strategies.tables.databases.naming import find_table, refuse_unwritable, require_table, shown
from batch_jobs.strategies.tables.formats.format import (
    Format,
    format_of,
    get_format,
    refuse_encoding,
    refuse_unheeded,
)
from batch_jobs.strategies.tables.formats.options import ReadingOptions, given_options
from batch_jobs.strategies.tables.formats.reading import NotAsItBegan, Reader
from batch_jobs.strategies.tables.frames.fitting import refuse_other_types, refuse_unfit, refuse_without_key
from batch_jobs.strategies.tables.importing.chunks import Chunking
from batch_jobs.strategies.tables.importing.creation import Creation
from batch_jobs.strategies.tables.importing.defaults import decided_by_defaults, with_defaults
from batch_jobs.strategies.tables.importing.describing import describe
from batch_jobs.strategies.tables.importing.excerpt import open_excerpt
from batch_jobs.strategies.tables.importing.import_options import (
    FileOptions,
    ImportContext,
    RowOptions,
    fixed,
    value_options,
)
from batch_jobs.strategies.tables.importing.inference import Inference
from batch_jobs.strategies.tables.importing.inputs import Inputs, checksum_of, input_keys
from batch_jobs.strategies.tables.importing.left_out import check_wish, find_left_out, wish_of, without_columns
from batch_jobs.strategies.tables.importing.loading import limit_all_rejects, limit_rejects, load_all
from batch_jobs.strategies.tables.importing.mapping import LEFT_OUT, choose_key, map_columns, match_table
from batch_jobs.strategies.tables.importing.partitions import has_partitions, partitions, why_in_one
from batch_jobs.strategies.tables.importing.plan import (
    ColumnToCreate,
    ImportPlan,
    check_row_size,
    place_lines,
    refuse_wide_table,
    table_to_create,
)
from batch_jobs.strategies.tables.importing.preview import Preview
from batch_jobs.strategies.tables.importing.removing import is_removing, look_for_missing, remove_missing
from batch_jobs.strategies.tables.importing.repeats import HashedKeys
from batch_jobs.strategies.tables.importing.sampling import Sampling
from batch_jobs.strategies.tables.importing.staged_keys import StagedKeys
from batch_jobs.strategies.tables.importing.sync_options import SyncOptions
from batch_jobs.strategies.tables.importing.target_table import access_of, destination_of, has_rows, table_of
from batch_jobs.strategies.tables.prefetch import prefetched
from batch_jobs.strategies.tables.values.converting import Checked, Converter
from batch_jobs.strategies.tables.values.options import ValueOptions

if TYPE_CHECKING:
    import pandas as pd

    from batch_jobs.strategies.tables.frames.frame_reader import FrameReader
    from batch_jobs.strategies.tables.frames.rows import Make
    from batch_jobs.strategies.tables.frames.source_reader import FrameChunk, FrameInputs

BY_TRIGGER = "went to a trigger of the table that reports none written; counted as unchanged"


class FrameImport(BatchJobStrategy, abstract=True):
    """Load a file into a table, changed on its way by ``transform``.

    A subclass names its ``table``, and a ``key`` for every mode but ``append``; see docs/writing-a-strategy.md. Without
    a ``transform`` the rows go in as they are in the file.
    """

    #: Where the rows go: table or schema.table; created when it does not exist.
    table: ClassVar[str]
    #: The columns that tell rows apart; by default the table's primary key.
    key: ClassVar[Sequence[str]] = ()

    #: Types of the file's columns that are not to be found, by name: ``{"code": "text"}``; a job's ``types`` go before.
    types: ClassVar[Mapping[str, str]] = {}
    #: What the rows have to be like: a schema of pandera's, or a pydantic model of a row; each bad cell is a reject.
    schema: ClassVar[Any] = None

    class Context(FileOptions):
        """What every such import can be asked for."""

    class SourceContext(RowOptions):
        """What an import can be asked for whose rows come from ``frames``."""

    def __init_subclass__(cls, abstract: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(abstract=abstract, **kwargs)
        if not is_schema(cls.schema):
            raise StrategyIncomplete(cls.__name__, ["a schema that is one of pandera's or a pydantic model"])
        if not abstract and "table" not in cls.Context.model_fields:
            if not getattr(cls, "table", None):
                raise StrategyIncomplete(cls.__name__, ["table"])
            # to mypy a class in a class is not assigned to
            setattr(cls, "Context", fixed(_context(cls), cls.table, list(cls.key)))  # noqa: B010

    def transform(self, frame: "pd.DataFrame", job: JobRun) -> "pd.DataFrame":
        """What becomes of some rows of the file; they are loaded as they are returned.

        It is called for the preview and again for the run, with chunks of any size, and gives the same each time.

        Args:
            frame: rows of the file, indexed by their lines, in columns of Arrow's types: those of the option ``types``,
                else found over the whole file. It may be changed.
            job: ``job.reject_rows`` refuses rows of it.

        Returns:
            The rows to load, whose columns are those of the table. A row belongs to the line that its index says.
        """
        return frame

    def frames(self, job: JobRun, after: Any) -> "Iterator[FrameChunk]":
        """The rows to load, where they come from elsewhere than a file: an API, a data set.

        It is called for the preview and again for the run, and gives the same rows for the same cursor.

        Args:
            job: has the context.
            after: the cursor of the last frame that is done, ``None`` at the start.

        Yields:
            The frames after it, each of some thousand rows at most, with the cursor of what follows it.
        """
        raise NotImplementedError

    def prepare(self, context: Any) -> Any:
        """Refuse what cannot be meant."""
        name = None if self._fetches() else context.first_name(self.batch_type)
        if not context.table.strip():
            raise ContextRefused(f"{self.batch_type} needs the name of a table")
        if len(set(context.key)) < len(context.key):
            raise ContextRefused(f"key names a column twice: {', '.join(context.key)}")
        if context.mode != "sync" and context.asks_for_removal:
            raise ContextRefused("missing, where and max_removed are for mode sync; leave them out or set mode to sync")
        if name is not None:
            refuse_encoding(context)
            with suppress(InputRefused):  # a name that tells no format is reported with the file
                refuse_unheeded(context, get_format(context.format) if context.format else format_of(name))
        return context

    def pre_process(self, job: JobRun) -> None:
        """Read the whole file: decide, count, find everything that is wrong; the target is only read."""
        if "checksum" in job.plan and (job.checkpoint is not None or has_partitions(job)):
            return  # part of the file is in; to compare with that would make a new plan of half the work
        inputs = self._inputs(job)
        format = inputs.format(getattr(job.context, "format", None))
        reader = self._reader(job, inputs, format)
        try:
            plan = self._look(job, format, reader)
        except NotAsItBegan:
            reader.settle()
            job.rejects.restart()
            plan = self._look(job, format, reader)
        plan.file, plan.found = reader.described, reader.found
        plan.header = None if self._fetches() else header_of(reader.input_columns)
        plan.marks, plan.uncut = [asdict(mark) for mark in reader.marks], reader.uncut
        if reader.made is not None and plan.found:
            plan.frame = [ColumnToCreate.model_validate(column) for column in plan.found.get("types", [])]
        plan.options = given_options(job.context, ReadingOptions, ValueOptions, SyncOptions)
        plan.files = inputs.look_at(plan.total)
        plan.checksum = checksum_of(plan.files)
        place_lines([*plan.sample, *plan.rejects], [file.key for file in plan.files])
        job.progress.total = plan.total + plan.counts.remove
        job.plan.update(plan.as_json())
        describe(job, plan)
        if plan.refused:
            raise JobRefused(plan.refused)
        limit_rejects(job, plan.counts.reject, "nothing was written")

    def sample(self, job: JobRun, rows: int) -> FileSample | None:
        """The beginning of the file, and what becomes of its rows in the table."""
        if self._fetches():
            return None
        excerpt = open_excerpt(job)
        if not self._makes_frames():
            return Sampling(job, excerpt, excerpt.reader).sample(rows)
        from batch_jobs.strategies.tables.frames.frame_sampling import FrameSampling  # which needs pandas
        from batch_jobs.strategies.tables.frames.transforming import TransformFailed

        try:
            reader = self._framed(job, excerpt.reader, excerpt.format)
            reader.settle()
            return FrameSampling(job, excerpt, reader).sample(rows)
        except TransformFailed as failed:
            raise JobRefused(str(failed)) from failed

    def process(self, job: JobRun) -> None:
        """Load the file, or of a partition its part, chunk by chunk, from the checkpoint on."""
        if job.partition is None:
            find_left_out(job)
        opened = self._opened(job)
        if not is_removing(job.checkpoint):
            load_all(job, opened.plan, opened.chunking, opened.creation)
        if job.context.mode == "append" and job.result.unchanged:
            job.describe("import-left-out", "Left out", f"{count_rows(job.result.unchanged)} {BY_TRIGGER}")
        if job.partition is None:
            opened.remove_missing(job)

    def partition(self, job: JobRun, size: int) -> list[Partition]:
        """Parts of the input, where it makes no difference which is loaded first; else the summary says why not."""
        find_left_out(job)
        if size < 2:
            return []
        plan = ImportPlan.model_validate(job.plan)
        found = find_table(job.target, job.context.table, access_of(job))
        reason = why_in_one(job, plan, found if found is not None else table_of(job, plan)[0], found is not None)
        if job.context.mode == "sync" and type(self).post_process is not FrameImport.post_process:
            reason = "the strategy has a post_process of its own, and rows are removed in that"
        return in_one(job, reason) if reason else partitions(plan, size)

    def check_leave_out(self, wish: LeaveOut, job_id: str, plan: dict[str, Any], files: FileStore) -> None:
        """Columns, kinds, keys, lines and rules, all by what the preview found."""
        check_wish(wish, job_id, ImportPlan.model_validate(plan), files)

    def for_some_rows(self, context: Any) -> Any:
        """Where it is to remove what the file lacks, the rows are put in and nothing is removed."""
        if context.mode != "sync":
            return context
        defaults = {
            name: field.get_default(call_default_factory=True) for name, field in SyncOptions.model_fields.items()
        }
        return context.model_copy(update={"mode": "upsert", **defaults})

    def post_process(self, job: JobRun) -> None:
        """Of a job that was cut, do what is to be done once all rows are in."""
        if job.result.partitions:
            limit_all_rejects(job)
            if job.context.mode == "sync":
                self._opened(job).remove_missing(job)
                if wish_of(job.plan):
                    job.keep_rejects()  # those of rows that stay are found here

    def build_template(self) -> str:
        """None, where the author gives none."""
        return ""

    @classmethod
    def _makes_frames(cls) -> bool:
        return cls.transform is not FrameImport.transform or cls.schema is not None

    @classmethod
    def _fetches(cls) -> bool:
        return cls.frames is not FrameImport.frames

    def _opened(self, job: JobRun) -> "_Opened":
        plan = without_columns(ImportPlan.model_validate(job.plan), wish_of(job.plan))
        inputs = self._inputs(job, plan)
        inputs.refuse_changed(plan.files)
        format = inputs.format(getattr(job.context, "format", None))
        table, creation = table_of(job, plan)
        destination = destination_of(job, plan, table, exists=plan.creates is None)
        loader = database_of(job.target).loader(destination)
        reader = self._reader(job, inputs, format, plan.found)
        converter = _converter(job, format, table, plan.mapping, plan.key)
        return _Opened(plan, format, Chunking(reader, converter, loader, destination), creation)

    def _inputs(self, job: JobRun, plan: ImportPlan | None = None) -> "Inputs | FrameInputs":
        if not self._fetches():
            return Inputs(job, [file.key for file in plan.files] if plan else input_keys(job))
        from batch_jobs.strategies.tables.frames.source_reader import FrameInputs

        return FrameInputs(lambda after: self.frames(job, after), self._make(job))

    def _reader(
        self, job: JobRun, inputs: "Inputs | FrameInputs", format: Format, found: dict[str, Any] | None = None
    ) -> Reader:
        if self._fetches() or not self._makes_frames():
            return inputs.reader(format, job.context, found)
        found = found or inputs.found_before
        inner = inputs.reader(format, job.context, found["input"] if found else None)
        return self._framed(job, inner, format, found)

    def _framed(self, job: JobRun, inner: Reader, format: Format, found: dict[str, Any] | None = None) -> "FrameReader":
        """What the strategy makes of the rows of a reader."""
        from batch_jobs.strategies.tables.frames.frame_reader import FrameReader  # which needs pandas

        # defaults are for the columns of the table
        options = job.context.model_copy(update={"types": {**self.types, **job.context.types}, "defaults": {}})
        return FrameReader(inner, self._make(job), format, options, found)

    def _make(self, job: JobRun) -> "Make":
        from batch_jobs.strategies.tables.frames.schema import checked_by
        from batch_jobs.strategies.tables.frames.transforming import transformed

        return lambda frame, rows: checked_by(self.schema, transformed(self, self.transform, frame, rows, job), rows)

    def _look(self, job: JobRun, format: Format, reader: Reader) -> ImportPlan:
        """Decide, and look at every row."""
        plan, table, exists = self._decide(job, format, reader)
        destination = destination_of(job, plan, table, exists)
        converter = _converter(job, format, table, plan.mapping, plan.key)
        compares = exists and bool(destination.key) and has_rows(job, table)
        plan.kept = destination.given_out
        with _file_keys(job, destination, exists) as keys, planning(job.files, job.id, job.changes.options) as planned:
            preview = Preview(job, partial(_checked, reader, converter), destination, compares, planned)
            plan.repeats = preview.run(keys)
            plan.total, plan.counts, plan.columns = preview.total, preview.counts, preview.columns
            plan.sample, plan.rejects = preview.sample, preview.rejects
            if compares and isinstance(keys, StagedKeys) and destination.mode == "sync":
                look_for_missing(job, plan, named_by_key(destination), keys, planned)
        if plan.repeats:
            leave_out_repeats(job, plan.repeats)
        return plan

    def _decide(self, job: JobRun, format: Format, reader: Reader) -> tuple[ImportPlan, Table, bool]:
        context: ImportContext = job.context
        table = find_table(job.target, context.table, access_of(job))
        if table is None and context.mode == "update":
            require_table(job.target, context.table, access_of(job))
        inference = _infer(job, format, reader) if table is None else None  # which may find further columns
        mapping = map_columns(reader.columns, context.columns)
        _refuse_unknown_columns(context, reader, mapping)
        if table is not None:
            refuse_unwritable(job.target, table, context.mode)
            if reader.made is not None:
                refuse_unfit(list(mapping), reader.made, table, context.key, context.mode)
            mapping = with_defaults(mapping, value_options(context), reader.columns)
            mapping = match_table(mapping, table, context.mode)
        else:
            if reader.made is not None:
                refuse_without_key(list(mapping), context.key)
            mapping = with_defaults(mapping, value_options(context), reader.columns)
        key = choose_key(context.mode, context.key, table, list(mapping.values()))
        plan = ImportPlan(mapping=mapping, key=key)
        if inference is not None:
            decided = inference.columns()
            decided |= decided_by_defaults(database_of(job.target), value_options(context), mapping, reader.columns)
            plan.creates = [ColumnToCreate.decided(column, decided[name]) for name, column in mapping.items()]
            created = table_to_create(job.target, context.table, plan.creates, key, access_of(job))
            filled = [mapping[name] for name in inference.always_filled() if name in mapping]
            check_row_size(database_of(job.target), created, filled)
            return plan, created, False
        assert table is not None
        return plan, table, True


@dataclass(frozen=True)
class _Opened:
    """What an import works with once its plan is made."""

    plan: ImportPlan
    format: Format
    chunking: Chunking
    creation: Creation

    def remove_missing(self, job: JobRun) -> None:
        """Remove the rows that the file lacks, where the job is to."""
        if job.context.mode == "sync" and self.plan.creates is None:
            plan, destination = self.plan, self.chunking.destination
            of_key = {name: column for name, column in plan.mapping.items() if column in plan.key}
            converter = _converter(job, self.format, destination.table, of_key, plan.key)
            keys = _checked(self.chunking.reader, converter)
            remove_missing(job, keys, destination, self.chunking.loader, plan.max_removed or 0)


def is_schema(schema: Any) -> bool:
    """Whether rows can be checked by it; nothing is none to check by."""
    is_model = isinstance(schema, type) and issubclass(schema, BaseModel)
    return schema is None or is_model or hasattr(schema, "validate")


def _context(cls: type[FrameImport]) -> type[BaseModel]:
    is_own = cls.Context is not FrameImport.Context
    return cls.Context if is_own or not cls._fetches() else FrameImport.SourceContext


def _infer(job: JobRun, format: Format, reader: Reader) -> Inference:
    context: ImportContext = job.context
    options = value_options(context)
    inference = Inference(
        database_of(job.target),
        options,
        reader.types,
        context.columns,
        said_by="the file itself" if reader.made is None else "the frame that transform returns",
        typed=format.typed,
        restores=format.for_spreadsheets,
    )
    _refuse_wide_table(job, reader.columns)
    seen = len(reader.columns)
    with prefetched(reader.batches()) as batches:
        for batch in batches:
            job.stop_if_asked()
            if batch.table.num_columns > seen:
                _refuse_wide_table(job, batch.table.column_names)
                seen = batch.table.num_columns
            refuse_other_types(reader.made or {}, batch)
            inference.feed(batch)
    return inference


def _refuse_wide_table(job: JobRun, columns: list[str]) -> None:
    """Refuse a file of too many columns for a new table before its cells are looked at."""
    loaded = [name for name in columns if name not in LEFT_OUT and job.context.columns.get(name, name)]
    refuse_wide_table(database_of(job.target), len(loaded))


def _refuse_unknown_columns(context: ImportContext, reader: Reader, mapping: dict[str, str]) -> None:
    names = list(mapping) if reader.input_columns is reader.columns else reader.input_columns
    options = value_options(context)
    for option, columns in options.unknown_columns([*names, *mapping.values(), *options.defaults]).items():
        raise JobRefused(f"{option} names {shown(columns)}, which is not loaded; what is: {shown(names)}")


def _converter(job: JobRun, format: Format, table: Table, mapping: dict[str, str], key: list[str]) -> Converter:
    options = value_options(job.context)
    return Converter(
        table, mapping, key, format.for_spreadsheets, options, typed=format.typed, has_json=format.has_json
    )


def _checked(reader: Reader, converter: Converter) -> Iterator[Checked]:
    known = len(reader.columns)
    # splitting the file and converting cells take about as long: one thread each
    with prefetched(reader.batches()) as batches:
        for batch in batches:
            if batch.table.num_columns > known:
                raise NotAsItBegan
            yield converter.check(batch)


def _file_keys(job: JobRun, destination: Destination, exists: bool) -> HashedKeys | StagedKeys:
    database = database_of(job.target)
    is_lenient = any(collation != database.exact_collation for collation in destination.collations.values())
    by_text = all(database.distinguishes_by_text(destination.column(name)) for name in destination.key)
    if not exists or (by_text and not is_lenient and destination.mode != "sync"):
        return HashedKeys()
    loader = database.loader(destination)
    return StagedKeys(job.target, destination, loader, keeps_rejects=destination.mode == "sync")
