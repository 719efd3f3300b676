"""Several files as one: read one after the other, each by a reader of its own."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from batch_jobs.strategies.sdk.errors import InputRefused
from batch_jobs.strategies.sdk.lines import LINES_OF_A_FILE
from batch_jobs.strategies.tables.formats.marks import Mark, Marks
from batch_jobs.strategies.tables.formats.reading import Batch, Input, Reader

Found = dict[str, Any] | None
Open = Callable[[Input, Found], Reader]
SHOWN = 10  # columns in a refusal


def _place(start: dict[str, Any] | None) -> tuple[int, dict[str, Any] | None]:
    """The file that a start is in, and the start there, ``None`` at its beginning."""
    inside = {name: value for name, value in (start or {}).items() if name != "file"}
    return (start["file"] if start else 0), inside or None


class ManyReader(Reader):
    """Files of the same columns, in whatever order; those whose rows name their columns may lack some.

    Only one file is open at a time. Lines are numbered on from file to file, see ``sdk.lines``.

    Args:
        files: in the order in which they are read.
        open: makes the reader of one of them, of which something may be known.
        found: what an earlier reader of the same files found.
    """

    def __init__(self, files: Sequence[Input], open: Open, found: Found = None) -> None:
        self._files, self._open_one = files, open
        self._names = tuple(file.name for file in files)
        self._current: tuple[int, Reader] | None = None
        self._found: list[Found] = found["files"] if found else [None] * len(files)
        self._settled = [found is not None] * len(files)
        self._marks: list[Mark] = []
        #: How many rows each file has, where a pass has come to its end.
        self.rows: list[int | None] = [None] * len(files)
        if found:
            self.columns, self.described = found["columns"], {}
        else:
            self._look_at_columns()

    @property
    def found(self) -> Found:
        """What was found out about each file."""
        return {"columns": self.columns, "files": self._found}

    def settle(self) -> None:
        """Look at each file where its beginning is not enough."""
        for index in range(len(self._files)):
            if not self._settled[index]:
                self._reader(index).settle()
                self._keep(index)
        self._look_at_columns()

    def batches(self, start: dict[str, Any] | None = None) -> Iterator[Batch]:
        """The batches of one file after the other."""
        yield from self.part(start, None)

    def part(self, start: dict[str, Any] | None, until: dict[str, Any] | None) -> Iterator[Batch]:
        """The batches between two places, either of which may be ``None``."""
        marks, before = Marks(), 0
        first, inside = _place(start)
        last, inside_last = _place(until) if until else (len(self._files), None)
        for index in range(first, last + (inside_last is not None)):
            rows = 0
            reader = self._reader(index)
            for batch in reader.part(inside, inside_last) if index == last else reader.batches(inside):
                rows += batch.table.num_rows + len(batch.bad_rows)
                yield self._placed(batch, index)
            if index != last:
                self._keep(index)
                if inside is None:
                    self.rows[index] = rows
                    self._mark(marks, index, before)
            before, inside = before + rows, None
        if start is None and until is None:
            self._marks = marks.kept

    def _mark(self, marks: Marks, index: int, before: int) -> None:
        reader = self._reader(index)
        inner = reader.marks if reader.uncut is None else []
        for mark in inner or [Mark(None, 1, 0)]:
            place = {"file": index, **(mark.start or {})}
            line = mark.line + index * LINES_OF_A_FILE
            marks.add(Mark(place if marks.kept else None, line, before + mark.rows), before + mark.rows)

    @property
    def uncut(self) -> str | None:  # type: ignore[override]
        """Nothing: a part may begin at any of the files."""
        return None

    @property
    def marks(self) -> list[Mark]:
        """Where files begin, and batches of those that can be cut."""
        return self._marks

    def _reader(self, index: int) -> Reader:
        if self._current is None or self._current[0] != index:
            if self._current is not None:
                self._files[self._current[0]].forget()
            self._current = index, self._open_one(self._files[index], self._found[index])
        return self._current[1]

    def _keep(self, index: int) -> None:
        self._found[index], self._settled[index] = self._reader(index).found, True

    def _look_at_columns(self) -> None:
        first = self._reader(0)
        self.columns, self.described = list(first.columns), {**first.described, "files": str(len(self._files))}
        types = dict(first.types)
        for index, file in enumerate(self._files):
            reader = self._reader(index)
            if reader.names_its_columns and set(reader.columns) != set(self.columns):
                raise InputRefused(file.name, self._difference(reader.columns))
            self.columns = list(dict.fromkeys([*self.columns, *reader.columns]))
            types = {name: type for name, type in types.items() if reader.types.get(name) == type}
        self.types = types

    def _difference(self, columns: Sequence[str]) -> str:
        lacks = [name for name in self.columns if name not in columns][:SHOWN]
        more = [name for name in columns if name not in self.columns][:SHOWN]
        parts = [f"lacks {', '.join(lacks)}"] * bool(lacks) + [f"has {', '.join(more)}"] * bool(more)
        return f"it {' and '.join(parts)} beside the columns of {self._names[0]}; files of one job have the same"

    def _placed(self, batch: Batch, index: int) -> Batch:
        """A batch of one file as one of all."""
        offset = index * LINES_OF_A_FILE
        there = batch.table.column_names
        columns = [*self.columns, *(name for name in there if name not in self.columns)]
        self.columns = columns
        rows = batch.table.num_rows
        lacking = [name for name in columns if name not in there]
        none = {name: pa.nulls(rows, pa.string()) for name in lacking}
        absent = dict.fromkeys(lacking, pa.array([True] * rows, pa.bool_())) if lacking else {}
        return replace(
            batch,
            table=pa.table({name: none[name] if name in none else batch.table.column(name) for name in columns}),
            lines=pc.add(batch.lines, pa.scalar(offset, pa.int64())),
            bad_rows=[replace(row, line=row.line + offset) for row in batch.bad_rows],
            start={"file": index, **batch.start},
            absent={**batch.absent, **absent},
            files=self._names,
        )
