"""An input's batches as a strategy in pandas makes them of the input's rows."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import pyarrow as pa

from batch_jobs.strategies.tables.formats.format import Format
from batch_jobs.strategies.tables.formats.marks import Mark
from batch_jobs.strategies.tables.formats.reading import Batch, NotAsItBegan, Reader
from batch_jobs.strategies.tables.frames.input_types import FRAMES, InputTypes, LikelyTypes, input_table
from batch_jobs.strategies.tables.frames.making import made_batch
from batch_jobs.strategies.tables.frames.rows import FrameRows, Make, frame_of
from batch_jobs.strategies.tables.importing.mapping import LEFT_OUT
from batch_jobs.strategies.tables.importing.plan import ColumnToCreate
from batch_jobs.strategies.tables.prefetch import prefetched
from batch_jobs.strategies.tables.values.converting import Checked, Converter
from batch_jobs.strategies.tables.values.options import ValueOptions

T = TypeVar("T", bound=InputTypes)

#: Rows of the beginning that are looked at before all others.
FEW = 500


class FrameReader(Reader):
    """Reads the input's rows, types them, and gives the rows that are made of them.

    The types are those that the beginning of the input has until a pass has come to its end; where a later part has
    others, the reader is to be settled, see ``Reader``.

    Args:
        inner: reads the input.
        make: what makes its rows.
        format: of the input.
        options: how its cells are understood.
        found: what an earlier reader of the same input found.
    """

    def __init__(
        self, inner: Reader, make: Make, format: Format, options: ValueOptions, found: dict[str, Any] | None = None
    ) -> None:
        self._inner, self._make, self._format, self._options = inner, make, format, options
        self._is_settled = found is not None
        self.made: dict[str, pa.DataType] = {}
        if found is None:
            self._open()
        else:
            self._take([ColumnToCreate.model_validate(column) for column in found["types"]])
            self.columns = found["columns"]

    @property
    def described(self) -> dict[str, str]:  # type: ignore[override]
        """What was decided about the file."""
        return self._inner.described

    @property
    def input_columns(self) -> list[str]:
        """The columns of the input, as opposed to those that are made of them."""
        return self._inner.columns

    @property
    def found(self) -> dict[str, Any] | None:
        """What was found out about the file, and the types of its columns."""
        types = [column.model_dump(mode="json") for column in self.input_types]
        return {"input": self._inner.found, "types": types, "columns": self.columns}

    def settle(self) -> None:
        """Look at the whole input."""
        self._inner.settle()
        types = self._types(InputTypes)
        with prefetched(self._inner.batches()) as batches:
            for batch in batches:
                types.feed(_loaded(batch))
        self._is_settled = True
        self._open(types)

    @property
    def uncut(self) -> str | None:  # type: ignore[override]
        """Why a part of the input cannot be read by itself."""
        return self._inner.uncut

    @property
    def marks(self) -> list[Mark]:
        """Where a part of the input may begin."""
        return self._inner.marks

    def part(self, start: dict[str, Any] | None, until: dict[str, Any] | None) -> Iterator[Batch]:
        """The batches between two places of the input, either of which may be ``None``."""
        return map(self._made, self._inner.part(start, until))

    def batches(self, start: dict[str, Any] | None = None) -> Iterator[Batch]:
        """The batches from a batch's ``start`` on, or all of them."""
        if self._is_settled or start is not None:
            for batch in self._inner.batches(start):
                yield self._made(batch)
            return
        with prefetched(self._looked_at()) as batches:
            for batch in batches:
                yield self._made(batch)
        self._is_settled = True

    def _looked_at(self) -> Iterator[Batch]:
        """The batches of the input while the types are those of its beginning."""
        types, first = self._beginning
        for batch in self._inner.batches():
            if len(batch.lines) and batch.lines[-1].as_py() > first:
                types.has_looked = False
                types.feed(_loaded(batch))
                if types.has_looked and not self._has_types(types.found()):
                    raise NotAsItBegan
            yield batch
        self.input_types = types.found()

    def _open(self, types: InputTypes | None = None) -> None:
        """Begin with the types given, or else with those of the first batch; its columns are those of all."""
        first = next(iter(self._inner.batches()), None)
        if first is None:
            none = {name: pa.array([], pa.string()) for name in self._inner.columns}
            first = Batch(pa.table(none), pa.array([], pa.int64()), [], {})
        if types is None:
            likely = self._types(LikelyTypes)
            for part in (_part(first, 0, FEW), _part(first, FEW)):  # of most columns a few cells say what they are not
                likely.feed(_loaded(part))
            types, self._beginning = likely, (likely, first.lines[-1].as_py() if len(first.lines) else 0)
        self._take(types.found())
        self.columns = []
        first_made = self._made(first)
        self.columns = first_made.table.column_names
        self.made = {name: first_made.table.column(name).type for name in first_made.made}
        self.types = self.made | {name: values.type for name, values in first_made.values.items()}

    def _types(self, kind: type[T]) -> T:
        format = self._format
        return kind(FRAMES, self._options, self._inner.types, typed=format.typed, restores=format.for_spreadsheets)

    def _take(self, columns: list[ColumnToCreate]) -> None:
        self.input_types = columns
        self._found_columns = {column.name for column in columns} - set(self._options.types)
        table, own = input_table(columns), {column.name: column.name for column in columns}
        format = self._format
        self._converter = Converter(
            table, own, [], format.for_spreadsheets, self._options, typed=format.typed, has_json=format.has_json
        )

    def _has_types(self, columns: list[ColumnToCreate]) -> bool:
        return [(one.name, one.type, one.arguments) for one in columns] == [
            (one.name, one.type, one.arguments) for one in self.input_types
        ]

    def _made(self, batch: Batch) -> Batch:
        checked = self._converter.check(batch)
        if not self._is_settled and self._has_another_type(checked):
            raise NotAsItBegan
        return made_of(checked, self._make, self.columns)

    def _has_another_type(self, checked: Checked) -> bool:
        """Whether a cell is not of the type that was found for its column; it is of one that holds all, then."""
        unread = {(cell.column, int(checked.lines[cell.index])) for cell in checked.batch.bad_cells}
        return any(
            reject.column in self._found_columns and (reject.column, reject.line) not in unread
            for reject in checked.rejects
        )


def made_of(checked: Checked, make: Make, columns_before: Sequence[str] = ()) -> Batch:
    """What is made of the good rows of a batch; the others are refused."""
    batch, good = checked.batch, checked.good
    typed = checked.rows if good.all() else checked.rows.filter(pa.array(good))
    frame = frame_of(typed, checked.lines[good])
    rows = FrameRows(batch.table, checked.lines, frame)
    rows.refused += checked.rejects[len(batch.bad_rows) :]
    return made_batch(batch, typed, rows, make(frame, rows), columns_before)


def _part(batch: Batch, first: int, size: int | None = None) -> Batch:
    """Some rows of a batch."""
    texts = {name: marks.slice(first, size) for name, marks in batch.texts.items()}
    return replace(batch, table=batch.table.slice(first, size), lines=batch.lines.slice(first, size), texts=texts)


def _loaded(batch: Batch) -> Batch:
    """A batch without what a rejects file has beside the input's columns."""
    kept = [name for name in batch.table.column_names if name not in LEFT_OUT]
    return batch if len(kept) == batch.table.num_columns else replace(batch, table=batch.table.select(kept))
