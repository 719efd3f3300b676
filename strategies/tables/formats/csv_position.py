"""Where one pass over delimited text is: how many records and physical lines it has come past, and which were bad."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch_jobs.strategies.tables.formats.dialect import Dialect
from batch_jobs.strategies.tables.formats.line_bytes import LineBytes
from batch_jobs.strategies.tables.formats.plain_text import PlainText
from batch_jobs.strategies.tables.formats.text import UTF8, CheckedText, Survey


@dataclass
class Position:
    """How far reading has come: records (with the header, blank and bad ones) and physical lines."""

    record: int
    line: int


@dataclass(frozen=True)
class Stretch:
    """What one pass reads: from a position on, up to a batch's start or to the end; perhaps as a single batch.

    ``byte`` is where the position is, or 0 at the beginning, whatever is skipped there.
    """

    begin: Position
    byte: int = 0
    until: dict[str, Any] | None = None
    is_one_batch: bool = False

    @property
    def end(self) -> int | None:
        """The byte before which it ends."""
        return self.until["byte"] if self.until else None

    @property
    def is_all(self) -> bool:
        """Whether it is the whole input."""
        return not self.byte and self.until is None and not self.is_one_batch


def stretches(first: Position, start: dict[str, Any] | None, until: dict[str, Any] | None) -> list[Stretch]:
    """What is read from one start to another: the batch of the first one by itself, as it was, and what is after it."""
    if start is None:
        return [Stretch(first, until=until)]
    begin, end = Position(start["record"], start["line"]), start.get("end")
    if end is None:
        return [Stretch(begin, start["byte"], until, is_one_batch="end" in start)]
    after = Stretch(Position(end["record"], end["line"]), end["byte"], until)
    rest = [after] if after.end is None or after.byte < after.end else []
    return [Stretch(begin, start["byte"], end, is_one_batch=True), *rest]


@dataclass
class Pass:
    """One opening of the file: its text where that is still to be checked, and what Arrow has met.

    ``first`` is the record that it begins with; ``lines`` finds the bytes of lines, and ``byte`` is that of the next
    batch.
    """

    checked: CheckedText | None = None
    text: PlainText | None = None
    first: int = 0
    lines: LineBytes | None = None
    byte: int | None = None
    #: Bad rows that no batch has reported yet.
    bad: deque[Any] = field(default_factory=deque)
    last_cells: Iterable[str | None] = ()
    last_line: int = 1
    last_bad_line: int = 1
    last_bad_text: str = ""

    def meet(self, row: Any) -> str:
        """Keep a bad row for its batch; Arrow goes on without it."""
        self.bad.append(row._replace(number=row.number + self.first) if self.first else row)
        return "skip"

    def start_of(self, first: Position, after: Position, moved: bool) -> dict[str, Any]:
        """The start of a batch between two positions; ``moved`` if the first is not where the last batch ended."""
        if self.lines is None:
            return {"record": first.record, "line": first.line, "byte": None}
        byte = self.lines.byte_of(first.line) if moved else self.byte
        self.byte = self.lines.byte_of(after.line)
        end = None if self.byte is None else {"record": after.record, "line": after.line, "byte": self.byte}
        return {"record": first.record, "line": first.line, "byte": byte, "end": end}

    def take_bad(self, begun: int, rows: int, at_end: bool) -> list[Any]:
        """The bad rows between a batch's rows; those after its last row are left to the next one.

        Args:
            begun: how many records there are before the batch.
            rows: how many rows it has.
            at_end: whether no other batch follows.
        """
        found: list[Any] = []
        while self.bad and (at_end or self.bad[0].number <= begun + rows + len(found)):
            found.append(self.bad.popleft())
        return found


def pass_over(stream: BinaryIO, stretch: Stretch, dialect: Dialect, survey: Survey, has_bytes: bool) -> Pass:
    """Begin to read a stretch.

    Args:
        stream: of its bytes.
        stretch: what is read.
        dialect: how the text is written.
        survey: what is known of it; as long as that is not all, it is checked on its way.
        has_bytes: whether the stream's bytes are those of the file.
    """
    current, text = Pass(first=stretch.begin.record), stream
    if has_bytes and dialect.rewriting is None:
        current.lines = LineBytes(stream, stretch.begin.line if stretch.byte else 1, stretch.byte)
        current.byte, text = stretch.byte, cast(BinaryIO, current.lines)
    if stretch.byte:  # nothing is skipped there, and a mark is a cell's
        dialect = replace(dialect, skipped=0)
        survey = replace(survey, encodings=("utf-8",)) if survey.encoding in UTF8 else survey
    as_it_is = not dialect.skipped and dialect.rewriting is None and not survey.broken
    if survey.quotes is None or not as_it_is:
        current.checked = CheckedText(text, survey)
        current.text = PlainText(current.checked.blocks(), dialect)
    return current


def lines_of_records(table: pa.Table, begun: int, bad: list[Any], may_span: bool) -> Any:
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
