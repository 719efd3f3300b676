"""Types by the names that people give them."""

import pytest
from sqlalchemy.dialects import postgresql, sqlite

from batch_jobs.strategies.tables.values.typenames import type_named


@pytest.mark.parametrize(
    ("name", "of_postgresql", "of_sqlite"),
    [
        ("text", "TEXT", "TEXT"),
        ("INTEGER", "INTEGER", "INTEGER"),
        ("bigint", "BIGINT", "BIGINT"),
        ("numeric(10,2)", "NUMERIC(10, 2)", "NUMERIC(10, 2)"),
        (" numeric ( 10 , 2 ) ", "NUMERIC(10, 2)", "NUMERIC(10, 2)"),
        ("date", "DATE", "DATE"),
        ("timestamp", "TIMESTAMP WITHOUT TIME ZONE", "DATETIME"),
        ("timestamptz", "TIMESTAMP WITH TIME ZONE", "DATETIME"),
        ("boolean", "BOOLEAN", "BOOLEAN"),
        ("double", "DOUBLE PRECISION", "DOUBLE"),
        ("double precision", "DOUBLE PRECISION", "DOUBLE"),
        ("json", "JSON", "JSON"),
        ("jsonb", "JSONB", "JSON"),
        ("uuid", "UUID", "CHAR(36)"),
        ("varchar(20)", "VARCHAR(20)", "VARCHAR(20)"),
        ("BigInteger", "BIGINT", "BIGINT"),
        ("time", "TIME WITHOUT TIME ZONE", "TIME"),
    ],
)
def test_a_name_is_a_type_of_both_databases(name: str, of_postgresql: str, of_sqlite: str):
    type = type_named(name)
    assert type.compile(dialect=postgresql.dialect()) == of_postgresql  # type: ignore[no-untyped-call]
    assert type.compile(dialect=sqlite.dialect()) == of_sqlite  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(("name", "compiled"), [("inet", "INET"), ("interval", "INTERVAL"), ("integer[]", "INTEGER[]")])
def test_types_of_postgresql_are_known_too(name: str, compiled: str):
    assert type_named(name).compile(dialect=postgresql.dialect()) == compiled  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    "name", ["", "nummer", "numeric(2,5)", "numeric(0)", "text(3)", "Enum", "metadata", "text; drop"]
)
def test_what_is_no_type_is_refused_in_one_line(name: str):
    with pytest.raises(ValueError, match="is not a type; there are text, integer") as refused:
        type_named(name)
    assert "\n" not in str(refused.value)
