"""Refused input rows: kept in parts while a job runs, put together as one CSV file in the order of the input."""

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import groupby
from operator import itemgetter
from typing import BinaryIO

from batch_jobs.strategies.sdk.errors import RejectsMissing
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.lines import IN_NO_FILE, named, place_of
from batch_jobs.strategies.sdk.rejected_rows import RefusedRow, RefusedRowsWriter, rows_key

#: What the rejects file has beside the input's own columns; an import of such a file leaves them out.
LINE_COLUMN = "reject_line"
REASON_COLUMN = "reject_reason"
#: Which file the line is of, where there are several.
FILE_COLUMN = "reject_file"
#: Cells beyond the header's last column.
SURPLUS_COLUMN = "reject_surplus"
OWN_COLUMNS = (LINE_COLUMN, REASON_COLUMN, FILE_COLUMN)

#: What a cell has quotes for.
_QUOTED = re.compile('[,"\r\n]')
PART_SIZE = 10_000  # rejects held in memory at most, outside chunks


@dataclass(frozen=True)
class Reject:
    """One reason why one input row is refused; a row may have several.

    ``group`` is what rows have in common that go in together or not at all, ``None`` where each goes by itself.
    """

    line: int
    column: str | None
    message: str
    row: dict[str, str | None]
    group: str | None = None

    @property
    def reason(self) -> str:
        """Why, with the column where one cell is bad."""
        return reason_of(self.column, self.message)


@dataclass(frozen=True)
class RejectsFile:
    """The assembled file's key and the number of rows in it."""

    key: str
    rows: int


def chunk_series(partition: int | None = None) -> str:
    """What the parts of a job's chunks are called, or those of one of its partitions."""
    return "chunk" if partition is None else f"partition-{partition:06d}"


class RejectLog:
    """The rejects of one job, in parts: one series found before processing, one part for each committed chunk.

    A chunk that is done again writes its part again, so that the parts up to the checkpoint are always exactly those
    of the rows that are in. Each partition has a series of chunks of its own.

    Args:
        files: where the parts are.
        job_id: the job.
        partition: the number of the partition that this is a process of.
    """

    def __init__(self, files: FileStore, job_id: str, partition: int | None = None) -> None:
        self._series = chunk_series(partition)
        self._files = files
        self._job_id = job_id
        self._folder = f"jobs/{job_id}/rejects"
        self._key = f"jobs/{job_id}/rejects.csv"
        self._pending: list[Reject] = []
        self._found_before = 0
        self._found = 0
        #: The input files in their order, where there are several.
        self.files: tuple[str, ...] = ()

    def name_files(self, keys: Sequence[str]) -> None:
        """Say which input files the lines are of, in their order; a single one needs no name."""
        self.files = tuple(keys) if len(keys) > 1 else ()

    def place(self, line: int) -> str:
        """A line of the input for people, with its file where there are several."""
        return named(line, self.files)

    def restart(self) -> None:
        """Forget what an earlier look at the input found."""
        self._files.remove(f"{self._folder}/before")
        self._pending.clear()
        self._found_before = 0

    def discard_after(self, last_chunk: int) -> None:
        """Remove the parts of chunks that were never committed."""
        for file in self._files.list(f"{self._folder}/{self._series}"):
            if file.key > self._chunk_key(self._series, last_chunk):
                self._files.remove(file.key)

    def add(self, reject: Reject) -> None:
        """Keep a reject for the next part."""
        self._pending.append(reject)

    def pending_rows(self) -> int:
        """How many rows the next part will hold."""
        return len({reject.line for reject in self._pending})

    def drop_pending(self) -> None:
        """Forget what the failed chunk found."""
        self._pending.clear()

    def flush_before(self, at_least: int = 1) -> None:
        """Write what was found before processing, when there is enough of it."""
        if len(self._pending) >= max(at_least, 1):
            self._found_before += 1
            self._write(f"{self._folder}/before/{self._found_before:08d}.jsonl")

    def flush_chunk(self, number: int) -> None:
        """Write the part of this chunk; called in the chunk's transaction, whose lock keeps other attempts out."""
        if self._pending:
            self._write(self._chunk_key(self._series, number))

    def assemble(self, last_chunks: Mapping[str, int], counted: int = 0) -> RejectsFile | None:
        """Put the parts together as one CSV file, by line; ``None`` when nothing was rejected.

        Args:
            last_chunks: by ``chunk_series``; parts of later ones are of chunks that were never committed.
            counted: how many rows chunks have rejected at least, each counted once a chunk, or found before.

        Raises:
            RejectsMissing: the store has fewer: a listing of fsspec leaves out what could not be read.

        A row found bad before and while processing is there once, with the later reasons.
        The order is made by a temporary database on disk, so that memory stays flat.
        """
        with closing(sqlite3.connect("")) as parts:
            parts.execute("CREATE TABLE reject (line INTEGER, phase INTEGER, known BLOB)")
            self._found = 0
            names: dict[str, None] = {}
            parts.executemany("INSERT INTO reject VALUES (?, ?, ?)", self._stored(last_chunks, names))
            if self._found < counted and (found := self._found + _found_before_alone(parts)) < counted:
                raise RejectsMissing(self._job_id, found, counted)
            if not _any(parts):
                return None
            own = OWN_COLUMNS if self.files else (LINE_COLUMN, REASON_COLUMN)
            columns = [*(name for name in names if name not in own), *own]
            with self._files.writing(rows_key(self._job_id)) as pages, self._files.writing(self._key) as stream:
                writer = RefusedRowsWriter(pages, parts)
                rows = write_csv(stream, columns, self._placed(_written(_refused_rows(parts), writer)))
                writer.finish(self.files)
        return RejectsFile(self._key, rows)

    def _stored(self, last_chunks: Mapping[str, int], names: dict[str, None]) -> Iterator[tuple[int, int, bytes]]:
        """Each reject as its part has it, with its line and phase; adds the columns that rows have to ``names``."""
        for file in self._files.list(self._folder):
            series = file.key.split("/")[-2]
            phase = 0 if series == "before" else 1
            if phase == 1 and file.key > self._chunk_key(series, last_chunks.get(series, 0)):
                continue
            lines = set()
            with self._files.open(file.key) as stream:
                for text in stream:
                    known = json.loads(text)
                    lines.add(known["line"])
                    if not known["row"].keys() <= names.keys():
                        names.update(dict.fromkeys(known["row"]))
                    yield known["line"], phase, text
            self._found += phase * len(lines)

    def _placed(self, rows: Iterable[RefusedRow]) -> Iterator[dict[str, str | None]]:
        """The rows, each with its line, its file and why it is refused."""
        for row in rows:
            reasons = dict.fromkeys(reason_of(column, message) for column, message in row.reasons)
            yield {**row.cells, **placed(row.number, self.files), REASON_COLUMN: "; ".join(reasons)}

    def _chunk_key(self, series: str, number: int) -> str:
        return f"{self._folder}/{series}/{number:08d}.jsonl"

    def _write(self, key: str) -> None:
        with self._files.writing(key) as stream:
            stream.writelines(json.dumps(_known(reject)).encode() + b"\n" for reject in self._pending)
        self._pending.clear()


def _known(reject: Reject) -> dict[str, object]:
    """A reject as JSON; the release before knows of no group, and of most rows there is none."""
    return {name: value for name, value in asdict(reject).items() if name != "group" or value is not None}


def _found_before_alone(parts: sqlite3.Connection) -> int:
    """How many rows were found before processing and not again in it, where a strategy does not look at them again."""
    query = (
        "SELECT count(DISTINCT line) FROM reject WHERE phase = 0 AND line NOT IN (SELECT line FROM reject WHERE phase)"
    )
    return int(parts.execute(query).fetchone()[0])


def _any(parts: sqlite3.Connection) -> bool:
    return parts.execute("SELECT 1 FROM reject LIMIT 1").fetchone() is not None


def _refused_rows(parts: sqlite3.Connection) -> Iterator[RefusedRow]:
    found = parts.execute("SELECT line, phase, known FROM reject ORDER BY line, phase DESC, rowid")
    for line, rejects in groupby(found, key=itemgetter(0)):
        (_, latest, text), *others = rejects
        first = json.loads(text)
        reasons = {(first["column"], first["message"]): None}
        for known in (json.loads(other) for _, phase, other in others if phase == latest):
            reasons[known["column"], known["message"]] = None
        yield RefusedRow(line, first["row"], list(reasons), first.get("group"))


def _written(rows: Iterable[RefusedRow], writer: RefusedRowsWriter) -> Iterator[RefusedRow]:
    for row in rows:
        writer.write(row)
        yield row


def placed(number: int, files: Sequence[str]) -> dict[str, str | None]:
    """Where a row is, as a rejects file has it: its line, and its file where there are several."""
    file, line = place_of(number)
    place: dict[str, str | None] = {LINE_COLUMN: str(line) if line < IN_NO_FILE else None}
    if files and line < IN_NO_FILE:
        place[FILE_COLUMN] = files[file]
    return place


def reason_of(column: str | None, message: str) -> str:
    """Why a row is refused, with the column where one cell is bad."""
    return f"{column}: {message}" if column else message


def write_csv(stream: BinaryIO, columns: list[str], rows: Iterable[Mapping[str, str | None]]) -> int:
    """Write a rejects file; returns how many rows it has."""
    from batch_jobs.strategies.tables.values.formulas import neutralise_cell  # loads pyarrow, which only this needs

    def line(cells: Iterable[str | None]) -> bytes:
        joined = ",".join("" if cell is None else _quoted_if_needed(neutralise_cell(cell)) for cell in cells) + "\n"
        return joined.encode(errors="replace")  # half a surrogate pair, which JSON allows, is no text in UTF-8

    written = 0
    stream.write(line(columns))
    for row in rows:
        stream.write(line(row.get(column) for column in columns))
        written += 1
    return written


def _quoted_if_needed(cell: str) -> str:
    # the standard library's writer cannot distinguish an empty text ("") from no value, as COPY and our reader do
    return '"' + cell.replace('"', '""') + '"' if cell == "" or _QUOTED.search(cell) else cell
