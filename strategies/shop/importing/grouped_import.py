"""The way in which the imports of a shop run: rows put together by key, looked over, and written group by group."""

from contextlib import AbstractContextManager
from functools import partial
from typing import Any, ClassVar

import pyarrow as pa
from pydantic import BaseModel, Field
from sqlalchemy import Connection, Table

from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.context_fields import KeepChanges
from batch_jobs.strategies.sdk.database import database_of
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.sdk.leaving_out import LeaveOut
from batch_jobs.strategies.sdk.partition import Partition, in_one
from batch_jobs.strategies.sdk.sample import HEADER, FileSample, header_of
from batch_jobs.strategies.shop.importing.columns import ColumnMapping, Columns, map_file
from batch_jobs.strategies.shop.importing.cutting import cut, groups_of, why_whole
from batch_jobs.strategies.shop.importing.formulas import WithMarkedFormulas
from batch_jobs.strategies.shop.importing.grouping import Distinct, Grouping
from batch_jobs.strategies.shop.importing.left_out import ALL_OR_NOTHING, check_wish, find_left_out
from batch_jobs.strategies.shop.importing.planning import Planner, Tally
from batch_jobs.strategies.shop.importing.preview import ChangesOfGroups, changes_of_groups, preview
from batch_jobs.strategies.shop.importing.sampling import sample_shop_file
from batch_jobs.strategies.shop.importing.shop_log import logged_tables
from batch_jobs.strategies.shop.importing.work_file import writing_work_file
from batch_jobs.strategies.shop.importing.writing import (
    Finish,
    groups_to_write,
    limit_rejects,
    write_at_once,
    write_group,
)
from batch_jobs.strategies.shop.layouts.reading import in_layout
from batch_jobs.strategies.shop.state import Shop, StateReader, read_shop
from batch_jobs.strategies.tables.formats.format import FormatName, get_format, refuse_encoding, refuse_unheeded
from batch_jobs.strategies.tables.formats.options import ReadingOptions, given_options
from batch_jobs.strategies.tables.formats.reading import Reader
from batch_jobs.strategies.tables.importing.excerpt import open_excerpt
from batch_jobs.strategies.tables.importing.inputs import (
    InputOptions,
    Inputs,
    format_named,
    input_keys,
    shown_files,
)
from batch_jobs.strategies.tables.prefetch import prefetched

#: Medusa's files need not have a name that tells their format.
UNNAMED = "csv"


class GroupedLoading(BaseModel):
    """How an import of a shop meets what is wrong with its file."""

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
    keep_changes: KeepChanges = None


class GroupedImportContext(ReadingOptions, GroupedLoading, InputOptions):
    """What all imports of a shop take."""


class GroupedImport(BatchJobStrategy, abstract=True):
    """An import that writes whole keys, such as products, whatever the order of the rows.

    A subclass says what its columns mean (``read_headers``), what distinguishes keys (``key_of``) and plans the changes
    of a group (``planning``).
    """

    Context: ClassVar[type[BaseModel]] = GroupedImportContext
    #: What people call the keys.
    keys_are: ClassVar[str]
    #: The columns that its files may have, for people; those with a number or a currency stand for all such.
    known_columns: ClassVar[tuple[str, ...]]
    #: The tables that are written.
    writes: ClassVar[tuple[Table, ...]]

    def prepare(self, context: Any) -> Any:
        """Refuse what cannot be meant."""
        name = context.first_name(self.batch_type)
        refuse_encoding(context)
        refuse_unheeded(context, get_format(context.format) if context.format else format_named(name, UNNAMED))
        return context

    def sample(self, job: JobRun, rows: int) -> FileSample | None:
        """The beginning of the file, and what each of its columns is."""
        excerpt = open_excerpt(job, UNNAMED)
        return sample_shop_file(job, excerpt, self.mapping, self.read_headers, self.known_columns, rows)

    def pre_process(self, job: JobRun) -> None:
        """Put the rows together and find what they would do and everything that is wrong; the target is only read."""
        if job.checkpoint is not None and "_work_file" in job.plan:
            return  # part of it is in; to compare with that would make a new plan of half the work
        keys = input_keys(job)
        job.plan["_files"] = keys
        inputs = Inputs(job, keys)
        read = self._read(job, inputs)
        job.plan[HEADER] = header_of(read.columns)
        file = in_layout(read, job.context, shown_files(keys))
        headers = self.read_headers(shown_files(keys), job.context, file.columns)
        reader = self.mapping(job.context, file.columns).reader(file)
        key = f"jobs/{job.id}/rows.arrow"
        source = database_of(job.target).source(job.target)
        with source.reading() as connection:
            state = StateReader(connection)
            key_of, distinct = partial(self.key_of, state, headers), self.distinct(headers)
            grouping = Grouping(reader, key_of, distinct, job.chunk_size, job.stop_if_asked, job.rejects.place)
            with writing_work_file(job.files, key, grouping.schema) as writer:
                grouping.write(writer)
            job.plan.update(_work_file=key, _columns=file.columns, _groups=writer.groups)
            job.plan[ALL_OR_NOTHING] = job.context.all_or_nothing
            planning = self.planning(job, read_shop(state), headers)
            with (
                source.beside(connection) as others,
                planning as planner,
                changes_of_groups(job, self.writes) as changed,
            ):
                tally = preview(job, [connection, *others], planner, changed)
                self.describe_plan(job, tally)  # first, for Medusa's admin reads the first line
                self.preview_finish(job, changed)
        job.plan["options"] = given_options(job.context, ReadingOptions)
        job.plan["file"] = file.described
        job.plan["files"] = [planned.model_dump() for planned in inputs.look_at(None)]
        job.describe("import-file", "File", ", ".join(f"{name} {value!r}" for name, value in file.described.items()))
        limit_rejects(job, tally.rows_rejected, "nothing was written")

    def process(self, job: JobRun) -> None:
        """Write group by group, from the checkpoint on; in one transaction when it is to be all or nothing."""
        job.rejects.name_files(job.plan["_files"])
        if job.partition is None:
            find_left_out(job)
        with database_of(job.target).source(job.target).reading() as connection:
            shop = read_shop(StateReader(connection))
        groups = groups_of(job)
        first = groups.start if job.checkpoint is None else job.checkpoint + 1
        finish: Finish = partial(self.finish, job) if job.partition is None else _not_yet
        if not groups and job.checkpoint is None:
            with job.chunk(cursor=0) as connection:
                finish(connection)
        if first >= groups.stop:
            return
        headers = self.planned_headers(job)
        with (
            logged_tables(job, self.writes) as logged,
            self.planning(job, shop, headers) as planner,
            prefetched(groups_to_write(job, planner, first, groups.stop)) as to_write,
        ):
            if job.context.all_or_nothing:
                write_at_once(job, planner, to_write, finish, logged)
                return
            for number, written in to_write:
                is_last = number + 1 == groups.stop
                write_group(job, planner, number, written, finish if is_last else None, logged)

    def partition(self, job: JobRun, size: int) -> list[Partition]:
        """Cut the work file into ranges of groups, as many as are worked on at a time.

        The job is not cut where that would not pay, or where what a row means depends on rows of other keys.
        """
        find_left_out(job)
        if size < 2:
            return []
        reason = why_whole(job, size, self.writes) or self.why_tied(job)
        return in_one(job, reason) if reason else cut(job, size, self.keys_are, self.units)

    def check_leave_out(self, wish: LeaveOut, job_id: str, plan: dict[str, Any], files: FileStore) -> None:
        """Rows by their lines, and by the keys that they are put together by."""
        check_wish(wish, self.batch_type, plan, files)

    def post_process(self, job: JobRun) -> None:
        """Finish what was written in partitions; otherwise that is done with the last group."""
        if job.result.partitions:
            # partitions that ended at the same time did not see each other's
            limit_rejects(job, job.rejected_elsewhere, "the other rows are in")
            with job.fenced() as connection, job.changes.in_chunk(connection):
                self.finish(job, connection)
                job.changes.write(connection, job.id, None, job.attempt)

    def _read(self, job: JobRun, inputs: Inputs) -> Reader:
        """The files as one, settled; what no spreadsheet opens with its formulas marked, as a rejects file has them."""
        format = inputs.format(job.context.format, UNNAMED)

        def around(reader: Reader) -> Reader:
            reader.settle()
            return reader if format.for_spreadsheets else WithMarkedFormulas(reader)

        return inputs.reader(format, job.context, around=around)

    def planned_headers(self, job: JobRun) -> Any:
        """What the columns of the file mean that the plan was made for."""
        return self.read_headers(shown_files(job.plan["_files"]), job.context, job.plan["_columns"])

    def read_headers(self, file: str, context: Any, columns: list[str]) -> Any:
        """What the columns of the file mean.

        Args:
            file: its name, for errors.
            context: the job's.
            columns: the file's.

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

    def why_tied(self, job: JobRun) -> str | None:
        """What makes rows of one key depend on those of others, in words; ``None`` where nothing does.

        What partitions are to know of each other is found here too.
        """
        return None

    def units(self, keys: int, rows: int) -> int:
        """How much a job goes through with that many keys and rows."""
        raise NotImplementedError

    def finish(self, job: JobRun, connection: Connection) -> None:
        """What is to be done when all else is written: with the last group, in its transaction, or after partitions."""

    def preview_finish(self, job: JobRun, changed: ChangesOfGroups) -> None:
        """Find what ``finish`` would change."""

    def describe_plan(self, job: JobRun, tally: Tally) -> None:
        """Say what will happen."""
        raise NotImplementedError


def _not_yet(_connection: Connection) -> None:
    """The end of a partition is not that of the job, which ``post_process`` finishes."""
