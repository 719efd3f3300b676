"""JSON lines: one object a line."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

import pyarrow as pa

from batch_jobs.strategies.sdk.errors import InputRefused
from batch_jobs.strategies.tables.formats.format import Format, Writer
from batch_jobs.strategies.tables.formats.json_text import HALF, NoNumber, Number, as_json, is_text
from batch_jobs.strategies.tables.formats.jsonl_writing import JsonLinesWriter
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
#: Bytes of whole lines at the beginning that show which columns there are, as far as one can see.
SAMPLE = 1 << 19
LOOKED_AT = 1 << 12  # bytes, to see an array
#: What stands for a key that an object lacks.
ABSENT = object()
LONGEST_LINE = 1 << 26  # bytes; a small gzip file may unpack to a line of any length


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
        self.columns: list[str] = options.found["columns"] if options and options.found else []
        if not self._settled:
            self._find_columns(sample)
        self.described = {"format": "jsonl", "encoding": "utf-8"}

    @property
    def found(self) -> dict[str, Any]:
        """The columns."""
        return {"columns": self.columns}

    def settle(self) -> None:
        """Look at every line for further columns."""
        if not self._settled:
            self._find_columns()

    def batches(self, start: dict[str, int] | None = None) -> Iterator[Batch]:
        """The batches from a batch's ``start`` on, or all of them."""
        first = start["line"] if start else 1
        held: list[tuple[int, dict[str, Any]]] = []
        bad: list[BadRow] = []
        begun = first
        known = dict.fromkeys(self.columns)
        for line, parsed in self._lines():
            if line < first:
                continue
            if isinstance(parsed, BadRow):
                bad.append(parsed)
            else:
                held.append((line, parsed))
                if not self._settled and not parsed.keys() <= known.keys():
                    self._add(parsed)
                    known = dict.fromkeys(self.columns)
            if len(held) + len(bad) == self._rows:
                yield self._batch(held, bad, begun)
                held, bad, begun = [], [], line + 1
        self._settled = True
        if held or bad:
            yield self._batch(held, bad, begun)

    def _batch(self, held: list[tuple[int, dict[str, Any]]], bad: list[BadRow], begun: int) -> Batch:
        columns = {name: _Column(name) for name in self.columns}
        for name, column in columns.items():
            column.fill([row.get(name, ABSENT) for _, row in held])
        return Batch(
            pa.table({name: pa.array(column.cells, pa.string()) for name, column in columns.items()}),
            pa.array([line for line, _ in held], pa.int64()),
            bad,
            {"line": begun},
            [cell for column in columns.values() for cell in column.bad],
            {name: pa.array(column.texts) for name, column in columns.items() if any(column.texts)},
            {name: pa.array(column.absent) for name, column in columns.items() if any(column.absent)},
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
        if not self.columns and enough is not None:
            self._find_columns()
            return
        if not self.columns:
            raise InputRefused(self._name, "there is no JSON object in it; it needs one on each line")
        self._settled = enough is None

    def _add(self, keys: dict[str, Any]) -> None:
        if "" in keys:
            raise InputRefused(self._name, "an object has a key without a name")
        self.columns = list(dict.fromkeys([*self.columns, *keys]))

    def _lines(self, enough: int | None = None) -> Iterator[tuple[int, dict[str, Any] | BadRow]]:
        """The lines that are not blank, or those within the first so many bytes."""
        done, lines = 0, _Lines()
        with unpacked(self._source) as stream:
            for line, raw in enumerate(iter(partial(stream.readline, LONGEST_LINE + 1), b""), 1):
                if len(raw) > LONGEST_LINE:
                    raise InputRefused(self._name, f"line {line} is longer than {LONGEST_LINE >> 20} MB")
                done += len(raw)
                if enough is not None and done > enough:
                    return
                text = raw.removeprefix(b"\xef\xbb\xbf").strip()
                if text:
                    yield line, lines.parsed(line, text)


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
        self.cells: list[str | None] = []
        self.texts: list[bool] = []
        self.absent: list[bool] = []
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


class _Repeated(Exception):
    """An object has a key twice."""


class _Lines:
    """Parses lines. Looking for repeated keys takes time, so it is done where a line's bytes do not exclude them."""

    def __init__(self) -> None:
        self._looks = False

    def parsed(self, line: int, raw: bytes) -> dict[str, Any] | BadRow:
        """The object of a line, or why there is none."""
        try:
            found = self._loaded(raw)
        except _Repeated as error:
            return _bad(line, raw, f"has the key {str(error)!r} twice")
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
        names = [name for name, _ in pairs]
        raise _Repeated(next(name for name in names if names.count(name) > 1))
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

    def reader(self, source: Input, options: ReadOptions) -> JsonLinesReader:
        """Open a file for reading."""
        return JsonLinesReader(source, options)

    def writer(
        self, stream: BinaryIO, columns: "list[SelectedColumn]", options: WriteOptions
    ) -> AbstractContextManager[Writer]:
        """Begin a file."""
        return closing(JsonLinesWriter(stream, columns))


FORMAT = JsonLines()
