"""JSON lines: one object a line."""

import json
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

import pyarrow as pa

from batch_jobs.strategies.sdk.errors import InputRefused
from batch_jobs.strategies.tables.formats.format import Format, Writer
from batch_jobs.strategies.tables.formats.jsonl_writing import JsonLinesWriter
from batch_jobs.strategies.tables.formats.reading import (
    SURPLUS_COLUMN,
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
LONGEST_LINE = 1 << 26  # bytes; a small gzip file may unpack to a line of any length


class JsonLinesReader(Reader):
    """A file of one JSON object a line; its columns are all keys there are, in the order of first sight.

    Numbers keep their text, so that none is rounded; what is nested is kept as JSON. Until the whole file was read,
    ``columns`` are the keys seen so far.
    """

    names_its_columns = False

    def __init__(
        self, source: Input, options: ReadOptions | None = None, rows: int = ROWS, sample: int = SAMPLE
    ) -> None:
        self._source, self._name, self._rows = source, source.name, rows
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
        columns = {name: pa.array([_text(row.get(name)) for _, row in held], pa.string()) for name in self.columns}
        lines = pa.array([line for line, _ in held], pa.int64())
        absent = {name: pa.array([name not in row for _, row in held]) for name in self.columns}
        return Batch(pa.table(columns), lines, bad, {"line": begun}, absent=absent)

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
        done = 0
        with unpacked(self._source) as stream:
            for line, raw in enumerate(iter(partial(stream.readline, LONGEST_LINE + 1), b""), 1):
                if len(raw) > LONGEST_LINE:
                    raise InputRefused(self._name, f"line {line} is longer than {LONGEST_LINE >> 20} MB")
                done += len(raw)
                if enough is not None and done > enough:
                    return
                text = raw.removeprefix(b"\xef\xbb\xbf").strip()
                if text:
                    yield line, _parsed(line, text)


class _Float(float):
    """A number that keeps the text it was written as, so that none is rounded."""

    def __init__(self, text: str) -> None:
        self.text = text


class _Nested:
    """What is nested, as it was written but for blanks: with its own numbers and escapes."""

    def __init__(self, text: str) -> None:
        self.text = text


_TEXT_OR_BLANKS = re.compile(r'("(?:[^"\\]|\\.)*")|\s+')
_BLANKS = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str)


def _keep_nested(parsed: dict[str, Any], text: str) -> None:
    """Put what is nested in an object as it is written in its text, which begins and ends with the object."""
    place = _after_blanks(text, 1)
    while text[place] != "}":
        key, place = _DECODER.raw_decode(text, place)
        begin = _after_blanks(text, _after_blanks(text, place) + 1)  # beyond the colon
        value, place = _DECODER.raw_decode(text, begin)
        if isinstance(value, (dict, list)):
            parsed[key] = _Nested(_TEXT_OR_BLANKS.sub(r"\1", text[begin:place]))
        place = _after_blanks(text, place)
        place = _after_blanks(text, place + (text[place] == ","))


def _after_blanks(text: str, place: int) -> int:
    found = _BLANKS.match(text, place)
    assert found is not None
    return found.end()


def _parsed(line: int, raw: bytes) -> dict[str, Any] | BadRow:
    try:
        parsed = json.loads(raw, parse_float=_Float, parse_constant=str)
    except (ValueError, RecursionError):
        return BadRow(line, "is not JSON", {SURPLUS_COLUMN: raw.decode(errors="replace")})
    if not isinstance(parsed, dict):
        return BadRow(line, "is not a JSON object", {SURPLUS_COLUMN: raw.decode(errors="replace")})
    if any(isinstance(value, (dict, list)) for value in parsed.values()):
        _keep_nested(parsed, raw.decode("utf-8", "surrogatepass"))
    return parsed


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        # half a surrogate pair, which JSON allows, is no text in UTF-8
        return value if value is None or value.isprintable() else value.encode(errors="replace").decode()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (_Float, _Nested)):
        return value.text
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


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
