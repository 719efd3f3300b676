"""Values of any kind go back as they were, by keys of any kind."""

from typing import Any

import pytest
from sqlalchemy import Engine, text

from support.importing import Importing
from support.undoing import Undoing, imported

POSTGRESQL = """CREATE TABLE kinds (a INTEGER, "B b" TEXT, u UUID, j JSON, jb JSONB, n NUMERIC, r REAL, bytes BYTEA,
    tz TIMESTAMPTZ, i INTERVAL, words TEXT[], c CHAR(4), t TIME, PRIMARY KEY (a, "B b"))"""
BEFORE = """INSERT INTO kinds VALUES
    (1, 'x', '00000000-0000-0000-0000-000000000001', '{"a":  1}', '{"b": [1, null]}', 1.500, 1.1, '\\x00ff',
     '2026-01-01 00:00:00.000001+02', '1 mon 2 days 03:00', '{a,NULL,"b c"}', 'ab', '23:59:59.999999'),
    (1, '', NULL, NULL, 'null', 'NaN', 'Infinity', '', 'infinity', '-1 year', '{}', '', '24:00'),
    (2, 'y', NULL, '[]', '{}', -0.10, -0.0, NULL, '0044-03-15 00:00:00+00 BC', NULL, NULL, NULL, '00:00')"""
FILE = (
    '{"a": 1, "B b": "x", "n": 2, "words": ["z"], "j": {"a": 2}, "bytes": "\\\\x01", "i": "1 day", "tz": null}\n'
    '{"a": 1, "B b": "", "n": 3, "r": 1.25, "tz": "2026-01-01T00:00:00Z", "t": "01:00", "jb": {"c": 1}}\n'
    '{"a": 3, "B b": "new", "u": "00000000-0000-0000-0000-000000000003", "c": "q", "i": "2 days", "t": "02:03:04"}\n'
)
SQLITE = """CREATE TABLE kinds (k TEXT COLLATE NOCASE PRIMARY KEY, any_, price NUMERIC, whole INTEGER, real_ REAL,
    day DATE, at TIMESTAMP, j JSON, b BLOB)"""
STORED = """INSERT INTO kinds VALUES ('Ab', 1, 5, 7, 1.5, '2026-01-01', '2026-01-01 00:00', '{"a":  1}', x'00ff'),
    ('cd', '1', 'dear', 'many', 'much', 'some day', 1767225600, 'none', 'text'),
    ('ef', x'31', 0.1, 9007199254740993, 9e999, NULL, NULL, NULL, NULL)"""
ROWS = (
    '{"k": "AB", "price": 5.25, "whole": 8, "real_": 2, "day": "2026-02-02", "at": "2026-02-02 01:00", '
    '"b": "\\\\x01"}\n'
    '{"k": "cd", "price": 3, "whole": 1, "real_": 0.5, "day": "2026-03-03", "j": {"b": 2}}\n'
    '{"k": "gh", "any_": "x", "price": 12.10, "at": "2026-02-02 01:00:00.5"}\n'
)


def cells(target: Engine) -> list[tuple[Any, ...]]:
    kind = "typeof({0}) || ' ' || quote({0})" if target.dialect.name == "sqlite" else 'CAST("{0}" AS text)'
    with target.connect() as connection:
        names = list(connection.execute(text("SELECT * FROM kinds")).keys())
        shown = ", ".join(kind.format(name) for name in names)
        return sorted(map(str, connection.execute(text(f"SELECT {shown} FROM kinds"))))  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["upsert", "sync"])
@pytest.mark.parametrize("force", [False, True])
def test_every_value_is_as_before(target: Engine, importing: Importing, undoing: Undoing, mode: str, force: bool):
    is_sqlite = target.dialect.name == "sqlite"
    with target.begin() as connection:
        connection.exec_driver_sql(SQLITE if is_sqlite else POSTGRESQL)
        connection.exec_driver_sql(STORED if is_sqlite else BEFORE)
    before = cells(target)
    removal = {"max_removed": 9} if mode == "sync" else {}
    job = imported(importing, ROWS if is_sqlite else FILE, name="in.jsonl", table="kinds", mode=mode, **removal)
    assert job.result.rejected == 0, importing.rejects(job.result)
    after = cells(target)
    assert after != before
    if force:
        with target.begin() as connection:
            connection.exec_driver_sql(
                "UPDATE kinds SET price = 77" if is_sqlite else "UPDATE kinds SET n = 77, c = 'zz'"
            )
        edited = cells(target)

    undo = undoing(job.id, force=force)

    assert undo.result.rejected == 0, undoing.rejects(undo)
    if not force:
        assert cells(target) == before
    undoing(undo.id)
    assert cells(target) == (edited if force else after)
