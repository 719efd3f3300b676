"""Types of columns by the names that people give them."""

import re
from typing import Any

import sqlalchemy
from sqlalchemy import types
from sqlalchemy.dialects import postgresql, registry

LARGEST_PRECISION = 1000  # of PostgreSQL's NUMERIC
UUID_LENGTH = 36
_DIALECT = registry.load("postgresql")()
_NAME = re.compile(r"\s*([a-z_][a-z0-9_ ]*?)\s*(?:\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\))?\s*(\[\])?\s*", re.IGNORECASE)

#: A UUID is kept as text by a database that has no such type.
UUID: types.TypeEngine[Any] = types.Uuid().with_variant(types.CHAR(UUID_LENGTH), "sqlite")
JSON = types.JSON()
JSONB: types.TypeEngine[Any] = types.JSON().with_variant(postgresql.JSONB(), "postgresql")

#: Names of SQL and of everyday life -> type; whatever else SQLAlchemy knows is found by its own name.
NAMED: dict[str, types.TypeEngine[Any]] = {
    **dict.fromkeys(("text", "string"), types.Text()),
    **dict.fromkeys(("integer", "int", "int4"), types.Integer()),
    **dict.fromkeys(("smallint", "int2", "smallinteger"), types.SmallInteger()),
    **dict.fromkeys(("bigint", "int8", "biginteger"), types.BigInteger()),
    **dict.fromkeys(("numeric", "decimal"), types.Numeric()),
    **dict.fromkeys(("double", "double precision", "float8", "float"), types.Double()),
    **dict.fromkeys(("real", "float4"), types.REAL()),
    **dict.fromkeys(("boolean", "bool"), types.Boolean()),
    "date": types.Date(),
    **dict.fromkeys(("time", "time without time zone"), types.Time()),
    **dict.fromkeys(("timestamp", "datetime", "timestamp without time zone"), types.DateTime()),
    **dict.fromkeys(("timestamptz", "timestamp with time zone"), types.DateTime(timezone=True)),
    "uuid": UUID,
    "json": JSON,
    "jsonb": JSONB,
    **dict.fromkeys(("bytea", "blob", "binary"), types.LargeBinary()),
}
_WITH_LENGTH: dict[str, type[types.String]] = {
    **dict.fromkeys(("varchar", "character varying", "string"), types.String),
    **dict.fromkeys(("char", "character"), types.CHAR),
}


def type_named(text: str) -> types.TypeEngine[Any]:
    """The type of this name, such as ``numeric(10,2)``, ``timestamptz`` or ``integer[]``.

    Raises:
        ValueError: there is none, or it has no such arguments.
    """
    found = _NAME.fullmatch(text)
    plain = _plain(found[1].lower(), [int(number) for number in found.groups()[1:3] if number]) if found else None
    if found is None or plain is None:
        raise ValueError(
            f"{text!r} is not a type; there are text, integer, bigint, numeric(10,2), double, boolean, date, time, "
            "timestamp, timestamptz, uuid, json and what SQLAlchemy has"
        )
    return types.ARRAY(plain) if found[4] else plain


def _plain(name: str, arguments: list[int]) -> types.TypeEngine[Any] | None:
    if name in _WITH_LENGTH and len(arguments) <= 1:
        return _WITH_LENGTH[name](arguments[0] if arguments else None)
    if name in ("numeric", "decimal") and arguments:
        precision, scale = (*arguments, 0)[:2]
        fits = 1 <= precision <= LARGEST_PRECISION and scale <= precision
        return types.Numeric(precision, scale) if fits else None
    if arguments:
        return None
    return NAMED.get(name) or _of_sqlalchemy(name)


def _of_sqlalchemy(name: str) -> types.TypeEngine[Any] | None:
    kind = postgresql.base.ischema_names.get(name) or next(
        (getattr(sqlalchemy, known) for known in dir(sqlalchemy) if known.lower() == name), None
    )
    if not (isinstance(kind, type) and issubclass(kind, types.TypeEngine)):
        return None
    try:
        made: types.TypeEngine[Any] = kind()
        made.compile(dialect=_DIALECT)
    except Exception:  # a type that needs arguments, or is abstract
        return None
    return made
