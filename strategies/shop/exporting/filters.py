"""The filters of an export, ``filterable_fields`` as Medusa names them, turned into SQL conditions."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from batch_jobs.strategies.sdk.errors import ContextRefused

#: Turns a filter's value into a condition.
Condition = Callable[[Any], str]
COMPARISONS = {"lt": "<", "gt": ">", "lte": "<=", "gte": ">="}


def literal(value: Any) -> str:
    """A text or number as SQL writes it.

    Raises:
        ContextRefused: it is neither.
    """
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float):
        return repr(value)
    if not isinstance(value, str) or "\0" in value:
        raise ContextRefused(f"filterable_fields has {json.dumps(value, default=str)} where a text belongs")
    return "'" + value.replace("'", "''") + "'"


def one_of(column: str) -> Condition:
    """The column has the value, or one of several."""

    def condition(value: Any) -> str:
        values = value if isinstance(value, list) else [value]
        return f"{column} IN ({', '.join(map(literal, values))})" if values else "FALSE"

    return condition


def linked(query: str, column: str) -> Condition:
    """The row's id is among those of a query that ends with WHERE, restricted by its column."""
    return lambda value: f"entry.id IN ({query} {one_of(column)(value)})"


def truth(column: str) -> Condition:
    """The column is true, or is not."""

    def condition(value: Any) -> str:
        if value not in (True, False, "true", "false"):
            raise ContextRefused(f"filterable_fields needs true or false for {column.rpartition('.')[2]}")
        return column if value in (True, "true") else f"NOT {column}"

    return condition


def moment(column: str) -> Condition:
    """The column's time is in a range of ``lt``, ``gt``, ``lte`` and ``gte``."""

    def condition(value: Any) -> str:
        unknown = set(value) - set(COMPARISONS) if isinstance(value, Mapping) else {"it"}
        if unknown:
            raise ContextRefused(
                f"filterable_fields needs {', '.join(COMPARISONS)} for {column.rpartition('.')[2]}, each with a time"
            )
        return " AND ".join(f"{column} {COMPARISONS[name]} {_moment(time)}" for name, time in value.items()) or "TRUE"

    return condition


def search(*columns: str) -> Condition:
    """Any of the columns contains the words, in any case."""

    def condition(value: Any) -> str:
        words = str(value).lower()
        for mark in ("\\", "%", "_"):
            words = words.replace(mark, f"\\{mark}")
        pattern = literal(f"%{words}%")
        return "(" + " OR ".join(f"lower({column}) LIKE {pattern} ESCAPE '\\'" for column in columns) + ")"

    return condition


def conditions(filters: Mapping[str, Any], known: Mapping[str, Condition]) -> list[str]:
    """The conditions of some filters; one without a value is none.

    Raises:
        ContextRefused: there is no such filter, or its value is of another kind.
    """
    unknown = [name for name in filters if name not in known]
    if unknown:
        raise ContextRefused(f"filterable_fields has no {', '.join(unknown)}; there are: {', '.join(known)}")
    return [known[name](value) for name, value in filters.items() if value is not None]


def _moment(time: Any) -> str:
    try:
        found = datetime.fromtimestamp(time, UTC) if isinstance(time, int | float) else datetime.fromisoformat(time)
    except (TypeError, ValueError, OverflowError):
        raise ContextRefused(f"filterable_fields has {time!r} where a time belongs, such as 2026-01-31") from None
    aware = found if found.tzinfo else found.replace(tzinfo=UTC)
    # both databases compare this with their own times: PostgreSQL as UTC, SQLite as the text it stores
    return literal(aware.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f").removesuffix(".000000"))
