"""Reading a file as batches of text cells, whatever its format."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import PurePosixPath
from typing import Any, BinaryIO, Protocol, cast

import pyarrow as pa

from batch_jobs.strategies.sdk.errors import InputRefused
from batch_jobs.strategies.sdk.rejects import SURPLUS_COLUMN

__all__ = ["SURPLUS_COLUMN", "BadRow", "Batch", "Reader", "Source", "open_reader"]

#: Opens the raw input anew, in bytes.
Source = Callable[[], BinaryIO]


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be split into the header's cells.

    ``line`` is the physical line it starts on, from 1; ``row`` has the cells there are by column, and what is beyond
    the last column under ``reject_surplus``.
    """

    line: int
    message: str
    row: dict[str, str | None]


@dataclass(frozen=True)
class Batch:
    """Some rows of the file, in its order.

    ``table`` has text columns named by the header, null where a cell is absent; ``lines`` gives each row's physical
    line (a sheet's or a Parquet file's row number); ``start`` is a JSON value to read this batch again from.
    """

    table: pa.Table
    lines: pa.Array
    bad_rows: list[BadRow]
    start: dict[str, int]


class Reader(Protocol):
    """A file as batches; reading twice gives the same batches."""

    columns: list[str]
    #: What was decided about the file: format, delimiter, encoding.
    described: dict[str, str]

    def batches(self, start: dict[str, int] | None = None) -> Iterator[Batch]:
        """The batches from a batch's ``start`` on, or all of them."""


#: Format -> module and class of its reader, imported when it is needed.
READERS = {
    "csv": ("csv", "CsvReader"),
    "tsv": ("csv", "CsvReader"),
    "jsonl": ("jsonl", "JsonLinesReader"),
    "parquet": ("parquet", "ParquetReader"),
    "xlsx": ("xlsx", "XlsxReader"),
}
SUFFIXES = {
    "csv": ".csv .txt",
    "tsv": ".tsv .tab",
    "jsonl": ".jsonl .ndjson",
    "parquet": ".parquet",
    "xlsx": ".xlsx .xlsm",
}
FORMATS = {suffix: format for format, suffixes in SUFFIXES.items() for suffix in suffixes.split()}


def open_reader(
    source: Source, name: str, *, format: str | None = None, delimiter: str | None = None, encoding: str | None = None
) -> Reader:
    """Open a file for reading.

    Args:
        source: opens the raw input anew.
        name: the file's name, which tells its format and, by ``.gz``, its compression.
        format: csv, tsv, jsonl, parquet or xlsx; by the name when not given.
        delimiter: of a CSV file; found out when not given.
        encoding: of a CSV file; found out when not given.

    Raises:
        InputRefused: the file is not what it should be.
    """
    chosen = format or format_of(name)
    module, class_name = READERS[chosen]
    reader: Any = getattr(import_module(f"batch_jobs.strategies.tables.formats.{module}"), class_name)
    if module == "csv":
        return cast(
            Reader, reader(source, name, "\t" if chosen == "tsv" and delimiter is None else delimiter, encoding)
        )
    return cast(Reader, reader(source, name))


def format_of(name: str) -> str:
    """The format that a file's name tells.

    Raises:
        InputRefused: it tells none.
    """
    suffixes = [suffix.lower() for suffix in PurePosixPath(name).suffixes]
    last = suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else (suffixes or [""])[-1]
    if last not in FORMATS:
        raise InputRefused(name, f"the name does not tell the format; set format to one of {', '.join(READERS)}")
    return FORMATS[last]
