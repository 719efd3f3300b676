"""Writing rows of text in a format: one writer for each, found by the format's name."""

import json
import re
from types import TracebackType
from typing import Any, BinaryIO, Protocol, Self

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Column

from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.tables.formats.xlsx import XlsxWriter
from batch_jobs.strategies.tables.selecting import SelectedColumn
from batch_jobs.strategies.tables.values.kinds import Kind, kind_of

#: A decimal number that a float holds exactly, so that it may be written as a number; others are written as text.
PLAIN_NUMBER = re.compile(r"-?(?=(?:\D?\d){1,15}\D*$)\d+(\.\d+)?")
PLAIN_INTEGER = re.compile(r"-?\d+")
ROW_GROUP = 8 << 20  # bytes of text gathered before a row group of a Parquet file is written


class Writer(Protocol):
    """Takes the rows of an export, batch by batch."""

    def __init__(self, stream: BinaryIO, columns: list[SelectedColumn], neutralise: bool) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def write(self, rows: pa.Table) -> None:
        """Write rows, every cell as text."""


class JsonlWriter:
    """One JSON object a line; numbers and booleans are such, all else is text."""

    def __init__(self, stream: BinaryIO, columns: list[SelectedColumn], neutralise: bool) -> None:
        self._stream = stream
        self._names = [json.dumps(column.name) for column in columns]
        self._ways = [_json_way(column) for column in columns]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left to write."""

    def write(self, rows: pa.Table) -> None:
        """Write a line for each row."""
        columns = [
            [f"{name}: {way(cell)}" for cell in cells.to_pylist()]
            for name, way, cells in zip(self._names, self._ways, rows.columns, strict=True)
        ]
        self._stream.write("".join(f"{{{', '.join(cells)}}}\n" for cells in zip(*columns, strict=True)).encode())


class ParquetWriter:
    """Typed columns; what a column's type cannot hold is an error, not a guess."""

    def __init__(self, stream: BinaryIO, columns: list[SelectedColumn], neutralise: bool) -> None:
        self._kinds: list[tuple[str, Kind]] = [
            (column.name, kind_of(Column(column.name, column.type))) for column in columns
        ]
        none = pa.array([], pa.string())
        self._schema = pa.schema([(name, kind.convert(none).values.type) for name, kind in self._kinds])
        self._writer = pq.ParquetWriter(stream, self._schema)
        self._held: list[pa.Table] = []
        self._bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._flush()
        self._writer.close()

    def write(self, rows: pa.Table) -> None:
        """Write rows, in groups large enough to be read fast."""
        self._held.append(pa.table([self._typed(*kind, rows) for kind in self._kinds], schema=self._schema))
        self._bytes += rows.nbytes
        if self._bytes >= ROW_GROUP:
            self._flush()

    def _typed(self, name: str, kind: Kind, rows: pa.Table) -> pa.Array:
        converted = kind.convert(rows.column(name).combine_chunks())
        if converted.bad:
            raise JobRefused(
                f"column {name} has a value that Parquet cannot hold as its type: {converted.bad[0][1]}; "
                "export it as csv or jsonl"
            )
        return converted.values.cast(self._schema.field(name).type)

    def _flush(self) -> None:
        if self._held:
            self._writer.write_table(pa.concat_tables(self._held))
        self._held, self._bytes = [], 0


#: csv and tsv are written by the source itself.
WRITERS: dict[str, type[Writer]] = {"jsonl": JsonlWriter, "parquet": ParquetWriter, "xlsx": XlsxWriter}


def _json_way(column: SelectedColumn) -> Any:
    if column.is_boolean:
        return _json_boolean
    return _json_number if column.is_number else _json_text


def _json_text(cell: str | None) -> str:
    return json.dumps(cell, ensure_ascii=False)


def _json_boolean(cell: str | None) -> str:
    return cell if cell in ("true", "false") else json.dumps(cell)


def _json_number(cell: str | None) -> str:
    if cell is None:
        return "null"
    return cell if PLAIN_NUMBER.fullmatch(cell) or PLAIN_INTEGER.fullmatch(cell) else json.dumps(cell)
