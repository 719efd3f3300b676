"""All changes of a job as one file, CSV or Excel, made as a stream."""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

import pyarrow as pa
from sqlalchemy import Integer, Text

from batch_jobs.strategies.tables.formats.xlsx.sheets import SheetsWriter
from batch_jobs.strategies.tables.formats.xlsx.written import MAX_CELL
from batch_jobs.strategies.tables.selecting import SelectedColumn
from batch_jobs.strategies.tables.values.formulas import neutralise_cell

COLUMNS = ("table", "kind", "key", "line", "column", "before", "after", "file")
Entries = Iterable[dict[str, Any]]
#: Changes that are written at a time.
AT_ONCE = 1_000
#: What XML has no way to write, and what stands in its place.
UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
IN_PLACE = "\ufffd"
#: The end of a text that is longer than a cell of Excel's may be.
CUT = "…"


def cell(name: str, value: Any) -> str:
    """A field of a change as text."""
    if name == "key":
        return ", ".join(f"{column}={part}" for column, part in value.items())
    return "" if value is None else str(value)


def csv_blocks(entries: Entries) -> Iterator[bytes]:
    """The changes as CSV, some lines at a time."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for some in _batches(entries):
        writer.writerows([neutralise_cell(cell(name, entry.get(name))) for name in COLUMNS] for entry in some)
        yield _taken(text)
    yield _taken(text)


def xlsx_blocks(entries: Entries) -> Iterator[bytes]:
    """The changes as a workbook, of as many sheets as it takes; a text too long for a cell is cut there."""
    columns = [SelectedColumn(name, Integer() if name == "line" else Text()) for name in COLUMNS]
    blocks = _Blocks()
    with SheetsWriter(blocks, columns, neutralise=True) as writer:  # type: ignore[arg-type]
        for some in _batches(entries):
            cells = {name: [_excel_cell(name, entry.get(name)) for entry in some] for name in COLUMNS}
            writer.write(pa.table({name: pa.array(texts, pa.string()) for name, texts in cells.items()}))
            yield blocks.taken()
    yield blocks.taken()


#: The formats that there are, by name.
FORMATS: Mapping[str, Callable[[Entries], Iterator[bytes]]] = {"csv": csv_blocks, "xlsx": xlsx_blocks}


class Counted:
    """Entries on their way, counted."""

    def __init__(self, entries: Entries) -> None:
        self._entries = entries
        self.count = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for entry in self._entries:
            self.count += 1
            yield entry


def begun(entries: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The same entries, after the first one was found: what is wrong is raised before a file is begun."""
    first = list(islice(entries, 1))
    return chain(first, entries)


class _Blocks(io.RawIOBase):
    """What was written, until it is taken; a stream that goes in one direction."""

    def __init__(self) -> None:
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._held += data
        return len(data)

    def taken(self) -> bytes:
        taken, self._held = bytes(self._held), bytearray()
        return taken


def _taken(text: io.StringIO) -> bytes:
    taken = text.getvalue().encode(errors="replace")
    text.seek(0)
    text.truncate()
    return taken


def _batches(entries: Entries) -> Iterator[Sequence[dict[str, Any]]]:
    remaining = iter(entries)
    while some := list(islice(remaining, AT_ONCE)):
        yield some


def _excel_cell(name: str, value: Any) -> str | None:
    if value is None:
        return None
    text = UNWRITABLE.sub(IN_PLACE, cell(name, value))
    room = MAX_CELL - 1  # an apostrophe may come before it
    return text if len(text) <= room else text[: room - len(CUT)] + CUT
