"""Parquet: typed columns."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from itertools import accumulate
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Literal, Self

import pyarrow as pa
from sqlalchemy import Column

from batch_jobs.strategies.sdk.errors import InputRefused, JobRefused
from batch_jobs.strategies.tables.formats.arrow_text import as_text
from batch_jobs.strategies.tables.formats.format import Format, Writer
from batch_jobs.strategies.tables.formats.header import numbered
from batch_jobs.strategies.tables.formats.marks import Mark, Marks
from batch_jobs.strategies.tables.formats.parquet_sizes import ROWS, coded_columns, rows_at_a_time
from batch_jobs.strategies.tables.formats.reading import BadCell, Batch, Input, Reader, ReadOptions
from batch_jobs.strategies.tables.formats.writing import WriteOptions
from batch_jobs.strategies.tables.values.kinds import Kind, kind_of

if TYPE_CHECKING:
    from batch_jobs.strategies.tables.selecting import SelectedColumn

DAMAGED = "this is not a Parquet file, or it is damaged"
ROW_GROUP = 8 << 20  # bytes of text gathered before a row group is written


class ParquetReader(Reader):
    """A Parquet file; a line is a row's number, from 1.

    Args:
        source: the file.
        rows: of a batch, at most.
        found: what an earlier reader of it found.
        wanted: how many rows of its beginning are, where not all: later row groups count as not there.
    """

    def __init__(
        self, source: Input, rows: int = ROWS, found: dict[str, Any] | None = None, wanted: int | None = None
    ) -> None:
        import pyarrow.parquet as pq

        self._source, self._is_known = source, found is not None
        with self._opened() as stream:
            try:
                file = pq.ParquetFile(stream)
                schema = file.schema_arrow
                if not len(schema):
                    raise InputRefused(source.name, "it has no columns")
                sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
                if wanted is not None:
                    before = accumulate(sizes, initial=0)
                    sizes = [size for size, rows_before in zip(sizes, before, strict=False) if rows_before < wanted]
                if found:
                    self._rows = int(found["rows"])
                else:
                    coded = pq.ParquetFile(stream, read_dictionary=coded_columns(file))
                    self._rows = min(rows, rows_at_a_time(file, coded, source.name, len(sizes)))
            except (pa.ArrowException, OSError) as error:
                if isinstance(error, MemoryError):
                    raise
                raise InputRefused(source.name, DAMAGED) from None
        #: The row with which each row group begins that has any, and the number of all rows.
        self._groups = {row: group for group, row in enumerate(accumulate(sizes[:-1], initial=0)) if sizes}
        self._all_rows = sum(sizes)
        self.columns = [name if name.strip() else numbered(place) for place, name in enumerate(schema.names, 1)]
        if len(set(self.columns)) < len(self.columns):
            raise InputRefused(source.name, "two of its columns have one name")
        self.types = {name: _own_type(type) for name, type in zip(self.columns, schema.types, strict=True)}
        self.described = {"format": "parquet"}
        unnamed = [column for column, name in zip(self.columns, schema.names, strict=True) if column != name]
        if unnamed:
            self.described["unnamed"] = ", ".join(unnamed)

    @property
    def found(self) -> dict[str, Any]:
        """How many rows memory holds at a time."""
        return {"rows": self._rows}

    @property
    def uncut(self) -> str | None:  # type: ignore[override]
        """Why a part of it cannot be read by itself."""
        return "it has one row group" if len(self.marks) < 2 else None

    @property
    def marks(self) -> list[Mark]:
        """Where row groups begin."""
        marks = Marks()
        for row in self._groups:
            if row < self._all_rows:
                marks.add(Mark({"row": row} if marks.kept else None, row + 1, row), row)
        return marks.kept

    def batches(self, start: dict[str, Any] | None = None) -> Iterator[Batch]:
        """The batches from a batch's ``start`` on, or all of them; an empty one where there are no rows."""
        yield from self.part(start, None)

    def part(self, start: dict[str, Any] | None, until: dict[str, Any] | None) -> Iterator[Batch]:
        """The batches between two places, either of which may be ``None``; no other row groups are read."""
        import pyarrow.parquet as pq

        row = start["row"] if start else 0
        with self._opened() as stream:
            file = pq.ParquetFile(stream)
            for batch in self._read(file, row, until["row"] if until else self._all_rows):
                yield self._batch(batch, row)
                row += batch.num_rows
            if not self._all_rows:
                yield self._batch(pa.RecordBatch.from_pylist([], schema=file.schema_arrow), 0)

    def _opened(self) -> BinaryIO:
        return self._source.in_place() if self._is_known else self._source.seekable()

    def _read(self, file: Any, first: int, end: int) -> Iterator[pa.RecordBatch]:
        begun = max((row for row in self._groups if row <= first), default=0)
        groups = [group for row, group in self._groups.items() if begun <= row < end]
        try:
            batches = file.iter_batches(self._rows, row_groups=groups, use_threads=False)
            yield from batches if begun == first else _without(batches, first - begun, self._rows)
        except (pa.ArrowInvalid, OSError):
            raise InputRefused(self._source.name, DAMAGED) from None

    def _batch(self, batch: pa.RecordBatch, row: int) -> Batch:
        cells: dict[str, pa.Array] = {}
        bad: list[BadCell] = []
        for name, values in zip(self.columns, batch.columns, strict=True):
            cells[name], wrong = as_text(values)
            bad += [BadCell(index, name, message) for index, message in wrong]
        lines = pa.array(range(row + 1, row + 1 + batch.num_rows), pa.int64())
        return Batch(pa.table(cells), lines, [], {"row": row}, bad)


def _without(batches: Iterable[pa.RecordBatch], left_out: int, rows: int) -> Iterator[pa.RecordBatch]:
    """The batches without so many rows at their beginning, each of so many rows again but the last."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        kept = batch.slice(min(left_out, batch.num_rows))
        left_out -= batch.num_rows - kept.num_rows
        lacking = rows - sum(one.num_rows for one in held)
        held.append(kept.slice(0, lacking))
        if kept.num_rows >= lacking:
            yield pa.concat_batches(held)
            held = [kept.slice(lacking)]
    if any(one.num_rows for one in held):
        yield pa.concat_batches(held)


def _own_type(type: pa.DataType) -> pa.DataType:
    return type.value_type if pa.types.is_dictionary(type) else type


class ParquetWriter:
    """Typed columns; what a column's type cannot hold is an error, not a guess."""

    def __init__(self, stream: BinaryIO, columns: "list[SelectedColumn]") -> None:
        import pyarrow.parquet as pq

        self._kinds: list[tuple[str, Kind]] = [
            (column.name, kind_of(Column(column.name, column.type))) for column in columns
        ]
        none = pa.array([], pa.string())
        self._typed_already = {column.name for column in columns if column.values is not None}
        self._schema = pa.schema(
            [
                (column.name, column.values or kind.convert(none).values.type)
                for column, (_, kind) in zip(columns, self._kinds, strict=True)
            ]
        )
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
        if name in self._typed_already:
            return rows.column(name)
        converted = kind.convert(rows.column(name).combine_chunks())
        try:
            if not converted.bad:
                return converted.values.cast(self._schema.field(name).type)
            reason = converted.bad[0][1]
        except pa.ArrowInvalid as error:  # such as infinity, which the kind keeps as text
            reason = " ".join(str(error).split())
        raise JobRefused(
            f"column {name} has a value that Parquet cannot hold as its type: {reason}; export it as csv or jsonl"
        )

    def _flush(self) -> None:
        if self._held:
            self._writer.write_table(pa.concat_tables(self._held))
        self._held, self._bytes = [], 0


class Parquet(Format):
    """Parquet."""

    name: ClassVar[str] = "parquet"
    typed: ClassVar[bool] = True
    takes_values: ClassVar[bool] = True
    joined_by: ClassVar[Literal["bytes", "join"] | None] = "join"
    suffixes: ClassVar[tuple[str, ...]] = (".parquet",)
    media_type: ClassVar[str] = "application/vnd.apache.parquet"
    magic: ClassVar[dict[bytes, str]] = {b"PAR1": "a Parquet file"}

    def reader(self, source: Input, options: ReadOptions) -> ParquetReader:
        """Open a file for reading."""
        return ParquetReader(source, found=options.found)

    def beginning(self, source: Input, options: ReadOptions, rows: int) -> ParquetReader:
        """Open a file, to be read in parts of so many rows."""
        return ParquetReader(source, rows, wanted=rows)

    def writer(
        self, stream: BinaryIO, columns: "list[SelectedColumn]", options: WriteOptions
    ) -> AbstractContextManager[Writer]:
        """Begin a file."""
        return ParquetWriter(stream, columns)

    def join(self, parts: Iterator[BinaryIO], stream: BinaryIO) -> None:
        """Write the row groups of several files into one; one group at a time is in memory."""
        import pyarrow.parquet as pq

        with ExitStack() as stack:
            joined = None
            for part in parts:
                file = pq.ParquetFile(part)
                joined = joined or stack.enter_context(pq.ParquetWriter(stream, file.schema_arrow))
                for number in range(file.num_row_groups):
                    joined.write_table(file.read_row_group(number, use_threads=False))


FORMAT = Parquet()
