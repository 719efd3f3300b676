"""What the first rows of a file would become in a table: a glance at what the preview of a job looks at in full.

What the preview refuses is gathered here instead, so that whoever maps the columns sees all of it, and the rows.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pyarrow as pa
from sqlalchemy import Column, Engine, MetaData, Table, types
from sqlalchemy.exc import CompileError

from batch_jobs.strategies.sdk.database import database_of
from batch_jobs.strategies.sdk.errors import PermanentError
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.sdk.rejects import SURPLUS_COLUMN
from batch_jobs.strategies.sdk.sample import FileColumn, FileSample, SampleCell, SampleRow, TargetColumn
from batch_jobs.strategies.tables.databases.loading import is_required
from batch_jobs.strategies.tables.databases.naming import DATABASE, find_table, refuse_unwritable
from batch_jobs.strategies.tables.formats.arrow_text import as_text
from batch_jobs.strategies.tables.formats.reading import Reader
from batch_jobs.strategies.tables.importing.defaults import decided_by_defaults, with_defaults
from batch_jobs.strategies.tables.importing.excerpt import Excerpt, first_rows
from batch_jobs.strategies.tables.importing.families import Decision
from batch_jobs.strategies.tables.importing.guessing import guesses
from batch_jobs.strategies.tables.importing.import_options import value_options
from batch_jobs.strategies.tables.importing.inference import Inference
from batch_jobs.strategies.tables.importing.mapping import LEFT_OUT, choose_key, map_columns, match_table, unique_key
from batch_jobs.strategies.tables.importing.plan import ColumnToCreate, table_to_create
from batch_jobs.strategies.tables.importing.target_table import access_of
from batch_jobs.strategies.tables.values.converting import Checked, Converter
from batch_jobs.strategies.tables.values.options import ValueOptions

T = TypeVar("T")
NUMBERS = (types.Numeric, types.Float, types.Integer)


@dataclass
class Sampling:
    """Maps an excerpt's columns as far as its context says how.

    Args:
        job: has the context and the target; nothing is written.
        excerpt: the first rows.
        reader: gives the rows that are loaded, where they are not the excerpt's own.
    """

    job: JobRun
    excerpt: Excerpt
    reader: Reader
    problems: list[str] = field(default_factory=list)

    def sample(self, rows: int) -> FileSample:
        """The first rows, and what becomes of them."""
        excerpt, context = self.excerpt, self.job.context
        options = value_options(context)
        decided = self._decided(options)
        table = self._found_table()
        mapping = self._mapping(table)
        key = self._key(table, mapping)
        loaded_by = table if table is not None else self._new_table(mapping, decided, key)
        converter = self._converter(loaded_by, mapping, key, options)
        return FileSample(
            file=excerpt.key,
            described=dict(excerpt.reader.described),
            columns=self._columns(mapping, decided, loaded_by),
            rows=self._rows(converter, mapping, rows),
            sheets=list(excerpt.reader.sheets),
            target=context.table if self._is_named(table) else None,
            target_exists=table is not None,
            target_columns=self._target_columns(loaded_by, mapping, key),
            guesses=guesses(
                list(self.reader.batches()), decided, options, self._decided, _meant_as_numbers(table, mapping)
            ),
            problems=self.problems,
            warnings=excerpt.warnings,
        )

    def _try(self, work: Callable[[], T], otherwise: T) -> T:
        """Do what a job would; what it is refused for is a problem."""
        try:
            return work()
        except PermanentError as refused:
            self.problems.append(str(refused))
            return otherwise

    def _is_named(self, table: Table | None) -> bool:
        return bool(self.job.context.table) and not (table is None and self._is_withheld)

    def _found_table(self) -> Table | None:
        context, before = self.job.context, len(self.problems)
        self._is_withheld = False
        if not context.table:
            return None
        table = self._try(lambda: find_table(self.job.target, context.table, access_of(self.job)), None)
        self._is_withheld = len(self.problems) > before
        if table is not None:
            self._try(lambda: refuse_unwritable(self.job.target, table, context.mode), None)
        elif context.mode == "update" and not self._is_withheld:
            self.problems.append(f"there is no table {context.table} in the target, and mode update creates none")
        return table

    def _decided(self, options: ValueOptions) -> dict[str, Decision]:
        """The types that the columns have by the excerpt."""
        format = self.excerpt.format
        inference = Inference(
            database_of(self.job.target),
            options,
            self.reader.types,
            self.job.context.columns,
            typed=format.typed,
            restores=format.for_spreadsheets,
        )
        for batch in self.reader.batches():
            inference.feed(batch)
        return inference.columns()

    def _mapping(self, table: Table | None) -> dict[str, str]:
        names, given = self.reader.columns, self.job.context.columns
        mapping = self._try(lambda: map_columns(names, given), None)
        if mapping is None:
            mapping = _as_far_as_it_goes(names, given)
        self._note_unknown_columns(mapping)
        mapping = with_defaults(mapping, value_options(self.job.context), names)
        if table is None:
            return mapping
        mode = self.job.context.mode
        matched = self._try(lambda: match_table(mapping, table, mode), None)
        if matched is None:
            known = {name: column for name, column in mapping.items() if column in table.columns}
            matched = known if len(known) == len(mapping) else self._try(lambda: match_table(known, table, mode), known)
        return {name: column for name, column in matched.items() if table.columns[column].computed is None}

    def _note_unknown_columns(self, mapping: dict[str, str]) -> None:
        options = value_options(self.job.context)
        known = [*mapping, *mapping.values(), *options.defaults]
        for option, names in options.unknown_columns(known).items():
            self.problems.append(f"{option} names {', '.join(names)}, which is not loaded")

    def _key(self, table: Table | None, mapping: dict[str, str]) -> list[str]:
        context, columns = self.job.context, list(mapping.values())
        asked = [name for name in context.key if name in columns]
        key = self._try(lambda: choose_key(context.mode, context.key, table, columns), asked)
        if table is not None and key and context.mode != "append":
            self._try(lambda: unique_key(self.job.target, table, key), None)
        return key

    def _new_table(self, mapping: dict[str, str], decided: dict[str, Decision], key: list[str]) -> Table:
        """The table that a job would create, by the excerpt; one that is in no database where it would not."""
        context, target = self.job.context, self.job.target
        options = value_options(context)
        decided = {**decided, **decided_by_defaults(database_of(target), options, mapping, self.reader.columns)}
        columns = [ColumnToCreate.decided(column, decided[name]) for name, column in mapping.items()]
        unnamed = _unnamed_table(target, columns, key)
        if not context.table or self._is_withheld:
            return unnamed
        return self._try(lambda: table_to_create(target, context.table, columns, key, access_of(self.job)), unnamed)

    def _converter(self, table: Table, mapping: dict[str, str], key: list[str], options: ValueOptions) -> Converter:
        format = self.excerpt.format

        def converter(options: ValueOptions) -> Converter:
            read = {name: column for name, column in mapping.items() if column in options.defaults or name in there}
            return Converter(
                table, read, key, format.for_spreadsheets, options, typed=format.typed, has_json=format.has_json
            )

        there = self.reader.columns
        found = self._try(lambda: converter(options), None)
        return found or converter(options.model_copy(update={"defaults": {}}))

    def _rows(self, converter: Converter, mapping: dict[str, str], count: int) -> list[SampleRow]:
        found: list[SampleRow] = []
        for batch in self.reader.batches():
            if len(found) < count:
                found += _sampled(converter.check(first_rows(batch, count)), self.reader.columns, mapping)
        return sorted(found, key=lambda row: row.line)[:count]

    def _columns(self, mapping: dict[str, str], decided: dict[str, Decision], table: Table) -> list[FileColumn]:
        given, engine = self.job.context.columns, self.job.target
        return [
            FileColumn(
                name,
                None if name in LEFT_OUT else given.get(name, name) or None,
                mapping.get(name),
                type_text(engine, decided[name].type) if name in decided else "",
                decided[name].why if name in decided else "",
                self._type_text(table.columns[mapping[name]]) if name in mapping else None,
            )
            for name in self.reader.columns
        ]

    def _type_text(self, column: Column[Any]) -> str:
        return type_text(self.job.target, column.type)

    def _target_columns(self, table: Table, mapping: dict[str, str], key: list[str]) -> list[TargetColumn]:
        sources = {column: name for name, column in mapping.items() if name in self.reader.columns}
        defaults = value_options(self.job.context).defaults
        return [
            TargetColumn(
                column.name,
                self._type_text(column),
                bool(column.nullable),
                column.server_default is not None or column.identity is not None,
                is_required(column),
                column.computed is not None,
                column.name in key,
                default=defaults.get(column.name),
                source=sources.get(column.name),
            )
            for column in table.columns
        ]


def type_text(engine: Engine, type: Any) -> str:
    """A type as the database calls it."""
    try:
        return str(type.compile(dialect=engine.dialect)).lower()
    except CompileError:
        return str(type.__class__.__name__).lower()


def _as_far_as_it_goes(names: list[str], given: dict[str, str | None]) -> dict[str, str]:
    """A mapping without what cannot be meant: columns that the file has not, and second ones for one of the table."""
    mapping: dict[str, str] = {}
    for name in names:
        column = None if name in LEFT_OUT else given.get(name, name)
        if column and column not in mapping.values():
            mapping[name] = column
    return mapping


def _unnamed_table(engine: Engine, columns: Sequence[ColumnToCreate], key: list[str]) -> Table:
    made: list[Column[Any]] = [column.column(key) for column in columns]
    return Table("sample", MetaData(), *made, info={DATABASE: database_of(engine)})


def _meant_as_numbers(table: Table | None, mapping: dict[str, str]) -> set[str]:
    """The columns of the file that go to numbers of a table that there is."""
    if table is None:
        return set()
    return {name for name, column in mapping.items() if isinstance(table.columns[column].type, NUMBERS)}


def _sampled(checked: Checked, columns: list[str], mapping: dict[str, str]) -> Iterator[SampleRow]:
    """The rows of a batch, each cell with what became of it."""
    batch = checked.batch
    there = set(batch.table.column_names)
    raw = {name: batch.table.column(name).to_pylist() for name in columns if name in there}
    values = {name: texts_of(checked.rows.column(column)) for name, column in mapping.items() if name in raw}
    reasons = reasons_of(checked)

    def cell(name: str, index: int, problem: str | None) -> SampleCell:
        left = checked.absent.get(mapping.get(name, ""))
        is_left = left is not None and bool(left[index])
        has_value = name in values and problem is None and not is_left
        text = raw[name][index] if name in raw else None
        return SampleCell.of(text, values[name][index] if has_value else None, problem, is_left)

    for index, line in enumerate(batch.lines.to_pylist()):
        why = reasons.get(line, {})
        cells = [cell(name, index, why.get(name)) for name in columns]
        yield SampleRow(line, cells, why.get(None) or why.get(SURPLUS_COLUMN))
    for bad in batch.bad_rows:
        yield SampleRow(bad.line, [SampleCell.of(bad.row.get(name)) for name in columns], bad.message)


def reasons_of(checked: Checked) -> dict[int, dict[str | None, str]]:
    """Why rows are rejects: line -> column, or ``None`` for the row as a whole -> reason."""
    reasons: dict[int, dict[str | None, str]] = {}
    for reject in checked.rejects:
        reasons.setdefault(reject.line, {}).setdefault(reject.column, reject.message)
    return reasons


def texts_of(values: pa.ChunkedArray) -> list[str | None]:
    """Values as text."""
    texts: list[str | None] = as_text(values.combine_chunks())[0].to_pylist()
    return texts
