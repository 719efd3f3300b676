"""What a layout is: it turns the rows of another shop's file into the cells of Medusa's columns, row by row."""

import re
import unicodedata
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any, ClassVar

from batch_jobs.strategies.sdk.errors import InputRefused

#: Cells by Medusa's name of their column; a column that is not there is left alone, one without a value is emptied.
Cells = dict[str, str | None]


@dataclass(frozen=True)
class Row:
    """A row of the file: its line, its cells, what is wrong with it, and the cells it has for Medusa."""

    line: int
    cells: dict[str, str | None]
    error: str | None = None
    made: Cells = field(default_factory=dict)

    def refused(self, error: str) -> "Row":
        """The row as one that cannot go in."""
        return replace(self, error=error)


#: Reads the file's rows from its start, once for each call.
Rows = Callable[[], Iterator[Row]]


class Layout(ABC):
    """One shop's product file.

    Args:
        file: its name, for errors.
        columns: its header.
        currency: what its prices are in.
    """

    name: ClassVar[str]
    #: Columns by which such a file is known, in any case.
    needed: ClassVar[tuple[str, ...]]
    #: Those that no other shop's file has together, in several ways.
    marks: ClassVar[tuple[tuple[str, ...], ...]]
    #: Medusa's columns without their number, and what the file may call what they are made of.
    read: ClassVar[dict[str, tuple[str, ...]]]

    def __init__(self, file: str, columns: list[str], currency: str) -> None:
        self.price = f"Price {currency.upper()}"
        self._names = {column.strip().lower(): column for column in columns}
        self._columns: dict[tuple[str, ...], str | None] = {}
        missing = [name for name in self.needed if not self.column(name)]
        if missing:
            raise InputRefused(
                file, f"a file of {self.name} has a column {missing[0]}; set layout to medusa if it is one of Medusa's"
            )

    @classmethod
    def knows(cls, columns: Iterable[str]) -> bool:
        """Whether a file with this header is in the layout."""
        names = {column.strip().lower() for column in columns}
        return any(names.issuperset(mark.lower() for mark in marks) for marks in cls.marks)

    def column(self, *names: str) -> str | None:
        """The file's column of one of these names, in any case."""
        if names not in self._columns:  # asked for each cell
            self._columns[names] = next(
                (self._names[name.lower()] for name in names if name.lower() in self._names), None
            )
        return self._columns[names]

    def cell(self, row: Row, *names: str) -> str:
        """A cell without blanks around it; empty where there is none."""
        column = self.column(*names)
        return "" if column is None else (row.cells.get(column) or "").strip()

    def prepare(self, rows: Rows) -> None:  # noqa: B027  # most layouts find all of a product in one place
        """Look through the file for what rows need of others far away."""

    @abstractmethod
    def convert(self, rows: Iterator[Row], notes: Counter[str]) -> Iterator[Row]:
        """The rows that are variants, with their cells for Medusa; ``notes`` counts what does not come along."""

    def source_of(self, target: str) -> str:
        """The file's column that one of Medusa's is reported with, such as in rejects."""
        plain = " ".join(word for word in target.split() if not word.isdigit())
        names = [name.format(*(word for word in target.split() if word.isdigit())) for name in self.sources(plain)]
        return self.column(*names) or self._names[self.needed[0].lower()]

    def sources(self, target: str) -> tuple[str, ...]:
        """What the file may call the column of one of Medusa's, whose number is left out and may stand for ``{}``."""
        return self.read.get("Price" if target == self.price else target, ())

    def heeded(self) -> set[str]:
        """The file's columns that are not left out."""
        numbers = range(1, len(self._names) + 1)
        names = {name.format(number) for found in self.read.values() for name in found for number in numbers}
        return {self._names[name.lower()] for name in names if name.lower() in self._names}


def whole(text: str, factor: str, notes: Counter[str], note: str) -> str | None:
    """A measure times a factor, rounded to a whole number, which is all that Medusa keeps; noted where it was not."""
    if not text:
        return None
    try:
        exact = Decimal(with_point(text)) * Decimal(factor)
        rounded = exact.quantize(Decimal(1), ROUND_HALF_UP)
    except InvalidOperation:
        return text  # the import refuses it, with its line
    notes[note] += exact != rounded
    return str(rounded)


def with_point(number: str) -> str:
    """A number with a point before its decimals, where only one reading is possible."""
    last = max(number.rfind(","), number.rfind("."))
    if "," not in number:
        return number
    groups, fraction = number[:last], number[last + 1 :]
    other = "." if number[last] == "," else ","
    if number[last] in groups:
        return number  # such as 1,234,567: two readings
    parts = groups.split(other)
    if len(parts) > 1 and any(len(part) != 3 for part in parts[1:]):
        return number
    return f"{''.join(parts)}.{fraction}"


def slug(name: str) -> str:
    """A handle as a shop makes it of a name: lower case, without accents, words joined by hyphens."""
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", name) if not unicodedata.combining(letter))
    return re.sub(r"[\W_]+", "-", plain.lower()).strip("-")


def categories(paths: list[str]) -> Cells:
    """The handles of categories, each given as a path such as ``Clothing > Hats``, whose last one is meant."""
    handles = [slug(path.rpartition(">")[2]) for path in paths]
    return numbered("Product Category {} Handle", list(dict.fromkeys(filter(None, handles))))


def words(text: str) -> list[str]:
    """What stands between commas, without blanks around it."""
    return [word for word in map(str.strip, text.split(",")) if word]


def numbered(target: str, values: list[str]) -> dict[str, Any]:
    """Values side by side; ``target`` has ``{}`` for the number."""
    return {target.format(number): value for number, value in enumerate(values, 1)}
