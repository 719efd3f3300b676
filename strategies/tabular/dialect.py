"""How a delimited text is written: its delimiter, and its header."""

import csv
import io
import sys
from dataclasses import dataclass

from strategies.tabular.byte_source import SAMPLE, Survey
from strategies.tabular.errors import InputRefused

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


def find_dialect(survey: Survey, name: str, delimiter: str | None) -> Dialect:
    """Find the delimiter, unless it is given, and read the header.

    Raises:
        InputRefused: there is no usable header, or the delimiter is not one character.
    """
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n' or not delimiter.isascii()):
        raise InputRefused(name, f"the delimiter {delimiter!r} is not one plain character")
    text = _sample_text(survey)
    chosen = delimiter or max(DELIMITERS, key=lambda candidate: _fit(text, candidate))
    for skipped, record in enumerate(_records(text, chosen), 1):
        if any(cell.strip() for cell in record):
            return Dialect(chosen, checked_header(record, name), skipped)
    raise InputRefused(name, "the file is empty; it needs at least a line with the names of the columns")


def _sample_text(survey: Survey) -> str:
    text = survey.sample.decode(survey.encoding, errors="ignore").removeprefix("\ufeff")
    cut = len(survey.sample) == SAMPLE
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
