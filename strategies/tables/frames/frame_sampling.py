"""What a strategy in pandas makes of the first rows of a file."""

from collections.abc import Iterator

import numpy as np
from sqlalchemy import Table

from batch_jobs.strategies.sdk.sample import FileColumn, SampleCell, SampleRow
from batch_jobs.strategies.tables.formats.arrow_text import row_as_text
from batch_jobs.strategies.tables.frames.frame_reader import FrameReader
from batch_jobs.strategies.tables.importing.families import Decision
from batch_jobs.strategies.tables.importing.mapping import LEFT_OUT
from batch_jobs.strategies.tables.importing.sampling import Sampling, reasons_of, texts_of
from batch_jobs.strategies.tables.values.converting import Checked, Converter


class FrameSampling(Sampling):
    """The columns are the file's, with their types in frames; what is made of a row stands beside its cells."""

    reader: FrameReader

    def _columns(self, mapping: dict[str, str], decided: dict[str, Decision], table: Table) -> list[FileColumn]:
        types = {column.name: column for column in self.reader.input_types}
        return [
            FileColumn(
                name,
                None if name in LEFT_OUT else name,
                mapping.get(name),
                str(types[name]).removeprefix(f"{name} ").lower() if name in types else "",
                types[name].why if name in types else "",
                self._type_text(table.columns[mapping[name]]) if name in mapping else None,
            )
            for name in self.excerpt.reader.columns
        ]

    def _rows(self, converter: Converter, mapping: dict[str, str], count: int) -> list[SampleRow]:
        found: list[SampleRow] = []
        for batch in self.reader.batches():
            found += _made(converter.check(batch), self.excerpt.reader.columns, mapping)
        return sorted(found, key=lambda row: row.line)[:count]


def _made(checked: Checked, columns: list[str], mapping: dict[str, str]) -> Iterator[SampleRow]:
    """The input's rows, each with the rows that were made of it."""
    batch, reasons = checked.batch, reasons_of(checked)
    origin = batch.origin
    table, lines = (batch.table, checked.lines) if origin is None else (origin.table, origin.lines)
    values = {column: texts_of(checked.rows.column(column)) for column in mapping.values()}
    for index, line in enumerate(lines.tolist()):
        why, row = reasons.get(line, {}), row_as_text(table, index)
        cells = [SampleCell.of(row.get(name), problem=why.get(name)) for name in columns]
        places = [index] if origin is None else np.flatnonzero(origin.rows == index).tolist()
        made = [
            {column: SampleCell.of(None, values[column][place], why.get(name)) for name, column in mapping.items()}
            for place in places
        ]
        other = next((message for column, message in why.items() if column not in (*columns, *mapping)), None)
        yield SampleRow(line, cells, why.get(None) or other, made)
    for bad in batch.bad_rows:
        yield SampleRow(bad.line, [SampleCell.of(bad.row.get(name)) for name in columns], bad.message)
