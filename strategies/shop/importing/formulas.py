"""Files that no spreadsheet opens, read as one that a spreadsheet does: with their formulas marked."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa

from batch_jobs.strategies.tables.formats.reading import Batch, Reader
from batch_jobs.strategies.tables.values.formulas import neutralise, neutralise_cell


class WithMarkedFormulas(Reader):
    """A file whose cells are marked as an export to CSV marks them, since a rejects file is CSV.

    Args:
        reader: the file.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.columns = reader.columns
        self.described = reader.described
        self.types = reader.types

    @property
    def found(self) -> dict[str, Any] | None:
        """What was found out about the file."""
        return self._reader.found

    def batches(self, start: dict[str, int] | None = None) -> Iterator[Batch]:
        """The batches."""
        for batch in self._reader.batches(start):
            columns = {name: neutralise(batch.table.column(name)) for name in batch.table.column_names}
            bad = [
                replace(row, row={name: cell and neutralise_cell(cell) for name, cell in row.row.items()})
                for row in batch.bad_rows
            ]
            yield replace(batch, table=pa.table(columns), bad_rows=bad)
