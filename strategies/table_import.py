"""The built-in strategy that loads a file into a table."""

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from functools import partial
from typing import Literal

from pydantic import BaseModel, Field
from sqlalchemy import Table, select

from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.context_fields import TableName
from batch_jobs.strategies.sdk.database import database_of
from batch_jobs.strategies.sdk.errors import (
    ContextRefused,
    InputRefused,
    JobRefused,
    TooManyRejects,
    count_rows,
)
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.sdk.rejects import Reject
from batch_jobs.strategies.tables.databases.loading import Destination
from batch_jobs.strategies.tables.databases.naming import find_table, refuse_unwritable, require_table, shown
from batch_jobs.strategies.tables.formats.format import (
    Format,
    FormatName,
    format_of,
    get_format,
    refuse_encoding,
    refuse_unheeded,
)
from batch_jobs.strategies.tables.formats.options import ReadingOptions, given_options
from batch_jobs.strategies.tables.formats.reading import NotAsItBegan, Reader
from batch_jobs.strategies.tables.importing.chunks import Chunk, Chunking, Chunks, write_chunk
from batch_jobs.strategies.tables.importing.creation import Creation
from batch_jobs.strategies.tables.importing.inference import Inference
from batch_jobs.strategies.tables.importing.inputs import InputOptions, Inputs, checksum_of, input_keys
from batch_jobs.strategies.tables.importing.mapping import LEFT_OUT, choose_key, map_columns, match_table, unique_key
from batch_jobs.strategies.tables.importing.plan import (
    ColumnChanges,
    ColumnToCreate,
    ImportPlan,
    check_row_size,
    place_lines,
    refuse_wide_table,
    table_to_create,
)
from batch_jobs.strategies.tables.importing.preview import Preview
from batch_jobs.strategies.tables.importing.removing import REMOVING, MissingRows, objection, remove_missing
from batch_jobs.strategies.tables.importing.repeats import HashedKeys, Repeats, read_repeats
from batch_jobs.strategies.tables.importing.staged_keys import StagedKeys
from batch_jobs.strategies.tables.importing.sync_options import DELETE, SyncOptions
from batch_jobs.strategies.tables.prefetch import prefetched
from batch_jobs.strategies.tables.values.converting import Checked, Converter
from batch_jobs.strategies.tables.values.options import ValueOptions

DESCRIBED_COLUMNS = 20
DESCRIBED_FILES = 20
BY_TRIGGER = "went to a trigger of the table that reports none written; counted as unchanged"

TEMPLATE = """\
code,name,price,stock,available_from
A-001,"Mug, blue",12.50,40,2026-01-15
A-002,"Plate 10"" white",8.00,120,2026-02-01
A-003,Bowl,9.90,,
"""


class Loading(BaseModel):
    """Where rows go, and how rows that are there already are met."""

    table: TableName = Field(
        title="Table",
        description="Where the rows go: table or schema.table; created when it does not exist",
        min_length=1,
    )
    mode: Literal["append", "insert", "upsert", "update", "sync"] = Field(
        "append",
        title="Mode",
        description="append: add every row; insert: reject a row whose key exists; upsert: update it where it differs; "
        "update: so, and reject a row whose key does not exist; sync: upsert, and remove rows that the file lacks",
    )
    key: list[str] = Field(
        default_factory=list,
        title="Key",
        description="Columns of the table that tell rows apart; default its primary key",
    )
    columns: dict[str, str | None] = Field(
        default_factory=dict,
        title="Columns",
        description="File column -> table column, or null to leave it out; others keep their name",
    )
    max_rejects: int | None = Field(
        None,
        title="Most rejects",
        description="Fail before anything is written when more rows than this are bad; default: any number",
        ge=0,
    )
    format: FormatName | None = Field(None, title="Format", description="Default: by the file's name")


class TableImportContext(SyncOptions, ValueOptions, ReadingOptions, Loading, InputOptions):
    """What to load and where, how the file is read, how its cells are understood, and what happens to other rows."""


class TableImport(BatchJobStrategy):
    """Load a CSV, TSV, JSON lines, Parquet or Excel file into a table."""

    identifier = "table-import-strategy"
    batch_type = "table-import"
    Context = TableImportContext

    def prepare(self, context: TableImportContext) -> TableImportContext:
        """Refuse what cannot be meant."""
        name = context.first_name(self.batch_type)
        if not context.table.strip():
            raise ContextRefused("table-import needs the name of a table")
        if len(set(context.key)) < len(context.key):
            raise ContextRefused(f"key names a column twice: {', '.join(context.key)}")
        if context.mode != "sync" and context.asks_for_removal:
            raise ContextRefused("missing, where and max_removed are for mode sync; leave them out or set mode to sync")
        refuse_encoding(context)
        with suppress(InputRefused):  # a name that tells no format is reported with the file
            refuse_unheeded(context, get_format(context.format) if context.format else format_of(name))
        return context

    def pre_process(self, job: JobRun) -> None:
        """Read the whole file: decide, count, find everything that is wrong; the target is only read."""
        if job.checkpoint is not None and "checksum" in job.plan:
            return  # part of the file is in; to compare with that would make a new plan of half the work
        inputs = Inputs(job, input_keys(job))
        format = inputs.format(job.context.format)
        reader = inputs.reader(format, job.context)
        try:
            plan = self._look(job, format, reader)
        except NotAsItBegan:
            reader.settle()
            job.rejects.restart()
            plan = self._look(job, format, reader)
        plan.file, plan.found = reader.described, reader.found
        plan.options = given_options(job.context, ReadingOptions, ValueOptions, SyncOptions)
        plan.files = inputs.look_at(plan.total)
        plan.checksum = checksum_of(plan.files)
        place_lines([*plan.sample, *plan.rejects], [file.key for file in plan.files])
        job.progress.total = plan.total + plan.counts.remove
        job.plan.update(plan.as_json())
        _describe(job, plan)
        if plan.refused:
            raise JobRefused(plan.refused)
        _limit_rejects(job, plan.counts.reject, "nothing was written")

    def process(self, job: JobRun) -> None:
        """Load the file, chunk by chunk, from the checkpoint on."""
        plan = ImportPlan.model_validate(job.plan)
        inputs = Inputs(job, [file.key for file in plan.files])
        inputs.refuse_changed(plan.files)
        format = inputs.format(job.context.format)
        table, creation = _table(job, plan)
        destination = _destination(job, plan, table, exists=plan.creates is None)
        loader = database_of(job.target).loader(destination)
        reader = inputs.reader(format, job.context, plan.found)
        if job.checkpoint != REMOVING:
            converter = _converter(job, format, table, plan.mapping, plan.key)
            _load_all(job, plan, Chunking(reader, converter, loader, destination), creation)
        if job.context.mode == "append" and job.result.unchanged:
            job.describe("import-left-out", "Left out", f"{count_rows(job.result.unchanged)} {BY_TRIGGER}")
        if job.context.mode == "sync" and plan.creates is None:
            of_key = {name: column for name, column in plan.mapping.items() if column in plan.key}
            keys = _checked(reader, _converter(job, format, table, of_key, plan.key))
            remove_missing(job, keys, destination, loader, plan.max_removed or 0)

    def build_template(self) -> str:
        """A small CSV file."""
        return TEMPLATE

    def _look(self, job: JobRun, format: Format, reader: Reader) -> ImportPlan:
        """Decide, and look at every row."""
        plan, table, exists = self._decide(job, format, reader)
        destination = _destination(job, plan, table, exists)
        converter = _converter(job, format, table, plan.mapping, plan.key)
        has_rows = exists and bool(destination.key) and _has_rows(job, table)
        preview = Preview(job, partial(_checked, reader, converter), destination, has_rows)
        plan.kept = destination.given_out
        with _file_keys(job, destination, exists) as keys:
            plan.repeats = preview.run(keys)
            plan.total, plan.counts, plan.columns = preview.total, preview.counts, preview.columns
            plan.sample, plan.rejects = preview.sample, preview.rejects
            if has_rows and isinstance(keys, StagedKeys) and destination.mode == "sync":
                _look_for_missing(job, plan, destination, keys)
        return plan

    def _decide(self, job: JobRun, format: Format, reader: Reader) -> tuple[ImportPlan, Table, bool]:
        context: TableImportContext = job.context
        table = find_table(job.target, context.table, job.access)
        if table is None and context.mode == "update":
            require_table(job.target, context.table, job.access)
        inference = _infer(job, format, reader) if table is None else None  # which may find further columns
        mapping = map_columns(reader.columns, context.columns)
        _refuse_unknown_columns(context, mapping)
        if table is not None:
            refuse_unwritable(job.target, table, context.mode)
            mapping = match_table(mapping, table, context.mode)
        key = choose_key(context.mode, context.key, table, list(mapping.values()))
        plan = ImportPlan(mapping=mapping, key=key)
        if inference is not None:
            decided = inference.columns()
            plan.creates = [ColumnToCreate.decided(column, decided[name]) for name, column in mapping.items()]
            created = table_to_create(job.target, context.table, plan.creates, key, job.access)
            filled = [mapping[name] for name in inference.always_filled() if name in mapping]
            check_row_size(database_of(job.target), created, filled)
            return plan, created, False
        assert table is not None
        return plan, table, True


def _infer(job: JobRun, format: Format, reader: Reader) -> Inference:
    context: TableImportContext = job.context
    inference = Inference(database_of(job.target), context, reader.types, context.columns, typed=format.typed)
    _refuse_wide_table(job, reader.columns)
    seen = len(reader.columns)
    with prefetched(reader.batches()) as batches:
        for batch in batches:
            job.stop_if_asked()
            if batch.table.num_columns > seen:
                _refuse_wide_table(job, batch.table.column_names)
                seen = batch.table.num_columns
            inference.feed(batch)
    return inference


def _refuse_wide_table(job: JobRun, columns: list[str]) -> None:
    """Refuse a file of too many columns for a new table before its cells are looked at."""
    loaded = [name for name in columns if name not in LEFT_OUT and job.context.columns.get(name, name)]
    refuse_wide_table(database_of(job.target), len(loaded))


def _refuse_unknown_columns(context: TableImportContext, mapping: dict[str, str]) -> None:
    for option, columns in context.unknown_columns([*mapping, *mapping.values()]).items():
        raise JobRefused(f"{option} names {shown(columns)}, which is not loaded; what is: {shown(list(mapping))}")


def _converter(job: JobRun, format: Format, table: Table, mapping: dict[str, str], key: list[str]) -> Converter:
    return Converter(
        table, mapping, key, format.for_spreadsheets, job.context, typed=format.typed, has_json=format.has_json
    )


def _checked(reader: Reader, converter: Converter) -> Iterator[Checked]:
    known = len(reader.columns)
    # splitting the file and converting cells take about as long: one thread each
    with prefetched(reader.batches()) as batches:
        for batch in batches:
            if batch.table.num_columns > known:
                raise NotAsItBegan
            yield converter.check(batch)


def _destination(job: JobRun, plan: ImportPlan, table: Table, exists: bool) -> Destination:
    context: TableImportContext = job.context
    columns = list(plan.mapping.values())
    if context.mode == "append":
        return Destination(table, columns, [], context.mode)
    collations = unique_key(job.target, table, plan.key).collations if exists else {}
    return Destination(table, columns, plan.key, context.mode, collations, resets=context.empty == "default")


def _file_keys(job: JobRun, destination: Destination, exists: bool) -> HashedKeys | StagedKeys:
    database = database_of(job.target)
    is_lenient = any(collation != database.exact_collation for collation in destination.collations.values())
    by_text = all(database.distinguishes_by_text(destination.column(name)) for name in destination.key)
    if not exists or (by_text and not is_lenient and destination.mode != "sync"):
        return HashedKeys()
    loader = database.loader(destination)
    return StagedKeys(job.target, destination, loader, keeps_rejects=destination.mode == "sync")


def _look_for_missing(job: JobRun, plan: ImportPlan, destination: Destination, keys: StagedKeys) -> None:
    database = database_of(job.target)
    found = MissingRows(database, destination, database.loader(destination), job.context).find(keys)
    plan.counts.remove, plan.removed = found.missing, found.first
    plan.max_removed = job.context.most_removed(found.of)
    plan.refused = objection(found, keys, plan.max_removed)


def _has_rows(job: JobRun, table: Table) -> bool:
    with job.target.connect() as connection:
        return connection.execute(select(1).select_from(table).limit(1)).first() is not None


def _table(job: JobRun, plan: ImportPlan) -> tuple[Table, Creation]:
    """The table, and its creation where it is not there yet."""
    found = find_table(job.target, job.context.table, job.access)
    if plan.creates is None or (found is not None and job.checkpoint is None):
        table = found if found is not None else require_table(job.target, job.context.table, job.access)
        return table, Creation(None)
    # of the types that were decided on, some are not found again in the database
    planned = table_to_create(job.target, job.context.table, plan.creates, plan.key, job.access)
    return planned, Creation(planned if found is None else None)


def _load_all(job: JobRun, plan: ImportPlan, chunking: Chunking, creation: Creation) -> None:
    with ExitStack() as open_things:
        stream = open_things.enter_context(job.open_input(plan.repeats)) if plan.repeats else None
        repeats = Repeats(read_repeats(stream) if stream else iter(()))
        chunks = Chunks(chunking, repeats, job.chunk_size).after(job.checkpoint)
        for chunk in open_things.enter_context(prefetched(chunks)):
            _load(job, chunking, chunk, creation)


def _load(job: JobRun, chunking: Chunking, chunk: Chunk, creation: Creation) -> None:
    rejects: list[Reject] = chunk.rejects
    try:
        with (
            job.chunk(cursor=chunk.cursor) as connection,
            creation.by_first_row(connection, bool(chunk.pieces)) as done,
        ):
            outcome = write_chunk(connection, chunking.loader, chunk, chunking.destination)
            done.rows = outcome.created
            rejects = chunk.rejects + outcome.rejects
            job.count(created=outcome.created, updated=outcome.updated, unchanged=outcome.unchanged)
            job.progress.advance(chunk.count)
            _report(job, rejects)
            rejected = job.progress.counters.rejected + len({reject.line for reject in rejects})
            _limit_rejects(job, rejected, f"{job.progress.counters.advanced - chunk.count} rows before them are done")
    except TooManyRejects:
        _report(job, rejects)  # the chunk is undone and its rejects with it; they are to be seen all the same
        raise


def _report(job: JobRun, rejects: list[Reject]) -> None:
    for reject in rejects:
        job.reject(reject.line, reject.column, reject.message, reject.row)


def _limit_rejects(job: JobRun, rejected: int, written: str) -> None:
    allowed = job.context.max_rejects
    if allowed is not None and rejected > allowed:
        raise TooManyRejects(rejected, allowed, written)


def _describe(job: JobRun, plan: ImportPlan) -> None:
    table, counts = job.context.table, plan.counts
    job.describe("import-file", "File", ", ".join(f"{name} {value!r}" for name, value in plan.file.items()))
    for number, file in enumerate(plan.files[:DESCRIBED_FILES] if len(plan.files) > 1 else (), 1):
        rows = count_rows(file.rows or 0)
        job.describe(f"import-file-{number}", "File", f"{file.key}: {rows}, SHA-256 {file.checksum}")
    if len(plan.files) > DESCRIBED_FILES:
        job.describe("import-files", "Files", f"and {len(plan.files) - DESCRIBED_FILES} more")
    if plan.creates is not None:
        job.describe("import-table", "Table", f"{table} will be created")
        _describe_columns(job, plan.creates)
    job.describe("import-create", "To create", f"{count_rows(counts.create)} will be created in {table}")
    job.describe("import-update", "To update", f"{count_rows(counts.update)} will be updated")
    if plan.columns:
        job.describe("import-changes", "Changes", _changes(plan.columns))
    job.describe("import-unchanged", "Unchanged", f"{count_rows(counts.unchanged)} already as in the file")
    if plan.kept:
        job.describe(
            "import-kept", "Kept", f"{shown(plan.kept)} of rows that are there stays: the database gives it out"
        )
    if job.context.mode == "sync":
        marked = "deleted" if job.context.missing == DELETE else "marked"
        job.describe("import-remove", "To remove", f"{count_rows(counts.remove)} not in the file will be {marked}")
    job.describe("import-reject", "To reject", f"{count_rows(counts.reject)} will be rejected")


def _changes(columns: dict[str, ColumnChanges]) -> str:
    shown_columns = [
        f"{name}: {count_rows(changes.changed)}" + (f", {changes.emptied} emptied" if changes.emptied else "")
        for name, changes in sorted(columns.items(), key=lambda item: -item[1].changed)
    ]
    return "; ".join(shown_columns[:DESCRIBED_COLUMNS])


def _describe_columns(job: JobRun, columns: list[ColumnToCreate]) -> None:
    for number, column in enumerate(columns[:DESCRIBED_COLUMNS], 1):
        job.describe(f"import-column-{number}", "Column", f"{column}, because {column.why}")
    if len(columns) > DESCRIBED_COLUMNS:
        job.describe("import-columns", "Columns", f"and {len(columns) - DESCRIBED_COLUMNS} more")
