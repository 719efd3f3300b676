"""Reading delimited text: Arrow splits it, this counts its lines and mends what only looks wrong."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from batch_jobs.strategies.sdk.errors import InputRefused
from batch_jobs.strategies.tables.formats.broken_utf8 import MARKING, in_hex, marked_bytes, without_marks
from batch_jobs.strategies.tables.formats.csv_position import (
    Pass,
    Position,
    Stretch,
    lines_of_records,
    pass_over,
    stretches,
)
from batch_jobs.strategies.tables.formats.csv_splitting import BLOCK, Splitting, as_one_block, from_a_record
from batch_jobs.strategies.tables.formats.dialect import Dialect, find_dialect
from batch_jobs.strategies.tables.formats.footer import without_footer
from batch_jobs.strategies.tables.formats.header import MAX_COLUMNS
from batch_jobs.strategies.tables.formats.line_bytes import has_lines_of_bytes
from batch_jobs.strategies.tables.formats.marks import Mark, Marks
from batch_jobs.strategies.tables.formats.packing import is_packed
from batch_jobs.strategies.tables.formats.plain_text import BackslashQuote, PlainText
from batch_jobs.strategies.tables.formats.reading import (
    SURPLUS_COLUMN,
    BadRow,
    Batch,
    Input,
    Reader,
    ReadOptions,
    unpacked,
)
from batch_jobs.strategies.tables.formats.text import (
    SAMPLE,
    UTF8,
    CheckedText,
    Survey,
    find_encoding,
    read_sample,
    survey,
)

CELL_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", " ": "blank"}
LARGEST_BLOCK = 1 << 26  # bytes; a record longer than this is a quote that is not closed, or a bomb
SHOWN = 1 << 16  # characters of a row that is wider than any sheet, which are reported

Numbers = npt.NDArray[np.int64]


class CsvReader(Reader):
    """A CSV or TSV file.

    An unquoted empty cell is null and a quoted one the empty text, as PostgreSQL's COPY has it. A line without any
    value is no row. Lines may end in any of the three ways. Cells beyond the last column are no fault as long as they
    are empty.
    """

    def __init__(self, source: Input, options: ReadOptions | None = None, block: int = BLOCK) -> None:
        options = options or ReadOptions()
        self._options = options
        self._source, self._name, self._block = source, source.name, block
        self._footer, self._has_header = options.skip_footer, options.header
        self._marks: list[Mark] = []
        #: Whether every line ends in a line feed, so that each begins at a byte that is known.
        self._even = bool(options.found and options.found.get("even"))
        if options.found:
            found = options.found
            shown = found["sample"].encode(found["encoding"], errors="replace")
            self._survey = Survey(
                (found["encoding"],), found["how"], found["quotes"], shown, found.get("broken", False)
            )
            self._dialect = Dialect(**found["dialect"])
        else:
            sample = read_sample(source)
            self._survey = find_encoding(self._name, sample, options.encoding)
            self._dialect = self._find_dialect(sample)
        self.columns = self._dialect.columns
        surplus = range(len(self.columns), self._dialect.width)
        self._cells = [*self.columns, *(f"\0{position}" for position in surplus)]
        self._splitting = Splitting(self._dialect, self._cells)

    def _find_dialect(self, sample: bytes) -> Dialect:
        text = _text(sample, self._survey)
        if self._has_header and len(sample) == SAMPLE and not any(end in text for end in "\r\n"):
            raise InputRefused(self._name, f"its first line is longer than {SAMPLE >> 20} MB, so that it is no header")
        dialect = find_dialect(text, self._name, self._options)
        broken = b"".join(map(marked_bytes, dialect.columns))
        if broken:
            raise InputRefused(
                self._name, f"its header is not {self._survey.encoding} ({in_hex(broken)}); set the encoding"
            )
        return dialect

    @property
    def described(self) -> dict[str, str]:  # type: ignore[override]
        """What was decided about the file, for people."""
        shown = CELL_NAMES.get(self._dialect.delimiter, self._dialect.delimiter)
        told = {"format": "csv", "delimiter": shown, "encoding": self._survey.encoding}
        if self._survey.how == "guessed":
            told |= {"encoding_is": "guessed", "sample": self._survey.sample}
        elif self._survey.broken:
            told |= {"encoding_is": "broken", "sample": self._survey.sample}
        if self._dialect.unnamed:
            told["unnamed"] = ", ".join(self._dialect.unnamed)
        return told

    @property
    def types(self) -> Mapping[str, pa.DataType]:  # type: ignore[override]
        """Text, for the columns whose numbers are quoted where others are not."""
        return dict.fromkeys(self._dialect.texts, pa.string())

    @property
    def found(self) -> dict[str, Any]:
        """The encoding, the number of quotes and the dialect."""
        return {
            "encoding": self._survey.encoding,
            "how": self._survey.how,
            "sample": self._survey.sample,
            "quotes": self._survey.quotes,
            "broken": self._survey.broken,
            "dialect": asdict(self._dialect),
            "even": self._even,
        }

    @property
    def uncut(self) -> str | None:  # type: ignore[override]
        """Why a part of it cannot be read by itself."""
        if is_packed(self._name):
            return "a packed file is read from its beginning"
        if self._footer:
            return "rows at its end are left out"
        if self._dialect.rewriting is not None:
            return "it has comments, escapes or blanks before quotes"
        if not has_lines_of_bytes(self._survey.encoding):
            return f"a text in {self._survey.encoding} is read from its beginning"
        return None if self._even else "some of its lines end otherwise than in a line feed"

    @property
    def marks(self) -> list[Mark]:
        """Where batches begin."""
        return self._marks

    def settle(self) -> None:
        """Find the encoding by the whole text."""
        if self._survey.quotes is None:
            try:
                self._survey = survey(
                    self._source, self._survey, lambda blocks: PlainText(blocks, self._dialect).count()
                )
            except BackslashQuote as found:
                self._refuse_backslash(found)
            if self._survey.broken:
                self._find_dialect(read_sample(self._source))  # refuses a header that is broken

    def batches(self, start: dict[str, Any] | None = None) -> Iterator[Batch]:
        """The batches from a batch's ``start`` on, or all of them.

        Raises:
            InputRefused: a quote is never closed, or looks as if it were escaped in another way.
        """
        yield from self.part(start, None)

    def part(self, start: dict[str, Any] | None, until: dict[str, Any] | None) -> Iterator[Batch]:
        """The batches between two places, either of which may be ``None``."""
        found = self._all(start) if until is None and "byte" not in (start or {}) else self._between(start, until)
        found = without_footer(found, self._footer) if self._footer else found
        yield from map(without_marks, found) if self._survey.broken else found

    def _all(self, start: dict[str, Any] | None) -> Iterator[Batch]:
        """The batches of a pass over the whole file, which marks where they begin."""
        marks, rows = Marks(), 0
        for batch in self._read(Stretch(Position(0, self._first_line))):
            place = {name: batch.start[name] for name in ("record", "line", "byte")}
            if place["byte"] is not None:
                marks.add(Mark(place if marks.kept else None, place["line"], rows), place["byte"])
            rows += batch.table.num_rows + len(batch.bad_rows)
            if start is None or place["record"] >= start["record"]:
                without = {"record": place["record"], "line": place["line"]}
                yield batch if self._even else replace(batch, start=without)
        self._marks = marks.kept

    def _between(self, start: dict[str, Any] | None, until: dict[str, Any] | None) -> Iterator[Batch]:
        for stretch in stretches(Position(0, self._first_line), start, until):
            yield from self._read(stretch)

    def _read(self, stretch: Stretch) -> Iterator[Batch]:
        done, block = stretch.begin, self._block
        while True:
            try:
                for batch, position in self._from(stretch, done, block):
                    done = position
                    yield batch
            except BackslashQuote as found:
                self._refuse_backslash(found)
            except pa.ArrowInvalid as error:
                if "straddling" not in str(error):
                    raise InputRefused(self._name, " ".join(str(error).split())) from None
                block *= 2
                if block > LARGEST_BLOCK:
                    self._refuse_open_quote(done.line)
            else:
                return

    @property
    def _first_line(self) -> int:
        return self._dialect.skipped + 1

    def _from(self, stretch: Stretch, done: Position, block: int) -> Iterator[tuple[Batch, Position]]:
        """Read with blocks of this size, leaving out what is done; larger ones take over where a record is too long."""
        with self._opened(stretch) as stream:
            current = pass_over(stream, stretch, self._dialect, self._survey, has_bytes=not is_packed(self._name))
            position = stretch.begin
            for table in self._tables(stream, block, current, stretch):
                begun = position
                batch, position = self._batch(table, begun, current, done.record)
                if position.record > max(begun.record, done.record):
                    yield batch, position
            if stretch.is_all and current.checked is not None and current.text is not None:
                self._survey = replace(current.checked.survey, quotes=current.text.quotes)
            leftover = None
            if current.bad:
                empty = pa.table({name: pa.array([], pa.string()) for name in self._cells})
                leftover = self._batch(empty, position, current, done.record, at_end=True)
                position = leftover[1]
            self._check_end(stretch, position, current)
            if leftover is not None:
                yield leftover

    def _opened(self, stretch: Stretch) -> AbstractContextManager[BinaryIO]:
        return unpacked(self._source) if stretch.is_all else self._source.part(stretch.byte, stretch.end)

    def _tables(self, stream: BinaryIO, block: int, current: Pass, stretch: Stretch) -> Iterator[pa.Table]:
        encoding = "utf8" if current.text or self._survey.encoding in UTF8 else self._survey.encoding
        text = current.text or current.lines or stream
        # looking for line ends in cells means to split everything twice, but holds less of a very long record
        spans_lines = self._survey.quotes != 0 or block > self._block
        found: tuple[Any, int] | None = text, block
        if stretch.is_one_batch:
            found = as_one_block(text, encoding, is_beginning=not stretch.byte)
        elif stretch.byte:
            found = from_a_record(text, encoding, block)
        if found is not None:
            yield from self._splitting.tables(found[0], encoding, found[1], spans_lines, current.meet)

    def _batch(
        self, table: pa.Table, begun: Position, current: Pass, done: int, at_end: bool = False
    ) -> tuple[Batch, Position]:
        bad = current.take_bad(begun.record, table.num_rows, at_end)
        quotes = self._survey.quotes if current.text is None else current.text.quotes
        counts = lines_of_records(table, begun.record, bad, may_span=quotes != 0)
        starts = begun.line + np.concatenate(([0], np.cumsum(counts)))
        position = Position(begun.record + len(counts), int(starts[-1]))
        is_bad = np.zeros(len(counts), dtype=bool)
        is_bad[[row.number - 1 - begun.record for row in bad]] = True
        numbers = np.flatnonzero(~is_bad)
        if table.num_rows:
            current.last_cells = table.slice(table.num_rows - 1).to_pylist()[0].values()
            current.last_line = int(starts[numbers[-1]])
        if bad:
            current.last_bad_line = int(starts[bad[-1].number - 1 - begun.record])
            current.last_bad_text = bad[-1].text
            table, numbers, bad = self._mended(table, numbers, bad, begun.record)
        first_row = max(done, self._dialect.header_records)
        wanted = (numbers + begun.record >= first_row) & ~_blank(table.select(self.columns))
        bad_rows = [
            self._bad_row(self._cells_of(row), row.actual_columns, int(starts[row.number - 1 - begun.record]))
            for row in bad
            if row.number > first_row
        ]
        if len(self._cells) > len(self.columns):
            bad_rows += self._with_surplus(table, starts[numbers], wanted)
            table = table.select(self.columns)
        kept = table if wanted.all() else table.filter(pa.array(wanted))
        left_out = min(max(0, done - begun.record), len(counts))
        first = Position(max(done, begun.record), int(starts[left_out]))
        lines = pa.array(starts[numbers[wanted]], pa.int64())
        bad_rows.sort(key=lambda row: row.line)
        return Batch(kept, lines, bad_rows, current.start_of(first, position, moved=left_out > 0)), position

    def _mended(
        self, table: pa.Table, numbers: Numbers, bad: list[Any], begun: int
    ) -> tuple[pa.Table, Numbers, list[Any]]:
        """Rows that have another width than most and yet all their cells, put among the others."""
        whole = [row for row in bad if self._is_whole(row)]
        if not whole:
            return table, numbers, bad
        by_width: dict[int, list[Any]] = {}
        for row in whole:
            by_width.setdefault(row.actual_columns, []).append(row)
        parts = [table, *(self._read_alone([row.text for row in rows], width) for width, rows in by_width.items())]
        mended = [row.number - 1 - begun for rows in by_width.values() for row in rows]
        places = np.concatenate((numbers, mended)).astype(np.int64)
        order = np.argsort(places, kind="stable")
        rows_in_order = pa.concat_tables(parts).combine_chunks().take(pa.array(order))
        taken = set(mended)
        return rows_in_order, places[order], [row for row in bad if row.number - 1 - begun not in taken]

    def _is_whole(self, row: Any) -> bool:
        if not len(self.columns) <= row.actual_columns <= MAX_COLUMNS or row.number <= self._dialect.header_records:
            return False
        return not any(self._split(row.text)[len(self.columns) :])

    def _read_alone(self, rows: list[str], width: int) -> pa.Table:
        """Rows that have another width, as a table of ours."""
        names = [*self.columns, *(f"\0{position}" for position in range(len(self.columns), width))]
        table = self._splitting.alone(rows, names)
        nulls = pa.nulls(table.num_rows, pa.string())
        return pa.table({name: table.column(name) if name in names else nulls for name in self._cells})

    def _with_surplus(self, table: pa.Table, lines: Numbers, wanted: npt.NDArray[np.bool_]) -> list[BadRow]:
        """Rows that have more than empty cells beyond the last column, which are then not ``wanted``."""
        filled = np.zeros(table.num_rows, dtype=bool)
        for name in self._cells[len(self.columns) :]:
            filled |= pc.greater(pc.fill_null(table.column(name), ""), "").to_numpy()
        found = np.flatnonzero(filled & (lines >= self._first_line + self._dialect.header_records))
        wanted[found] = False
        rows = [list(table.slice(index, 1).to_pylist()[0].values()) for index in found.tolist()]
        return [self._bad_row(cells, len(cells), int(lines[index])) for cells, index in zip(rows, found, strict=True)]

    def _cells_of(self, row: Any) -> list[str]:
        return self._split(row.text if row.actual_columns <= MAX_COLUMNS else row.text[:SHOWN])

    def _split(self, text: str) -> list[str]:
        return next(self._dialect.split(text), [])

    def _bad_row(self, cells: list[Any], width: int, line: int) -> BadRow:
        found: dict[str, str | None] = dict(zip(self.columns, [*cells, *[None] * len(self.columns)], strict=False))
        surplus = [cell or "" for cell in cells[len(self.columns) :]]
        if surplus:
            found[SURPLUS_COLUMN] = self._dialect.delimiter.join(surplus)
        return BadRow(line, self._wrong_width(width), found)

    def _wrong_width(self, width: int) -> str:
        others = "the header has" if self._has_header else "most rows have"
        # one text for all rows of this width, of which there may be half a million in a block
        return sys.intern(f"has {width} cells where {others} {len(self.columns)}")

    def _check_end(self, stretch: Stretch, position: Position, current: Pass) -> None:
        """Refuse a quote that is never closed, and a part that has other records than the whole had there."""
        if stretch.until is None:
            self._check_last_record(current)
        elif (position.record, position.line) != (stretch.until["record"], stretch.until["line"]):
            where = f"the part of it that ends before line {stretch.until['line']}"
            raise InputRefused(self._name, f"{where} has other rows than the whole had there; create the job anew")
        if stretch.is_all:
            is_even = current.lines is not None and current.lines.lines == position.line - 1
            self._even = is_even and has_lines_of_bytes(self._survey.encoding)

    def _check_last_record(self, current: Pass) -> None:
        """Arrow takes an open quote to the end of the file for a cell: its last record then has the last line end."""
        if (self._survey.quotes or 0) % 2 == 0:
            return
        texts = [cell for cell in current.last_cells if cell is not None]
        if texts and texts[-1].endswith(("\n", "\r")):
            self._refuse_open_quote(current.last_line)
        if current.last_bad_text.count(self._dialect.plain_quote) % 2:
            self._refuse_open_quote(current.last_bad_line)

    def _refuse_open_quote(self, line: int) -> None:
        raise InputRefused(self._name, f"the quote opened in the row of line {line} is never closed")

    def _refuse_backslash(self, found: BackslashQuote) -> None:
        with unpacked(self._source) as stream:
            text = PlainText(CheckedText(stream, self._survey).blocks(), self._dialect)
            line = self._first_line + text.lines_before(found.block) + found.lines
        quote = self._dialect.quote
        raise InputRefused(
            self._name,
            f"line {line} has \\{quote} within a quoted cell; set escape to \\ if that means a quote, or to {quote} if "
            "the cell ends there",
        ) from None


def _text(sample: bytes, survey: Survey) -> str:
    """The beginning of the text, with the end of its last line where it is cut."""
    text = sample.decode(survey.encoding, errors=MARKING if survey.broken else "ignore").removeprefix("\ufeff")
    end = max(text.rfind("\n"), text.rfind("\r")) if len(sample) == SAMPLE else -1
    return text[: end + 1] if end > 0 else text


def _blank(table: pa.Table) -> npt.NDArray[np.bool_]:
    """Which rows have no value at all."""
    blank = np.ones(table.num_rows, dtype=bool)
    for column in table.columns:
        if not blank.any():
            break
        blank &= pc.is_null(column).to_numpy()
    return blank
