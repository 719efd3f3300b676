"""Corrected cells as people give them, beside the rows that a job has refused: which cells are other than they were."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from batch_jobs.flows.errors import CorrectionRefused
from batch_jobs.strategies.sdk.corrections import Cells, CorrectedRow, number_of
from batch_jobs.strategies.sdk.rejected_rows import RefusedRow, RefusedRows
from batch_jobs.strategies.sdk.rejects import FILE_COLUMN, LINE_COLUMN, OWN_COLUMNS

if TYPE_CHECKING:
    from batch_jobs.strategies.tables.formats.reading import Source

#: Up to so many times fewer corrected rows than refused ones, each is looked up; otherwise all are gone through.
LOOKED_UP = 50
SHOWN = 10


@dataclass(frozen=True)
class Corrected:
    """Cells of a refused row as they should be; those that are as they were are no corrections.

    ``file`` names the input's file where there are several, by its key or the name at the key's end.
    """

    line: int
    cells: Mapping[str, str | None]
    file: str | None = None


def rows_of_file(source: "Source", name: str) -> Iterator[Corrected]:
    """The rows of a rejects file whose cells were corrected, in whatever format it was saved.

    Args:
        source: opens it.
        name: its name, which tells the format.

    Raises:
        CorrectionRefused: it does not say which lines they are.
        InputRefused: it cannot be read.
    """
    from batch_jobs.strategies.tables.formats.format import format_of, open_reader  # which load pyarrow
    from batch_jobs.strategies.tables.formats.packing import bare_name
    from batch_jobs.strategies.tables.values.formulas import restore_cell

    reader = open_reader(source, name)
    if LINE_COLUMN not in reader.columns:
        raise CorrectionRefused(f"{name} has no column {LINE_COLUMN}; give the rejects file with its cells corrected")
    is_restored = format_of(bare_name(name)).for_spreadsheets
    for batch in reader.batches():
        if batch.bad_rows:
            bad = batch.bad_rows[0]
            raise CorrectionRefused(f"line {bad.line} of {name}: {bad.message}")
        for line, row in zip(batch.lines.to_pylist(), batch.table.to_pylist(), strict=True):
            if row[LINE_COLUMN] is None:
                continue  # of a row that is in no file, such as one that could not be removed
            if not row[LINE_COLUMN].strip().isdecimal():
                raise CorrectionRefused(f"line {line} of {name}: {LINE_COLUMN} is no line, {row[LINE_COLUMN]!r:.40}")
            cells = {column: cell for column, cell in row.items() if column not in OWN_COLUMNS}
            if is_restored:
                cells = {column: None if cell is None else restore_cell(cell) for column, cell in cells.items()}
            yield Corrected(int(row[LINE_COLUMN]), cells, row.get(FILE_COLUMN) or None)


class GivenCorrections:
    """What was given, held on disk by line, so that memory stays flat.

    Args:
        job_id: whose rows they are.
        rows: what was given.
        files: the keys of the job's input files.
    """

    def __init__(self, job_id: str, rows: Iterable[Corrected], files: list[str]) -> None:
        self._job_id, self._files = job_id, files
        self._held = sqlite3.connect("", check_same_thread=False)
        self._held.execute("CREATE TABLE given (number INTEGER PRIMARY KEY, cells TEXT)")
        self._held.executemany("INSERT OR REPLACE INTO given VALUES (?, ?)", map(self._placed, rows))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def __len__(self) -> int:
        return int(self._held.execute("SELECT count(*) FROM given").fetchone()[0])

    def __contains__(self, number: int) -> bool:
        return self._held.execute("SELECT 1 FROM given WHERE number = ?", [number]).fetchone() is not None

    def among(self, refused: RefusedRows) -> Iterator[tuple[RefusedRow, Cells]]:
        """Each refused row that is given, and its cells that are other than they were.

        Raises:
            CorrectionRefused: a row is none of the refused ones, or has a cell in a column that there is not.
        """
        known = set(refused.names)
        found = self._looked_up(refused) if len(self) * LOOKED_UP < refused.total else self._gone_through(refused)
        for row, cells in found:
            other = {name: cell for name, cell in cells.items() if (cell or "") != (row.cells.get(name) or "")}
            unknown = [name for name in other if name not in known]
            if unknown:
                there = ", ".join(refused.names[:SHOWN])
                raise CorrectionRefused(f"{self._job_id} has no column {unknown[0]!r:.100}; its rows have {there}")
            yield row, other

    def _placed(self, row: Corrected) -> tuple[int, str]:
        number = number_of(row.line, row.file, self._files)
        if number is None:
            raise CorrectionRefused(
                f"line {row.line} of {row.file or 'which file'}? {self._job_id} has {', '.join(self._files[:SHOWN])}; "
                "name the file with each line"
            )
        return number, json.dumps(dict(row.cells))

    def _looked_up(self, refused: RefusedRows) -> Iterator[tuple[RefusedRow, Cells]]:
        for number, cells in self._held.execute("SELECT number, cells FROM given ORDER BY number"):
            row = refused.find(number)
            if row is None:
                raise self._not_refused(number)
            yield row, json.loads(cells)

    def _gone_through(self, refused: RefusedRows) -> Iterator[tuple[RefusedRow, Cells]]:
        given = iter(self._held.execute("SELECT number, cells FROM given ORDER BY number"))
        following = next(given, None)
        for row in refused.all():
            if following is not None and following[0] < row.number:
                break
            if following is not None and following[0] == row.number:
                yield row, json.loads(following[1])
                following = next(given, None)
        if following is not None:
            raise self._not_refused(following[0])

    def _not_refused(self, number: int) -> CorrectionRefused:
        from batch_jobs.strategies.sdk.lines import named

        place = named(number, tuple(self._files) if len(self._files) > 1 else ())
        return CorrectionRefused(f"{place} is none of the rows that {self._job_id} has refused; correct one of these")


class MergedRows:
    """Rows of corrections put together, in the order of the input."""

    def __init__(self) -> None:
        self._held = sqlite3.connect("", check_same_thread=False)
        self._held.execute("CREATE TABLE row (number INTEGER PRIMARY KEY, cells TEXT)")
        self.cells = self.rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def put(self, number: int, cells: Cells) -> None:
        """Add cells of a row, over those that it has."""
        known = self._held.execute("SELECT cells FROM row WHERE number = ?", [number]).fetchone()
        merged = {**json.loads(known[0]), **cells} if known else dict(cells)
        self._held.execute("INSERT OR REPLACE INTO row VALUES (?, ?)", [number, json.dumps(merged)])

    def __contains__(self, number: int) -> bool:
        return self._held.execute("SELECT 1 FROM row WHERE number = ?", [number]).fetchone() is not None

    def __iter__(self) -> Iterator[CorrectedRow]:
        with closing(self._held.cursor()) as found:
            for number, cells in found.execute("SELECT number, cells FROM row ORDER BY number"):
                yield CorrectedRow(number, json.loads(cells))
