"""The built-in strategy that loads a file into a table."""

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from functools import partial
from typing import Literal

from pydantic import BaseModel, Field
from sqlalchemy import Table, select

from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.database import database_of
from batch_jobs.strategies.sdk.errors import ContextRefused, InputRefused, TooManyRejects, count_rows
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.sdk.rejects import Reject
from batch_jobs.strategies.tables.databases.loading import Destination, Loader
from batch_jobs.strategies.tables.databases.naming import find_table, refuse_own, require_table
from batch_jobs.strategies.tables.formats.format import Format, FormatName, format_of, get_format, refuse_unheeded
from batch_jobs.strategies.tables.formats.options import ReadingOptions
from batch_jobs.strategies.tables.formats.reading import NotAsItBegan, Reader
from batch_jobs.strategies.tables.importing.chunks import Chunk, Chunks, write_chunk
from batch_jobs.strategies.tables.importing.fetching import SourceOption, fetched, name_of
from batch_jobs.strategies.tables.importing.inference import Inference
from batch_jobs.strategies.tables.importing.inputs import Inputs, checksum_of, chosen_keys
from batch_jobs.strategies.tables.importing.mapping import check_unique, choose_key, map_columns, match_table
from batch_jobs.strategies.tables.importing.plan import ColumnToCreate, ImportPlan, create, placed, table_to_create
from batch_jobs.strategies.tables.importing.preview import Preview
from batch_jobs.strategies.tables.importing.repeats import Repeats
from batch_jobs.strategies.tables.prefetch import prefetched
from batch_jobs.strategies.tables.values.converting import Checked, Converter
from batch_jobs.strategies.tables.values.options import ValueOptions

DESCRIBED_COLUMNS = 20
DESCRIBED_FILES = 20

TEMPLATE = """\
code,name,price,stock,available_from
A-001,"Mug, blue",12.50,40,2026-01-15
A-002,"Plate 10"" white",8.00,120,2026-02-01
A-003,Bowl,9.90,,
"""


class Loading(BaseModel):
    """What to load, where, and how rows that are there already are met."""

    file_key: str | list[str] | None = Field(
        default=None,
        title="File",
        description="Key of the file in the file store, as `batch-jobs files list` shows it; several, or a pattern "
        "such as uploads/*.csv, are loaded one after the other; archive.zip#prices.csv is a file in an archive",
    )
    table: str = Field(
        title="Table",
        description="Where the rows go: table or schema.table; created when it does not exist",
        min_length=1,
    )
    mode: Literal["append", "insert", "upsert"] = Field(
        "append",
        title="Mode",
        description="append: add every row; insert: reject a row whose key exists; upsert: update it where it differs",
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


class TableImportContext(ValueOptions, ReadingOptions, SourceOption, Loading):
    """What to load and where, how the file is read, and how its cells are understood."""


class TableImport(BatchJobStrategy):
    """Load a CSV, TSV, JSON lines, Parquet or Excel file into a table."""

    identifier = "table-import-strategy"
    batch_type = "table-import"
    Context = TableImportContext

    def prepare(self, context: TableImportContext) -> TableImportContext:
        """Refuse what cannot be meant."""
        keys = [context.file_key] if isinstance(context.file_key, str) else context.file_key or []
        if context.source and keys:
            raise ContextRefused("give either file_key or source")
        if context.source is None and context.file_key is None:
            raise ContextRefused("the context of table-import is wrong: file_key is missing", ["file_key"])
        if not context.table.strip() or not (keys or context.source) or not all(key.strip() for key in keys):
            raise ContextRefused("table-import needs a file_key and the name of a table")
        refuse_own(context.table)
        if len(set(context.key)) < len(context.key):
            raise ContextRefused(f"key names a column twice: {', '.join(context.key)}")
        with suppress(InputRefused):  # a name that tells no format is reported with the file
            name = keys[0] if keys else name_of(context.source)
            refuse_unheeded(context, get_format(context.format) if context.format else format_of(name))
        return context

    def pre_process(self, job: JobRun) -> None:
        """Read the whole file: decide, count, find everything that is wrong; the target is only read."""
        if job.checkpoint is not None and "checksum" in job.plan:
            return  # part of the file is in; to compare with that would make a new plan of half the work
        inputs = Inputs(job, _keys(job))
        format = inputs.format(job.context.format)
        reader = inputs.reader(format, job.context)
        try:
            plan = self._look(job, format, reader)
        except NotAsItBegan:
            reader.settle()
            job.rejects.restart()
            plan = self._look(job, format, reader)
        plan.file, plan.found = reader.described, reader.found
        plan.files = inputs.look_at(reader, plan.total)
        plan.checksum = checksum_of(plan.files)
        plan.sample = placed(plan.sample, plan.files)
        job.progress.total = plan.total
        job.plan.update(plan.as_json())
        _describe(job, plan)
        _limit_rejects(job, plan.counts.reject, "nothing was written")

    def process(self, job: JobRun) -> None:
        """Load the file, chunk by chunk, from the checkpoint on."""
        plan = ImportPlan.model_validate(job.plan)
        inputs = Inputs(job, [file.key for file in plan.files])
        inputs.refuse_changed(plan.files)
        format = inputs.format(job.context.format)
        table = _table(job, plan)
        destination = Destination(
            table, list(plan.mapping.values()), _matching_key(job.context, plan), job.context.mode
        )
        loader = database_of(job.target).loader(destination)
        converter = Converter(table, plan.mapping, plan.key, format.for_spreadsheets, job.context)
        with ExitStack() as open_things:
            repeats = Repeats(open_things.enter_context(job.open_input(plan.repeats)) if plan.repeats else None)
            chunks = Chunks(inputs.reader(format, job.context, plan.found), converter, repeats, loader, job.chunk_size)
            for chunk in open_things.enter_context(prefetched(chunks.after(job.checkpoint))):
                _load(job, loader, chunk, table.fullname)

    def build_template(self) -> str:
        """A small CSV file."""
        return TEMPLATE

    def _look(self, job: JobRun, format: Format, reader: Reader) -> ImportPlan:
        """Decide, and look at every row."""
        plan, table, exists = self._decide(job, reader)
        destination = Destination(
            table, list(plan.mapping.values()), _matching_key(job.context, plan), job.context.mode
        )
        converter = Converter(table, plan.mapping, plan.key, format.for_spreadsheets, job.context)
        compares = exists and bool(destination.key) and _has_rows(job, table)
        preview = Preview(job, partial(_checked, reader, converter), destination, compares)
        plan.repeats = preview.run()
        plan.total, plan.counts, plan.sample = preview.total, preview.counts, preview.sample
        return plan

    def _decide(self, job: JobRun, reader: Reader) -> tuple[ImportPlan, Table, bool]:
        context: TableImportContext = job.context
        table = find_table(job.target, context.table)
        inference = _infer(job, reader) if table is None else None  # which may find further columns
        mapping = map_columns(reader.columns, context.columns)
        if table is not None:
            mapping = match_table(mapping, table)
        key = choose_key(context.mode, context.key, table, list(mapping.values()))
        plan = ImportPlan(mapping=mapping, key=key)
        if inference is not None:
            decided = inference.columns()
            plan.creates = [ColumnToCreate.decided(column, decided[name]) for name, column in mapping.items()]
            return plan, table_to_create(job.target, context.table, plan.creates, key), False
        assert table is not None
        if context.mode != "append":
            check_unique(job.target, table, key)
        return plan, table, True


def _keys(job: JobRun) -> list[str]:
    context: TableImportContext = job.context
    return [fetched(job, context.source)] if context.source else chosen_keys(job.files, context.file_key or [])


def _infer(job: JobRun, reader: Reader) -> Inference:
    inference = Inference(database_of(job.target).has_time_zones, job.context, reader.types)
    with prefetched(reader.batches()) as batches:
        for batch in batches:
            job.stop_if_asked()
            inference.feed(batch)
    return inference


def _checked(reader: Reader, converter: Converter) -> Iterator[Checked]:
    known = len(reader.columns)
    # splitting the file and converting cells take about as long: one thread each
    with prefetched(reader.batches()) as batches:
        for batch in batches:
            if batch.table.num_columns > known:
                raise NotAsItBegan
            yield converter.check(batch)


def _matching_key(context: TableImportContext, plan: ImportPlan) -> list[str]:
    return [] if context.mode == "append" else plan.key


def _has_rows(job: JobRun, table: Table) -> bool:
    with job.target.connect() as connection:
        return connection.execute(select(1).select_from(table).limit(1)).first() is not None


def _table(job: JobRun, plan: ImportPlan) -> Table:
    if plan.creates is not None:
        create(job.target, table_to_create(job.target, job.context.table, plan.creates, plan.key))
    return require_table(job.target, job.context.table)


def _load(job: JobRun, loader: Loader, chunk: Chunk, table: str) -> None:
    rejects: list[Reject] = chunk.rejects
    try:
        with job.chunk(cursor=chunk.cursor) as connection:
            outcome = write_chunk(connection, loader, chunk, table)
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
    job.describe("import-unchanged", "Unchanged", f"{count_rows(counts.unchanged)} already as in the file")
    job.describe("import-reject", "To reject", f"{count_rows(counts.reject)} will be rejected")


def _describe_columns(job: JobRun, columns: list[ColumnToCreate]) -> None:
    for number, column in enumerate(columns[:DESCRIBED_COLUMNS], 1):
        job.describe(f"import-column-{number}", "Column", f"{column.name} {column.type}, because {column.why}")
    if len(columns) > DESCRIBED_COLUMNS:
        job.describe("import-columns", "Columns", f"and {len(columns) - DESCRIBED_COLUMNS} more")
