"""Reading JSON lines: one object a line."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pyarrow as pa

from batch_jobs.strategies.sdk.errors import InputRefused
from batch_jobs.strategies.tables.formats.reading import SURPLUS_COLUMN, BadRow, Batch, Source
from batch_jobs.strategies.tables.formats.text import unpacked

ROWS = 5_000
LONGEST_LINE = 1 << 26  # bytes; a small gzip file may unpack to a line of any length


class JsonLinesReader:
    """A file of one JSON object a line; its columns are all keys there are, in the order of first sight.

    Numbers keep their text, so that none is rounded; what is nested is kept as JSON.
    """

    def __init__(self, source: Source, name: str, rows: int = ROWS) -> None:
        self._source, self._name, self._rows = source, name, rows
        self.columns = self._keys()
        self.described = {"format": "jsonl", "encoding": "utf-8"}

    def batches(self, start: dict[str, int] | None = None) -> Iterator[Batch]:
        """The batches from a batch's ``start`` on, or all of them."""
        first = start["line"] if start else 1
        held: list[tuple[int, dict[str, Any]]] = []
        bad: list[BadRow] = []
        begun = first
        for line, parsed in self._lines():
            if line < first:
                continue
            if isinstance(parsed, BadRow):
                bad.append(parsed)
            else:
                held.append((line, parsed))
            if len(held) + len(bad) == self._rows:
                yield self._batch(held, bad, begun)
                held, bad, begun = [], [], line + 1
        if held or bad:
            yield self._batch(held, bad, begun)

    def _batch(self, held: list[tuple[int, dict[str, Any]]], bad: list[BadRow], begun: int) -> Batch:
        columns = {name: pa.array([_text(row.get(name)) for _, row in held], pa.string()) for name in self.columns}
        return Batch(pa.table(columns), pa.array([line for line, _ in held], pa.int64()), bad, {"line": begun})

    def _keys(self) -> list[str]:
        keys: dict[str, None] = {}
        for _, parsed in self._lines():
            if isinstance(parsed, dict):
                keys.update(dict.fromkeys(parsed))
        if not keys:
            raise InputRefused(self._name, "there is no JSON object in it; it needs one on each line")
        if "" in keys:
            raise InputRefused(self._name, "an object has a key without a name")
        return list(keys)

    def _lines(self) -> Iterator[tuple[int, dict[str, Any] | BadRow]]:
        with unpacked(self._source, self._name) as stream:
            for line, raw in enumerate(iter(partial(stream.readline, LONGEST_LINE + 1), b""), 1):
                if len(raw) > LONGEST_LINE:
                    raise InputRefused(self._name, f"line {line} is longer than {LONGEST_LINE >> 20} MB")
                text = raw.removeprefix(b"\xef\xbb\xbf").strip()
                if text:
                    yield line, _parsed(line, text)


class _Float(float):
    """A number that keeps the text it was written as, so that none is rounded."""

    def __init__(self, text: str) -> None:
        self.text = text


def _parsed(line: int, raw: bytes) -> dict[str, Any] | BadRow:
    try:
        parsed = json.loads(raw, parse_float=_Float, parse_constant=str)
    except (ValueError, RecursionError):
        return BadRow(line, "is not JSON", {SURPLUS_COLUMN: raw.decode(errors="replace")})
    if not isinstance(parsed, dict):
        return BadRow(line, "is not a JSON object", {SURPLUS_COLUMN: raw.decode(errors="replace")})
    return parsed


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        # half a surrogate pair, which JSON allows, is no text in UTF-8
        return value if value is None or value.isprintable() else value.encode(errors="replace").decode()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, _Float):
        return value.text
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
