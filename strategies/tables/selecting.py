"""What an export reads: a SELECT with the names and types of its columns."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    ARRAY,
    JSON,
    Boolean,
    Connection,
    Date,
    DateTime,
    Engine,
    Float,
    Integer,
    LargeBinary,
    Numeric,
    Time,
)
from sqlalchemy.types import TypeEngine

from batch_jobs.strategies.sdk.data_access import DataAccess
from batch_jobs.strategies.sdk.database import Database, database_of, driver_of
from batch_jobs.strategies.sdk.errors import ContextRefused, JobRefused
from batch_jobs.strategies.tables.databases.naming import require_table, shown

if TYPE_CHECKING:  # which only work on rows loads
    import pyarrow as pa

#: Values that a driver puts into a statement, by their names there; none where it is to be taken as it is.
Parameters = Mapping[str, Any] | None

#: A place for a value, or what is to be skipped in search of one: texts, quoted names, comments, casts.
_MARK = re.compile(
    r"""(?<!\w)[eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*" | --[^\n]* | /\*.*?\*/
    | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ | :: | (?<!\w):(?P<name>[A-Za-z_]\w*)""",
    re.DOTALL | re.VERBOSE,
)

_NEVER_FORMULAS = (Numeric, Float, Integer, Boolean, Date, DateTime, Time, LargeBinary)


@dataclass(frozen=True)
class SelectedColumn:
    """A column of the result; ``values`` is Arrow's type of its cells where they come as values and not as text."""

    name: str
    type: TypeEngine[Any]
    values: "pa.DataType | None" = None

    @cached_property
    def is_text(self) -> bool:
        """Whether a cell may hold any text, and so one that a spreadsheet takes for a formula."""
        return not isinstance(self.type, _NEVER_FORMULAS)

    @cached_property
    def is_number(self) -> bool:
        """Whether its cells are numbers."""
        return isinstance(self.type, (Numeric, Float, Integer))

    @cached_property
    def is_boolean(self) -> bool:
        """Whether its cells are true or false."""
        return isinstance(self.type, Boolean)

    @cached_property
    def is_binary(self) -> bool:
        """Whether its cells are bytes."""
        return isinstance(self.type, LargeBinary)

    @cached_property
    def is_moment(self) -> bool:
        """Whether its cells are days, with a time or without."""
        return isinstance(self.type, (Date, DateTime))

    @cached_property
    def is_time(self) -> bool:
        """Whether its cells are times of a day."""
        return isinstance(self.type, Time)

    @cached_property
    def is_json(self) -> bool:
        """Whether its cells are JSON."""
        return isinstance(self.type, JSON)

    @cached_property
    def is_array(self) -> bool:
        """Whether its cells are arrays."""
        return isinstance(self.type, ARRAY)


@dataclass(frozen=True)
class Selection:
    """Rows to export: ``source`` is what stands after FROM, ``descending`` has those of ``order_by`` that go down.

    ``title`` is what it is called, ``parameters`` are what the driver puts into the statement.
    """

    source: str
    columns: list[SelectedColumn]
    order_by: list[str]
    descending: frozenset[str] = frozenset()
    title: str = "the query"
    parameters: Parameters = None

    def select(self, database: Database, cells: list[str] | None = None) -> str:
        """The SELECT statement; ``cells`` are SQL expressions in place of the bare columns."""
        wanted = cells or [database.quoted(column.name) for column in self.columns]
        ways = dict.fromkeys(self.descending, " DESC")
        order = ", ".join(f"source.{database.quoted(name)}{ways.get(name, '')}" for name in self.order_by)
        return f"SELECT {', '.join(wanted)} FROM {self.source} AS source" + (f" ORDER BY {order}" if order else "")

    def count(self, connection: Connection) -> int:
        """How many rows there are."""
        driver = driver_of(connection)
        count = f"SELECT count(*) FROM {self.source} AS source"
        return int(driver.execute(count, *given(self.parameters)).fetchone()[0])

    def count_json_nulls(self, connection: Connection, database: Database) -> dict[str, int]:
        """How many values are JSON null, which is not the same as no value, by the columns that have some."""
        names = [column.name for column in self.columns if column.is_json]
        if not names:
            return {}
        sums = ", ".join(
            f"sum(CASE WHEN trim(CAST(source.{database.quoted(name)} AS TEXT)) = 'null' THEN 1 ELSE 0 END)"
            for name in names
        )
        select = f"SELECT {sums} FROM {self.source} AS source"
        counts = driver_of(connection).execute(select, *given(self.parameters)).fetchone()
        return {name: int(count) for name, count in zip(names, counts, strict=True) if count}


def select_table(
    engine: Engine, name: str, columns: list[str], order_by: list[str], access: DataAccess | None = None
) -> Selection:
    """A table's rows, by primary key unless ordered otherwise.

    Raises:
        JobRefused: there is no such table or column, or not one that a job with this access may use.
    """
    table = require_table(engine, name, access)
    found = [SelectedColumn(column.name, column.type) for column in table.columns]
    order = order_by or [column.name for column in table.primary_key]
    return _selection(database_of(engine).quoted_table(table), found, columns, order, table.fullname)


def select_query(
    query: str,
    found: list[SelectedColumn],
    columns: list[str],
    order_by: list[str],
    parameters: Parameters = None,
) -> Selection:
    """A query's rows, in its own order unless ordered otherwise.

    Raises:
        JobRefused: the query has no such column, or two of one name.
    """
    names = [column.name for column in found]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise JobRefused(f"the query has more than one column {shown(doubled)}; give each a name of its own with AS")
    selection = _selection(nested(query), found, columns, order_by, "the query")
    return replace(selection, parameters=parameters)


def given(parameters: Parameters) -> list[Mapping[str, Any]]:
    """What a driver gets behind a statement: nothing where there are none, as it would look for marks in the text."""
    return [] if parameters is None else [parameters]


def marks(query: str) -> list[str]:
    """The names that a query has values for, as ``:name`` outside of texts, quoted names and comments."""
    return [name for *_, name in _MARK.findall(query) if name]


def with_marks(query: str, mark: Callable[[str], str]) -> str:
    """A query with other marks for its values."""
    return _MARK.sub(lambda found: mark(found["name"]) if found["name"] else found[0], query)


def nested(query: str) -> str:
    """A query in parentheses; on lines of its own, because it may end with a comment."""
    return f"(\n{query.strip().rstrip(';')}\n)"


def check_query(query: str) -> None:
    """Refuse what does not even begin like a query; the database, set to read only, refuses the rest.

    Raises:
        ContextRefused: it does not begin with SELECT or WITH.
    """
    if _first_word(query).lower() not in ("select", "with"):
        raise ContextRefused("query must be one SELECT (or WITH ... SELECT) statement")


def _first_word(query: str) -> str:
    """Behind blanks, parentheses and comments, which are skipped one after the other: a look takes linear time."""
    place = 0
    while place < len(query):
        if query.startswith("--", place):
            place = _behind("\n", query, place)
        elif query.startswith("/*", place):
            place = _behind("*/", query, place + 2)
        elif query[place].isspace() or query[place] == "(":
            place += 1
        else:
            break
    end = place
    while end < len(query) and (query[end].isalnum() or query[end] == "_"):
        end += 1
    return query[place:end]


def _behind(mark: str, query: str, place: int) -> int:
    found = query.find(mark, place)
    return len(query) if found < 0 else found + len(mark)


def _selection(
    source: str, found: list[SelectedColumn], columns: list[str], order_by: list[str], where: str
) -> Selection:
    if not found:
        raise JobRefused(f"{where} has no columns, and so nothing to write")
    by_name = {column.name: column for column in found}
    order = [name if name in by_name else name.removeprefix("-") for name in order_by]
    absent = [name for name in [*columns, *order] if name not in by_name]
    if absent:
        raise JobRefused(f"{where} has no column {shown(absent)}; it has: {shown(list(by_name))}")
    descending = frozenset(name for name, given in zip(order, order_by, strict=True) if name != given)
    return Selection(source, [by_name[name] for name in columns] or found, order, descending, where)
