"""JSON null and no value are two things: what tells them apart keeps both, and what cannot says so beforehand."""

from typing import Any

import pytest
from sqlalchemy import Engine, text


@pytest.fixture(params=["json", "jsonb"])
def values(request: pytest.FixtureRequest, target: Engine, run_sql: Any) -> Any:
    """A table of each kind of nothing, and an empty one like it."""
    if target.dialect.name == "sqlite" and request.param == "jsonb":
        pytest.skip("SQLite has no jsonb")
    for table in ("source", "copy"):
        run_sql(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, data {request.param})")
    run_sql("INSERT INTO source VALUES (1, 'null'), (2, NULL), (3, '\"null\"'), (4, '[null]'), (5, '\"\"')")

    def read(table: str) -> list[Any]:
        with target.connect() as connection:
            return list(connection.execute(text(f"SELECT CAST(data AS TEXT) FROM {table} ORDER BY id")).scalars())

    return read


@pytest.mark.parametrize("file_format", ["csv", "tsv", "xlsx", "parquet"])
def test_what_tells_them_apart_keeps_both(files, values, file_format):
    exported = files.export(table="source", format=file_format)

    assert files.load(exported, table="source", mode="upsert").unchanged == 5
    assert files.load(exported, table="copy", mode="upsert").created == 5
    assert values("copy") == values("source") == ["null", None, '"null"', "[null]", '""']


def test_json_lines_have_one_null_and_the_preview_counts_what_becomes_no_value(files, values):
    exported = files.export(table="source", format="jsonl")

    (said,) = [line.message for line in exported.stat_descriptors if line.key == "export-json-null"]
    assert said.startswith("data: 1 value is JSON null and becomes null, which an import takes for no value")
    assert files.load(exported, table="copy", mode="upsert").created == 5
    assert values("copy") == [None, None, '"null"', "[null]", '""']


def test_an_import_of_json_lines_says_what_it_would_empty(files, values):
    exported = files.export(table="source", format="jsonl")

    loaded = files.load(exported, table="source", mode="upsert")

    assert (loaded.updated, loaded.unchanged) == (1, 4)
    assert "data: 1 row, 1 emptied" in [line.message for line in loaded.stat_descriptors]


def test_nothing_is_said_where_there_is_none(files, values, run_sql):
    run_sql("DELETE FROM source WHERE id = 1")

    exported = files.export(table="source", format="jsonl")

    assert not [line for line in exported.stat_descriptors if line.key == "export-json-null"]
    assert files.load(exported, table="source", mode="upsert").unchanged == 4
