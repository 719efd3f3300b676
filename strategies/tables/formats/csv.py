"""Delimited text: how it is delimited, reading (Arrow splits it, this counts its lines), and writing."""

import csv
import io
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, BinaryIO, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch_jobs.strategies.sdk.errors import InputRefused
from batch_jobs.strategies.tables.formats.csv_writing import write_csv
from batch_jobs.strategies.tables.formats.format import Format, Rows
from batch_jobs.strategies.tables.formats.reading import (
    SURPLUS_COLUMN,
    BadRow,
    Batch,
    Input,
    Reader,
    ReadOptions,
    unpacked,
)
from batch_jobs.strategies.tables.formats.text import SAMPLE, UTF8, CheckedText, Survey, guess, read_sample, survey
from batch_jobs.strategies.tables.formats.writing import WriteOptions

DELIMITERS = ",;\t|"
LOOKED_AT = 50  # records
CELL_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}

csv.field_size_limit(sys.maxsize)  # a cell may have megabytes


@dataclass(frozen=True)
class Dialect:
    """The delimiter, the columns, and how many records there are up to and with the header."""

    delimiter: str
    columns: list[str]
    header_records: int


def find_dialect(sample: bytes, encoding: str, name: str, delimiter: str | None) -> Dialect:
    """Find the delimiter, unless it is given, and read the header.

    Raises:
        InputRefused: there is no usable header, or the delimiter is not one character.
    """
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n' or not delimiter.isascii()):
        raise InputRefused(name, f"the delimiter {delimiter!r} is not one plain character")
    text = _sample_text(sample, encoding)
    chosen = delimiter or max(DELIMITERS, key=lambda candidate: _fit(text, candidate))
    for skipped, record in enumerate(_records(text, chosen), 1):
        if any(cell.strip() for cell in record):
            return Dialect(chosen, checked_header(record, name), skipped)
    raise InputRefused(name, "the file is empty; it needs at least a line with the names of the columns")


def _sample_text(sample: bytes, encoding: str) -> str:
    text = sample.decode(encoding, errors="ignore").removeprefix("\ufeff")
    cut = len(sample) == SAMPLE
    end = max(text.rfind("\n"), text.rfind("\r")) if cut else -1
    return text[:end] if end > 0 else text


def _records(text: str, delimiter: str) -> list[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    return [record for record, _ in zip(reader, range(LOOKED_AT), strict=False)]


def _fit(text: str, delimiter: str) -> tuple[float, int]:
    """How well a delimiter explains the first records: the share that is as wide as the header, then the width."""
    widths = [len(record) for record in _records(text, delimiter) if record]
    if not widths or widths[0] < 2:
        return (0.0, 0)
    return (round(widths.count(widths[0]) / len(widths), 1), widths[0])


def checked_header(header: list[str], name: str) -> list[str]:
    """The names of the columns, blanks around them dropped; refused where one is missing, broken or there twice."""
    columns = [cell.strip() for cell in header]
    unnamed = [position for position, column in enumerate(columns, 1) if not column]
    if unnamed:
        raise InputRefused(
            name, f"the header has no name in column {', '.join(map(str, unnamed))}; name it or remove it"
        )
    broken = [column for column in columns if "\0" in column]
    if broken:
        raise InputRefused(name, f"the header has a NUL character in {broken[0]!r}; remove it")
    for column in columns:
        positions = [str(position) for position, other in enumerate(columns, 1) if other == column]
        if len(positions) > 1:
            raise InputRefused(name, f"the header has {column!r} in columns {' and '.join(positions)}; rename one")
    return columns


BLOCK = 1 << 20
LARGEST_BLOCK = 1 << 26  # bytes; a record longer than this is a quote that is not closed, or a bomb


@dataclass
class Position:
    """How far reading has come: records (with the header, blank and bad ones) and physical lines."""

    record: int = 0
    line: int = 1


@dataclass
class _Pass:
    """One opening of the file: its text where that is still to be checked, and what Arrow has met."""

    text: CheckedText | None = None
    #: Bad rows that no batch has reported yet.
    bad: deque[Any] = field(default_factory=deque)
    last_cells: Iterable[str | None] = ()
    last_line: int = 1
    last_bad: BadRow | None = None
    last_bad_text: str = ""

    def meet(self, row: Any) -> str:
        self.bad.append(row)
        return "skip"


class CsvReader(Reader):
    """A CSV or TSV file.

    An unquoted empty cell is null and a quoted one the empty text, as PostgreSQL's COPY has it. A line without any
    value is no row. Lines may end in any of the three ways.
    """

    def __init__(self, source: Input, options: ReadOptions | None = None, block: int = BLOCK) -> None:
        options = options or ReadOptions()
        self._source, self._name, self._block = source, source.name, block
        if options.found:
            self._survey = Survey((options.found["encoding"],), options.found["quotes"])
            self._dialect = Dialect(**options.found["dialect"])
        else:
            sample = read_sample(source)
            self._survey = guess(source, sample, options.encoding)
            self._dialect = find_dialect(sample, self._survey.encoding, self._name, options.delimiter)
        self.columns = self._dialect.columns

    @property
    def described(self) -> dict[str, str]:  # type: ignore[override]
        """What was decided about the file, for people."""
        shown = CELL_NAMES.get(self._dialect.delimiter, self._dialect.delimiter)
        return {"format": "csv", "delimiter": shown, "encoding": self._survey.encoding}

    @property
    def found(self) -> dict[str, Any]:
        """The encoding, the number of quotes and the dialect."""
        return {
            "encoding": self._survey.encoding,
            "quotes": self._survey.quotes,
            "dialect": asdict(self._dialect),
        }

    def settle(self) -> None:
        """Find the encoding by the whole text."""
        if self._survey.quotes is None:
            self._survey = survey(self._source, self._survey.candidates)

    def batches(self, start: dict[str, int] | None = None) -> Iterator[Batch]:
        """The batches from a batch's ``start`` on, or all of them.

        Raises:
            InputRefused: a quote is never closed.
        """
        done, block = Position(), self._block
        while True:
            try:
                for batch, position in self._from(done, block):
                    done = position
                    if start is None or batch.start["record"] >= start["record"]:
                        yield batch
            except pa.ArrowInvalid as error:
                if "straddling" not in str(error):
                    raise InputRefused(self._name, " ".join(str(error).split())) from None
                block *= 2
                if block > LARGEST_BLOCK:
                    self._refuse_open_quote(done.line)
            else:
                return

    def _from(self, done: Position, block: int) -> Iterator[tuple[Batch, Position]]:
        """Read with blocks of this size, leaving out what is done; larger ones take over where a record is too long."""
        settled = self._survey.quotes is not None
        with unpacked(self._source) as stream:
            current = _Pass(None if settled else CheckedText(stream, self._survey))
            position = Position()
            for table in self._tables(stream, block, current):
                batch, position = self._batch(table, position, current, done.record)
                if position.record > done.record:
                    yield batch, position
            if current.text is not None:
                self._survey = current.text.survey
            if current.bad:
                empty = pa.table({name: pa.array([], pa.string()) for name in self.columns})
                leftover = self._batch(empty, position, current, done.record, at_end=True)
                self._check_last_record(current)
                yield leftover
            else:
                self._check_last_record(current)

    def _tables(self, stream: BinaryIO, block: int, current: _Pass) -> Iterator[pa.Table]:
        from pyarrow import csv as arrow_csv

        reader = arrow_csv.open_csv(
            current.text or stream,
            arrow_csv.ReadOptions(
                use_threads=False, block_size=block, column_names=self.columns, encoding=self._arrow_encoding(current)
            ),
            arrow_csv.ParseOptions(
                delimiter=self._dialect.delimiter,
                # looking for them means to split everything twice, but holds less of a very long record
                newlines_in_values=self._survey.quotes != 0 or block > self._block,
                ignore_empty_lines=False,
                invalid_row_handler=current.meet,
            ),
            arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(self.columns, pa.string()),
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                null_values=[""],
            ),
        )
        for batch in reader:
            yield pa.Table.from_batches([batch])

    def _arrow_encoding(self, current: _Pass) -> str:
        return "utf8" if current.text or self._survey.encoding in UTF8 else self._survey.encoding

    def _batch(
        self, table: pa.Table, begun: Position, current: _Pass, done: int, at_end: bool = False
    ) -> tuple[Batch, Position]:
        bad = _bad_of(current, begun.record, table.num_rows, at_end)
        quotes = self._survey.quotes if current.text is None else current.text.quotes
        counts = _lines_of_records(table, begun.record, bad, may_span=quotes != 0)
        starts = begun.line + np.concatenate(([0], np.cumsum(counts)))
        position = Position(begun.record + len(counts), int(starts[-1]))
        is_bad = np.zeros(len(counts), dtype=bool)
        is_bad[[row.number - 1 - begun.record for row in bad]] = True
        numbers = np.arange(begun.record, position.record)
        wanted = (numbers >= max(done, self._dialect.header_records))[~is_bad]
        wanted &= ~_blank(table)
        if table.num_rows:
            current.last_cells = table.slice(table.num_rows - 1).to_pylist()[0].values()
            current.last_line = int(starts[:-1][~is_bad][-1])
        kept = table if wanted.all() else table.filter(pa.array(wanted))
        new = [row for row in bad if row.number > done]
        bad_rows = [self._bad_row(row, int(starts[row.number - 1 - begun.record])) for row in new]
        if bad_rows:
            current.last_bad, current.last_bad_text = bad_rows[-1], bad[-1].text
        first = {"record": max(done, begun.record), "line": int(starts[max(0, done - begun.record)])}
        return Batch(kept, pa.array(starts[:-1][~is_bad][wanted], pa.int64()), bad_rows, first), position

    def _bad_row(self, row: Any, line: int) -> BadRow:
        (cells,) = csv.reader(io.StringIO(row.text, newline=""), delimiter=self._dialect.delimiter)
        found: dict[str, str | None] = dict(zip(self.columns, [*cells, *[None] * len(self.columns)], strict=False))
        surplus = cells[len(self.columns) :]
        if surplus:
            found[SURPLUS_COLUMN] = self._dialect.delimiter.join(surplus)
        return BadRow(line, f"has {row.actual_columns} cells where the header has {row.expected_columns}", found)

    def _check_last_record(self, current: _Pass) -> None:
        """Arrow takes an open quote to the end of the file for a cell: its last record then has the last line end."""
        if (self._survey.quotes or 0) % 2 == 0:
            return
        texts = [cell for cell in current.last_cells if cell is not None]
        if texts and texts[-1].endswith(("\n", "\r")):
            self._refuse_open_quote(current.last_line)
        if current.last_bad is not None and current.last_bad.row and current.last_bad_text.count('"') % 2:
            self._refuse_open_quote(current.last_bad.line)

    def _refuse_open_quote(self, line: int) -> None:
        raise InputRefused(self._name, f"the quote opened in the row of line {line} is never closed")


def _bad_of(current: _Pass, begun: int, rows: int, at_end: bool) -> list[Any]:
    """The bad rows that lie between this batch's rows; those after its last row belong to the next one."""
    found: list[Any] = []
    while current.bad and (at_end or current.bad[0].number <= begun + rows + len(found)):
        found.append(current.bad.popleft())
    return found


def _lines_of_records(table: pa.Table, begun: int, bad: list[Any], may_span: bool) -> Any:
    """How many physical lines each record takes; only a quoted cell may span several."""
    counts = np.ones(table.num_rows, dtype=np.int64)
    for column in table.columns if may_span else ():
        embedded = pc.count_substring(column, "\n")
        if pc.max(embedded).as_py():
            counts += pc.fill_null(embedded, 0).to_numpy().astype(np.int64)
    if not bad:
        return counts
    places = [row.number - 1 - begun - index for index, row in enumerate(bad)]
    return np.insert(counts, places, [1 + row.text.count("\n") for row in bad])


def _blank(table: pa.Table) -> Any:
    """Which rows have no value at all."""
    blank = np.ones(table.num_rows, dtype=bool)
    for column in table.columns:
        if not blank.any():
            break
        blank &= pc.is_null(column).to_numpy()
    return blank


class Csv(Format):
    """Comma-separated values; read with any delimiter."""

    name: ClassVar[str] = "csv"
    suffixes: ClassVar[tuple[str, ...]] = (".csv", ".txt")
    media_type: ClassVar[str] = "text/csv"
    read_options: ClassVar[frozenset[str]] = frozenset({"delimiter", "encoding"})
    write_options: ClassVar[frozenset[str]] = frozenset({"delimiter", "bom", "null", "decimal", "date_format"})
    for_spreadsheets: ClassVar[bool] = True
    #: In reading, ``None`` finds it out.
    read_delimiter: ClassVar[str | None] = None
    write_delimiter: ClassVar[str] = ","

    def reader(self, source: Input, options: ReadOptions) -> CsvReader:
        """Open a file for reading."""
        chosen = options.model_copy(update={"delimiter": options.delimiter or self.read_delimiter})
        return CsvReader(source, chosen)

    def write(self, rows: Rows, stream: BinaryIO, options: WriteOptions) -> Iterator[int]:
        """Have the database write the lines, which is fastest, unless cells are to look otherwise."""
        return write_csv(rows, stream, options, options.delimiter or self.write_delimiter)


FORMAT = Csv()
