"""JSON lines: one object a line."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from batch_jobs.strategies.sdk.errors import InputRefused
from batch_jobs.strategies.tables.formats.broken_utf8 import in_hex
from batch_jobs.strategies.tables.formats.format import Format, Writer
from batch_jobs.strategies.tables.formats.header import refuse_too_many
from batch_jobs.strategies.tables.formats.json_text import HALF, NoNumber, Number, as_json, is_text
from batch_jobs.strategies.tables.formats.jsonl_writing import JsonLinesWriter
from batch_jobs.strategies.tables.formats.marks import Mark, Marks
from batch_jobs.strategies.tables.formats.packing import is_packed
from batch_jobs.strategies.tables.formats.reading import (
    SURPLUS_COLUMN,
    BadCell,
    BadRow,
    Batch,
    Input,
    Reader,
    ReadOptions,
    unpacked,
)
from batch_jobs.strategies.tables.formats.writing import WriteOptions

if TYPE_CHECKING:
    from batch_jobs.strategies.tables.selecting import SelectedColumn

ROWS = 5_000
#: Bytes of the lines of a batch, and of its cells those without a value included: what is parsed takes many times as
#: much memory.
MOST_BYTES = 1 << 24
MOST_CELLS = 1 << 21
#: Bytes of whole lines at the beginning that show which columns there are, as far as one can see.
SAMPLE = 1 << 19
LOOKED_AT = 1 << 12  # bytes, to see an array
#: What stands for a key that an object lacks.
ABSENT = object()
LONGEST_LINE = 1 << 26  # bytes; a small gzip file may unpack to a line of any length
#: Values in the object of a line, each of which takes 100 bytes and more when it is parsed.
MOST_VALUES = 1 << 21
#: Where an object has fewer of its batch's columns than one of so many, they are filled by what is there.
SPARSE = 4


class JsonLinesReader(Reader):
    """A file of one JSON object a line; its columns are all keys there are, in the order of first sight.

    Numbers keep their text, so that none is rounded; what is nested is kept as JSON. A batch says which cells were
    strings, and which keys an object lacks. Until the whole file was read, ``columns`` are the keys seen so far.
    """

    names_its_columns = False

    def __init__(
        self, source: Input, options: ReadOptions | None = None, rows: int = ROWS, sample: int = SAMPLE
    ) -> None:
        self._source, self._name, self._rows = source, source.name, rows
        self._refuse_array()
        self._settled = bool(options and options.found)
        self._marks: list[Mark] = []
        self._known: dict[str, None] = dict.fromkeys(options.found["columns"] if options and options.found else ())
        self._line_size = self._byte = 0
        if not self._settled:
            self._find_columns(sample)
        self.described = {"format": "jsonl", "encoding": "utf-8"}

    @property
    def columns(self) -> list[str]:  # type: ignore[override]
        """All keys that have been seen."""
        return list(self._known)

    @property
    def found(self) -> dict[str, Any]:
        """The columns."""
        return {"columns": self.columns}

    def settle(self) -> None:
        """Look at every line for further columns."""
        if not self._settled:
            self._find_columns()

    @property
    def uncut(self) -> str | None:  # type: ignore[override]
        """Why a part of it cannot be read by itself."""
        return "a packed file is read from its beginning" if is_packed(self._name) else None

    @property
    def marks(self) -> list[Mark]:
        """Where batches begin."""
        return self._marks

    def batches(self, start: dict[str, Any] | None = None) -> Iterator[Batch]:
        """The batches from a batch's ``start`` on, or all of them."""
        marks, rows = Marks(), 0
        for batch in self.part(start, None):
            first, byte = batch.start["line"], batch.start.get("byte", 0)
            marks.add(Mark(batch.start if marks.kept else None, first, rows), byte)
            rows += batch.table.num_rows + len(batch.bad_rows)
            yield batch
        if start is None:
            self._marks = marks.kept

    def part(self, start: dict[str, Any] | None, until: dict[str, Any] | None) -> Iterator[Batch]:
        """The batches between two places, either of which may be ``None``."""
        first = start["line"] if start else 1
        held: list[tuple[int, dict[str, Any]]] = []
        bad: list[BadRow] = []
        begun, size = self._place(first, start.get("byte", 0) if start else 0), 0
        for line, parsed in self._lines(start=start, until=until):
            if line < first:
                continue
            if isinstance(parsed, BadRow):
                bad.append(parsed)
            else:
                held.append((line, parsed))
                if not self._settled:
                    self._add(parsed)
            size += self._line_size
            if len(held) + len(bad) >= min(self._rows, MOST_CELLS // len(self._known)) or size >= MOST_BYTES:
                yield self._batch(held, bad, begun)
                held, bad, begun, size = [], [], self._place(line + 1, self._byte), 0
        self._settled = True
        if held or bad:
            yield self._batch(held, bad, begun)

    def _place(self, line: int, byte: int) -> dict[str, int]:
        return {"line": line} if is_packed(self._name) else {"line": line, "byte": byte}

    def _batch(self, held: list[tuple[int, dict[str, Any]]], bad: list[BadRow], begun: dict[str, int]) -> Batch:
        columns = {name: _Column(name) for name in self._known}
        if sum(len(row) for _, row in held) * SPARSE < len(held) * len(columns):
            _fill_sparsely(columns, [row for _, row in held])
        else:
            for name, column in columns.items():
                column.fill([row.get(name, ABSENT) for _, row in held])
        return Batch(
            pa.table({name: _as_array(column.cells, pa.string()) for name, column in columns.items()}),
            pa.array([line for line, _ in held], pa.int64()),
            bad,
            begun,
            [cell for column in columns.values() for cell in column.bad],
            {name: pa.array(column.texts) for name, column in columns.items() if any(column.texts)},
            {name: _as_array(column.absent) for name, column in columns.items() if _any(column.absent)},
        )

    def _refuse_array(self) -> None:
        with unpacked(self._source) as stream:
            begin = stream.read(LOOKED_AT).removeprefix(b"\xef\xbb\xbf")
        if re.match(rb"\s*\[\s*(\{|$)", begin):
            raise InputRefused(
                self._name, "it is one JSON array; write each object of it on a line of its own, without the brackets"
            )

    def _find_columns(self, enough: int | None = None) -> None:
        for _, parsed in self._lines(enough):
            if isinstance(parsed, dict):
                self._add(parsed)
        if not self._known and enough is not None:
            self._find_columns()
            return
        if not self._known:
            raise InputRefused(self._name, "there is no JSON object in it; it needs one on each line")
        self._settled = enough is None

    def _add(self, keys: dict[str, Any]) -> None:
        if keys.keys() <= self._known.keys():
            return
        if "" in keys:
            raise InputRefused(self._name, "an object has a key without a name")
        self._known.update(dict.fromkeys(keys))
        refuse_too_many(len(self._known), self._name)

    def _lines(
        self, enough: int | None = None, start: dict[str, Any] | None = None, until: dict[str, Any] | None = None
    ) -> Iterator[tuple[int, dict[str, Any] | BadRow]]:
        """The lines that are not blank: those within the first so many bytes, or between two starts."""
        first, byte = (start["line"], start["byte"]) if start and "byte" in start else (1, 0)
        done, lines, self._byte = 0, _Lines(), byte
        with self._opened(byte, until["byte"] if until else None) as stream:
            for line, raw in enumerate(iter(partial(stream.readline, LONGEST_LINE + 1), b""), first):
                if len(raw) > LONGEST_LINE:
                    raise InputRefused(self._name, f"line {line} is longer than {LONGEST_LINE >> 20} MB")
                done += len(raw)
                if enough is not None and done > enough:
                    return
                self._line_size, self._byte = len(raw), byte + done
                text = raw.removeprefix(b"\xef\xbb\xbf").strip()
                if text:
                    yield line, lines.parsed(line, text)

    def _opened(self, byte: int, end: int | None) -> AbstractContextManager[BinaryIO]:
        return self._source.part(byte, end) if byte or end is not None else unpacked(self._source)


Flags = npt.NDArray[np.bool_]

#: How cells become text whose values surely can.
WAYS: dict[type, Callable[[Any], str | None]] = {
    type(None): lambda value: None,
    type(ABSENT): lambda value: None,
    bool: lambda value: "true" if value else "false",
    int: str,
    Number: attrgetter("text"),
    NoNumber: attrgetter("text"),
}


class _Column:
    """The cells of a column in a batch, and what is to be said of them."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.cells: list[str | None] | pa.StringArray = []
        self.texts: list[bool] | Flags = []
        self.absent: list[bool] | Flags | pa.BooleanArray = []
        self.bad: list[BadCell] = []

    def fill(self, values: list[Any]) -> None:
        """Take the values of all rows."""
        types = [type(value) for value in values]
        self.texts = [type is str for type in types]
        self.absent = [value is ABSENT for value in values]
        self.cells = [
            WAYS[type](value) if type in WAYS else self._cell(index, value)
            for index, (type, value) in enumerate(zip(types, values, strict=True))
        ]

    def spread(self, places: list[int], rows: int) -> None:
        """Put the values there are at their places among so many rows; the others are absent."""
        where = np.full(rows, -1)
        where[places] = np.arange(len(places))
        there = where >= 0
        self.cells = pa.array(self.cells, pa.string()).take(pa.array(where, mask=~there))
        texts = np.zeros(rows, np.bool_)
        texts[places] = self.texts
        self.texts, self.absent = texts, ~there
        self.bad = [replace(cell, index=places[cell.index]) for cell in self.bad]

    def _cell(self, index: int, value: Any) -> str | None:
        try:
            if not isinstance(value, str):
                return as_json(value)
            value.encode()
        except UnicodeEncodeError:
            self.bad.append(BadCell(index, self._name, HALF))
        except ValueError as error:
            self.bad.append(BadCell(index, self._name, str(error)))
        except RecursionError:
            self.bad.append(BadCell(index, self._name, "is nested too deeply"))
        else:
            return value
        return None


def _as_array(values: Any, type: pa.DataType | None = None) -> pa.Array:
    return values if isinstance(values, pa.Array) else pa.array(values, type)


def _any(flags: Any) -> bool:
    return isinstance(flags, pa.Array) or any(flags)


def _fill_sparsely(columns: dict[str, _Column], rows: list[dict[str, Any]]) -> None:
    """Fill the columns in as much time as there are values, not cells."""
    found: dict[str, tuple[list[int], list[Any]]] = {}
    for index, row in enumerate(rows):
        for name, value in row.items():
            places, values = found.setdefault(name, ([], []))
            places.append(index)
            values.append(value)
    nothing, everywhere = pa.nulls(len(rows), pa.string()), pa.array(np.ones(len(rows), np.bool_))
    for name, column in columns.items():
        if name in found:
            places, values = found[name]
            column.fill(values)
            column.spread(places, len(rows))
        else:
            column.cells, column.absent = nothing, everywhere


class _Repeated(Exception):
    """An object has a key twice."""


class _Lines:
    """Parses lines. Looking for repeated keys takes time, so it is done where a line's bytes do not exclude them."""

    def __init__(self) -> None:
        self._looks = False

    def parsed(self, line: int, raw: bytes) -> dict[str, Any] | BadRow:
        """The object of a line, or why there is none."""
        if len(raw) > MOST_VALUES and raw.count(b",") + raw.count(b"[") + raw.count(b"{") > MOST_VALUES:
            return _bad(line, raw[:LOOKED_AT], f"has more than {MOST_VALUES:,} values")
        try:
            found = self._loaded(raw)
        except _Repeated as error:
            return _bad(line, raw, f"has the key {str(error)!r} twice")
        except UnicodeDecodeError as error:
            return _bad(line, raw, f"is not UTF-8 ({in_hex(error.object[error.start : error.end])})")
        except (ValueError, RecursionError):
            return _bad(line, raw, "is not JSON")
        if not isinstance(found, dict):
            return _bad(line, raw, "is not a JSON object")
        if not all(name.isascii() or is_text(name) for name in found):
            return _bad(line, raw, f"has a key that {HALF}")
        return found

    def _loaded(self, raw: bytes) -> Any:
        if not self._looks:
            found = json.loads(raw, parse_float=Number, parse_constant=NoNumber)
            if isinstance(found, dict) and _has_each_key_once(raw, len(found)):
                return found
            self._looks = True  # the other lines will be alike
        return json.loads(raw, parse_float=Number, parse_constant=NoNumber, object_pairs_hook=_object)


def _has_each_key_once(raw: bytes, keys: int) -> bool:
    """Whether a line has no more keys than its object, going by what stands before its colons; ``False`` if unsure."""
    return raw.count(b'":') == keys and b" :" not in raw and b"\t:" not in raw and b"\r:" not in raw


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _Repeated(next(name for name, uses in Counter(name for name, _ in pairs).items() if uses > 1))
    return found


def _bad(line: int, raw: bytes, what: str) -> BadRow:
    return BadRow(line, what, {SURPLUS_COLUMN: raw.decode(errors="replace")})


class JsonLines(Format):
    """JSON lines."""

    name: ClassVar[str] = "jsonl"
    typed: ClassVar[bool] = True
    has_json: ClassVar[bool] = True
    suffixes: ClassVar[tuple[str, ...]] = (".jsonl", ".ndjson")
    media_type: ClassVar[str] = "application/x-ndjson"
    write_options: ClassVar[frozenset[str]] = frozenset({"date_format"})
    nests: ClassVar[bool] = True
    joined_by: ClassVar[Literal["bytes", "join"] | None] = "bytes"

    def reader(self, source: Input, options: ReadOptions) -> JsonLinesReader:
        """Open a file for reading."""
        return JsonLinesReader(source, options)

    def beginning(self, source: Input, options: ReadOptions, rows: int) -> JsonLinesReader:
        """Open a file, to be read in parts of so many rows."""
        return JsonLinesReader(source, options, rows)

    def writer(
        self, stream: BinaryIO, columns: "list[SelectedColumn]", options: WriteOptions
    ) -> AbstractContextManager[Writer]:
        """Begin a file."""
        return closing(JsonLinesWriter(stream, columns))


FORMAT = JsonLines()
