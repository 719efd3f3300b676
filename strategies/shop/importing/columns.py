"""What the columns of a file are to an import: renamed, left out, given to several targets, translated, filled in.

What is made of a file's columns stands beside them, so that a rejects file has the cells as they were read.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field

from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.sdk.rejected_rows import ARROW
from batch_jobs.strategies.shop.state import whole
from batch_jobs.strategies.tables.databases.naming import shown
from batch_jobs.strategies.tables.formats.reading import Batch, Reader
from batch_jobs.strategies.tables.importing.mapping import LEFT_OUT

#: Makes a column's cells of a batch's rows.
Make = Callable[[pa.Table], pa.Array]


class ColumnRule(BaseModel):
    """What becomes of one column of a file."""

    model_config = ConfigDict(extra="forbid")

    to: str = Field(title="To", description="The name that the column should have", min_length=1)
    values: dict[str, str | None] = Field(
        default_factory=dict,
        title="Values",
        description="Cell -> what it means, null for nothing; others are left as they are",
    )
    default: str | None = Field(default=None, title="Default", description="What an empty cell means")
    fill_down: bool | str = Field(
        default=False,
        title="Fill down",
        description="Whether an empty cell means the one above it; a name of a column: only while that stays the same",
    )

    @property
    def changes_cells(self) -> bool:
        """Whether it does more than to rename."""
        return bool(self.values or self.fill_down) or self.default is not None


Target = str | ColumnRule
#: A file's columns -> their names, rules, or several of these; null for those that are left out.
Columns = dict[str, str | ColumnRule | list[Target] | None]


@dataclass(frozen=True)
class MadeColumn:
    """A column that is made of others of the file.

    Args:
        target: its name to the import.
        source: the file's column that it is reported with.
        begin: begins a pass over the file; what it returns is called with one batch after another.
    """

    target: str
    source: str
    begin: Callable[[], Make]

    @property
    def name(self) -> str:
        """Its name among the rows, which errors have too."""
        return f"{self.source}{ARROW}{self.target}"


@dataclass(frozen=True)
class ColumnMapping:
    """What the columns of one file are to an import: ``columns`` goes from the import's names to those of the rows."""

    columns: dict[str, str]
    made: list[MadeColumn]

    def reader(self, reader: Reader) -> Reader:
        """The file with the columns that are made."""
        return _WithMadeColumns(reader, self.made) if self.made else reader


def map_file(
    file_columns: list[str], given: Mapping[str, Any], further: list[MadeColumn] | None = None
) -> ColumnMapping:
    """Find what each column of a file is to an import.

    Args:
        file_columns: the file's header.
        given: what is asked for, as ``Columns``; a column that is not in it keeps its name.
        further: made columns that code adds, such as that of a layout; they come before the file's own names.

    Raises:
        JobRefused: a column is named that the file does not have, or two go into one.
    """
    made = list(further or [])
    taken = {column.target for column in made}
    targets = [(name, name) for name in file_columns if name not in (*LEFT_OUT, *given, *taken)]
    named = list(given)
    for source, rules in given.items():
        for rule in _rules(rules):
            targets.append((rule.to, f"{source}{ARROW}{rule.to}" if rule.changes_cells else source))
            if rule.changes_cells:
                made.append(MadeColumn(rule.to, source, _Cells(source, rule).begin))
            named += [rule.fill_down] if isinstance(rule.fill_down, str) else []
    targets += [(column.target, column.name) for column in further or []]
    absent = [name for name in dict.fromkeys(named) if name not in file_columns]
    if absent:
        raise JobRefused(f"columns names {shown(absent)}, which the file does not have; it has: {shown(file_columns)}")
    doubled = [name for name, uses in Counter(name for name, _ in targets).items() if uses > 1]
    if doubled:
        raise JobRefused(
            f'two columns of the file go into {shown(doubled)}; leave one out with columns {{"name": null}}'
        )
    if not targets:
        raise JobRefused(f"no column is left to load; the file has: {shown(file_columns)}")
    return ColumnMapping(dict(targets), made)


def is_made(name: str, names: list[str]) -> bool:
    """Whether a column of rows with these names was made, not read."""
    return ARROW in name and name.split(ARROW, 1)[0] in names


def _rules(given: Any) -> Iterator[ColumnRule]:
    if given is None or given == "":
        return
    for rule in given if isinstance(given, list) else [given]:
        yield ColumnRule(to=rule) if isinstance(rule, str) else ColumnRule.model_validate(rule)


@dataclass(frozen=True)
class _Cells:
    """The cells that a rule makes of a column."""

    source: str
    rule: ColumnRule

    def begin(self) -> Make:
        above: list[tuple[str | None, str | None]] = [(None, None)]  # the last cell with a value, and where it holds

        def make(rows: pa.Table) -> pa.Array:
            cells = _emptied(whole(rows.column(self.source)))
            if self.rule.fill_down:
                cells, above[0] = self._filled_down(rows, cells, above[0])
            return self._translated(cells)

        return make

    def _filled_down(
        self, rows: pa.Table, cells: pa.Array, above: tuple[str | None, str | None]
    ) -> tuple[pa.Array, tuple[str | None, str | None]]:
        within = self.rule.fill_down
        scopes = rows.column(within).to_pylist() if isinstance(within, str) else [None] * len(cells)
        filled = []
        for cell, scope in zip(cells.to_pylist(), scopes, strict=True):
            above = (cell, scope) if cell is not None or scope != above[1] else above
            filled.append(above[0])
        return pa.array(filled, pa.string()), above

    def _translated(self, cells: pa.Array) -> pa.Array:
        if self.rule.values:
            meant = pa.array(list(self.rule.values.values()), pa.string())
            at = pc.index_in(cells, value_set=pa.array(list(self.rule.values), pa.string()))
            cells = _emptied(pc.if_else(pc.is_valid(at), meant.take(at), cells))
        return cells if self.rule.default is None else pc.fill_null(cells, self.rule.default)


class _WithMadeColumns(Reader):
    def __init__(self, reader: Reader, made: list[MadeColumn]) -> None:
        self._reader = reader
        self._made = made
        self.columns = [*reader.columns, *(column.name for column in made)]
        self.described = reader.described
        self.types = reader.types

    @property
    def found(self) -> dict[str, Any] | None:
        return self._reader.found

    def settle(self) -> None:
        self._reader.settle()

    def batches(self, start: dict[str, int] | None = None) -> Iterator[Batch]:
        making = [(column.name, column.begin()) for column in self._made]
        for batch in self._reader.batches(start):
            table = batch.table
            for name, make in making:
                table = table.append_column(name, make(batch.table))
            yield replace(batch, table=table)


def _emptied(cells: pa.Array) -> pa.Array:
    """Empty texts as nulls."""
    return pc.if_else(pc.equal(cells, ""), pa.scalar(None, pa.string()), cells)
