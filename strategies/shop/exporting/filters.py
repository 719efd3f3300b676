"""The filters of an export, ``filterable_fields`` as Medusa names them, turned into SQL conditions."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column

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
    if not isinstance(value, str) or "\0" in value or not _is_unicode(value):
        raise ContextRefused(f"filterable_fields has {_shown(value)} where a text belongs")
    return "'" + value.replace("'", "''") + "'"


def one_of(column: str) -> Condition:
    """The column has the text, or one of several; a number is the text of its digits."""
    return _among(column, lambda value: literal(str(value) if _is_number(value) else _text(value)))


def choice(column: Column[Any]) -> Condition:
    """The column has the word, or one of several, of those that its type allows."""
    kind: Any = column.type

    def word(value: Any) -> str:
        if _text(value) not in kind.enums:
            words = ", ".join(kind.enums)
            raise ContextRefused(f"filterable_fields has no {column.name} {_shown(value)}; there are: {words}")
        return literal(value)

    return _among(f"CAST(entry.{column.name} AS text)", word)


def whole_number(name: str) -> Condition:
    """The column has the whole number, or one of several; a text of digits is one, too."""
    return _number(name, "a whole number", re.compile(r"-?\d{1,18}"))


def number(name: str) -> Condition:
    """The column has the number, or one of several; a text of one is one, too."""
    return _number(name, "a number", re.compile(r"-?\d{1,18}(\.\d{1,18})?"))


def _number(name: str, kind: str, pattern: re.Pattern[str]) -> Condition:
    def digits(value: Any) -> str:
        text = str(value).strip() if _is_number(value) or isinstance(value, str) else ""
        if not pattern.fullmatch(text) or not text.isascii():
            raise ContextRefused(f"filterable_fields needs {kind} for {name}, not {_shown(value)}")
        return text

    return _among(f"entry.{name}", digits)


def _among(column: str, as_sql: Callable[[Any], str]) -> Condition:
    def condition(value: Any) -> str:
        values = value if isinstance(value, list) else [value]
        return f"{column} IN ({', '.join(map(as_sql, values))})" if values else "FALSE"

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


def search(lower: str, *columns: str) -> Condition:
    """Any of the columns contains the words, in any case.

    Args:
        lower: the database's function for lower case.
        columns: where the words may be.
    """

    def condition(value: Any) -> str:
        words = str(value) if _is_number(value) else _text(value)
        for mark in ("\\", "%", "_"):
            words = words.replace(mark, f"\\{mark}")
        pattern = f"{lower}({literal(f'%{words}%')}) ESCAPE '\\'"
        return "(" + " OR ".join(f"{lower}({column}) LIKE {pattern}" for column in columns) + ")"

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


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ContextRefused(f"filterable_fields has {_shown(value)} where a text belongs")
    return value


def _is_unicode(value: str) -> bool:
    """Whether it has no half of a surrogate pair, which JSON allows and no database takes."""
    return not any("\ud800" <= letter <= "\udfff" for letter in value)


def _shown(value: Any) -> str:
    return json.dumps(value, default=str)


def _moment(time: Any) -> str:
    try:
        found = datetime.fromtimestamp(time, UTC) if _is_number(time) else datetime.fromisoformat(time)
        moment = (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise ContextRefused(f"filterable_fields has {time!r} where a time belongs, such as 2026-01-31") from None
    # both databases compare this with their own times: PostgreSQL as UTC, SQLite as the text it stores
    return literal(moment.replace(tzinfo=None).isoformat(" "))
