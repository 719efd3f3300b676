"""Writing an export's file: packed as asked for, and in parts; a stopped or failed one leaves none."""

import io
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import replace
from gzip import GzipFile
from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast

import pyarrow as pa
from sqlalchemy import Connection

from batch_jobs.strategies.sdk.errors import BatchJobError
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.tables.formats.csv_writing import copy_by_arrow
from batch_jobs.strategies.tables.formats.format import Format, Rows
from batch_jobs.strategies.tables.formats.writing import WriteOptions, WritingOptions
from batch_jobs.strategies.tables.ranges import NotCut
from batch_jobs.strategies.tables.selecting import Selection

#: The level that zip and gz have by default elsewhere: the highest takes three times as long for a percent.
LEVEL = 6
COPY_BYTES = 1 << 20
#: Packings of which several, behind each other, are one.
MEMBERS = ("gz", "zst")


class PartsMissing(BatchJobError):
    """The store does not have all parts of a file."""

    def __init__(self, there: int, wanted: int) -> None:
        super().__init__(f"the file store has {there} of the {wanted} parts of the file; retry the job")


class Export:
    """One export: what is written, how, and into which file.

    Args:
        job: gets the file and is stopped when it is asked to.
        name: the file's name without an ending.
        format: of the file.
        packing: what the context says of compression and splitting.
        options: what it says of cells.
    """

    def __init__(self, job: JobRun, name: str, format: Format, packing: WritingOptions, options: WriteOptions) -> None:
        self._job, self._name, self._format, self._options = job, f"{name}{format.suffixes[0]}", format, options
        self._compression, self._rows_per_file = packing.compression, packing.rows_per_file

    def write(self, rows: Rows, advance: Callable[[int], None]) -> None:
        """Write the rows, all or those of a partition; ``advance`` gets the number of rows now and then."""
        if self._job.partition is not None:
            self._write_part(rows, self._job.partition.plan["after"] is None, advance)
            return
        if self._rows_per_file and rows.has_more_than(self._rows_per_file):
            self._write_parts(rows, self._rows_per_file, advance)
            return
        with self._job.write_output(self._file_name) as stream:
            with packed(stream, self._name, self._compression) as unpacked:
                self._write(rows, unpacked, advance, self._options)

    def require_parts(self) -> None:
        """Make sure that partitions can write the file.

        Raises:
            NotCut: says why they cannot.
        """
        if self._format.joined_by is None:
            raise NotCut(f"a file of format {self._format.name} cannot be put together of parts")
        if self._rows_per_file:
            raise NotCut("rows_per_file splits the file otherwise")

    def join(self, parts: str) -> None:
        """Put together what the partitions have written.

        Args:
            parts: what their parts are called.

        Raises:
            PartsMissing: some of them are not there.
        """
        keys = self._job.output_parts(_part_name(parts))
        if len(keys) < len(self._job.result.partitions):
            raise PartsMissing(len(keys), len(self._job.result.partitions))
        with (
            self._job.write_output(self._file_name) as stream,
            packed(stream, self._name, None if self._packing_of_parts else self._compression) as unpacked,
        ):
            if self._format.joined_by == "join":
                self._format.join(self._opened(keys), unpacked)
                return
            for part in self._opened(keys):
                while block := part.read(COPY_BYTES):
                    unpacked.write(block)
                    self._job.stop_if_asked()

    @property
    def _file_name(self) -> str:
        return f"{self._name}.{self._compression}" if self._compression else self._name

    @property
    def _packing_of_parts(self) -> str | None:
        """What parts are packed in whose bytes behind each other are one packed file."""
        return self._compression if self._format.joined_by == "bytes" and self._compression in MEMBERS else None

    def _write_part(self, rows: Rows, is_first: bool, advance: Callable[[int], None]) -> None:
        options = replace(self._options, header=is_first)
        with self._job.write_output(_part_name(self._job.shared["parts"])) as stream:
            with packed(stream, self._name, self._packing_of_parts) as unpacked:
                self._write(rows, unpacked, advance, options)
        with self._job.chunk(cursor="written"):  # which keeps the counts
            pass

    def _opened(self, keys: list[str]) -> Iterator[BinaryIO]:
        for key in keys:
            self._job.stop_if_asked()
            with self._job.files.open(key) as part:
                yield part

    def _write_parts(self, rows: Rows, size: int, advance: Callable[[int], None]) -> None:
        name = PurePosixPath(self._name)
        inside = self._compression if self._compression != "zip" else None
        batches = rows.source.batches(rows.connection, rows.selection, self._format.nests)
        with (
            self._job.write_output(f"{name.stem}.zip") as stream,
            _zip(stream, bool(inside)) as archive,
            closing(batches),  # type: ignore[type-var]  # a read that a stop leaves half done would block the connection
        ):
            for number, part in enumerate(_parts(rows, batches, size), 1):
                member = f"{name.stem}-{number:04d}{name.suffix}"
                with archive.open(f"{member}.{inside}" if inside else member, "w", force_zip64=True) as raw:
                    with packed(cast(BinaryIO, raw), member, inside) as unpacked:
                        self._write(part, unpacked, advance, self._options)

    def _write(self, rows: Rows, stream: BinaryIO, advance: Callable[[int], None], options: WriteOptions) -> None:
        with closing(self._format.write(rows, stream, options)) as written:  # type: ignore[type-var]
            for count in written:
                advance(count)
                self._job.stop_if_asked()


def _part_name(parts: str) -> str:
    return f"{parts}.rows"


def packed(stream: BinaryIO, name: str, compression: str | None) -> AbstractContextManager[BinaryIO]:
    """A stream whose bytes go packed into another one; ``name`` is the file's inside."""
    if compression == "gz":
        return _forwards(GzipFile(name, "wb", LEVEL, stream, mtime=0))
    if compression == "zst":
        return _forwards(pa.CompressedOutputStream(pa.PythonFile(stream, "w"), "zstd"))
    return _member(stream, name) if compression == "zip" else nullcontext(stream)


class _Forwards(io.RawIOBase):
    """A stream that can only be written on; those that pack say that they can go back, and cannot."""

    def __init__(self, stream: Any) -> None:
        self._stream, self._position = stream, 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, block: Any) -> int:
        self._stream.write(block)
        self._position += memoryview(block).nbytes
        return memoryview(block).nbytes


@contextmanager
def _forwards(packing: Any) -> Iterator[BinaryIO]:
    with packing:
        yield cast(BinaryIO, _Forwards(packing))


def _zip(stream: BinaryIO, is_packed: bool = False) -> zipfile.ZipFile:
    return zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED if is_packed else zipfile.ZIP_DEFLATED, compresslevel=LEVEL)


@contextmanager
def _member(stream: BinaryIO, name: str) -> Iterator[BinaryIO]:
    with _zip(stream) as archive, archive.open(name, "w", force_zip64=True) as member:
        yield cast(BinaryIO, member)


def _parts(rows: Rows, batches: Iterator[pa.Table], size: int) -> Iterator[Rows]:
    """Rows as several exports of at most so many rows; each is to be written before the next one is asked for."""
    source = _PartSource(batches, size)
    while source.begin():
        yield replace(rows, source=source)


class _PartSource:
    """Gives as many of the rows left as one file takes."""

    def __init__(self, batches: Iterator[pa.Table], size: int) -> None:
        self._batches, self._size = batches, size
        self._left: pa.Table | None = None

    def begin(self) -> bool:
        """Whether there are rows for another file."""
        self._left = self._left if self._left is not None else next(self._batches, None)
        return self._left is not None

    def batches(self, connection: Connection, selection: Selection, nested: bool = False) -> Iterator[pa.Table]:
        """The next rows."""
        wanted = self._size
        while wanted and self.begin():
            assert self._left is not None
            taken, rest = self._left.slice(0, wanted), self._left.slice(wanted)
            wanted -= taken.num_rows
            self._left = rest if rest.num_rows else None
            yield taken

    def copy_csv(
        self, connection: Connection, selection: Selection, delimiter: str, neutralise: bool, stream: BinaryIO
    ) -> Iterator[int]:
        """The next rows as CSV made by Arrow."""
        batches = self.batches(connection, selection)
        return copy_by_arrow(batches, selection.columns, delimiter, neutralise, stream)
