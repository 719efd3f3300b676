"""What the first rows of a shop's file are to an import: which of Medusa's columns each of its columns is."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pyarrow as pa

from batch_jobs.strategies.sdk.database import database_of
from batch_jobs.strategies.sdk.errors import PermanentError
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.sdk.rejected_rows import ARROW
from batch_jobs.strategies.sdk.sample import FileColumn, FileSample, SampleCell, SampleRow, TargetColumn
from batch_jobs.strategies.shop.importing.columns import ColumnMapping
from batch_jobs.strategies.shop.importing.formulas import WithMarkedFormulas
from batch_jobs.strategies.shop.layouts.reading import in_layout
from batch_jobs.strategies.tables.formats.arrow_text import row_as_text
from batch_jobs.strategies.tables.formats.reading import Reader
from batch_jobs.strategies.tables.importing.excerpt import Excerpt
from batch_jobs.strategies.tables.importing.families import Decision
from batch_jobs.strategies.tables.importing.inference import Inference
from batch_jobs.strategies.tables.importing.mapping import LEFT_OUT
from batch_jobs.strategies.tables.importing.sampling import type_text

T = TypeVar("T")
Cells = dict[str, str | None]


def sample_shop_file(
    job: JobRun,
    excerpt: Excerpt,
    mapping_of: Callable[[Any, list[str]], ColumnMapping],
    read_headers: Callable[[str, Any, list[str]], object],
    known: Sequence[str],
    rows: int,
) -> FileSample:
    """The first rows, each cell with what the import reads in its place.

    What the shop itself makes of it, such as an unknown currency, is found by the preview alone.

    Args:
        job: has the context.
        excerpt: the first rows.
        mapping_of: what the columns are to the import.
        read_headers: refuses columns that such a file does not have.
        known: the columns that such a file may have, in their order.
        rows: how many to show.
    """
    problems: list[str] = []

    def tried(work: Callable[[], T], otherwise: T) -> T:
        try:
            return work()
        except PermanentError as refused:
            problems.append(str(refused))
            return otherwise

    read: Reader = excerpt.reader if excerpt.format.for_spreadsheets else WithMarkedFormulas(excerpt.reader)
    file = tried(lambda: in_layout(read, job.context, excerpt.key), read)
    as_they_are = ColumnMapping({name: name for name in file.columns if name not in LEFT_OUT}, [])
    mapping = tried(lambda: mapping_of(job.context, file.columns), as_they_are)
    tried(lambda: read_headers(excerpt.key, job.context, file.columns), None)
    columns = _columns(job, excerpt.reader, mapping)
    return FileSample(
        file=excerpt.key,
        described=dict(file.described),
        columns=columns,
        rows=_rows(excerpt.reader, mapping.reader(file), mapping, columns)[:rows],
        sheets=list(excerpt.reader.sheets),
        target_exists=True,
        target_columns=_target_columns(known, mapping),
        problems=list(dict.fromkeys(problems)),
        warnings=excerpt.warnings,
    )


def _columns(job: JobRun, reader: Reader, mapping: ColumnMapping) -> list[FileColumn]:
    decided = _decided(job, reader)
    return [
        FileColumn(
            name,
            targets[0] if (targets := _targets(mapping, name)) else None,
            targets[0] if targets else None,
            type_text(job.target, decided[name].type) if name in decided else "",
            decided[name].why if name in decided else "",
            further_targets=targets[1:],
        )
        for name in reader.columns
    ]


def _decided(job: JobRun, reader: Reader) -> dict[str, Decision]:
    inference = Inference(database_of(job.target))
    for batch in reader.batches():
        inference.feed(batch)
    return inference.columns()


def _targets(mapping: ColumnMapping, name: str) -> list[str]:
    return [target for target, column in mapping.columns.items() if _source(column, name)]


def _source(column: str, name: str) -> bool:
    """Whether a column of the rows is this one of the file, or was made of it."""
    return column == name or column.startswith(f"{name}{ARROW}")


def _rows(raw: Reader, reader: Reader, mapping: ColumnMapping, columns: Sequence[FileColumn]) -> list[SampleRow]:
    made, problems = _by_line(reader)
    found = []
    for line, cells in _by_line(raw)[0].items():
        read = made.get(line, {})
        shown = [
            SampleCell.of(cells.get(one.name), read.get(mapping.columns[one.target]) if one.target else None)
            for one in columns
        ]
        found.append(SampleRow(line, shown, problems.get(line)))
    return sorted(found, key=lambda row: row.line)


def _by_line(reader: Reader) -> tuple[dict[int, Cells], dict[int, str]]:
    """The cells of each line, and why a line is a reject."""
    cells: dict[int, Cells] = {}
    problems: dict[int, str] = {}
    for batch in reader.batches():
        table: pa.Table = batch.table
        cells |= {line: row_as_text(table, index) for index, line in enumerate(batch.lines.to_pylist())}
        cells |= {bad.line: bad.row for bad in batch.bad_rows}
        problems |= {bad.line: bad.message for bad in batch.bad_rows}
    return cells, problems


def _target_columns(known: Sequence[str], mapping: ColumnMapping) -> list[TargetColumn]:
    names = dict.fromkeys([*known, *mapping.columns])
    return [
        TargetColumn(name, source=mapping.columns[name].split(ARROW, 1)[0] if name in mapping.columns else None)
        for name in names
    ]
