"""The first rows of an import's file, read by the readers of the job itself, and nothing of it after them."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pyarrow as pa

from batch_jobs.strategies.sdk.errors import InputRefused
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.tables.formats.format import Format, get_format
from batch_jobs.strategies.tables.formats.options import ReadOptions
from batch_jobs.strategies.tables.formats.packing import split_member
from batch_jobs.strategies.tables.formats.reading import Batch, InputInPlace, NotAsItBegan, Reader
from batch_jobs.strategies.tables.importing.inputs import chosen_keys, format_named

#: Rows by which types are found.
LOOKED_AT = 500
NOT_FETCHED = "the file is fetched from its source when the job runs; it can be looked at in the job's preview"


@dataclass
class Excerpt:
    """The beginning of a file: its format, a reader of the first rows, and what is to be known of it."""

    key: str
    format: Format
    reader: "ExcerptReader"
    warnings: list[str] = field(default_factory=list)


class ExcerptReader(Reader):
    """The first rows of another reader, read at once."""

    def __init__(self, reader: Reader, rows: int) -> None:
        self._batches = _first(reader, rows)
        self.columns, self.described, self.types = list(reader.columns), reader.described, reader.types
        self.sheets, self.names_its_columns = reader.sheets, reader.names_its_columns

    def batches(self, start: dict[str, Any] | None = None) -> Iterator[Batch]:
        """The rows, always the same."""
        yield from self._batches


def open_excerpt(job: JobRun, unnamed: str | None = None) -> Excerpt:
    """Open the file that a job's context means; of several the first one.

    Args:
        job: has the context and the files.
        unnamed: the format of a file whose name tells none.

    Raises:
        JobRefused: there is none, or it cannot be read so.
    """
    context = job.context
    key, *others = chosen_keys(job.files, context.file_key)
    file = InputInPlace(partial(job.open_input, split_member(key)[0]), key)
    given = getattr(context, "format", None)
    format = get_format(given) if given else format_named(file.table_name, unnamed)
    reader = format.beginning(file, ReadOptions.of(context), LOOKED_AT)
    try:
        excerpt = ExcerptReader(reader, LOOKED_AT)
    except NotAsItBegan:
        raise InputRefused(key, f"its beginning is not in {_encoding(reader)}; set the encoding") from None
    warnings = [f"{key} is the first of {1 + len(others)} files; the others are not looked at"] if others else []
    return Excerpt(key, format, excerpt, warnings)


def first_rows(batch: Batch, rows: int) -> Batch:
    """A batch with so many of its first rows, those that cannot be read among them."""
    lines = sorted([*batch.lines.to_pylist(), *(bad.line for bad in batch.bad_rows)])
    if len(lines) <= rows:
        return batch
    end = lines[rows]
    kept = sum(line < end for line in batch.lines.to_pylist())
    return replace(
        batch,
        table=batch.table.slice(0, kept),
        lines=batch.lines.slice(0, kept),
        bad_rows=[bad for bad in batch.bad_rows if bad.line < end],
        bad_cells=[bad for bad in batch.bad_cells if bad.index < kept],
        texts={name: marks.slice(0, kept) for name, marks in batch.texts.items()},
        absent={name: marks.slice(0, kept) for name, marks in batch.absent.items()},
        values={name: values.slice(0, kept) for name, values in batch.values.items()},
    )


def _first(reader: Reader, rows: int) -> list[Batch]:
    """The batches with the first rows; an empty one where there are none."""
    batches: list[Batch] = []
    left = rows
    with closing(reader.batches()) as found:  # type: ignore[type-var]  # readers are generators
        while left > 0 and (batch := _next(found, bool(batches))) is not None:
            batches.append(first_rows(batch, left))
            left -= batch.table.num_rows + len(batch.bad_rows)
    if batches:
        return batches
    none = {name: pa.array([], pa.string()) for name in reader.columns}
    return [Batch(pa.table(none), pa.array([], pa.int64()), [], {})]


def _next(found: Iterator[Batch], may_end: bool) -> Batch | None:
    try:
        return next(found, None)
    except NotAsItBegan:
        if may_end:  # what comes here is for the preview to say
            return None
        raise


def _encoding(reader: Reader) -> str:
    return reader.described.get("encoding", "the encoding that it seems to have")
