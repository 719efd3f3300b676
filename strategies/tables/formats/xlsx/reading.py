"""Reading a sheet: its cells as they are, whatever the workbook declares of them."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from zipfile import BadZipFile

import numpy as np
import pyarrow as pa

from batch_jobs.strategies.sdk.errors import InputRefused
from batch_jobs.strategies.tables.formats.header import checked_header, numbered, refuse_titles
from batch_jobs.strategies.tables.formats.packing import opened_archive
from batch_jobs.strategies.tables.formats.reading import Batch, Input, Reader, ReadOptions
from batch_jobs.strategies.tables.formats.xlsx.cells import Cells, read_cells
from batch_jobs.strategies.tables.formats.xlsx.plain import (
    BLOCK,
    TOO_LONG,
    Damaged,
    NotPlain,
    blocks,
    pieces,
    rewritten,
)
from batch_jobs.strategies.tables.formats.xlsx.rows import MOST_CELLS, Rows, first_rows, joined, no_rows, rows_of
from batch_jobs.strategies.tables.formats.xlsx.texts import Texts, shared_texts
from batch_jobs.strategies.tables.formats.xlsx.workbook import Sheet, Workbook
from batch_jobs.strategies.tables.prefetch import prefetched

ROWS = 5_000
SMALL_BLOCK = 1 << 17
LOOKED_AT = 20  # rows, for the header
#: Excel's own limits.
MAX_COLUMNS = 16_384
MAX_ROWS = 1_048_576
#: Bytes of a batch's texts, of which a shared one may be in any number of cells.
MOST_BYTES = 1 << 26
#: What the shared texts of all cells may become in any case, and beyond only where it is not so many times as large.
ALWAYS_REPEATED = 1 << 30
LARGEST_REPETITION = 1_000
NOT_EXCEL = "this is not an Excel file (.xlsx), or it is damaged"


class XlsxReader(Reader):
    """A sheet of an Excel file; a line is the sheet's row. Formulas count as their values.

    Args:
        source: the file.
        options: which sheet, and what of it.
        rows: of a batch, at most.
    """

    def __init__(self, source: Input, options: ReadOptions | None = None, rows: int = ROWS) -> None:
        self._source, self._name = source, source.name
        self._options = options or ReadOptions()
        self._texts: Texts | None = None
        with self._opened() as workbook:
            self._sheet = workbook.choose(self._options.sheet)
            self.described = {"format": "xlsx", "sheet": self._sheet.shown}
            self.sheets = [sheet.name for sheet in workbook.sheets]
            others = [sheet.shown for sheet in workbook.sheets if sheet != self._sheet]
            if others:
                self.described["other_sheets"] = ", ".join(others)
            self._read_header(workbook)
        self._rows = max(1, min(rows, MOST_CELLS // len(self.columns)))

    def batches(self, start: dict[str, int] | None = None) -> Iterator[Batch]:
        """The batches from a batch's ``start`` on, or all of them.

        Raises:
            InputRefused: the sheet is damaged.
        """
        first = max(self._first, start["line"] if start else 0)
        with self._opened() as workbook:
            found = False
            for rows in _of_size(_without_last(self._pieces(workbook, first), self._options.skip_footer), self._rows):
                found = True
                yield rows.batch()
            if not found:
                yield no_rows(self.columns, first)

    @contextmanager
    def _opened(self) -> Iterator[Workbook]:
        with self._source.seekable() as stream:
            try:
                with opened_archive(stream, self._name) as package:
                    yield Workbook(package)
            except Damaged as damaged:
                raise InputRefused(self._name, str(damaged) or NOT_EXCEL) from None
            # what zipfile raises for what it cannot unpack: an unknown compression, a password, an early end
            except (BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError):
                raise InputRefused(self._name, NOT_EXCEL) from None

    def _read_header(self, workbook: Workbook) -> None:
        """Find the columns, and the number of the first row below them."""
        skipped = self._options.skip_rows
        texts = self._texts_of(workbook)
        for cells in self._bounded(self._cells(workbook), texts):
            rows = first_rows(cells, texts.read(cells).texts, skipped + 1, LOOKED_AT)
            if rows:
                break
        else:
            raise InputRefused(
                self._name,
                f"the sheet {self._sheet.name!r} is empty; it needs at least a row with the names of the columns",
            )
        if not self._options.header:
            width = max(len(row) for _, row in rows)
            self.columns = [numbered(number) for number in range(1, width + 1)]
            self._first = rows[0][0]
            return
        refuse_titles(_physical(rows), self._name)
        line, header = rows[0]
        self.columns = checked_header(self._named(header), self._name)
        self._first = line + 1

    def _named(self, header: list[str | None]) -> list[str]:
        """The header with a name for each column; those at its end without one are none."""
        names = [(cell or "").strip() for cell in header]
        while names and not names[-1]:
            names.pop()
        given = [numbered(number) for number, name in enumerate(names, 1) if not name]
        if given:
            self.described["unnamed"] = ", ".join(given)
        return [name or numbered(number) for number, name in enumerate(names, 1)]

    def _cells(self, workbook: Workbook) -> Iterator[Cells]:
        return _cells(workbook, self._sheet)

    def _shared(self, workbook: Workbook) -> pa.ChunkedArray:
        return shared_texts(workbook.texts) if workbook.has_texts else pa.chunked_array([[]], pa.string())

    def _texts_of(self, workbook: Workbook) -> Texts:
        if self._texts is None:
            shared = self._shared(workbook)
            self._texts = Texts(shared, workbook.styles, workbook.from_1904, workbook.computes_later)
        return self._texts

    def _bounded(self, found: Iterator[Cells], texts: Texts) -> Iterator[Cells]:
        """The cells in parts of which memory holds the texts."""
        whole = 0
        for cells in found:
            ends = np.cumsum(texts.sizes(cells))
            whole += int(ends[-1]) if len(ends) else 0
            if whole > max(ALWAYS_REPEATED, LARGEST_REPETITION * self._source.size):
                raise Damaged(
                    f"its cells repeat shared texts until they are more than {ALWAYS_REPEATED >> 20} MB and "
                    f"{LARGEST_REPETITION:,} times its size"
                )
            if not len(ends) or ends[-1] <= MOST_BYTES:
                yield cells
                continue
            begun = 0
            while begun < len(ends):
                before = int(ends[begun - 1]) if begun else 0
                end = max(begun + 1, int(np.searchsorted(ends, before + MOST_BYTES, "right")))
                if ends[end - 1] - before > MOST_BYTES:
                    raise Damaged(TOO_LONG)
                yield cells.of_rows(begun, end)
                begun = end

    def _pieces(self, workbook: Workbook, first: int) -> Iterator[Rows]:
        """The rows from a number on."""
        texts = self._texts_of(workbook)
        with prefetched(self._cells(workbook)) as found:
            for cells in self._bounded(found, texts):
                if len(cells.lines) and cells.lines[-1] >= first:
                    yield from rows_of(cells, texts.read(cells), self.columns, first)
                    first = max(first, int(cells.lines[-1]) + 1)


class XlsxBeginning(XlsxReader):
    """The first rows of a sheet, without the cells and the shared texts that only later rows have.

    Args:
        source: the file.
        options: which sheet, and what of it.
        rows: how many.
    """

    def __init__(self, source: Input, options: ReadOptions, rows: int) -> None:
        self._most = options.skip_rows + LOOKED_AT + rows + options.skip_footer
        self._few: list[Cells] | None = None
        super().__init__(source, options, rows)

    def _cells(self, workbook: Workbook) -> Iterator[Cells]:
        if self._few is None:
            self._few, left = [], self._most
            for cells in _cells(workbook, self._sheet, SMALL_BLOCK):
                self._few.append(cells.of_rows(0, min(left, len(cells.lines))))
                left -= len(self._few[-1].lines)
                if left <= 0:
                    break
        return iter(self._few)

    def _shared(self, workbook: Workbook) -> pa.ChunkedArray:
        needed = max((cells.last_shared for cells in self._cells(workbook)), default=-1) + 1
        if not needed or not workbook.has_texts:
            return pa.chunked_array([[]], pa.string())
        return shared_texts(workbook.texts, needed)


def _cells(workbook: Workbook, sheet: Sheet, size: int = BLOCK) -> Iterator[Cells]:
    """The cells of a sheet, block by block; once more from the start where its XML turns out not to be plain."""
    try:
        with workbook.open(sheet.part) as part:
            yield from _in_order(blocks(pieces(part, size), b"sheetData", b"<row"))
    except NotPlain:
        pass
    else:
        return
    try:
        with workbook.open(sheet.part) as part:
            yield from _in_order(blocks(rewritten(pieces(part, size)), b"sheetData", b"<row"))
    except NotPlain:
        raise Damaged from None


def _in_order(found: Iterator[bytes]) -> Iterator[Cells]:
    line = 0
    for block in found:
        cells = read_cells(block, line)
        if len(cells.lines):
            if (np.diff(cells.lines, prepend=line) <= 0).any():
                raise Damaged("its rows are not in order; open the file in Excel and save it")
            if len(cells.column) and cells.column.max() >= MAX_COLUMNS:
                raise Damaged
            if cells.lines[-1] > MAX_ROWS:
                raise Damaged(f"it has a row {int(cells.lines[-1]):,} and a sheet has {MAX_ROWS:,}")
            line = int(cells.lines[-1])
            yield cells


def _physical(rows: list[tuple[int, list[str | None]]]) -> list[list[str | None]]:
    """Rows with the empty ones before and between them; no more than a title may have around it."""
    by_line = dict(rows)
    last = min(rows[-1][0], rows[0][0] + LOOKED_AT)
    return [by_line.get(line, []) for line in range(1, last + 1)]


def _of_size(found: Iterator[Rows], size: int) -> Iterator[Rows]:
    """The same rows in parts of this size, the last one smaller."""
    held: list[Rows] = []
    for rows in found:
        held.append(rows)
        count = sum(len(part.lines) for part in held)
        large = sum(part.table.nbytes for part in held) > MOST_BYTES
        if count >= size or large:
            whole = joined(held)
            full = count if large else count // size * size
            yield from (whole.slice(begun, begun + size) for begun in range(0, full, size))
            held = [whole.slice(full, len(whole.lines))] if full < len(whole.lines) else []
    if held:
        yield joined(held)


def _without_last(found: Iterator[Rows], count: int) -> Iterator[Rows]:
    """All but the last rows."""
    if not count:
        yield from found
        return
    held: list[Rows] = []
    for rows in found:
        whole = joined([*held, rows])
        kept = max(0, len(whole.lines) - count)
        if kept:
            yield whole.slice(0, kept)
        held = [whole.slice(kept, len(whole.lines))]
