"""What a reader gives, and that it goes on from any batch."""

from collections.abc import Iterable
from typing import Any

from batch_jobs.strategies.tables.formats.reading import Batch, Reader


def rows(reader: Reader) -> list[dict[str, str | None]]:
    """All rows that can be read."""
    return [row for batch in reader.batches() for row in batch.table.to_pylist()]


def resumes(reader: Reader) -> None:
    """Reading from the start of any batch gives that batch, and then the rows after it."""
    batches = list(reader.batches())
    assert len(batches) > 1
    for index, batch in enumerate(batches):
        goes_on(reader, batch.start, batches[index:])


def goes_on(reader: Reader, start: dict[str, Any], batches: list[Batch]) -> None:
    """Reading from there gives the first of these batches as it is, and the rows of the others."""
    again = list(reader.batches(start))
    assert again[0] == batches[0]
    assert contents(again) == contents(batches)


def contents(batches: Iterable[Batch]) -> list[tuple[int, Any]]:
    """Every row with its line, those included that cannot be read."""
    found: list[tuple[int, Any]] = []
    for batch in batches:
        found += zip(batch.lines.to_pylist(), batch.table.to_pylist(), strict=True)
        found += [(bad.line, (bad.message, bad.row)) for bad in batch.bad_rows]
    return sorted(found, key=lambda one: one[0])
