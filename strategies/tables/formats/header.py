"""The names of the columns, and first lines that do not look like names."""

import re
from collections import Counter
from collections.abc import Sequence

from batch_jobs.strategies.sdk.errors import InputRefused

#: A plain number.
NUMBER = re.compile(r"\s*[+-]?\d+([.,]\d+)?\s*")
#: Columns of a file, whatever its format: those of a sheet of Excel. A table takes fewer (1,600 in PostgreSQL, 2,000 in
#: SQLite), but a file may have others that are left out.
MAX_COLUMNS = 16_384
USUAL = 0.6  # share of the rows below a title that are as wide as most


def checked_header(header: Sequence[str], name: str) -> list[str]:
    """The names of the columns, blanks around them dropped; refused where one is missing, broken or there twice.

    Raises:
        InputRefused: says which column.
    """
    refuse_too_many(len(header), name)
    columns = [cell.strip() for cell in header]
    unnamed = [position for position, column in enumerate(columns, 1) if not column]
    if unnamed:
        raise InputRefused(
            name, f"the header has no name in column {', '.join(map(str, unnamed))}; name it or remove it"
        )
    broken = [column for column in columns if "\0" in column]
    if broken:
        raise InputRefused(name, f"the header has a NUL character in {broken[0]!r}; remove it")
    doubled = next((column for column, uses in Counter(columns).items() if uses > 1), None)
    if doubled is not None:
        positions = [str(position) for position, other in enumerate(columns, 1) if other == doubled]
        raise InputRefused(name, f"the header has {doubled!r} in columns {' and '.join(positions)}; rename one")
    return columns


def refuse_too_many(columns: int, name: str) -> None:
    """Refuse a file of more columns than any sheet has.

    Raises:
        InputRefused: says how many there may be.
    """
    if columns > MAX_COLUMNS:
        raise InputRefused(
            name,
            f"it has {columns:,} columns and may have {MAX_COLUMNS:,}; make a file of those that a table is to have",
        )


def numbered(position: int) -> str:
    """The name of a column that has none, by its position from 1."""
    return f"column_{position}"


def refuse_titles(rows: Sequence[Sequence[str | None]], name: str) -> None:
    """Refuse a file whose first lines are titles above the header.

    Args:
        rows: the first lines, each with its cells; blank ones are empty.
        name: the file's name.

    Raises:
        InputRefused: proposes ``skip_rows``.
    """
    found = _titles(rows)
    if found is None:
        return
    lines, cells, usual = found
    them, looks, have = ("it", "line does", "has") if lines == 1 else ("them", f"{lines} lines do", "have")
    subject = "it" if lines == 1 else "they"
    raise InputRefused(
        name,
        f"the first {looks} not look like a header: {subject} {have} {cells} cell{'' if cells == 1 else 's'} and the "
        f"rows below have {usual}; leave {them} out with skip_rows {lines}",
    )


def has_titles(rows: Sequence[Sequence[str | None]]) -> bool:
    """Whether the first lines are titles above the header."""
    return _titles(rows) is not None


def _titles(rows: Sequence[Sequence[str | None]]) -> tuple[int, int, int] | None:
    """How many lines stand above the header, the cells of the first one, and those of most rows below."""
    widths = [_width(row) for row in rows]
    first = next((index for index, width in enumerate(widths) if width), len(rows))
    below = [width for width in widths[first + 1 :] if width]
    if not below:
        return None
    usual = Counter(below).most_common(1)[0][0]
    # empty cells at the beginning may stand for names of rows; above a row of names they do not
    named = _filled(rows[first]) + (0 if _are_names(rows[first + 1 :], usual) else _leading(rows[first]))
    start = next((index for index in range(first + 1, len(rows)) if widths[index] * 2 > usual), len(rows))
    rest = [width for width in widths[start:] if width]
    if usual < 2 or named * 2 > usual or len(rest) < 2 or rest.count(usual) < USUAL * len(rest):
        return None
    return start, _filled(rows[first]), usual


def _width(row: Sequence[str | None]) -> int:
    return max((position for position, cell in enumerate(row, 1) if cell and cell.strip()), default=0)


def _filled(row: Sequence[str | None]) -> int:
    return sum(bool(cell and cell.strip()) for cell in row)


def _are_names(rows: Sequence[Sequence[str | None]], width: int) -> bool:
    """Whether rows begin with one of names: full, without a number, above rows that have numbers."""
    filled = [row for row in rows if _filled(row)]
    numbers = [sum(bool(NUMBER.fullmatch(cell or "")) for cell in row) for row in filled]
    return bool(filled) and _filled(filled[0]) == width and not numbers[0] and any(numbers[1:])


def _leading(row: Sequence[str | None]) -> int:
    """Empty cells at the beginning."""
    return next((position for position, cell in enumerate(row) if cell and cell.strip()), 0)
