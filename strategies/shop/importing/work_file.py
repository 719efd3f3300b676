"""The rows of an input file put in order for processing, kept in the file store as groups of whole keys.

One group is one chunk. The file stands for the input from then on, so that the input is read no more.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.rejects import SURPLUS_COLUMN

#: Beside the input's own columns: the row's line, its key, and what is wrong with it as JSON (null: nothing so far).
LINE, KEY, ERRORS = "batch_job_line", "batch_job_key", "batch_job_errors"
OWN = (LINE, KEY, ERRORS)


def schema_of(columns: list[str]) -> pa.Schema:
    """The columns of a work file for an input with these columns; all of them text but the line."""
    texts = [*columns, *([] if SURPLUS_COLUMN in columns else [SURPLUS_COLUMN]), KEY, ERRORS]
    return pa.schema([*((name, pa.string()) for name in texts), (LINE, pa.int64())])


class WorkFileWriter:
    """Takes groups one after another."""

    def __init__(self, writer: pa.RecordBatchFileWriter) -> None:
        self._writer = writer
        self.groups = 0

    def write(self, group: pa.Table) -> None:
        """Add a group."""
        self._writer.write_table(group.combine_chunks(), max_chunksize=group.num_rows)
        self.groups += 1


@contextmanager
def writing_work_file(files: FileStore, key: str, schema: pa.Schema) -> Iterator[WorkFileWriter]:
    """Write a work file; it is there only once the block has ended well."""
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with files.writing(key) as stream, pa.PythonFile(stream, "w") as sink:
        with pa.ipc.new_file(sink, schema, options=options) as writer:
            yield WorkFileWriter(writer)


def read_groups(
    files: FileStore,
    key: str,
    first: int = 0,
    step: int = 1,
    end: int | None = None,
    columns: list[str] | None = None,
) -> Iterator[tuple[int, pa.Table]]:
    """The groups from this one on, with their number from 0.

    Args:
        files: has the file.
        key: of the file.
        first: the number of the first group.
        step: of the next ones, every how many-th.
        end: the number of the group before which to end; default: after the last.
        columns: only these; default: all.
    """
    with files.open(key) as stream, pa.PythonFile(stream, "r") as source:
        schema = pa.ipc.open_file(source).schema
        chosen = None if columns is None else sorted({schema.get_field_index(name) for name in columns})
        source.seek(0)
        reader = pa.ipc.open_file(source, options=pa.ipc.IpcReadOptions(included_fields=chosen))
        for number in range(first, reader.num_record_batches if end is None else end, step):
            yield number, pa.Table.from_batches([reader.get_batch(number)])
