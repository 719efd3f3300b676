"""Rows as COPY takes them: in binary where that says exactly what their text would, and else as CSV."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pgpq
import psycopg
import pyarrow as pa
import pyarrow.csv
from pgpq import encoders, schema
from sqlalchemy import JSON, REAL, Connection, Enum, Numeric, String, Table, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

from batch_jobs.strategies.sdk.database import driver_of
from batch_jobs.strategies.tables.databases.postgresql.binary_values import decimals, singles, uuids

#: Arrow type -> types of the server that hold the same values, and whose binary form ``pgpq`` makes of it.
SAME: Mapping[pa.DataType, tuple[str, ...]] = {
    pa.bool_(): ("bool",),
    pa.int16(): ("int2",),
    pa.int32(): ("int4",),
    pa.int64(): ("int8",),
    pa.float64(): ("float8",),
    pa.date32(): ("date",),
    pa.time64("us"): ("time",),
    pa.timestamp("us"): ("timestamp",),
    pa.timestamp("us", "UTC"): ("timestamptz",),
    pa.binary(): ("bytea",),
}
TEXTS = ("text", "varchar", "bpchar", "json")

#: Column -> its type on the server, without domains around it; none where it is one of an extension or of a user.
ServerTypes = Mapping[str, str | None]


@dataclass(frozen=True)
class Encoded:
    """Rows as COPY takes them: as CSV, or in binary for columns of the server's ``types``."""

    rows: pa.Table
    parts: tuple[bytes, ...]
    types: Mapping[str, tuple[str, ...]] | None = None

    def is_read_by(self, types: ServerTypes) -> bool:
        """Whether columns of these types get their values from it."""
        return self.types is None or all(types.get(name) in fitting for name, fitting in self.types.items())


@dataclass(frozen=True)
class _Field:
    values: pa.Array
    types: tuple[str, ...]
    builder: Any = None


def encode(rows: pa.Table, table: Table) -> Encoded:
    """Rows in binary where each column allows it, otherwise as CSV.

    A row by itself may be one that is refused, and the server's words are better where it reads text.
    """
    fields = {name: _field(name, rows.column(name), table) for name in rows.column_names} if rows.num_rows > 1 else {}
    known = {name: found for name, found in fields.items() if found is not None}
    if len(known) < rows.num_columns:
        return as_csv(rows)
    return Encoded(rows, _binary(known), {name: found.types for name, found in known.items()})


def as_csv(rows: pa.Table) -> Encoded:
    """Rows as CSV, in which an unquoted empty cell is NULL: what the server makes of a text is its own affair."""
    written = io.BytesIO()
    options = pyarrow.csv.WriteOptions(include_header=False)
    columns = [_hexadecimal(column) for column in rows.columns]
    pyarrow.csv.write_csv(pa.table(columns, names=rows.column_names), written, options)
    return Encoded(rows, (written.getvalue(),))


def copy(connection: Connection, into: str, encoded: Encoded) -> int:
    """Copy into a relation, whose columns are named in parentheses after it; returns how many rows went in."""
    kind = "csv" if encoded.types is None else "binary"
    with driver_of(connection).cursor() as cursor:
        with cursor.copy(f"COPY {into} FROM STDIN (FORMAT {kind})") as copying:
            for part in encoded.parts:
                copying.write(part)
        return int(cursor.rowcount)


def server_types(cursor: psycopg.Cursor[Any]) -> ServerTypes:
    """The types of the columns of what the last of some statements returned."""
    while cursor.nextset():
        pass
    known = ((column.name, psycopg.adapters.types.get(column.type_code)) for column in cursor.description or ())
    return {name: found.name if found else None for name, found in known}


def _binary(fields: Mapping[str, _Field]) -> tuple[bytes, ...]:
    rows = pa.record_batch([found.values for found in fields.values()], names=list(fields))
    builders = {
        column.name: fields[column.name].builder or pgpq.ArrowToPostgresBinaryEncoder.infer_encoder(column)
        for column in rows.schema
    }
    encoder = pgpq.ArrowToPostgresBinaryEncoder.new_with_encoders(rows.schema, builders)
    return encoder.write_header(), encoder.write_batch(rows), encoder.finish()


def _field(name: str, column: pa.ChunkedArray, table: Table) -> _Field | None:
    """A column for its binary form; ``None`` where that is not sure to be the same as its text."""
    values = column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)
    wanted = table.columns[name].type if name in table.columns else None
    if pa.types.is_decimal128(values.type):
        return _Field(values, ("numeric",))
    if values.type == pa.string():
        return _field_of_texts(name, values, wanted)
    if isinstance(wanted, REAL) and values.type == pa.float64():
        return _made(singles(values), "float4")
    types = SAME.get(values.type)
    return None if types is None else _Field(values, types)


def _field_of_texts(name: str, texts: pa.StringArray, wanted: TypeEngine[Any] | None) -> _Field | None:
    """A column of texts, which may stand for other values: PostgreSQL holds some that Arrow does not."""
    if isinstance(wanted, JSONB):
        builder = encoders.StringEncoderBuilder.new_with_output(pa.field(name, texts.type), schema.Jsonb())
        return _Field(texts, ("jsonb",), builder)
    if isinstance(wanted, Uuid):
        return _made(uuids(texts), "uuid")
    if isinstance(wanted, Numeric):
        return _made(decimals(texts), "numeric")
    is_text = isinstance(wanted, String | JSON) and not isinstance(wanted, Enum)
    return _Field(texts, TEXTS) if is_text else None


def _made(values: pa.Array | None, type: str) -> _Field | None:
    return None if values is None else _Field(values, (type,))


def _hexadecimal(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_binary(column.type):
        cells = [None if cell is None else f"\\x{cell.hex()}" for cell in column.to_pylist()]
        return pa.chunked_array([pa.array(cells, pa.string())])
    return column
