"""Corrected cells of an input, in a file of their own: the reader of the input applies them by line.

The file is JSON lines in the order of the input: a head, then ``[line, cells]`` for each row. With ``only`` set the
rows are given whole, and are all the input there is.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from pydantic import BaseModel, Field, ValidationError

from batch_jobs.strategies.sdk.errors import JobRefused, count_rows
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.lines import LINES_OF_A_FILE, place_of

Cells = dict[str, str | None]


class CorrectedFile(BaseModel):
    """An input file as it was when the cells were corrected."""

    key: str
    version: str
    checksum: str = ""


class Head(BaseModel):
    """What the corrections are of.

    ``files`` are the input's, in the order that the lines are numbered by; ``columns`` are those of whole rows, and
    ``found`` is what the reader of the input had found out. ``by`` has made the corrections, of ``cells`` in ``rows``.
    """

    files: list[CorrectedFile]
    rows: int
    cells: int
    by: str | None = None
    only: bool = False
    columns: list[str] = Field(default_factory=list)
    found: dict[str, Any] | None = None

    def __str__(self) -> str:
        """For people."""
        cells = f"{self.cells:,} cell{'s' * (self.cells != 1)}"
        return f"{cells} of {count_rows(self.rows)} corrected" + (f" by {self.by}" if self.by else "")


@dataclass(frozen=True)
class CorrectedRow:
    """A row's cells that are corrected, or all of them; ``number`` is its line in the series of all files."""

    number: int
    cells: Cells


class Corrections:
    """The corrections of one input.

    Args:
        files: the store.
        key: of the file in it.

    Raises:
        FileMissing: there is none.
        JobRefused: it is another kind of file.
    """

    def __init__(self, files: FileStore, key: str) -> None:
        self._files, self.key = files, key
        with files.open(key) as stream:
            try:
                self.head = Head.model_validate_json(stream.readline())
            except ValidationError:
                raise self._refused() from None

    def rows(self) -> Iterator[CorrectedRow]:
        """The rows, in the order of the input.

        Raises:
            JobRefused: one is none.
        """
        with self._files.open(self.key) as stream:
            stream.readline()
            for line in stream:
                try:
                    number, cells = json.loads(line)
                except ValueError:
                    raise self._refused() from None
                yield CorrectedRow(int(number), dict(cells))

    def of(self, keys: Sequence[str]) -> "Corrections | None":
        """These, where they are of the files of these keys; ``None`` where they are of other files."""
        return self if [file.key for file in self.head.files] == list(keys) else None

    def place(self, number: int) -> str:
        """A line for people."""
        file, line = place_of(number)
        return f"line {line:,} of {self.head.files[file].key}"

    def _refused(self) -> JobRefused:
        return JobRefused(
            f"{self.key} is no file of corrections; they are made by `batch-jobs correct ID FILE`, or of the API's "
            "POST /admin/batch-jobs/{id}/correct"
        )


def write_corrections(stream: BinaryIO, head: Head, rows: Iterable[CorrectedRow]) -> None:
    """Write a file of corrections, whose rows come in the order of the input."""
    stream.write(head.model_dump_json().encode() + b"\n")
    stream.writelines(json.dumps([row.number, row.cells], ensure_ascii=False).encode() + b"\n" for row in rows)


def number_of(line: int, file: str | None, files: Sequence[str]) -> int | None:
    """A line in the series of all files, ``None`` where nobody knows of which file it is.

    Args:
        line: in its file.
        file: its key, or the name at the key's end; not needed where there is one.
        files: the keys of all.
    """
    if file is None:
        return line if len(files) <= 1 else None
    places = [place for place, key in enumerate(files) if file in (key, key.rpartition("/")[2])]
    return places[0] * LINES_OF_A_FILE + line if len(places) == 1 else None
