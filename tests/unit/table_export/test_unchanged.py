"""Values that other tools lose on the way out and in again."""

import json
from decimal import Decimal

import pyarrow.parquet as pq
import pytest

from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.sdk.testing import run_strategy
from batch_jobs.strategies.table_import import TableImport
from batch_jobs.strategies.tables.databases.sqlite.moments import as_text, same_time


@pytest.fixture
def rows(target):
    def read(query):
        with target.connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(query)]

    return read


@pytest.fixture
def only_postgresql(target):
    if target.dialect.name != "postgresql":
        pytest.skip("SQLite has no such values")


@pytest.fixture
def only_sqlite(target):
    if target.dialect.name != "sqlite":
        pytest.skip("PostgreSQL has types for these")


ODD = """INSERT INTO odd VALUES
    (1, 'infinity', 'NaN', '10:00', '-infinity'), (2, '0044-03-15 BC', 1.50, '24:00', '0044-03-15 10:00:00 BC'),
    (3, '10000-01-01', 1, '10:00', '10000-01-01 00:00:00')"""


@pytest.mark.parametrize("file_format", ["csv", "tsv", "jsonl"])
def test_D1_what_no_calendar_has_is_written_as_postgresql_writes_it(files, run_sql, only_postgresql, file_format):
    run_sql("CREATE TABLE odd (id int PRIMARY KEY, d date, n numeric, tm time, at timestamp)")
    run_sql(ODD)

    lines = files.text(table="odd", format=file_format).splitlines()

    if file_format == "jsonl":
        cells = [list(json.loads(line, parse_float=str).values()) for line in lines]
    else:
        cells = [line.split("," if file_format == "csv" else "\t") for line in lines[1:]]
    assert [row[1:] for row in cells] == [
        ["infinity", "NaN", "10:00:00", "-infinity"],
        ["0044-03-15 BC", "1.50", "24:00:00", "0044-03-15 10:00:00 BC"],
        ["10000-01-01", 1 if file_format == "jsonl" else "1", "10:00:00", "10000-01-01 00:00:00"],
    ]


@pytest.mark.parametrize("cell", ["d", "n", "tm", "at"])
def test_D1_parquet_refuses_what_its_types_cannot_hold_in_one_line(files, run_sql, only_postgresql, cell):
    run_sql("CREATE TABLE odd (id int PRIMARY KEY, d date, n numeric(8, 2), tm time, at timestamp)")
    run_sql(ODD.replace("1.50", "1"))

    with pytest.raises(JobRefused, match=f"column {cell} has a value that Parquet cannot hold .*; export it as csv"):
        files.export(table="odd", columns=["id", cell], format="parquet")
    assert files.store.list() == []


@pytest.mark.parametrize("file_format", ["csv", "tsv", "jsonl", "parquet", "xlsx"])
def test_D2_the_same_time_is_unchanged_however_sqlite_has_it(files, run_sql, rows, only_sqlite, file_format):
    run_sql("CREATE TABLE t (id INTEGER PRIMARY KEY, at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, d DATE, tm TIME)")
    run_sql("INSERT INTO t (id) VALUES (1)")
    forms = [
        "2024-01-01T10:00:00",
        "2024-01-01 10:00",
        "2024-01-01 10:00:00.5",
        "2024-01-01",
        "2024-01-01T10:00:00.000Z",
        "2024-01-01 10:00:00+02:00",
        "2024-01-01 10:00:00.000000",
    ]
    for number, form in enumerate(forms, 2):
        at = form.replace(":", chr(92) + ":")
        run_sql(f"INSERT INTO t VALUES ({number}, '{at}', '2024-01-01 00\\:00', '10\\:00')")
    before = rows("SELECT * FROM t")

    result = files.load(files.export(table="t", format=file_format), table="t", mode="upsert")

    assert (result.unchanged, result.updated, result.rejected) == (len(forms) + 1, 0, 0)
    assert rows("SELECT * FROM t") == before


@pytest.mark.parametrize(
    ("kept", "written"),
    [
        ([1704103200000, 1704103200123, -1000, 5000], ["2024-01-01 10:00:00", "2024-01-01 10:00:00.123000"]),
        ([1704103200, 0], ["2024-01-01 10:00:00", "1970-01-01 00:00:00"]),
        ([2460310.9166666665], ["2024-01-01 10:00:00"]),
        ([1704103200.5, "2024-01-01T10:00:00"], ["2024-01-01 10:00:00.500000", "2024-01-01T10:00:00"]),
    ],
    ids=["milliseconds", "seconds", "julian-days", "mixed"],
)
@pytest.mark.parametrize("file_format", ["csv", "jsonl", "parquet"])
def test_D3_times_kept_as_numbers_are_written_as_times_and_unchanged(
    files, target, rows, only_sqlite, kept, written, file_format
):
    with target.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (id INTEGER PRIMARY KEY, at DATETIME)")
        connection.exec_driver_sql("INSERT INTO t VALUES (?, ?)", list(enumerate(kept)))
    before = rows("SELECT *, typeof(at) FROM t")

    exported = files.export(table="t", format=file_format)
    result = files.load(exported, table="t", mode="upsert")

    assert (result.unchanged, result.updated, result.rejected) == (len(kept), 0, 0)
    assert rows("SELECT *, typeof(at) FROM t") == before
    if file_format == "csv":
        assert [line.split(",")[1] for line in files.read(exported).decode().splitlines()[1:]][:2] == written


def test_D3_another_time_is_another_time():
    assert same_time(1704103200000, "2024-01-01 10:00:00")
    assert same_time("2024-01-01T10:00:00Z", "2024-01-01 10:00:00.000000")
    assert not same_time(1704103200000, "2024-01-01 10:00:00.001")
    assert not same_time("2024-01-01 10:00:00", "2024-01-02 10:00:00")
    assert not same_time("soon", "later")
    assert not same_time(None, "2024-01-01")
    assert as_text(10**18, milliseconds=False) is None


def test_D2_a_time_that_differs_is_updated(files, run_sql, rows):
    run_sql("CREATE TABLE t (id INTEGER PRIMARY KEY, at TIMESTAMP)")
    run_sql("INSERT INTO t VALUES (1, '2024-01-01 10\\:00\\:00')")
    exported = files.export(table="t")
    run_sql("UPDATE t SET at = '2024-01-01 10\\:00\\:01'")

    assert files.load(exported, table="t", mode="upsert").updated == 1


def test_D4_json_lines_have_numbers_as_numbers_and_json_as_json(files, run_sql, target):
    is_postgresql = target.dialect.name == "postgresql"
    run_sql(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, f DOUBLE PRECISION, n NUMERIC(30,4), d DATE, "
        f"j {'jsonb' if is_postgresql else 'JSON'}, k JSON)"
    )
    run_sql(
        """INSERT INTO t VALUES (1, 1e-10, 12345678901234.5678, '2024-02-29', '{"a"\\: [1]}', '{"b"\\:\n 1.10}'),
        (2, 0.5, 1.5, '2024-03-01', '[1]', '"text"'), (3, NULL, NULL, NULL, NULL, NULL)"""
    )

    lines = files.text(table="t", format="jsonl").splitlines()
    first, second, third = (json.loads(line, parse_float=Decimal) for line in lines)

    exact = Decimal("12345678901234.5678")
    assert first["n"] == exact if is_postgresql else float(first["n"]) == float(exact)
    assert (first["f"], first["d"], first["j"]) == (Decimal("1e-10"), "2024-02-29", {"a": [1]})
    assert '"k": {"b":  1.10}' in lines[0]
    assert (second["n"], second["j"], second["k"]) == (Decimal("1.5"), [1], "text")
    assert third == {"id": 3, "f": None, "n": None, "d": None, "j": None, "k": None}


def test_D4_a_query_has_nested_json_too(files, run_sql, only_postgresql):
    query = "SELECT '{\"a\": [1]}'::jsonb AS j, ARRAY[1.50, 'NaN']::numeric[] AS n, ARRAY['a', NULL, 'b \"c\"'] AS t"

    assert json.loads(files.text(query=query, format="jsonl"), parse_float=str) == {
        "j": {"a": [1]},
        "n": ["1.50", "NaN"],
        "t": ["a", None, 'b "c"'],
    }


def test_D4_arrays_are_lists_unless_a_list_would_lose_where_they_begin(files, run_sql, only_postgresql):
    run_sql("CREATE TABLE t (id int PRIMARY KEY, tags text[], ns int[])")
    run_sql("""INSERT INTO t VALUES (1, ARRAY['a', 'b "c"'], '{{1,2},{3,4}}'), (2, '{}', '[0\\:1]={5,6}')""")

    first, second = map(json.loads, files.text(table="t", format="jsonl").splitlines())

    assert first == {"id": 1, "tags": ["a", 'b "c"'], "ns": [[1, 2], [3, 4]]}
    assert second == {"id": 2, "tags": [], "ns": "[0:1]={5,6}"}
    assert files.text(table="t").splitlines()[1] == '1,"{a,""b \\""c\\""""}","{{1,2},{3,4}}"'


def test_D4_what_only_looks_like_json_or_a_number_is_text(files, run_sql, only_sqlite):
    run_sql("CREATE TABLE t (id INTEGER PRIMARY KEY, j JSON, n NUMERIC)")
    run_sql("INSERT INTO t VALUES (1, '{half', 'n/a'), (2, 'NaN', '1e400')")

    first, second = map(json.loads, files.text(table="t", format="jsonl").splitlines())

    assert first == {"id": 1, "j": "{half", "n": "n/a"}
    assert second["j"] == "NaN"


@pytest.mark.parametrize("file_format", ["csv", "jsonl", "parquet", "xlsx"])
def test_D5_text_that_is_not_utf_8_is_named_by_table_column_and_row(files, run_sql, only_sqlite, file_format):
    run_sql("CREATE TABLE t (id INTEGER PRIMARY KEY, ok TEXT, x TEXT)")
    run_sql("INSERT INTO t VALUES (7, '\\\\x', 'fine'), (8, 'b', CAST(x'ff41' AS TEXT)), (9, 'c', CAST(x'fe' AS TEXT))")

    with pytest.raises(JobRefused) as refused:
        files.export(table="t", format=file_format)

    assert str(refused.value) == (
        r"column x of t has text that is not UTF-8 in row 2, id=8: '\\xffA'; "
        "correct it, or leave the column out with columns"
    )
    assert files.store.list() == []
    assert files.export(table="t", columns=["id", "ok"], format=file_format).count == 3


def test_parquet_keeps_numbers_with_a_precision(files, run_sql):
    run_sql("CREATE TABLE t (id INTEGER PRIMARY KEY, n NUMERIC(8, 2))")
    run_sql("INSERT INTO t VALUES (1, 1.5)")

    with files.store.open(files.export(table="t", format="parquet").file_key) as stream:
        assert pq.read_table(stream).column("n").to_pylist() == [Decimal("1.50")]


@pytest.mark.parametrize(
    ("there", "comes", "updated"),
    [
        ('{"a": [1, 2.50], "b": "ü"}', '{"b":"\\u00fc","a":[1,2.5]}', 0),
        ('{"a": 1}', '{"a": true}', 1),
        ('"x"', '"y"', 1),
        ("12345678901234567890.1", "12345678901234567890.2", 1),
    ],
)
def test_D4_json_that_means_the_same_is_unchanged(files, target, there, comes, updated):
    with target.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (id INTEGER PRIMARY KEY, j JSON)")
        connection.exec_driver_sql(f"INSERT INTO t VALUES (1, '{there}')")
    with files.store.writing("in.csv") as stream:
        quoted = comes.replace('"', '""')
        stream.write(f'id,j\n1,"{quoted}"\n'.encode())

    context = {"file_key": "in.csv", "table": "t", "mode": "upsert"}
    result = run_strategy(TableImport(), context, target=target, files=files.store)

    if target.dialect.name == "sqlite" and there.startswith("1"):
        updated = 0  # it keeps both as one floating-point number
    assert (result.updated, result.unchanged) == (updated, 1 - updated)


def test_D4_json_that_jsonb_cannot_hold_is_compared_all_the_same(files, run_sql, only_postgresql):
    run_sql("""CREATE TABLE t (id INTEGER PRIMARY KEY, j JSON)""")
    run_sql(r"""INSERT INTO t VALUES (1, '"\\u0000"'), (2, '"\\ud83d"')""".replace("\\\\", "\\"))
    with files.store.writing("in.csv") as stream:
        stream.write(b'id,j\n1,"""a"""\n2,"""b"""\n')

    context = {"file_key": "in.csv", "table": "t", "mode": "upsert"}
    assert run_strategy(TableImport(), context, target=files.target, files=files.store).updated == 2
