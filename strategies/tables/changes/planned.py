"""What a job is going to change: found by its preview, and kept as a file of blocks before anything is written.

The file is Parquet: a row is a block as the log has it (see ``blocks``), a row group has the blocks of one batch of the
input, so that a page of changes reads no more than the batches that it is from.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batch_jobs.strategies.sdk.change_log import ChangeOptions
from batch_jobs.strategies.sdk.files import JOBS, FileStore
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.tables.changes.blocks import LINE, ChangedRows, packed, unpacked, without_lines
from batch_jobs.strategies.tables.changes.hiding import hidden
from batch_jobs.strategies.tables.changes.reading import BlockHead, Place
from batch_jobs.strategies.tables.importing.repeats import Repeats, read_repeats

SCHEMA = pa.schema(
    [
        ("kind", pa.string()),
        ("table", pa.string()),
        ("key", pa.list_(pa.string())),
        ("rows", pa.int64()),
        # {column: rows in which it changes}, as JSON
        ("columns", pa.string()),
        ("data", pa.binary()),
    ]
)
#: What is known of a block without its rows.
HEAD = [name for name in SCHEMA.names if name != "data"]


def planned_key(job_id: str) -> str:
    """The key of the file of a job's changes in the file store."""
    return f"{JOBS}/{job_id}/changes.parquet"


class PlannedChanges:
    """Takes changes on their way into the file.

    Args:
        stream: of the file.
        options: which values are not kept.
    """

    def __init__(self, stream: BinaryIO, options: ChangeOptions) -> None:
        self._options = options
        # blocks are compressed already
        self._writer = pq.ParquetWriter(
            stream, SCHEMA, compression="none", use_dictionary=False, write_statistics=False
        )

    def add(self, batch: Sequence[ChangedRows]) -> None:
        """Take what becomes of the rows of one batch; those of a later one are on later lines."""
        rows = [_row(hidden(changed, self._options)) for changed in batch if len(changed)]
        if rows:
            self._writer.write_table(pa.Table.from_pylist(rows, SCHEMA))

    def close(self) -> None:
        """Nothing is added any more."""
        self._writer.close()


@contextmanager
def planning(files: FileStore, job_id: str, options: ChangeOptions | None = None) -> Iterator[PlannedChanges]:
    """Write the file of what a job is going to change; it is there once the block has ended well.

    Args:
        files: the file store.
        job_id: of the job.
        options: which values are not kept; none of them are left out by default.
    """
    with files.writing(planned_key(job_id)) as stream:
        planned = PlannedChanges(stream, options or ChangeOptions())
        try:
            yield planned
        finally:
            planned.close()


def leave_out_repeats(job: JobRun, repeats: str) -> None:
    """Take rows whose key an earlier row has out of the file, which only the end of the input shows.

    Args:
        job: whose file it is.
        repeats: the key of the file of their lines.
    """
    with ChangesFile(job.files, job.id) as before, job.files.open(repeats) as stream:
        lines = Repeats(read_repeats(stream))
        with planning(job.files, job.id) as planned:  # what is to be hidden is by now
            for batch in before.batches():
                left_out = lines.up_to(max(map(_last_line, batch)))
                planned.add([without_lines(changed, left_out) for changed in batch])


class ChangesFile:
    """The file of what a job is going to change, opened for reading.

    Args:
        files: the file store.
        job_id: whose changes they are.

    Raises:
        FileMissing: there is none.
    """

    def __init__(self, files: FileStore, job_id: str) -> None:
        self._stream = files.open(planned_key(job_id))
        self._parquet = pq.ParquetFile(self._stream)

    def __enter__(self) -> "ChangesFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._parquet.close()
        self._stream.close()

    def __len__(self) -> int:
        """How many batches there are."""
        return int(self._parquet.num_row_groups)

    def heads(self, start: Place | None) -> Iterator[BlockHead]:
        """The blocks from a place (batch, block in it) on."""
        first, block = start or (0, 0)
        for batch in range(first, len(self)):
            found = self._parquet.read_row_group(batch, columns=HEAD, use_threads=False).to_pylist()
            for number, head in enumerate(found[block:], block):
                columns = json.loads(head["columns"])
                yield BlockHead((batch, number), head["table"], head["kind"], head["key"], columns)
            block = 0

    def rows(self, head: BlockHead) -> pa.Table:
        """The rows of a block."""
        batch, block = head.place
        data = self._parquet.read_row_group(batch, columns=["data"], use_threads=False).column("data")
        return unpacked(data[block].as_py())

    def batches(self) -> Iterator[list[ChangedRows]]:
        """All changes, batch by batch."""
        for batch in range(len(self)):
            blocks = self._parquet.read_row_group(batch, use_threads=False).to_pylist()
            yield [
                ChangedRows(block["table"], block["kind"], block["key"], unpacked(block["data"])) for block in blocks
            ]


def _row(changed: ChangedRows) -> dict[str, Any]:
    return {
        "kind": changed.kind,
        "table": changed.table,
        "key": changed.key,
        "rows": len(changed),
        "columns": json.dumps(changed.counts),
        "data": packed(changed.rows, "lz4"),
    }


def _last_line(changed: ChangedRows) -> int:
    return pc.max(changed.rows.column(LINE)).as_py() if LINE in changed.rows.column_names else 0
