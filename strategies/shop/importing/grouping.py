"""Bringing the rows of one key together, wherever they are in the input, with memory that does not grow with it.

A first look finds, by hashes kept on disk, which keys lie apart and which values are repeated that must not be. A
second look writes the work file: rows in the order of the input, and those of scattered keys behind them.
"""

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from batch_jobs.strategies.sdk.rejects import SURPLUS_COLUMN
from batch_jobs.strategies.shop.importing.work_file import ERRORS, KEY, LINE, WorkFileWriter, schema_of
from batch_jobs.strategies.tables.formats.reading import Batch, Reader
from batch_jobs.strategies.tables.importing.keys import Hashes, KeyHashes, key_hashes
from batch_jobs.strategies.tables.importing.repeats import FirstLines
from batch_jobs.strategies.tables.prefetch import prefetched
from batch_jobs.strategies.tables.values.converting import SURPLUS

#: Gives each row's key, null where it has none.
KeyOf = Callable[[pa.Table], pa.Array]
Mask = npt.NDArray[np.bool_]
#: Files that scattered rows are kept in.
BUCKETS = 64


@dataclass(frozen=True)
class Distinct:
    """Columns of the input whose values may not be repeated: in no other row, or in no row of another key."""

    by_row: list[str] = field(default_factory=list)
    by_key: list[str] = field(default_factory=list)


class Grouping:
    """Groups an input by key.

    Args:
        reader: the input.
        key_of: each row's key.
        distinct: what may not be repeated.
        size: rows that a group has, about; a key with more is not cut.
        heed: called for every batch; raises when the job is to stop.
        place: a line for people.
    """

    def __init__(
        self,
        reader: Reader,
        key_of: KeyOf,
        distinct: Distinct,
        size: int,
        heed: Callable[[], None],
        place: Callable[[int], str],
    ) -> None:
        self._reader = reader
        self._key_of = key_of
        self._distinct = distinct
        self._size = size
        self._heed = heed
        self._place = place
        self.schema = schema_of(reader.columns)

    def write(self, writer: WorkFileWriter) -> None:
        """Write all groups."""
        with ExitStack() as open_things:
            scattered, repeated = self._first_look()
            scattered_rows = open_things.enter_context(ScatterSort(self.schema))
            first_lines = open_things.enter_context(FirstLines())
            groups = _Groups(writer, self._size)
            for rows, hashes in open_things.enter_context(prefetched(self._keyed())):
                self._heed()
                marked = _marked(rows, self._repeats(rows, repeated, first_lines))
                apart = _among(hashes, scattered) & _keyed(rows)
                if apart.any():
                    scattered_rows.add(marked.filter(pa.array(apart)), hashes[apart])
                    marked = marked.filter(pa.array(~apart))
                groups.add(marked)
            for rows in scattered_rows.together():
                self._heed()
                groups.add(rows)
            groups.finish()
        # the threads that read are gone, and what they leave is used by no other
        pa.default_memory_pool().release_unused()

    def _keyed(self) -> Iterator[tuple[pa.Table, Hashes]]:
        for batch in self._reader.batches():
            rows = _with_bad_rows(batch, self.schema)
            rows = rows.set_column(rows.schema.get_field_index(KEY), KEY, self._key_of(rows))
            yield rows, _hashes(rows.column(KEY))

    def _first_look(self) -> tuple[Hashes, dict[str, Hashes]]:
        columns = [*self._distinct.by_row, *self._distinct.by_key]
        last: np.uint64 | None = None
        with ExitStack() as open_things:
            runs = open_things.enter_context(KeyHashes())
            values = {name: open_things.enter_context(KeyHashes()) for name in columns}
            for rows, hashes in open_things.enter_context(prefetched(self._keyed())):
                self._heed()
                begins, keyed = _run_starts(rows, hashes), _keyed(rows)
                if len(hashes):
                    begins[0] = hashes[0] != last or not keyed[0]
                    last = hashes[-1] if keyed[-1] else None
                runs.add(hashes[begins & keyed])
                for name in columns:
                    filled = _filled(rows.column(name))
                    counted = filled if name in self._distinct.by_row else filled & begins
                    values[name].add(_hashes(rows.column(name))[counted])
            return runs.repeated(), {name: found.repeated() for name, found in values.items()}

    def _repeats(
        self, rows: pa.Table, repeated: dict[str, Hashes], first_lines: FirstLines
    ) -> dict[int, list[list[str]]]:
        """Row -> what is wrong with it, for values that an earlier row has."""
        found: dict[int, list[list[str]]] = {}
        for name, hashes in repeated.items():
            cells = rows.column(name)
            suspects = _among(_hashes(cells), hashes) & _filled(cells)
            for index in np.flatnonzero(suspects).tolist():
                value, line = cells[index].as_py(), rows.column(LINE)[index].as_py()
                key = rows.column(KEY)[index].as_py() if name in self._distinct.by_key else None
                first = _earlier(first_lines, name, value, key, line)
                if first is not None:
                    found.setdefault(index, []).append([name, f"{value!r} is already on {self._place(first)}"])
        return found


class ScatterSort:
    """Scattered rows in buckets by the hash of their key, so that only one bucket is in memory at a time."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._writers: dict[int, pa.RecordBatchStreamWriter] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        if self._folder is not None:
            self._folder.cleanup()

    def add(self, rows: pa.Table, hashes: Hashes) -> None:
        """Take rows and the hashes of their keys."""
        buckets = (hashes >> np.uint64(58)).astype(np.int64)
        for bucket in np.unique(buckets).tolist():
            self._writer(bucket).write_table(rows.filter(pa.array(buckets == bucket)))

    def together(self) -> Iterator[pa.Table]:
        """The rows, those of one key one after another in the order of the input."""
        self._close()
        for bucket in sorted(self._writers):
            with pa.OSFile(self._path(bucket)) as source, pa.ipc.open_stream(source) as reader:
                yield _ordered(reader.read_all())

    def _writer(self, bucket: int) -> pa.RecordBatchStreamWriter:
        if bucket not in self._writers:
            self._folder = self._folder or tempfile.TemporaryDirectory(prefix="batch-jobs-sort-")
            self._writers[bucket] = pa.ipc.new_stream(pa.OSFile(self._path(bucket), "wb"), self._schema)
        return self._writers[bucket]

    def _path(self, bucket: int) -> str:
        assert self._folder is not None
        return str(Path(self._folder.name) / str(bucket))

    def _close(self) -> None:
        for writer in self._writers.values():
            writer.close()


def _ordered(rows: pa.Table) -> pa.Table:
    rows = rows.combine_chunks()
    keys, lines = rows.column(KEY), rows.column(LINE).to_numpy()
    first = pc.index_in(keys, value_set=keys.combine_chunks()).to_numpy()
    return rows.take(pa.array(np.lexsort((lines, lines[first]))))


class _Groups:
    """Cuts rows, those of one key one after another, into groups between two keys."""

    def __init__(self, writer: WorkFileWriter, size: int) -> None:
        self._writer = writer
        self._size = size
        self._held: list[pa.Table] = []
        self._rows = 0

    def add(self, rows: pa.Table) -> None:
        self._held.append(rows)
        self._rows += rows.num_rows
        if self._rows > self._size:
            self._cut()

    def finish(self) -> None:
        if self._rows > self._size:
            self._cut()
        if self._rows:
            self._writer.write(pa.concat_tables(self._held))

    def _cut(self) -> None:
        rows = pa.concat_tables(self._held).combine_chunks()
        starts = np.flatnonzero(run_starts(rows))
        begin = 0
        # the last key may go on in the rows that come next, so its rows wait
        while begin + self._size < starts[-1]:
            end = int(starts[np.searchsorted(starts, begin + self._size)])
            self._writer.write(rows.slice(begin, end - begin))
            begin = end
        self._held, self._rows = [rows.slice(begin)], rows.num_rows - begin


def run_starts(rows: pa.Table) -> Mask:
    """Which rows are the first of their key, where those of one key are one after another."""
    keys = rows.column(KEY).combine_chunks()
    starts = np.ones(len(keys), dtype=bool)
    if len(keys) > 1:
        same = pc.equal(keys.slice(1), keys.slice(0, len(keys) - 1))
        starts[1:] = ~pc.fill_null(same, False).to_numpy(zero_copy_only=False)
    return starts


def _run_starts(rows: pa.Table, hashes: Hashes) -> Mask:
    starts = np.ones(len(hashes), dtype=bool)
    starts[1:] = hashes[1:] != hashes[:-1]
    return starts | ~_keyed(rows)


def _earlier(first_lines: FirstLines, name: str, value: str, key: str | None, line: int) -> int | None:
    first = first_lines.earlier([name, value], line)
    if key is None or first is None:
        if key is not None:
            first_lines.earlier([name, value, key], line)
        return first
    # the same value under the same key is no repeat
    with_key = first_lines.earlier([name, value, key], line)
    return None if with_key == first else first


def _with_bad_rows(batch: Batch, schema: pa.Schema) -> pa.Table:
    """All rows of a batch, those that could not be split among them, by line."""
    texts = [name for name in schema.names if name != LINE]
    none = pa.nulls(batch.table.num_rows, pa.string())
    columns = {name: batch.table.column(name) if name in batch.table.column_names else none for name in texts}
    rows = pa.table({**columns, LINE: batch.lines}, schema=schema)
    if SURPLUS_COLUMN in batch.table.column_names:
        rows = _marked(rows, _surplus(rows))
    if batch.bad_cells:
        found: dict[int, list[list[str]]] = {}
        for cell in batch.bad_cells:
            found.setdefault(cell.index, []).append([cell.column, cell.message])
        rows = _marked(rows, found)
    if not batch.bad_rows:
        return rows
    bad = [{**row.row, ERRORS: json.dumps([[None, row.message]]), LINE: row.line} for row in batch.bad_rows]
    return pa.concat_tables([rows, pa.Table.from_pylist(bad, schema=schema)]).sort_by(LINE)


def _surplus(rows: pa.Table) -> dict[int, list[list[str]]]:
    filled = np.flatnonzero(_filled(rows.column(SURPLUS_COLUMN))).tolist()
    return {index: [[SURPLUS_COLUMN, SURPLUS]] for index in filled}


def _marked(rows: pa.Table, found: dict[int, list[list[str]]]) -> pa.Table:
    if not found:
        return rows
    errors = rows.column(ERRORS).to_pylist()
    for index, more in found.items():
        errors[index] = json.dumps([*json.loads(errors[index] or "[]"), *more])
    return rows.set_column(rows.schema.get_field_index(ERRORS), ERRORS, pa.array(errors, pa.string()))


def _keyed(rows: pa.Table) -> Mask:
    keyed: Mask = pc.is_valid(rows.column(KEY)).to_numpy()
    return keyed


def _filled(cells: pa.ChunkedArray) -> Mask:
    filled: Mask = pc.not_equal(pc.fill_null(cells, ""), "").to_numpy()
    return filled


def _hashes(cells: pa.ChunkedArray) -> Hashes:
    return key_hashes([pc.fill_null(cells, "")])


def _among(hashes: Hashes, sorted_hashes: Hashes) -> Mask:
    if not len(sorted_hashes):
        return np.zeros(len(hashes), dtype=bool)
    places = np.minimum(np.searchsorted(sorted_hashes, hashes), len(sorted_hashes) - 1)
    among: Mask = sorted_hashes[places] == hashes
    return among
