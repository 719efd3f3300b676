"""How a file is to be written: fields that the contexts of all exporting strategies have, and cells as they ask."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, time
from typing import TYPE_CHECKING, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from batch_jobs.strategies.tables.selecting import SelectedColumn

Compression = Literal["gz", "zst", "zip"]
DateFormat = str | dict[str, str] | None
#: A number with a decimal point; SQLite's columns of numbers may hold any text.
POINTED = r"^[+-]?\d*\.\d+([eE][+-]?\d+)?$"


class WritingOptions(BaseModel):
    """How a file is written; which of it a format heeds is its ``write_options``, and packing is for all."""

    bom: bool = Field(
        default=False,
        title="Byte order mark",
        description="At the start of a CSV file, by which Excel takes it for UTF-8",
    )
    null: str | None = Field(
        default=None, title="Text for nothing", description="In cells of a CSV file without a value; default none"
    )
    decimal: str | None = Field(
        default=None,
        title="Decimal mark",
        description="In numbers of a CSV file, such as a comma; default a point",
        pattern=r"^[.,]$",
    )
    date_format: DateFormat = Field(
        default=None,
        title="Date format",
        description="How days and times are written, as %d.%m.%Y: one for all columns, or one for each by name; "
        "default as ISO 8601 has them",
    )
    compression: Compression | None = Field(
        default=None, title="Compression", description="Packs the file, whose name then ends so; default none"
    )
    rows_per_file: int | None = Field(
        default=None,
        title="Rows per file",
        description="Split into files of at most so many rows, which come as one zip; default one file",
        ge=1,
    )


@dataclass(frozen=True)
class WriteOptions:
    """How a format is to write: what of the context concerns cells, with ``date_format`` by the file's own names."""

    delimiter: str | None = None
    neutralise: bool = True
    bom: bool = False
    null: str = ""
    decimal: str = "."
    date_format: DateFormat = None
    #: Whether there is a header; what follows a part of a file has none, nor a mark at its start.
    header: bool = True

    @property
    def changes_cells(self) -> bool:
        """Whether cells look otherwise than the database writes them."""
        return self != WriteOptions(self.delimiter, self.neutralise, self.bom, header=self.header)


def write_options(
    context: WritingOptions,
    delimiter: str | None = None,
    neutralise: bool = True,
    names: Mapping[str, str] | None = None,
) -> WriteOptions:
    """What of a context a format needs; ``names`` has the columns that the file calls otherwise."""
    dates = context.date_format
    if isinstance(dates, dict):
        dates = {(names or {}).get(name, name): wanted for name, wanted in dates.items()}
    return WriteOptions(delimiter, neutralise, context.bom, context.null or "", context.decimal or ".", dates)


def dated(rows: pa.Table, columns: "list[SelectedColumn]", wanted: DateFormat) -> pa.Table:
    """Rows with their days and times in another form; what no calendar has, such as infinity, stays as it is."""
    if wanted is None:
        return rows
    cells = [
        _each(cell, _in_form(form)) if (form := form_of(column, wanted)) else cell
        for column, cell in zip(columns, rows.columns, strict=True)
    ]
    return pa.table(cells, names=rows.column_names)


def form_of(column: "SelectedColumn", wanted: DateFormat) -> str | None:
    """The form for a column; one for all is for days and moments, a time of day has one only by its name."""
    if isinstance(wanted, dict):
        return wanted.get(column.name)
    return wanted if column.is_moment else None


def with_decimal(cells: pa.Array, mark: str) -> pa.Array:
    """Numbers with another mark before their decimals."""
    return pc.if_else(pc.match_substring_regex(cells, POINTED), pc.replace_substring(cells, ".", mark), cells)


def _each(cells: pa.ChunkedArray, change: Callable[[str], str]) -> pa.Array:
    return pa.array([None if cell is None else change(cell) for cell in cells.to_pylist()], pa.string())


def _in_form(form: str) -> Callable[[str], str]:
    def change(cell: str) -> str:
        moment = _moment(cell)
        if moment is None:
            return cell
        # the C library does not fill up the years before 1000
        return moment.strftime(re.sub("%(.)", lambda found: _year(found, moment), form))

    return change


def _year(found: re.Match[str], moment: datetime) -> str:
    return f"{moment.year:04d}" if found[1] == "Y" else found[0]


def _moment(cell: str) -> datetime | None:
    try:
        return datetime.fromisoformat(cell)
    except ValueError:
        pass
    try:
        return datetime.combine(datetime(1900, 1, 1), time.fromisoformat(cell))
    except ValueError:
        return None


def text_of(lines: pa.LargeStringArray) -> memoryview:
    """The texts of an array after each other."""
    offsets, data = lines.buffers()[1:]
    ends = memoryview(offsets).cast("q")
    return memoryview(data)[ends[lines.offset] : ends[lines.offset + len(lines)]] if data else memoryview(b"")
