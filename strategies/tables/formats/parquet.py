"""Reading Parquet."""

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batch_jobs.strategies.sdk.errors import InputRefused
from batch_jobs.strategies.tables.formats.reading import Batch, Source

ROWS = 10_000


class ParquetReader:
    """A Parquet file; a line is a row's number, from 1."""

    def __init__(self, source: Source, name: str, rows: int = ROWS) -> None:
        self._source, self._name, self._rows = source, name, rows
        with source() as stream:
            try:
                self.columns = list(pq.ParquetFile(stream).schema_arrow.names)
            except (pa.ArrowInvalid, OSError):
                raise InputRefused(name, "this is not a Parquet file, or it is damaged") from None
        if len(set(self.columns)) < len(self.columns):
            raise InputRefused(name, "two of its columns have one name")
        self.described = {"format": "parquet"}

    def batches(self, start: dict[str, int] | None = None) -> Iterator[Batch]:
        """The batches from a batch's ``start`` on, or all of them."""
        first, row = (start or {"row": 0})["row"], 0
        with self._source() as stream:
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
