"""What the first rows of a table must look like: a header, above rows that are no wider."""

from collections.abc import Sequence

from batch_jobs.strategies.sdk.errors import InputRefused

LOOKED_AT = 20  # rows


def refuse_titles(rows: Sequence[Sequence[str | None]], name: str) -> None:
    """Refuse a first row that has one cell above wider ones: a title, above the header.

    Args:
        rows: the file's first lines; empty ones, and those left out already, have no cells.
        name: the file's.

    Raises:
        InputRefused: proposes how many rows to leave out.
    """
    widths = [_width(row) for row in rows]
    filled = [width for width in widths if width]
    below = [width for width in filled[1:] if width > 1]
    if not filled or filled[0] != 1 or len(below) * 2 <= len(filled) - 1:
        return
    titles = next(index for index, width in enumerate(widths) if width > 1)
    raise InputRefused(
        name,
        "the first line does not look like a header: it has 1 cell and the rows below have "
        f"{max(set(below), key=below.count)}; leave it out with skip_rows {titles}",
    )


def _width(row: Sequence[str | None]) -> int:
    """How many cells have a value."""
    return sum(cell is not None and cell.strip() != "" for cell in row)
