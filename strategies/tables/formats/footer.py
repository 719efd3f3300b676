"""Leaving out the last rows of a file, of which nobody knows that they are the last until it ends."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

from batch_jobs.strategies.tables.formats.reading import Batch


def without_footer(batches: Iterable[Batch], rows: int) -> Iterator[Batch]:
    """The batches without so many rows at the end of the last ones, bad rows among them."""
    held: deque[Batch] = deque()
    count = 0
    for batch in batches:
        held.append(batch)
        count += _rows(batch)
        while count - _rows(held[0]) >= rows:
            count -= _rows(held[0])
            yield held.popleft()
    for batch in held:
        count -= _rows(batch)  # those in the batches after it
        left_out = min(_rows(batch), rows - count)
        yield _cut(batch, left_out) if left_out > 0 else batch


def _rows(batch: Batch) -> int:
    return int(batch.table.num_rows) + len(batch.bad_rows)


def _cut(batch: Batch, rows: int) -> Batch:
    first = sorted([*batch.lines.to_pylist(), *(bad.line for bad in batch.bad_rows)])[-rows]
    kept = sum(line < first for line in batch.lines.to_pylist())
    return replace(
        batch,
        table=batch.table.slice(0, kept),
        lines=batch.lines.slice(0, kept),
        bad_rows=[bad for bad in batch.bad_rows if bad.line < first],
        bad_cells=[bad for bad in batch.bad_cells if bad.index < kept],
        texts={name: marks.slice(0, kept) for name, marks in batch.texts.items()},
        absent={name: marks.slice(0, kept) for name, marks in batch.absent.items()},
    )
