"""Rows that lie apart in the input though they have one key, brought together by way of the disk."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch_jobs.strategies.shop.importing.work_file import KEY, LINE
from batch_jobs.strategies.tables.importing.keys import Hashes

BUCKETS = 64


class Spill:
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
            self._folder = self._folder or tempfile.TemporaryDirectory(prefix="batch-jobs-spill-")
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
