"""Parquet: typed columns."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Self

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Column

from batch_jobs.strategies.sdk.errors import InputRefused, JobRefused
from batch_jobs.strategies.tables.formats.format import Format, Writer
from batch_jobs.strategies.tables.formats.reading import Batch, Input, Reader, ReadOptions
from batch_jobs.strategies.tables.formats.writing import WriteOptions
from batch_jobs.strategies.tables.values.kinds import Kind, kind_of

if TYPE_CHECKING:
    from batch_jobs.strategies.tables.selecting import SelectedColumn

ROWS = 10_000
ROW_GROUP = 8 << 20  # bytes of text gathered before a row group is written


class ParquetReader(Reader):
    """A Parquet file; a line is a row's number, from 1."""

    def __init__(self, source: Input, rows: int = ROWS) -> None:
        import pyarrow.parquet as pq

        self._source, self._rows = source, rows
        with source.seekable() as stream:
            try:
                self.columns = list(pq.ParquetFile(stream).schema_arrow.names)
            except (pa.ArrowInvalid, OSError):
                raise InputRefused(source.name, "this is not a Parquet file, or it is damaged") from None
        if len(set(self.columns)) < len(self.columns):
            raise InputRefused(source.name, "two of its columns have one name")
        self.described = {"format": "parquet"}

    def batches(self, start: dict[str, int] | None = None) -> Iterator[Batch]:
        """The batches from a batch's ``start`` on, or all of them."""
        import pyarrow.parquet as pq

        first, row = (start or {"row": 0})["row"], 0
        with self._source.seekable() as stream:
            for batch in pq.ParquetFile(stream).iter_batches(self._rows, use_threads=False):
                if row >= first:
                    columns = {name: as_text(batch.column(index)) for index, name in enumerate(self.columns)}
                    lines = pa.array(range(row + 1, row + 1 + batch.num_rows), pa.int64())
                    yield Batch(pa.table(columns), lines, [], {"row": row})
                row += batch.num_rows


def as_text(values: pa.Array) -> pa.Array:
    """Values of any type as the text that an import reads them from."""
    type = values.type
    if pa.types.is_dictionary(type):
        return as_text(values.dictionary_decode())
    if pa.types.is_nested(type):
        return pa.array([_json(value) for value in values.to_pylist()], pa.string())
    if pa.types.is_binary(type) or pa.types.is_large_binary(type) or pa.types.is_fixed_size_binary(type):
        return pa.array([None if value is None else f"\\x{value.hex()}" for value in values.to_pylist()], pa.string())
    if pa.types.is_timestamp(type):
        return _moments(values)
    return values.cast(pa.string())


def _moments(values: pa.Array) -> pa.Array:
    micro = values.cast(pa.timestamp("us", values.type.tz), safe=False)
    if values.type.tz is None:
        return micro.cast(pa.string())
    return pc.binary_join_element_wise(
        micro.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us")).cast(pa.string()), "+00:00", ""
    )


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value, default=str, ensure_ascii=False)


class ParquetWriter:
    """Typed columns; what a column's type cannot hold is an error, not a guess."""

    def __init__(self, stream: BinaryIO, columns: "list[SelectedColumn]") -> None:
        import pyarrow.parquet as pq

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
    suffixes: ClassVar[tuple[str, ...]] = (".parquet",)
    media_type: ClassVar[str] = "application/vnd.apache.parquet"
    magic: ClassVar[dict[bytes, str]] = {b"PAR1": "a Parquet file"}

    def reader(self, source: Input, options: ReadOptions) -> ParquetReader:
        """Open a file for reading."""
        return ParquetReader(source)

    def writer(
        self, stream: BinaryIO, columns: "list[SelectedColumn]", options: WriteOptions
    ) -> AbstractContextManager[Writer]:
        """Begin a file."""
        return ParquetWriter(stream, columns)


FORMAT = Parquet()
