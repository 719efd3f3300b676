"""A file of the file store as typed frames of a chunk each: for strategies that write by themselves."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.sdk.rejects import Reject
from batch_jobs.strategies.tables.frames.input_types import FRAMES, InputTypes, input_table
from batch_jobs.strategies.tables.frames.rows import FrameRows, frame_of
from batch_jobs.strategies.tables.frames.source_reader import FrameChunk
from batch_jobs.strategies.tables.importing.chunks import WHOLE
from batch_jobs.strategies.tables.importing.import_options import FileOptions
from batch_jobs.strategies.tables.importing.inputs import Inputs, chosen_keys
from batch_jobs.strategies.tables.importing.mapping import LEFT_OUT
from batch_jobs.strategies.tables.values.converting import Checked, Converter


def file_frames(job: JobRun, key: str, after: Any, options: Mapping[str, Any]) -> Iterator[FrameChunk]:
    """See ``JobRun.frames``."""
    context = FileOptions.model_validate({"file_key": key, **options})
    if context.defaults:
        raise JobRefused("defaults is for the columns of a table; fill the frame's own with fillna")
    inputs = Inputs(job, chosen_keys(job.files, key))
    format = inputs.format(context.format)
    reader = inputs.reader(format, context)
    reader.settle()
    types = InputTypes(FRAMES, context, reader.types, typed=format.typed, restores=format.for_spreadsheets)
    for batch in reader.batches():
        types.feed(batch)
    columns = [column for column in types.found() if column.name not in LEFT_OUT]
    own = {column.name: column.name for column in columns}
    converter = Converter(
        input_table(columns), own, [], format.for_spreadsheets, context, typed=format.typed, has_json=format.has_json
    )
    start, done = (after["start"], after["row"]) if after else (None, 0)
    for batch in reader.batches(start):
        if done != WHOLE:
            yield from _chunks(job, converter.check(batch), done)
        done = 0


def _chunks(job: JobRun, checked: Checked, done: int) -> Iterator[FrameChunk]:
    """The rest of a batch, a chunk at a time; what is wrong with a row is a reject of the chunk that it is in."""
    size, rows = job.chunk_size, checked.rows.num_rows
    for first in range(done, max(rows, done + 1), size):
        end = min(first + size, rows)
        is_last = end >= rows
        bounds = (int(checked.lines[first]) if first else 0, None if is_last else int(checked.lines[end]))
        for reject in checked.rejects:
            if bounds[0] <= reject.line and (bounds[1] is None or reject.line < bounds[1]):
                job.reject(reject.line, reject.column, reject.message, reject.row)
        good = np.arange(first, end)[checked.good[first:end]]
        lines = checked.lines[good]
        frame = frame_of(checked.rows.take(pa.array(good)), lines)
        marks = _Refusing(job, FrameRows(checked.batch.table.take(pa.array(good)), lines, frame))
        with job.refusing_in(marks):
            yield FrameChunk(frame, {"start": checked.batch.start, "row": WHOLE if is_last else end})


class _Refusing:
    """Refuses rows at once: the chunk in which the frame is written takes their rejects with it."""

    def __init__(self, job: JobRun, rows: FrameRows) -> None:
        self._job, self._rows = job, rows

    def reject(self, mask: Any, column: str | None, message: str) -> None:
        """Refuse the rows that are marked."""
        before = len(self._rows.refused)
        self._rows.reject(mask, column, message)
        found: list[Reject] = self._rows.refused[before:]
        for reject in found:
            self._job.reject(reject.line, reject.column, reject.message, reject.row)
