"""Finding the type of each column over a whole file, so that no cell loses what it says."""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import types

from batch_jobs.strategies.sdk.database import Database
from batch_jobs.strategies.tables.formats.arrow_text import as_text
from batch_jobs.strategies.tables.formats.reading import Batch
from batch_jobs.strategies.tables.importing.families import (
    NUMBER_LIKE,
    Booleans,
    Decision,
    Family,
    Numbers,
    Part,
    Refused,
    Times,
)
from batch_jobs.strategies.tables.importing.filetypes import decided_by_type
from batch_jobs.strategies.tables.values.arrays import trimmed
from batch_jobs.strategies.tables.values.formulas import restore
from batch_jobs.strategies.tables.values.notation import DateNotation, Notation, date_notation, emptied, number_notation
from batch_jobs.strategies.tables.values.options import ValueOptions
from batch_jobs.strategies.tables.values.typenames import type_named

_TEXT_BY_INTENT = rf"{NUMBER_LIKE}|^(?i:true|false)$"


@dataclass
class Column:
    """What is known of a column; of its families the first one left decides."""

    families: list[Family]
    has_values: bool = False
    has_gaps: bool = False
    refused: Refused | None = None
    is_text: Refused | None = None

    @property
    def is_decided(self) -> bool:
        """Whether it is text, whatever follows."""
        return self.is_text is not None or (self.has_values and not self.families)

    def feed(self, part: Part) -> None:
        """Take cells into account."""
        gaps = part.texts.null_count
        self.has_gaps = self.has_gaps or gaps > 0
        if gaps == len(part.texts):
            return
        self.has_values = True
        if part.marked is not None and self.is_text is None:
            self._note_text(part, part.marked)
        if self.is_text is not None:
            return
        for family in list(self.families):
            refused = family.feed(part)
            if refused:
                self.families.remove(family)
                self._note_refused(refused)

    def _note_text(self, part: Part, texts: pa.BooleanArray) -> None:
        like = pc.and_(texts, pc.match_substring_regex(part.texts, _TEXT_BY_INTENT))
        cell = part.first_false(pc.invert(like))
        self.is_text = None if cell is None else Refused("is text in the file", cell)

    def _note_refused(self, refused: Refused) -> None:
        # what held out longest explains best why a column is text; of several, the plainest
        if self.refused is None or refused.cell.line > self.refused.cell.line:
            self.refused = refused

    def decide(self) -> Decision:
        """The type that holds all cells."""
        if not self.has_values:
            return Decision(types.Text(), "there is no value in the whole file")
        if self.is_text is not None:
            return self.is_text.as_text()
        decided = self.families[0].decide() if self.families else self.refused
        assert decided is not None
        return decided.as_text() if isinstance(decided, Refused) else decided


class Inference:
    """Feed it every batch of a file, then ask for the columns.

    Args:
        database: where the table will be.
        options: how cells are understood.
        types: of the columns for which they are known.
        said_by: what says these types, for people.
        columns: file column -> table column where that is another one; an option may name either.
        typed: whether the file has types of its own, so that only its texts may be in a notation of their own.
        restores: whether it may have formulas that an export neutralised; a negative number is one to a spreadsheet.
    """

    def __init__(
        self,
        database: Database,
        options: ValueOptions | None = None,
        types: Mapping[str, pa.DataType] | None = None,
        columns: Mapping[str, str | None] | None = None,
        *,
        said_by: str = "the file itself",
        typed: bool = False,
        restores: bool = False,
    ) -> None:
        self._database, self._restores, self._said_by = database, restores, said_by
        self._options = options or ValueOptions()
        self._types = types or {}
        self._renamed = columns or {}
        self._typed = typed
        # what has marks of its own may have to stand in quotes, and is a number all the same
        self._ignores_quotes = not typed and number_notation(self._options) is not None
        self._known: dict[str, Decision | None] = {}
        self._columns: dict[str, Column] = {}

    def feed(self, batch: Batch) -> None:
        """Take a batch of text columns into account."""
        for name, column in zip(batch.table.column_names, batch.table.columns, strict=True):
            if name not in self._columns:
                self._begin(name)
            if self._known[name] is None:
                self._feed(self._columns[name], name, column, batch)
            elif column.null_count:
                self._columns[name].has_gaps = True

    def columns(self) -> dict[str, Decision]:
        """The decision for each column seen."""
        return {name: self._known[name] or column.decide() for name, column in self._columns.items()}

    def always_filled(self) -> list[str]:
        """The columns that have a value in every row."""
        return [name for name, column in self._columns.items() if not column.has_gaps]

    def _begin(self, name: str) -> None:
        self._known[name] = self._given(name) or decided_by_type(self._types.get(name), self._database, self._said_by)
        # texts of a file with types of its own are no numbers in any notation
        numbers = None if self._typed else number_notation(self._options)
        dates = date_notation(self._options, name, self._renamed.get(name))
        self._columns[name] = Column(self._families(numbers, dates))

    def _families(self, numbers: Notation | None, dates: DateNotation | None) -> list[Family]:
        """The families that a column may be of, those before others that decide first."""
        return [Numbers(self._database, numbers), Booleans(), Times(self._database, self._options.time_zone, dates)]

    def _given(self, name: str) -> Decision | None:
        given = self._options.types
        asked = given.get(name) or given.get(self._renamed.get(name) or "")
        if asked is None:
            return None
        type = type_named(asked)
        loses_zone = isinstance(type, types.DateTime) and type.timezone and not self._database.has_time_zones
        return Decision(type, "types says so" + (f"; {self._database.name} keeps it in UTC" if loses_zone else ""))

    def _feed(self, known: Column, name: str, column: pa.ChunkedArray, batch: Batch) -> None:
        if name in batch.made:
            texts, _ = as_text(column.combine_chunks())
            marks = pa.array([pa.types.is_string(column.type)] * len(texts), pa.bool_())
            known.feed(Part(trimmed(texts), batch.lines, True, marks, files=batch.files))
            return
        start = 0
        words, marks = self._options.null_values, batch.texts.get(name)
        for chunk in column.chunks:
            size = len(chunk)
            lines = batch.lines if size == len(batch.lines) else batch.lines.slice(start, size)
            marked = None if marks is None or self._ignores_quotes else marks.slice(start, size)
            cells = restore(chunk) if self._restores else chunk
            texts = trimmed(emptied(cells, words) if words else cells)
            known.feed(Part(texts, lines, self._typed, marked, files=batch.files))
            start += size
