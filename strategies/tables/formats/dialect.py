"""How a delimited text is written, judged by its beginning and by what the options say."""

import csv
import io
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from batch_jobs.strategies.sdk.errors import InputRefused
from batch_jobs.strategies.tables.formats.header import (
    MAX_COLUMNS,
    checked_header,
    has_titles,
    numbered,
    refuse_titles,
    refuse_too_many,
)
from batch_jobs.strategies.tables.formats.options import ReadOptions
from batch_jobs.strategies.tables.formats.rewriting import OWN_QUOTE, Rewriting

DELIMITERS = ",;\t|"
LOOKED_AT = 50  # records
QUOTES_LOOKED_AT = 1 << 16  # characters
LONGEST_NUMBER = 100  # characters of a cell that is looked at for a number
EMPTY = "the file is empty; it needs at least a line with the names of the columns"
#: Excel's own hint for the delimiter, which is no row.
HINT = re.compile(r'\ufeff?"?sep=([^\r\n"])"?[ ]*(?=\r|\n|\Z)', re.IGNORECASE)
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
MARKED_NUMBER = re.compile(r"[+-]?\d[\d.,;' ]*")

csv.field_size_limit(sys.maxsize)  # a cell may have megabytes

Record = list[str]


@dataclass(frozen=True)
class Dialect:
    """How cells are delimited and quoted, and what stands above the rows.

    ``header_records`` counts the records up to and with the header, after the ``skipped`` physical lines; ``width`` is
    how many cells rows have, which is more than there are columns where they end in a delimiter; ``unnamed`` are the
    columns that have no name in the file, and ``texts`` those whose numbers are quoted where others are not.
    """

    delimiter: str
    quote: str = '"'
    escape: str | None = None
    comment: str | None = None
    blanks: bool = False
    skipped: int = 0
    columns: list[str] = field(default_factory=list)
    header_records: int = 0
    width: int = 0
    unnamed: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    @property
    def rewriting(self) -> Rewriting | None:
        """What makes plain delimited text of it; ``None`` where it is that already."""
        if not self.comment and not self.blanks and self.escape in (None, self.quote):
            return None
        escape = None if self.escape == self.quote else self.escape
        return Rewriting(self.delimiter, self.quote, escape, self.comment, self.blanks)

    @property
    def plain_quote(self) -> str:
        """What cells are quoted with after the rewriting; empty for none."""
        return self.quote or (OWN_QUOTE if self.escape else "")

    def records(self, text: str) -> Iterator[tuple[int, Record]]:
        """The records of a text that was rewritten already, each with how many physical lines it takes."""
        reader, line = self.split(text), 0
        for record in reader:
            yield reader.line_num - line, record
            line = reader.line_num

    def split(self, text: str) -> Any:
        """The cells of a text that was rewritten already."""
        source = io.StringIO(text, newline="")
        if not self.plain_quote:
            return csv.reader(source, delimiter=self.delimiter, quoting=csv.QUOTE_NONE)
        return csv.reader(source, delimiter=self.delimiter, quotechar=self.plain_quote)


def find_dialect(text: str, name: str, options: ReadOptions) -> Dialect:
    """Find what the options do not say, and read the header.

    Args:
        text: the beginning of the file, cut at a line's end.
        name: the file's name.
        options: how it is to be read.

    Raises:
        InputRefused: there is no usable header, or an option is not what it should be.
    """
    _check(options, name)
    hint = HINT.match(text)
    skipped = max(options.skip_rows, 1 if hint else 0)
    body = _without_lines(text.removeprefix("\ufeff"), skipped)
    given = Dialect(
        options.delimiter or (hint[1] if hint else ""),
        '"' if options.quote is None else options.quote,
        options.escape or None,
        options.comment or None,
        skipped=skipped,
    )
    best = max((_look(body, dialect) for dialect in _candidates(given)), key=lambda look: _fit(look.records))
    if not any(_has_value(record) for _, record in best.records):
        raise InputRefused(name, EMPTY)
    named = _named(best, name) if options.header else _unnamed(best, name)
    return replace(named, texts=_quoted_numbers(best.text, named))


def _check(options: ReadOptions, name: str) -> None:
    marks = {"delimiter": options.delimiter, "quote": options.quote, "escape": options.escape}
    for what, mark in marks.items():
        if mark and (len(mark) != 1 or mark in "\r\n" or not mark.isascii()):
            raise InputRefused(name, f"the {what} {mark!r} is not one plain character")
    quote = '"' if options.quote is None else options.quote
    if options.delimiter and options.delimiter in (quote, options.escape):
        raise InputRefused(
            name, f"the delimiter {options.delimiter!r} is not one plain character beside quote and escape"
        )
    if options.comment and ("\n" in options.comment or "\r" in options.comment or options.comment[0] == quote):
        raise InputRefused(name, f"the comment {options.comment!r} cannot begin a line")


def _without_lines(text: str, lines: int) -> str:
    ends = [found.end() for found in islice(re.finditer(r"\r\n|\n|\r", text), lines)]
    if len(ends) < lines:
        return ""
    return text[ends[-1] :] if ends else text


def _candidates(given: Dialect) -> list[Dialect]:
    delimiters = given.delimiter or DELIMITERS.replace(given.quote or "\0", "")
    return [replace(given, delimiter=delimiter) for delimiter in delimiters]


@dataclass(frozen=True)
class _Look:
    """What the beginning of a file is in one dialect."""

    dialect: Dialect
    text: str
    records: list[tuple[int, Record]]


def _look(text: str, dialect: Dialect) -> _Look:
    plain = _rewritten(text, dialect)
    if _may_have_blanks(text, dialect):
        without = _rewritten(text, replace(dialect, blanks=True))
        if without != plain:
            dialect, plain = replace(dialect, blanks=True), without
    return _Look(dialect, plain, list(islice(dialect.records(plain), LOOKED_AT)))


def _may_have_blanks(text: str, dialect: Dialect) -> bool:
    """Whether there is any blank between a delimiter and a quote, be it in a quoted cell."""
    if not dialect.quote or dialect.delimiter == " ":
        return False
    return re.search(f"[{re.escape(dialect.delimiter)}] +{re.escape(dialect.quote)}", text) is not None


def _rewritten(text: str, dialect: Dialect) -> str:
    rewriting = dialect.rewriting
    return b"".join(rewriting([text.encode(errors="replace")])).decode() if rewriting else text


def _fit(records: list[tuple[int, Record]]) -> tuple[float, int]:
    """How well a delimiter explains the first records: the share that is as wide as the header, then the width."""
    widths = [len(record) for _, record in records if record]
    if not widths:
        return (-1.0, 0)
    if widths[0] >= 2:
        return (round(widths.count(widths[0]) / len(widths), 1), widths[0])
    return (0.05, max(widths)) if has_titles([record for _, record in records]) else (0.0, 0)


def _has_value(record: Record) -> bool:
    return any(cell.strip() for cell in record)


def _unnamed(look: _Look, name: str) -> Dialect:
    """The dialect of a file without a header: as many columns as most rows have cells."""
    widths = Counter(len(record) for _, record in look.records if _has_value(record))
    width = widths.most_common(1)[0][0]
    rows = [record for _, record in look.records if len(record) == width]
    kept = width
    while len(rows) > 1 and kept > 1 and not any(record[kept - 1] for record in rows):
        kept -= 1
    refuse_too_many(kept, name)
    columns = [numbered(position) for position in range(1, kept + 1)]
    return replace(look.dialect, columns=columns, width=width)


def _named(look: _Look, name: str) -> Dialect:
    """The dialect of a file with a header."""
    place = next(index for index, (_, record) in enumerate(look.records) if _has_value(record))
    header = look.records[place][1]
    refuse_too_many(len(header), name)
    rows = [record for _, record in look.records[place + 1 :] if _has_value(record)]
    if _lacks_row_names(header, rows, look):
        header = ["", *header]
    else:
        refuse_titles(_by_line(look), name)
    while len(header) > 1 and not header[-1].strip() and _is_mostly_empty(len(header) - 1, rows):
        header = header[:-1]
    names = [cell.strip() for cell in header]
    leading = next(position for position, cell in enumerate(names) if cell)
    unnamed = [numbered(position) for position in range(1, leading + 1)]
    columns = checked_header([*unnamed, *names[leading:]], name)
    return replace(
        look.dialect,
        columns=columns,
        header_records=place + 1,
        width=_usual_width(len(columns), rows),
        unnamed=unnamed,
    )


def _is_mostly_empty(place: int, rows: list[Record]) -> bool:
    return sum(len(row) > place and bool(row[place].strip()) for row in rows) * 2 <= len(rows)


def _by_line(look: _Look) -> list[Record]:
    """The records, one for each physical line; what goes on over several lines is blank below the first."""
    spread = [[record, *[[]] * (lines - 1)] for lines, record in look.records]
    return [[]] * look.dialect.skipped + [record for records in spread for record in records]


def _lacks_row_names(header: Record, rows: list[Record], look: _Look) -> bool:
    """Whether the header has no cell at all above the names of the rows, as R writes it."""
    named = len(header) > 1 and all(cell.strip() for cell in header)
    wider = named and bool(rows) and all(len(row) == len(header) + 1 for row in rows)
    if not wider or not all(row[0] for row in rows) or all(not row[-1] for row in rows):
        return False
    # without quotes a comma may as well be a decimal mark, which makes rows wider too
    quoted = f"(?m)^{re.escape(look.dialect.quote)}" if look.dialect.quote else "(?!)"
    return look.dialect.delimiter != "," or len(re.findall(quoted, look.text)) > len(rows)


def _usual_width(columns: int, rows: list[Record]) -> int:
    """How many cells most rows have where those beyond the last column are all empty."""
    widths = Counter(len(row) for row in rows if columns <= len(row) <= MAX_COLUMNS and not any(row[columns:]))
    return widths.most_common(1)[0][0] if widths else columns


def _quoted_numbers(text: str, dialect: Dialect) -> list[str]:
    """The columns whose numbers are all quoted where numbers of other columns are not."""
    if not dialect.quote or dialect.quote not in text:
        return []
    quoted: Counter[int] = Counter()
    bare: Counter[int] = Counter()
    forced: Counter[int] = Counter()  # by a delimiter in the cell, which says nothing
    for column, cell, has_quotes in _cells(text[:QUOTES_LOOKED_AT], dialect):
        if len(cell) > LONGEST_NUMBER:
            continue
        if NUMBER.fullmatch(cell):
            (quoted if has_quotes else bare)[column] += 1
        elif has_quotes and dialect.delimiter in cell and MARKED_NUMBER.fullmatch(cell):
            forced[column] += 1
    columns = [place for place in quoted if bare and not bare[place] + forced[place] and place < len(dialect.columns)]
    return [dialect.columns[place] for place in sorted(columns) if dialect.columns[place] not in dialect.unnamed]


def _cells(text: str, dialect: Dialect) -> Iterator[tuple[int, str, bool]]:
    """The cells below the header: the column's place, the text, and whether it is quoted."""
    quote, between = re.escape(dialect.quote), re.escape(dialect.delimiter)
    end = rf"({between}|\r\n|\n|\r|\Z)"
    pattern = re.compile(rf"{quote}((?:[^{quote}]|{quote}{quote})*+){quote}{end}|([^{between}\r\n]*+){end}")
    column = record = 0
    for found in pattern.finditer(text):
        if record >= dialect.header_records:
            yield column, found[3] if found[1] is None else found[1], found[1] is not None
        ended = (found[2] if found[1] is not None else found[4]) != dialect.delimiter
        column, record = (0, record + 1) if ended else (column + 1, record)
