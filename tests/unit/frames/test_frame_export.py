"""Exports whose rows a strategy in pandas changes on their way, beside those of table-export."""

import datetime as dt
import io
import threading
import zipfile
from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from batch_jobs.strategies import BatchJobError, FrameExport, JobRefused, JobResult, JobRun, run_strategy
from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.checkpoint import CheckpointStore
from batch_jobs.strategies.sdk.errors import StopRequested, StrategyIncomplete
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.job import JobIdentity, JobParts, SilentReport
from batch_jobs.strategies.table_export import TableExport
from support.frames import arrow_type

Transform = Callable[[Any, pd.DataFrame, JobRun], pd.DataFrame]

GOODS = """
    CREATE TABLE goods (code VARCHAR(20) PRIMARY KEY, name TEXT, price NUMERIC(8, 2), stock INTEGER);
    INSERT INTO goods VALUES ('A', '=1+1', 1250, 3), ('B', 'Bread, "white"', 5, 0), ('C', NULL, NULL, NULL)
"""
#: A table with each type, and rows that have what is unusual of it.
EVERY = {
    "postgresql": """
        CREATE TYPE mood AS ENUM ('sad', 'glad');
        CREATE DOMAIN amount AS numeric(10, 3);
        CREATE TABLE every (id bigint PRIMARY KEY, i smallint, n numeric(12, 2), open numeric, share float8, part real,
            ok boolean, day date, at timestamp, zoned timestamptz, clock time, span interval, word text,
            fixed char(3), doc json, docs jsonb, raw bytea, u uuid, who mood, a amount, ints int[], words text[],
            nums numeric[], oks boolean[], days date[], ats timestamptz[], objects json[], boxes box[]);
        INSERT INTO every VALUES
            (9223372036854775807, -1, 12.50, 0.00000001, 1e300, 0.1, true, '2024-02-29', '2024-01-01 10:00:00.5',
             '2024-01-01 10:00:00+02', '23:59:59.000001', '1 day 02:00', '-1+1', 'abd', '{"b": [1, 2.50]}',
             '{"x": null}', '\\x00ff', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'glad', 1.5, '{1,NULL,3}',
             '{"a b",NULL,"NULL","","q\\"x","c\\\\d","k,l"}', '{1.50,2}', '{t,f}', '{2024-01-01}',
             '{"2024-01-01 10:00:00+00"}', array['{"a": 1}'::json], '{(1,1),(0,0);(3,3),(2,2)}'),
            (2, 7, -0.05, 123456789012345678901, '-0.000001', 1e-7, false, '0001-01-01', '9999-12-31 23:59:59.999999',
             '1970-01-01 00:00:00+00', '00:00:00', '-1 mons', '', 'abc', '[]', '"x"', '', NULL, 'sad', -2, '{}',
             '[0:1]={a,b}', '{}', '{}', '{}', '{}', '{}', '{}');
        INSERT INTO every VALUES (1)
    """,
    "sqlite": """
        CREATE TABLE every (id BIGINT PRIMARY KEY, i INTEGER, n NUMERIC(12, 2), open NUMERIC, share REAL, ok BOOLEAN,
            day DATE, at DATETIME, clock TIME, word TEXT, doc JSON, raw BLOB, bare);
        INSERT INTO every VALUES
            (9223372036854775807, -1, 12.5, 3, 1e300, 1, '2024-02-29', '2024-01-01T10:00:00Z', '23:59:59.000001',
             '-1+1', '{"b": [1, 2.50]}', x'00ff', 'x'),
            (2, 7, -0.05, 2.5, -0.000001, 0, '0001-01-01', '9999-12-31 23:59:59.999999', '00:00:00', '', '[]', x'', 5);
        INSERT INTO every (id) VALUES (1)
    """,
}


@pytest.fixture
def run_sql(target: Engine) -> Callable[[str], None]:
    def run(statements: str) -> None:
        with target.begin() as connection:
            for statement in statements.split(";\n"):
                connection.exec_driver_sql(statement)

    return run


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(str(tmp_path / "files"))


@pytest.fixture
def every(target: Engine, run_sql: Callable[[str], None]) -> str:
    run_sql(EVERY[target.dialect.name])
    return "every"


@pytest.fixture
def goods(run_sql: Callable[[str], None]) -> str:
    run_sql(GOODS)
    return "goods"


def frame_export(transform: Transform | None = None, **attributes: Any) -> FrameExport:
    body = {"identifier": "made-strategy", "batch_type": "made", **attributes}
    if transform is not None:
        body["transform"] = transform
    made: type[FrameExport] = type("Made", (FrameExport,), body)
    return made()


@pytest.fixture
def export(target: Engine, store: FileStore) -> Callable[..., JobResult]:
    def run(strategy: FrameExport, rows_at_a_time: int = 10_000, **context: Any) -> JobResult:
        return run_strategy(strategy, context, target=target, files=store, chunk_size=rows_at_a_time)

    return run


@pytest.fixture
def read(store: FileStore) -> Callable[[JobResult], bytes]:
    def content(result: JobResult) -> bytes:
        assert result.file_key
        with store.open(result.file_key) as stream:
            return stream.read()

    return content


@pytest.fixture
def lines(export: Callable[..., JobResult], read: Callable[[JobResult], bytes]) -> Callable[..., list[str]]:
    return lambda strategy, **context: read(export(strategy, **context)).decode().splitlines()


def unpacked(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def said(result: JobResult) -> dict[str, str]:
    return {line.key: line.message for line in result.stat_descriptors}


class Sold(Enum):
    ALL = 0
    FEW = 3


class Least(FrameExport.Context):
    least: Any = 0


def same(self: Any, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
    return frame


def without_index(self: Any, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
    return frame.reset_index(drop=True)


def turned_twice(self: Any, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
    return frame.iloc[::-1].iloc[::-1].copy()


@pytest.mark.parametrize("transform", [same, turned_twice])
@pytest.mark.parametrize("file_format", ["csv", "tsv", "jsonl", "xlsx"])
def test_what_a_transform_leaves_as_it_is_is_written_as_table_export_writes_it(
    every, export, read, file_format, transform
):
    made = read(export(frame_export(transform, table=every), format=file_format))
    expected = read(export(TableExport(), table=every, format=file_format))

    if file_format == "xlsx":
        assert unpacked(made) == unpacked(expected)
    else:
        assert made.decode().splitlines() == expected.decode().splitlines()


def test_values_have_the_text_of_the_database_where_nobody_knows_their_rows(every, export, read, target):
    if target.dialect.name == "sqlite":
        pytest.skip("SQLite's times have any form")
    columns = "id, i, n, share, ok, day, at, zoned, clock, word, fixed, doc, raw, u, ints, oks, days, ats, words"
    query = f"SELECT {columns} FROM every WHERE id <> 2 ORDER BY id"

    made = read(export(frame_export(without_index, query=query)))

    assert made.decode() == read(export(TableExport(), query=query)).decode()


def test_parquet_has_the_values_that_table_export_gives_and_lists_for_arrays(every, export, read):
    def as_is(column: Any) -> list[Any]:
        return [Decimal(value) if isinstance(value, Decimal) else value for value in column.to_pylist()]

    made = pq.read_table(io.BytesIO(read(export(frame_export(same, table=every), format="parquet"))))
    expected = pq.read_table(io.BytesIO(read(export(TableExport(), table=every, format="parquet"))))

    assert made.column_names == expected.column_names
    for name in made.column_names:
        values, type = as_is(made.column(name)), made.schema.field(name).type
        if name == "open":
            assert values == [None if cell is None else Decimal(cell) for cell in expected.column(name).to_pylist()]
        elif name == "a":  # to reflection a domain is text
            assert values == [None, Decimal("-2.000"), Decimal("1.500")]
        elif not pa.types.is_list(type):
            assert values == as_is(expected.column(name)), name
    if "ints" in made.column_names:
        assert made.column("ints").to_pylist() == [None, [], [1, None, 3]]
        assert made.column("words").to_pylist()[1:] == [["a", "b"], ["a b", None, "NULL", "", 'q"x', "c\\d", "k,l"]]
        assert made.column("nums").to_pylist()[2] == [Decimal("1.50"), Decimal(2)]


def test_the_types_of_a_frame_are_those_of_the_columns_in_every_page(every, export, target):
    seen: list[dict[str, pa.DataType]] = []

    def look(self: Any, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        seen.append({str(name): arrow_type(type) for name, type in frame.dtypes.items()})
        return frame

    export(frame_export(look, table=every), rows_at_a_time=1)

    assert len(seen) == 4  # one for the preview
    assert all(types == seen[0] for types in seen)
    wanted = {"id": pa.int64(), "i": pa.int64(), "n": pa.decimal128(12, 2), "share": pa.float64(), "ok": pa.bool_()}
    wanted |= {"day": pa.date32(), "at": pa.timestamp("us"), "clock": pa.time64("us"), "word": pa.string()}
    wanted |= {"doc": pa.string(), "raw": pa.binary()}
    if target.dialect.name == "postgresql":
        wanted |= {"open": pa.decimal128(38, 8), "zoned": pa.timestamp("us", "UTC"), "a": pa.decimal128(10, 3)}
        wanted |= {"ints": pa.list_(pa.int64()), "nums": pa.list_(pa.decimal128(18, 2)), "span": pa.string()}
    else:
        wanted |= {"open": pa.float64(), "bare": pa.string()}
    assert {name: seen[0][name] for name in wanted} == wanted


CELLS = {
    "i": st.integers(-(2**63), 2**63 - 1),
    "n": st.decimals(-(10**9), 10**9, places=3),
    "r": st.floats(allow_nan=False, allow_infinity=False),
    "ok": st.booleans(),
    "day": st.dates(),
    "at": st.datetimes(),
    "word": st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0")),
    "raw": st.binary(),
}
COLUMNS = {
    "postgresql": "i bigint, n numeric(20, 3), r float8, ok boolean, day date, at timestamp, word text, raw bytea",
    "sqlite": "i BIGINT, n NUMERIC(20, 3), r REAL, ok BOOLEAN, day DATE, at DATETIME, word TEXT, raw BLOB",
}


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(rows=st.lists(st.fixed_dictionaries({name: st.none() | cells for name, cells in CELLS.items()}), max_size=5))
def test_any_rows_of_a_table_are_in_frames_as_they_were_written(target, store, rows):
    is_sqlite = target.dialect.name == "sqlite"
    forms = {Decimal: float, dt.date: str, dt.datetime: str} if is_sqlite else {}
    bound = [
        {"id": number} | {name: forms.get(type(cell), lambda same: same)(cell) for name, cell in row.items()}
        for number, row in enumerate(rows)
    ]
    with target.begin() as connection:
        connection.execute(text("DROP TABLE IF EXISTS cells"))
        connection.execute(text(f"CREATE TABLE cells (id INTEGER PRIMARY KEY, {COLUMNS[target.dialect.name]})"))
        if bound:
            names = ", ".join(f":{name}" for name in ["id", *CELLS])
            connection.execute(text(f"INSERT INTO cells VALUES ({names})"), bound)
    seen: list[dict[str, Any]] = []

    def look(self: Any, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        seen.extend(pa.Table.from_pandas(frame, preserve_index=False).to_pylist())
        return frame

    made = run_strategy(frame_export(look, table="cells"), {}, target=target, files=store, chunk_size=2)
    expected = run_strategy(TableExport(), {"table": "cells"}, target=target, files=store)

    in_run = seen[min(2, len(rows)) :]
    assert [{name: row[name] for name in CELLS} for row in in_run] == rows
    with store.open(made.file_key or "") as one, store.open(expected.file_key or "") as other:
        assert one.read() == other.read()


def test_a_query_is_changed_on_its_way_by_what_the_job_says(goods, export, read):
    class StockList(FrameExport):
        """What is in stock, with prices in euros."""

        identifier, batch_type = "stock-list-strategy", "stock-list"
        query = "SELECT code, name, price, stock FROM goods WHERE stock >= :least ORDER BY code DESC"

        class Context(FrameExport.Context):
            least: int = 0

        def transform(self, frame, job):
            frame["price"] = frame["price"] / 100
            frame["least"] = job.context.least
            return frame

    result = export(StockList(), rename={"least": "At least"}, delimiter=";", decimal=",")

    assert (result.file_key or "").endswith("/stock-list.csv")
    assert read(result).decode() == (
        'code;name;price;stock;At least\nB;Bread, "white";0,05;0;0\nA;\'=1+1;12,50;3;0\n'.replace(
            'Bread, "white"', '"Bread, ""white"""'
        )
    )
    assert said(result)["export-columns"] == "code, name, price, stock, At least"
    assert (result.count, result.advancement_count) == (2, 2)
    assert read(export(StockList(), least=3)).decode().splitlines()[1:] == ["A,'=1+1,12.50,3,3"]


@pytest.mark.parametrize(
    ("condition", "value", "codes"),
    [
        ("stock > :least", 2, "A"),
        ("stock = :least", Sold.FEW, "A"),
        ("price = :least", Decimal("5.00"), "B"),
        ("price < :least", 5.5, "B"),
        ("name = :least", 'Bread, "white"', "B"),
        ("name = :least", "'; DROP TABLE goods; --", ""),
        ("name LIKE '%:least%' OR code = :least -- :nothing ' here", "A", "A"),
        ("(:least IS NULL OR code = :least)", None, "ABC"),
        ("(:least IS NULL OR code = :least)", "C", "C"),
        ("(stock > 0) = :least", True, "A"),
        ("price % 1000 = :least AND name LIKE '%1%'", 250, "A"),
        ("stock > CAST('1' AS integer) AND '10:least' <> :least", "x", "A"),
        ("stock < :least", 10**30, "AB"),
    ],
)
def test_values_of_the_context_are_bound_and_never_part_of_the_text(goods, lines, target, condition, value, codes):
    query = f"SELECT code FROM goods WHERE {condition}\nORDER BY code"

    for transform in (None, same):
        found = lines(frame_export(transform, query=query, Context=Least), least=value)
        assert "".join(found) == f"code{codes}"
    with target.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM goods").scalar() == 3


@pytest.mark.parametrize("zone", [None, dt.UTC])
def test_days_and_times_are_bound_as_the_database_has_them(run_sql, lines, target, zone):
    type = "timestamptz" if zone and target.dialect.name == "postgresql" else "timestamp"
    run_sql(
        f"CREATE TABLE seen (id INTEGER, day DATE, at {type});\nINSERT INTO seen VALUES (1, '2024-01-01', "
        "'2024-01-01 10:00:00.000000')"
    )
    for field, value in (("day", dt.date(2024, 1, 1)), ("at", dt.datetime(2024, 1, 1, 10, tzinfo=zone))):
        query = f"SELECT id, :least AS given FROM seen WHERE {field} = :least"

        assert len(lines(frame_export(same, query=query, Context=Least), least=value)) == 2


def test_a_list_is_one_value(goods, lines, target):
    among = "= ANY (:least)" if target.dialect.name == "postgresql" else "IN (SELECT value FROM json_each(:least))"
    query = f"SELECT code FROM goods WHERE code {among} ORDER BY code"

    assert lines(frame_export(query=query, Context=Least), least=["A", "C", "'"]) == ["code", "A", "C"]


def test_a_value_that_no_database_has_is_refused_in_one_line(goods, lines):
    with pytest.raises(JobRefused, match=r"the query cannot take its values: .*object"):
        lines(frame_export(query="SELECT code FROM goods WHERE code = :least", Context=Least), least=object())


@pytest.mark.parametrize(
    ("attributes", "lacks"),
    [
        ({}, "either a table or a query"),
        ({"table": "goods", "query": "SELECT 1 AS one"}, "either a table or a query"),
        ({"query": "SELECT code FROM goods WHERE stock > :leest"}, "the field leest of its Context, for :leest"),
    ],
)
def test_a_strategy_that_does_not_say_its_rows_is_refused_when_it_is_defined(attributes, lacks):
    with pytest.raises(StrategyIncomplete, match=f"Made lacks {lacks}"):
        frame_export(same, **attributes)


def test_the_query_of_an_author_only_reads(goods, lines, target):
    doing = "WITH gone AS (DELETE FROM goods RETURNING *) SELECT * FROM gone"

    with pytest.raises(JobRefused, match="the query is refused"):
        lines(frame_export(same, query=doing))
    with target.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM goods").scalar() == 3


@pytest.mark.parametrize("rows_at_a_time", [1, 2, 10_000])
def test_rows_may_be_left_out_and_added(goods, export, read, rows_at_a_time):
    def twice_where_in_stock(self: Any, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        left = frame[frame["stock"].notna()]
        return pd.concat([left, left[left["stock"] > 0]])

    result = export(frame_export(twice_where_in_stock, table=goods), rows_at_a_time)

    assert sorted(line[0] for line in read(result).decode().splitlines()[1:]) == ["A", "A", "B"]
    assert said(result)["export-left-out"] == "1 row by transform"
    assert said(result)["export-added"] == "1 row by transform"
    assert (result.count, result.advancement_count) == (3, 3)


def test_without_their_index_rows_are_counted_by_how_many_there_are(goods, export):
    result = export(frame_export(lambda self, frame, job: frame.head(1).reset_index(drop=True), table=goods))

    assert said(result)["export-left-out"] == "2 rows by transform"
    assert "export-added" not in said(result)


@pytest.mark.parametrize(
    ("file_format", "expected"), [("csv", b"code,stock,twice\n"), ("tsv", b"code\tstock\ttwice\n"), ("jsonl", b"")]
)
def test_an_empty_result_has_the_header_of_an_empty_frame(goods, export, read, file_format, expected):
    def twice(self: Any, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        return frame.assign(twice=frame["stock"] * 2)

    empty = frame_export(twice, query="SELECT code, stock FROM goods WHERE stock > 100")

    assert read(export(empty, format=file_format)) == expected
    schema = pq.read_schema(io.BytesIO(read(export(empty, format="parquet"))))
    assert schema.types == [pa.string(), pa.int64(), pa.int64()]


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_one_may_calculate_with_what_a_query_computes_of_no_rows(goods, export, read, file_format):
    def doubled(self: Any, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        return frame.assign(worth=frame["worth"] * 1.5)[frame["worth"] > 1]

    query = "SELECT code, stock * 2 AS worth FROM goods WHERE stock > :least"
    result = export(frame_export(doubled, query=query, Context=Least), least=100, format=file_format)

    if file_format == "csv":
        assert read(result) == b"code,worth\n"
    else:
        assert pq.read_schema(io.BytesIO(read(result))).types == [pa.string(), pa.float64()]


def test_all_rows_may_be_left_out(goods, export, read):
    result = export(frame_export(lambda self, frame, job: frame[frame["stock"] > 100], table=goods), 1)

    assert read(result) == b"code,name,price,stock\n"
    assert said(result)["export-left-out"] == "3 rows by transform"


def broken(self: Any, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
    if "C" in list(frame["code"]):
        raise KeyError("Preis")
    return frame


def other_columns(self: Any, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
    return frame.rename(columns={"name": "title"}) if "C" in list(frame["code"]) else frame


def other_types(self: Any, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
    frame["price"] = [1] if "A" in list(frame["code"]) else ["one"] * len(frame)
    return frame


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (
            broken,
            r"Made.broken failed on line \d+ of test_frame_export.py: KeyError: 'Preis'; it was given rows 3 to 3, "
            r"with the columns code str.*, name str.*, price decimal",
        ),
        (lambda self, frame, job: None, "gave back NoneType and no DataFrame; end it with `return frame`"),
        (lambda self, frame, job: frame[[]], "the frame has no columns; return those that are to be exported"),
        (
            lambda self, frame, job: frame.rename(columns={"name": 5}),
            "has no text for a name; .* code, 5, price, stock",
        ),
        (lambda self, frame, job: frame.rename(columns={"name": "code"}), "the frame has two columns code; drop one"),
        (
            lambda self, frame, job: frame.assign(name=[1, "x", b"y"][: len(frame)]),
            "name of the frame has values of sev",
        ),
        (
            lambda self, frame, job: frame.assign(name=pd.period_range("2024-01", periods=len(frame), freq="M")),
            "the column name of the frame has values of the type .*period.*, which no file has; make them text",
        ),
        (lambda self, frame, job: job.reject_rows(frame["stock"] < 0, "stock", "x"), "RuntimeError: job.reject_rows"),
        (other_columns, "made the columns code, name, price, stock at first, and of rows 3 to 3 it made code, title"),
        (
            other_types,
            "the column price that transform made of rows 2 to 2 has text, and at first it had numbers; return",
        ),
    ],
)
@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_what_is_wrong_with_a_transform_is_one_line_and_leaves_no_file(
    goods, export, store, target, file_format, transform, message
):
    size = 1 if transform in (broken, other_columns, other_types) else 10_000

    with pytest.raises(BatchJobError, match=message) as caught:
        export(frame_export(transform, table=goods), size, format=file_format)

    assert "\n" not in str(caught.value)
    assert store.list() == []
    assert len(read_all(target)) == 3  # the connection is whole


def read_all(target: Engine) -> list[Any]:
    with target.connect() as connection:
        return list(connection.exec_driver_sql("SELECT * FROM goods"))


def test_numbers_may_be_of_another_type_in_a_later_frame_where_none_is_lost(goods, export, read):
    def doubled(self: Any, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        frame["stock"] = [None if pd.isna(number) else int(number) * 2 for number in frame["stock"]]
        return frame

    strategy = frame_export(doubled, table=goods)

    assert [line.split(",")[-1] for line in read(export(strategy, 1)).decode().splitlines()] == ["stock", "6", "0", ""]
    made = pq.read_table(io.BytesIO(read(export(strategy, 1, format="parquet"))))
    assert made.column("stock").to_pylist() == [6, 0, None]


@pytest.mark.parametrize(
    ("file_format", "compression"), [("csv", None), ("csv", "gz"), ("jsonl", "zst"), ("parquet", None), ("xlsx", "zip")]
)
def test_parts_and_packing_are_those_of_table_export(goods, export, read, file_format, compression):
    for most, size in ((2, 1), (2, 10_000), (3, 2)):
        context = {"format": file_format, "compression": compression, "rows_per_file": most}
        made = export(frame_export(same, table=goods), size, **context)
        expected = export(TableExport(), table=goods, **context)

        names = [(result.file_key or "").rpartition("/")[2] for result in (made, expected)]
        assert names[0] == names[1].replace("goods", "made")
        if (file_format, compression, most) == ("csv", None, 2):
            assert list(unpacked(read(made)).values()) == list(unpacked(read(expected)).values())


def test_rows_that_are_added_go_into_more_files(goods, export, read):
    def many(self: Any, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        return frame.loc[frame.index.repeat(4)]

    parts = unpacked(read(export(frame_export(many, table=goods), rows_per_file=5)))

    assert [len(part.splitlines()) - 1 for part in parts.values()] == [5, 5, 2]
    few = export(frame_export(lambda self, frame, job: frame.head(1), table=goods), rows_per_file=2)
    assert (few.file_key or "").endswith("made.csv")


class Stopping(SilentReport):
    """Stops the job once it is told to."""

    def __init__(self) -> None:
        self.reason: str | None = None

    def stop_reason(self) -> str | None:
        return self.reason


def job_of(strategy: FrameExport, target: Engine, store: FileStore, report: SilentReport, **context: Any) -> JobRun:
    parts = JobParts(target, store, CheckpointStore(target, "batch_1", 1), report, chunk_size=1)
    return JobRun(JobIdentity("batch_1", "made", strategy.Context.model_validate(context)), parts)


@pytest.mark.parametrize("file_format", ["csv", "xlsx", "parquet"])
def test_a_stop_in_the_middle_leaves_no_file_and_a_retry_writes_a_whole_one(goods, target, store, file_format):
    report = Stopping()

    def stopped(self: Any, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        if report.reason is None and list(frame["code"]) == ["B"] and not job.plan.get("again"):
            report.reason = "canceled"
        return frame

    strategy = frame_export(stopped, table=goods)
    job = job_of(strategy, target, store, report, format=file_format)
    hooks.pre_process(strategy, job)
    with pytest.raises(StopRequested):
        hooks.process(strategy, job)
    assert store.list() == []

    report.reason, job.plan["again"] = None, True
    hooks.process(strategy, job)
    whole = run_strategy(TableExport(), {"table": "goods", "format": file_format}, target=target, files=store)
    with store.open(job.result.file_key or "") as made, store.open(whole.file_key or "") as expected:
        written, wanted = made.read(), expected.read()
    if file_format == "xlsx":
        assert unpacked(written) == unpacked(wanted)
    elif file_format == "csv":
        assert written == wanted
    else:
        assert pq.read_table(io.BytesIO(written)).num_rows == 3
    assert job.result.advancement_count == 3


def test_a_cancel_ends_an_endless_query_of_an_author(goods, target, store):
    report, begun = Stopping(), threading.Event()
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) AS c FROM n"
    strategy = frame_export(same, query=endless)
    job = job_of(strategy, target, store, report)

    def cancel() -> None:
        begun.wait(60)
        report.reason = "canceled"

    thread = threading.Thread(target=cancel)
    thread.start()
    begun.set()
    with pytest.raises(StopRequested, match="canceled"):
        strategy.pre_process(job)
    thread.join()


def test_all_pages_are_of_one_snapshot(goods, target, export, read):
    def writing_meanwhile(self: Any, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        code = frame["code"].iloc[0]
        with target.begin() as connection:
            connection.exec_driver_sql(f"DELETE FROM goods WHERE code > '{code}'")
            connection.exec_driver_sql(f"INSERT INTO goods (code) VALUES ('X{code}')")
        return frame

    def undone() -> None:
        with target.begin() as connection:
            connection.exec_driver_sql("DELETE FROM goods")
            connection.exec_driver_sql("INSERT INTO goods (code) VALUES ('A'), ('B'), ('C')")

    class Meanwhile(FrameExport):
        """Writes while it reads."""

        identifier, batch_type, table = "meanwhile-strategy", "meanwhile", "goods"
        transform = writing_meanwhile

        def process(self, job: JobRun) -> None:
            undone()
            super().process(job)

    assert read(export(Meanwhile(), 1)).decode().splitlines()[1:] == ["A,,,", "B,,,", "C,,,"]


@pytest.mark.parametrize(
    ("cell", "reason"), [("'infinity'", "'infinity' is not a day"), ("'0044-03-15 BC'", "is not a day")]
)
def test_what_no_frame_can_hold_is_refused_with_its_row(target, run_sql, lines, cell, reason):
    if target.dialect.name == "sqlite":
        pytest.skip("SQLite has no such days")
    run_sql(f"CREATE TABLE days (id integer PRIMARY KEY, day date);\nINSERT INTO days VALUES (1, NULL), (2, {cell})")

    with pytest.raises(JobRefused, match=f"column day has a value in row 2 that a frame cannot hold .*{reason}.*text"):
        lines(frame_export(same, table="days"))


@pytest.mark.parametrize(("cell", "is_noise"), [("11.0 * 1.1", True), ("-0.1 - 0.2", True), ("0.125", False)])
def test_a_decimal_of_sqlite_is_what_its_float_means(target, run_sql, lines, cell, is_noise):
    if target.dialect.name == "postgresql":
        pytest.skip("PostgreSQL has decimals")
    run_sql(f"CREATE TABLE sums (id INTEGER PRIMARY KEY, sum NUMERIC(8, 2));\nINSERT INTO sums VALUES (1, {cell})")
    whole = frame_export(lambda self, frame, job: frame.assign(more=frame["sum"] + Decimal("1")), table="sums")

    if is_noise:
        assert lines(whole)[1].endswith(",13.10" if "1.1" in cell else ",0.70")
        assert lines(frame_export(same, table="sums")) == lines(TableExport(), table="sums")
    else:
        with pytest.raises(JobRefused, match=r"column sum has a value in row 1 .* '0.125' has 3 decimals where .* 2;"):
            lines(whole)


@pytest.mark.parametrize(
    ("sql", "type"),
    [
        ("repeat('9', 39)::numeric", pa.string()),
        ("1.50::numeric(5, 2)", pa.decimal128(5, 2)),
        ("1e-20::numeric", pa.decimal128(38, 20)),
        ("-12345678901234567890123456789012345678::numeric", pa.decimal128(38, 0)),
        ("12345::numeric(3, -2)", pa.decimal128(18, 0)),
        ("sum(1)", pa.int64()),
        ("avg(2)", pa.decimal128(18, 16)),
        ("'(1,2)'::point", pa.string()),
        ("'10:00+02'::timetz", pa.string()),
        ("array[array[1]]::text", pa.string()),
    ],
)
def test_numbers_of_any_digits_keep_them(target, export, read, sql, type):
    if target.dialect.name == "sqlite":
        pytest.skip("SQLite has no decimals")
    types: list[pa.DataType] = []

    def look(self: Any, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        types.append(arrow_type(frame["n"].dtype))
        return frame.reset_index(drop=True)

    query = f"SELECT {sql} AS n"

    assert read(export(frame_export(look, query=query))).split() == read(export(TableExport(), query=query)).split()
    assert set(types) == {type}


def test_a_dry_run_says_what_is_made_and_writes_nothing(goods, target, store):
    made = frame_export(lambda self, frame, job: frame[["code"]].assign(new=1), table=goods)

    result = run_strategy(made, {"rename": {"new": "New"}}, target=target, files=store, dry_run=True)

    assert said(result) == {
        "export-rows": "3 rows of goods as csv",
        "export-columns": "code, New",
        "export-options": "rename {'new': 'New'}",
    }
    assert store.list() == []
    with pytest.raises(JobRefused, match="rename names name, which is not exported; exported are: code, new"):
        run_strategy(made, {"rename": {"name": "x"}}, target=target, files=store, dry_run=True)


def test_days_of_a_transform_have_the_form_that_is_asked_for(goods, lines):
    def dated(self: Any, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        days = pd.Series([dt.date(2024, 1, 31)] * len(frame), index=frame.index)
        return frame[["code"]].assign(day=days, at=pd.Timestamp("2024-01-31 10:00", tz="Europe/Berlin"))

    found = lines(frame_export(dated, table=goods), date_format={"day": "%d.%m.%Y"})

    assert found[:2] == ["code,day,at", "A,31.01.2024,2024-01-31 09:00:00+00"]
