"""Writing JSON lines: numbers as numbers, JSON and arrays as what they hold, all else as text."""

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO

import pyarrow as pa

if TYPE_CHECKING:
    from batch_jobs.strategies.tables.selecting import SelectedColumn

#: What JSON calls a number. It knows no limit of digits, so that none is lost; NaN and infinity are no numbers there.
NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")


class JsonLinesWriter:
    """One JSON object a line."""

    def __init__(self, stream: BinaryIO, columns: "list[SelectedColumn]") -> None:
        self._stream = stream
        self._names = [json.dumps(column.name) for column in columns]
        self._ways = [_way(column) for column in columns]

    def write(self, rows: pa.Table) -> None:
        """Write a line for each row."""
        columns = [
            [f"{name}: {way(cell)}" for cell in cells.to_pylist()]
            for name, way, cells in zip(self._names, self._ways, rows.columns, strict=True)
        ]
        self._stream.write("".join(f"{{{', '.join(cells)}}}\n" for cells in zip(*columns, strict=True)).encode())

    def close(self) -> None:
        """Nothing is left to write."""


def _way(column: "SelectedColumn") -> Callable[[str | None], str]:
    if column.is_boolean:
        return _boolean
    if column.is_json or column.is_array:
        return _nested
    return _number if column.is_number else _text


def _text(cell: str | None) -> str:
    return json.dumps(cell, ensure_ascii=False)


def _boolean(cell: str | None) -> str:
    return cell if cell in ("true", "false") else json.dumps(cell)


def _number(cell: str | None) -> str:
    if cell is None:
        return "null"
    return cell if NUMBER.fullmatch(cell) else json.dumps(cell)


def _nested(cell: str | None) -> str:
    if cell is None:
        return "null"
    try:
        json.loads(cell, parse_int=str, parse_float=str, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return _text(cell)  # a column of SQLite may hold any text
    return cell.replace("\n", " ").replace("\r", " ")  # a line end can stand between values only


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
