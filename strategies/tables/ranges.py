"""Ranges of the rows of a selection, one behind the other in its order, by which an export is cut."""

from dataclasses import dataclass, replace

from batch_jobs.strategies.sdk.database import Database
from batch_jobs.strategies.tables.selecting import Selection

#: A place in the order: the text of each column that it goes by.
Place = list[str | None]


class NotCut(Exception):
    """Why an export is not cut, in a few words."""


@dataclass(frozen=True)
class RowRange:
    """The rows behind one place in the order of a selection, up to and with another.

    Args:
        after: the first place, ``None`` where the range begins with the first row.
        upto: the last place, ``None`` where it ends with the last row.
        is_plain: whether all columns that the order goes by go one way, and none of them is ever empty.
    """

    after: Place | None
    upto: Place | None
    is_plain: bool = False

    def within(self, selection: Selection, database: Database) -> Selection:
        """The selection of these rows alone; one without an order is cut by where its rows were written."""
        order = _Order(selection, database)
        bounds = [
            *([] if self.after is None else [order.behind(self.after, self.is_plain)]),
            *([] if self.upto is None else [order.up_to(self.upto, self.is_plain)]),
        ]
        return replace(selection, source=f"(SELECT * FROM {selection.source} AS source WHERE {' AND '.join(bounds)})")


class _Order:
    """Conditions on the place of a row; each is true or not, never neither, where it keeps a row."""

    def __init__(self, selection: Selection, database: Database) -> None:
        self._database = database
        self._columns = [f"source.{database.quoted(name)}" for name in selection.order_by]
        self._down = [name in selection.descending for name in selection.order_by]

    def behind(self, place: Place, is_plain: bool) -> str:
        """Whether a row comes behind a place."""
        if not self._columns:
            return f"source.{self._database.written_order} >= '({place[0]},0)'"
        if is_plain:
            return self._compared("<" if self._down[0] else ">", place)
        return self._by_first_that_differs(place, True)

    def up_to(self, place: Place, is_plain: bool) -> str:
        """Whether a row comes before a place, or is at it."""
        if not self._columns:
            return f"source.{self._database.written_order} < '({place[0]},0)'"
        if is_plain:
            return self._compared(">=" if self._down[0] else "<=", place)
        same = " AND ".join(self._is(number, value) for number, value in enumerate(place))
        return f"({self._by_first_that_differs(place, False)} OR ({same}))"

    def _compared(self, sign: str, place: Place) -> str:
        values = ", ".join(map(self._database.literal, place))
        return f"({', '.join(self._columns)}) {sign} ({values})"

    def _by_first_that_differs(self, place: Place, behind: bool) -> str:
        ways = []
        for number, value in enumerate(place):
            same = [self._is(earlier, place[earlier]) for earlier in range(number)]
            ways.append(f"({' AND '.join([*same, self._differs(number, value, behind)])})")
        return f"({' OR '.join(ways)})"

    def _is(self, number: int, value: str | None) -> str:
        column = self._columns[number]
        return f"{column} IS NULL" if value is None else f"{column} = {self._database.literal(value)}"

    def _differs(self, number: int, value: str | None, behind: bool) -> str:
        """Whether a cell comes behind a value or before it: nothing is greater than all values."""
        column, greater = self._columns[number], behind != self._down[number]
        if value is None:
            return "FALSE" if greater else f"{column} IS NOT NULL"
        literal = self._database.literal(value)
        return f"({column} > {literal} OR {column} IS NULL)" if greater else f"{column} < {literal}"
