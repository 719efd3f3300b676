"""An input's batches as a strategy in pandas makes them of the input's rows."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa

from batch_jobs.strategies.tables.formats.format import Format
from batch_jobs.strategies.tables.formats.reading import Batch, NotAsItBegan, Reader
from batch_jobs.strategies.tables.frames.input_types import FRAMES, InputTypes, input_table
from batch_jobs.strategies.tables.frames.making import made_batch
from batch_jobs.strategies.tables.frames.rows import FrameRows, Make, frame_of
from batch_jobs.strategies.tables.importing.mapping import LEFT_OUT
from batch_jobs.strategies.tables.importing.plan import ColumnToCreate
from batch_jobs.strategies.tables.prefetch import prefetched
from batch_jobs.strategies.tables.values.converting import Converter
from batch_jobs.strategies.tables.values.options import ValueOptions


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
        types = self._types()
        with prefetched(self._inner.batches()) as batches:
            for batch in batches:
                types.feed(_loaded(batch))
        self._is_settled = True
        self._open(types)

    def batches(self, start: dict[str, int] | None = None) -> Iterator[Batch]:
        """The batches from a batch's ``start`` on, or all of them."""
        looks = not self._is_settled and start is None
        with prefetched(self._looked_at() if looks else self._inner.batches(start)) as batches:
            for batch in batches:
                yield self._made(batch)
        self._is_settled = self._is_settled or looks

    def _looked_at(self) -> Iterator[Batch]:
        """The batches of the input while the types are those of its beginning."""
        types = self._types()
        for batch in self._inner.batches():
            types.feed(_loaded(batch))
            found = types.found()
            if not self._has_types(found):
                raise NotAsItBegan
            self.input_types = found
            yield batch

    def _open(self, types: InputTypes | None = None) -> None:
        """Begin with the types given, or else with those of the first batch; its columns are those of all."""
        first = next(iter(self._inner.batches()), None)
        if first is None:
            none = {name: pa.array([], pa.string()) for name in self._inner.columns}
            first = Batch(pa.table(none), pa.array([], pa.int64()), [], {})
        if types is None:
            types = self._types()
            types.feed(_loaded(first))
        self._take(types.found())
        self.columns = []
        first_made = self._made(first)
        self.columns = first_made.table.column_names
        self.made = {name: first_made.table.column(name).type for name in first_made.made}
        self.types = self.made | {name: values.type for name, values in first_made.values.items()}

    def _types(self) -> InputTypes:
        return InputTypes(FRAMES, self._options, self._inner.types, typed=self._format.typed)

    def _take(self, columns: list[ColumnToCreate]) -> None:
        self.input_types = columns
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
        good = checked.good
        typed = checked.rows if good.all() else checked.rows.filter(pa.array(good))
        frame = frame_of(typed, checked.lines[good])
        rows = FrameRows(batch.table, checked.lines, frame)
        rows.refused += checked.rejects[len(batch.bad_rows) :]
        return made_batch(batch, typed, rows, self._make(frame, rows), self.columns)


def _loaded(batch: Batch) -> Batch:
    """A batch without what a rejects file has beside the input's columns."""
    kept = [name for name in batch.table.column_names if name not in LEFT_OUT]
    return batch if len(kept) == batch.table.num_columns else replace(batch, table=batch.table.select(kept))
