"""The way in which the imports of a shop run: rows put together by key, looked over, and written group by group."""

from contextlib import AbstractContextManager
from functools import partial
from typing import Any, ClassVar

import pyarrow as pa
from pydantic import AliasChoices, BaseModel, Field
from sqlalchemy import Connection

from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.database import database_of
from batch_jobs.strategies.sdk.errors import ContextRefused, InputRefused
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.shop.importing.columns import ColumnMapping, Columns, map_file
from batch_jobs.strategies.shop.importing.formulas import WithMarkedFormulas
from batch_jobs.strategies.shop.importing.grouping import Distinct, Grouping
from batch_jobs.strategies.shop.importing.planning import Planner, Tally
from batch_jobs.strategies.shop.importing.preview import preview
from batch_jobs.strategies.shop.importing.work_file import writing_work_file
from batch_jobs.strategies.shop.importing.writing import groups_to_write, limit_rejects, write_at_once, write_group
from batch_jobs.strategies.shop.layouts.reading import in_layout
from batch_jobs.strategies.shop.state import Shop, StateReader, read_shop
from batch_jobs.strategies.tables.formats.format import (
    Format,
    FormatName,
    format_of,
    get_format,
    open_reader,
    refuse_unheeded,
)
from batch_jobs.strategies.tables.formats.options import ReadingOptions, ReadOptions, given_options
from batch_jobs.strategies.tables.formats.reading import Reader
from batch_jobs.strategies.tables.prefetch import prefetched


class GroupedLoading(BaseModel):
    """Which file an import of a shop takes, and how it meets what is wrong with it."""

    file_key: str = Field(
        title="File",
        description="Key of the file in the file store, as `batch-jobs files list` shows it",
        validation_alias=AliasChoices("file_key", "fileKey"),
    )
    format: FormatName | None = Field(None, title="Format", description="Default: by the file's name, else csv")
    columns: Columns = Field(
        default_factory=dict,
        title="Columns",
        description="File column -> the name it should have, null to leave it out, a rule "
        "{to, values, default, fill_down}, or a list of names and rules; others keep their name",
    )
    max_rejects: int | None = Field(
        None,
        title="Most rejects",
        description="Fail before anything is written when more rows than this are bad; default: any number",
        ge=0,
    )
    all_or_nothing: bool = Field(
        False,
        title="All or nothing",
        description="One transaction for the whole file, and no reject at all, as Medusa has it",
    )


class GroupedImportContext(ReadingOptions, GroupedLoading):
    """What all imports of a shop take."""


class GroupedImport(BatchJobStrategy, abstract=True):
    """An import that writes whole keys, such as products, whatever the order of the rows.

    A subclass says what its columns mean (``read_headers``), what distinguishes keys (``key_of``) and plans the changes
    of a group (``planning``).
    """

    Context: ClassVar[type[BaseModel]] = GroupedImportContext

    def prepare(self, context: Any) -> Any:
        """Refuse what cannot be meant."""
        if not context.file_key.strip():
            raise ContextRefused(f"{self.batch_type} needs a file_key")
        refuse_unheeded(context, _format(context))
        return context

    def pre_process(self, job: JobRun) -> None:
        """Put the rows together and find what they would do and everything that is wrong; the target is only read."""
        if job.checkpoint is not None and "_work_file" in job.plan:
            return  # part of it is in; to compare with that would make a new plan of half the work
        file = _open(job)
        headers = self.read_headers(job.context, file.columns)
        reader = self.mapping(job.context, file.columns).reader(file)
        key = f"jobs/{job.id}/rows.arrow"
        source = database_of(job.target).source(job.target)
        with source.reading() as connection:
            state = StateReader(connection)
            grouping = Grouping(
                reader, partial(self.key_of, state, headers), self.distinct(headers), job.chunk_size, job.stop_if_asked
            )
            with writing_work_file(job.files, key, grouping.schema) as writer:
                grouping.write(writer)
            job.plan.update(_work_file=key, _columns=file.columns, _groups=writer.groups)
            planning = self.planning(job, read_shop(state), headers)
            with source.beside(connection) as others, planning as planner:
                tally = preview(job, [connection, *others], planner)
        self.describe_plan(job, tally)  # first, for Medusa's admin reads the first line
        job.plan["options"] = given_options(job.context, ReadingOptions)
        job.plan["file"] = file.described
        job.describe("import-file", "File", ", ".join(f"{name} {value!r}" for name, value in file.described.items()))
        limit_rejects(job, tally.rows_rejected, "nothing was written")

    def process(self, job: JobRun) -> None:
        """Write group by group, from the checkpoint on; in one transaction when it is to be all or nothing."""
        with database_of(job.target).source(job.target).reading() as connection:
            shop = read_shop(StateReader(connection))
        first = 0 if job.checkpoint is None else job.checkpoint + 1
        finish = partial(self.finish, job)
        if not job.plan["_groups"] and job.checkpoint is None:
            with job.chunk(cursor=0) as connection:
                finish(connection)
        if first >= job.plan["_groups"]:
            return
        headers = self.read_headers(job.context, job.plan["_columns"])
        with (
            self.planning(job, shop, headers) as planner,
            prefetched(groups_to_write(job, planner, first)) as groups,
        ):
            if job.context.all_or_nothing:
                write_at_once(job, planner, groups, finish)
                return
            for number, written in groups:
                write_group(job, planner, number, written, finish)

    def read_headers(self, context: Any, columns: list[str]) -> Any:
        """What the columns of the file mean.

        Raises:
            JobRefused: a column is unknown or missing.
        """
        raise NotImplementedError

    def mapping(self, context: Any, columns: list[str]) -> ColumnMapping:
        """What the file's columns are to the import.

        Raises:
            JobRefused: ``columns`` of the context do not fit the file.
        """
        return map_file(columns, context.columns)

    def key_of(self, state: StateReader, headers: Any, rows: pa.Table) -> pa.Array:
        """Each row's key, null where it has none."""
        raise NotImplementedError

    def distinct(self, headers: Any) -> Distinct:
        """Columns whose values may not be repeated in the file."""
        return Distinct()

    def planning(self, job: JobRun, shop: Shop, headers: Any) -> AbstractContextManager[Planner]:
        """Opens what plans the changes of groups in one phase."""
        raise NotImplementedError

    def finish(self, job: JobRun, connection: Connection) -> None:
        """What is to be done with the last group, in its transaction."""

    def describe_plan(self, job: JobRun, tally: Tally) -> None:
        """Say what will happen."""
        raise NotImplementedError


def _open(job: JobRun) -> Reader:
    context, format = job.context, _format(job.context)
    reader = open_reader(
        partial(job.open_input, context.file_key),
        context.file_key,
        format=format.name,
        options=ReadOptions.of(context),
    )
    return in_layout(reader if format.for_spreadsheets else WithMarkedFormulas(reader), context)


def _format(context: GroupedImportContext) -> Format:
    """Medusa's files need not have a name that tells their format."""
    if context.format:
        return get_format(context.format)
    try:
        return format_of(context.file_key)
    except InputRefused:
        return get_format("csv")
