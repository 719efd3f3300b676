"""Back-fills in pandas: rows of a table in keyset pages, changed, previewed, and written where they differ."""

import sqlite3
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field
from sqlalchemy import Engine
from ulid import ULID

from batch_jobs.strategies import FrameUpdate, run_strategy
from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.checkpoint import CheckpointStore
from batch_jobs.strategies.sdk.database import make_engine
from batch_jobs.strategies.sdk.errors import JobRefused, StrategyIncomplete, TooManyRejects
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.job import JobIdentity, JobParts, JobRun
from batch_jobs.strategies.tables.frames.transforming import TransformFailed

Sql = Callable[[str], list[tuple[Any, ...]]]
Transform = Callable[[FrameUpdate, pd.DataFrame, JobRun], pd.DataFrame]


class UpperNames(FrameUpdate):
    """Write names in capitals."""

    identifier, batch_type = "upper-names-strategy", "upper-names"
    table, key = "goods", ["code"]
    columns = ["name", "price"]  # noqa: RUF012  # as an author writes it
    where = "price > 0"

    def transform(self, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        frame["name"] = frame["name"].str.upper()
        return frame[["code", "name"]]


def updating(transform: Transform, **attributes: Any) -> FrameUpdate:
    """A strategy of this ``transform``."""
    given = {"identifier": "rewrite-strategy", "batch_type": "rewrite", "table": "goods", "transform": transform}
    made: FrameUpdate = type("Rewrite", (FrameUpdate,), given | attributes)()
    return made


def count_up(strategy: FrameUpdate, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
    """Shows a row that is visited twice, or not at all."""
    frame["n"] = frame["n"] + 1
    return frame


@dataclass
class Backfill:
    """Runs strategies on a target, in as many attempts as a test wants."""

    target: Engine
    files: FileStore
    chunk_size: int = 2

    def job(self, strategy: FrameUpdate, before: JobRun | None = None, **context: Any) -> JobRun:
        job_id, attempt = (before.id, before.attempt + 1) if before else (f"batch_{ULID()}", 1)
        checkpoints = CheckpointStore(self.target, job_id, attempt)
        parts = JobParts(self.target, self.files, checkpoints, chunk_size=self.chunk_size)
        given = before.context if before else strategy.prepare(strategy.Context.model_validate(context))
        identity = JobIdentity(job_id, strategy.batch_type, given, attempt=attempt)
        return JobRun(identity, parts, before.result if before else None, before.plan if before else None)

    def preview(self, strategy: FrameUpdate, **context: Any) -> JobRun:
        job = self.job(strategy, **context)
        hooks.pre_process(strategy, job)
        return job

    def __call__(self, strategy: FrameUpdate, **context: Any) -> JobRun:
        job = self.preview(strategy, **context)
        hooks.process(strategy, job)
        return job

    def rejects(self, job: JobRun) -> list[str]:
        assert job.result.rejects_file_key
        with self.files.open(job.result.rejects_file_key) as stream:
            return stream.read().decode().splitlines()


@pytest.fixture
def backfill(target: Engine, tmp_path: Path) -> Backfill:
    return Backfill(target, FileStore(str(tmp_path / "files")))


@pytest.fixture
def goods(run_sql: Sql) -> Sql:
    run_sql(
        "CREATE TABLE goods (code VARCHAR(20) PRIMARY KEY, name TEXT, price NUMERIC(10, 2), "
        "stock INTEGER CHECK (stock < 1000), note TEXT)"
    )
    run_sql(
        "INSERT INTO goods VALUES ('A', 'apple', 1.5, 1, 'keep'), ('B', 'BREAD', 2, 2, NULL), "
        "('C', 'corn', 0, 3, 'keep'), ('D', NULL, 4, 4, NULL), ('E', 'egg', 5, 5, 'keep')"
    )
    return run_sql


def named(run_sql: Sql) -> dict[str, str | None]:
    return dict(run_sql("SELECT code, name FROM goods ORDER BY code"))  # type: ignore[arg-type]


def test_a_backfill_is_twelve_lines_and_has_a_preview(backfill: Backfill, goods: Sql) -> None:
    previewed = backfill.preview(UpperNames())

    assert previewed.plan["counts"] == {
        "create": 0,
        "update": 2,
        "unchanged": 2,
        "remove": 0,
        "reject": 0,
    }
    assert previewed.plan["total"] == 4
    assert [(column["name"], column["type"]) for column in previewed.plan["frame"]] == [
        ("code", "Text"),
        ("name", "Text"),
        ("price", "Numeric"),
    ]
    assert previewed.plan["columns"] == {"name": {"changed": 2, "emptied": 0}}
    assert previewed.plan["sample"] == [
        {"line": 1, "key": {"code": "A"}, "column": "name", "before": "apple", "after": "APPLE"},
        {"line": 4, "key": {"code": "E"}, "column": "name", "before": "egg", "after": "EGG"},
    ]
    assert [line.message for line in previewed.result.stat_descriptors] == [
        "2 rows of goods will be updated",
        "name: 2 rows",
        "2 rows already as they would be",
        "0 rows that transform does not return",
        "0 rows will be rejected",
    ]
    assert named(goods)["A"] == "apple"

    result = run_strategy(UpperNames(), target=backfill.target, chunk_size=3)

    assert (result.updated, result.unchanged, result.rejected, result.count) == (2, 2, 0, 4)
    assert named(goods) == {"A": "APPLE", "B": "BREAD", "C": "corn", "D": None, "E": "EGG"}


UUIDS = [f"'{digit * 8}-0000-4000-8000-000000000000'" for digit in "0a19f"]
KEYS = {
    "INTEGER": ["-5", "0", "7", "70", "8"],
    "BIGINT": ["-9223372036854775808", "9007199254740993", "9007199254740992", "9223372036854775807", "0"],
    "VARCHAR(20)": ["'a'", "'B'", "'ab'", "'O''Brien\\'", "'ä'", "''", "'100%s'"],
    "CHAR(36)": UUIDS,
    "UUID": UUIDS,
    "DATE": ["'2026-01-31'", "'0001-01-01'", "'9999-12-31'", "'2026-02-01'"],
    "TIMESTAMP": ["'2026-01-31 00:00:00'", "'2026-01-31 00:00:00.000001'", "'1900-01-01 12:00:00.000000'"],
    "TIMESTAMP WITH TIME ZONE": ["'2026-03-29 01:30:00.5+00:00'", "'2026-03-29 02:30:00+00:00'"],
    "NUMERIC(12, 4)": ["-1.5", "0.0001", "10", "9.9999", "12345678.1234"],
    "NUMERIC": ["0.25", "100", "-3", "2.5"],
    "DOUBLE PRECISION": ["0.1", "0.30000000000000004", "1e300", "-2.5e-8"],
    "BOOLEAN": ["true", "false"],
}


@pytest.mark.parametrize("type", KEYS)
def test_every_type_of_key_is_gone_through_once(backfill: Backfill, run_sql: Sql, type: str) -> None:
    if backfill.target.dialect.name == "sqlite" and type in ("UUID", "TIMESTAMP WITH TIME ZONE"):
        pytest.skip("SQLite has no such type")
    run_sql(f"CREATE TABLE goods (id {type} NOT NULL PRIMARY KEY, n INTEGER)")
    run_sql(f"INSERT INTO goods VALUES {', '.join(f'({value}, 0)' for value in KEYS[type])}")
    rows = len(KEYS[type])

    for visit, size in enumerate((1, 2, 3, rows), 1):
        backfill.chunk_size = size
        job = backfill(updating(count_up))

        assert (job.result.updated, job.result.unchanged, job.result.rejected) == (rows, 0, 0)
        assert run_sql("SELECT n FROM goods") == [(visit,)] * rows


def test_bytes_are_a_key_too(backfill: Backfill, run_sql: Sql) -> None:
    is_sqlite = backfill.target.dialect.name == "sqlite"
    cells = ["X'00'", "X'0041'", "X'ff'"] if is_sqlite else [r"'\x00'", r"'\x0041'", r"'\xff'"]
    run_sql(f"CREATE TABLE goods (id {'BLOB' if is_sqlite else 'BYTEA'} NOT NULL PRIMARY KEY, n INTEGER)")
    run_sql(f"INSERT INTO goods VALUES {', '.join(f'({cell}, 0)' for cell in cells)}")
    backfill.chunk_size = 1

    assert backfill(updating(count_up)).result.updated == 3
    assert run_sql("SELECT n FROM goods") == [(1,)] * 3


def test_a_key_of_several_columns_of_a_unique_index(backfill: Backfill, run_sql: Sql) -> None:
    run_sql("CREATE TABLE goods (id INTEGER PRIMARY KEY, region TEXT NOT NULL, day DATE NOT NULL, n INTEGER)")
    run_sql("CREATE UNIQUE INDEX goods_of_day ON goods (day, region)")
    days = ["2026-01-01", "2026-01-02", "2026-01-03"]
    pairs = [f"({number}, '{region}', '{day}', 0)" for number, (region, day) in enumerate(
        (region, day) for region in ("eu", "us", "Ä") for day in days
    )]  # fmt: skip
    run_sql(f"INSERT INTO goods VALUES {', '.join(pairs)}")

    for visit, size in enumerate((1, 2, 4, 9), 1):
        backfill.chunk_size = size
        job = backfill(updating(count_up, key=["region", "day"]))

        assert job.plan["key"] == ["day", "region"]  # as its index has them
        assert run_sql("SELECT n FROM goods") == [(visit,)] * 9


@pytest.mark.parametrize("size", [1, 2, 3])
def test_pages_go_by_the_collation_of_the_index(backfill: Backfill, run_sql: Sql, size: int) -> None:
    if backfill.target.dialect.name == "sqlite":
        run_sql("CREATE TABLE goods (code TEXT COLLATE NOCASE NOT NULL, n INTEGER)")
        run_sql("CREATE UNIQUE INDEX goods_code ON goods (code COLLATE BINARY)")
    else:
        run_sql("CREATE TABLE goods (code TEXT NOT NULL, n INTEGER)")
        run_sql('CREATE UNIQUE INDEX goods_code ON goods (code COLLATE "C")')
    run_sql("INSERT INTO goods VALUES ('a', 0), ('A', 0), ('b', 0), ('B', 0), ('c', 0)")
    backfill.chunk_size = size

    assert backfill(updating(count_up, key="code")).result.updated == 5
    assert run_sql("SELECT n FROM goods") == [(1,)] * 5


def test_the_preview_says_what_the_run_does(backfill: Backfill, goods: Sql) -> None:
    def transform(strategy: FrameUpdate, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        job.reject_rows(frame["name"].isna(), "name", "is missing")
        frame["stock"] = frame["stock"].where(frame["code"] != "C", 5000)
        frame["price"] = frame["price"] * 2
        return frame[frame["code"] != "E"][["code", "stock", "price"]]

    job = backfill.preview(updating(transform))
    plan = job.plan
    assert plan["total"] == 5
    assert plan["counts"] == {"create": 0, "update": 3, "unchanged": 0, "remove": 0, "reject": 1, "left_out": 1}
    assert plan["rejects"] == [{"line": 4, "column": "name", "message": "is missing"}]

    hooks.process(updating(transform), job)

    # that a CHECK is not met is known when the row is written
    assert (job.result.updated, job.result.unchanged, job.result.rejected) == (2, 0, 2)
    header, *rejects = backfill.rejects(job)
    assert header == "code,name,price,stock,note,reject_line,reject_reason"
    assert [line.split(",")[0] for line in rejects] == ["C", "D"]
    assert rejects[0].startswith("C,corn,0")
    assert rejects[1].endswith("4,name: is missing")
    stocks = goods("SELECT code, price, stock FROM goods ORDER BY code")
    assert [(code, float(price), stock) for code, price, stock in stocks] == [
        ("A", 3.0, 1),
        ("B", 4.0, 2),
        ("C", 0.0, 3),
        ("D", 4.0, 4),
        ("E", 5.0, 5),
    ]


def test_a_second_run_changes_nothing(backfill: Backfill, goods: Sql) -> None:
    def transform(strategy: FrameUpdate, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        frame["name"] = frame["name"].str.upper()
        return frame

    assert backfill(updating(transform)).result.updated == 3
    again = backfill(updating(transform))
    assert (again.result.updated, again.result.unchanged) == (0, 5)


def test_values_can_be_emptied_and_filled(backfill: Backfill, goods: Sql) -> None:
    def transform(strategy: FrameUpdate, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        frame["note"] = frame["note"].isna().map({True: "new", False: None})
        return frame[["code", "note"]]

    job = backfill(updating(transform))

    assert job.plan["columns"] == {"note": {"changed": 5, "emptied": 3}}
    assert goods("SELECT note FROM goods ORDER BY code") == [(None,), ("new",), (None,), ("new",), (None,)]


@settings(max_examples=8)
@given(
    keys=st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5), unique=True),
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=3),
)
def test_pages_of_any_size_give_the_same_table(keys: list[str], sizes: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        engine = make_engine(f"sqlite:///{folder}/target.db")
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE goods (id TEXT PRIMARY KEY NOT NULL, n INTEGER)")
            for number, key in enumerate(keys):
                connection.exec_driver_sql("INSERT INTO goods VALUES (?, ?)", (key, number))
        backfill = Backfill(engine, FileStore(f"{folder}/files"))
        for size in sizes:
            backfill.chunk_size = size
            assert backfill(updating(count_up)).result.updated == len(keys)
        with engine.begin() as connection:
            found = dict(connection.exec_driver_sql("SELECT id, n FROM goods").all())  # type: ignore[arg-type]
        engine.dispose()
    assert found == {key: number + len(sizes) for number, key in enumerate(keys)}


def test_a_change_between_preview_and_run_is_what_is_changed_then(backfill: Backfill, goods: Sql) -> None:
    job = backfill.preview(UpperNames())
    goods("UPDATE goods SET name = 'avocado' WHERE code = 'A'")
    goods("UPDATE goods SET price = 0 WHERE code = 'E'")
    goods("DELETE FROM goods WHERE code = 'B'")
    goods("INSERT INTO goods VALUES ('BB', 'bun', 1, 1, NULL)")

    hooks.process(UpperNames(), job)

    assert named(goods) == {"A": "AVOCADO", "BB": "BUN", "C": "corn", "D": None, "E": "egg"}


def test_what_somebody_else_writes_meanwhile_is_not_lost(backfill: Backfill, goods: Sql) -> None:
    others: list[threading.Thread] = []

    def transform(strategy: FrameUpdate, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        if is_running and not others:
            others.append(threading.Thread(target=goods, args=["UPDATE goods SET note = 'mine', name = name || '!'"]))
            others[0].start()
            if backfill.target.dialect.name == "postgresql":
                _wait_for_a_blocked_session(backfill.target)
        frame["name"] = frame["name"].str.upper()
        return frame

    is_running = False
    strategy = updating(transform)
    job = backfill.preview(strategy)
    is_running = True
    hooks.process(strategy, job)
    others[0].join(60)

    # each row was changed by both, in whichever order
    assert {note for (note,) in goods("SELECT note FROM goods")} == {"mine"}
    assert named(goods) == {"A": "APPLE!", "B": "BREAD!", "C": "CORN!", "D": None, "E": "EGG!"}


def test_rows_that_somebody_has_locked_are_waited_for(backfill: Backfill, goods: Sql) -> None:
    if backfill.target.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer")
    job = backfill.preview(UpperNames())
    with backfill.target.connect() as other:
        other.exec_driver_sql("UPDATE goods SET name = 'avocado', note = 'theirs' WHERE code = 'A'")
        run = threading.Thread(target=hooks.process, args=[UpperNames(), job])
        run.start()
        _wait_for_a_blocked_session(backfill.target)
        other.commit()
    run.join(60)

    assert goods("SELECT name, note FROM goods WHERE code = 'A'") == [("AVOCADO", "theirs")]


def test_sqlite_lets_nobody_write_between_read_and_write(backfill: Backfill, goods: Sql) -> None:
    if backfill.target.dialect.name != "sqlite":
        pytest.skip("PostgreSQL locks rows")

    def transform(strategy: FrameUpdate, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        if is_running:
            with sqlite3.connect(str(backfill.target.url.database), timeout=0) as other:
                with pytest.raises(sqlite3.OperationalError, match="locked"):
                    other.execute("UPDATE goods SET note = 'theirs'")
        return frame

    is_running = False
    strategy = updating(transform)
    job = backfill.preview(strategy)
    is_running = True
    hooks.process(strategy, job)

    assert job.result.unchanged == 5


def _wait_for_a_blocked_session(target: Engine) -> None:
    blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with psycopg.connect(str(target.url.set(drivername="postgresql").render_as_string(False)), autocommit=True) as own:
        for _ in range(60_000):
            if own.execute(blocked).fetchone() != (0,):
                return
    raise AssertionError("nobody waits for a lock")


def test_a_failed_run_goes_on_behind_its_last_chunk(backfill: Backfill, run_sql: Sql) -> None:
    run_sql("CREATE TABLE goods (id INTEGER PRIMARY KEY, n INTEGER)")
    run_sql(f"INSERT INTO goods VALUES {', '.join(f'({number}, 0)' for number in range(1, 12))}")

    def transform(strategy: FrameUpdate, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        if fails and (frame["id"] == 7).any():
            raise ZeroDivisionError("no luck")
        job.reject_rows(frame["id"].isin([5, 10]), "id", "is round")
        return count_up(strategy, frame, job)

    fails = False
    strategy = updating(transform)
    job = backfill.preview(strategy)
    fails = True
    with pytest.raises(TransformFailed, match=r"lines 7 to 8 of goods in the order of id, with the columns id int"):
        hooks.process(strategy, job)
    assert (job.result.advancement_count, job.result.updated, job.checkpoint) == (
        6,
        5,
        [6] if _is_sqlite(job) else ["6"],
    )

    fails = False
    run_sql("INSERT INTO goods VALUES (0, 0), (12, 0)")  # behind the cursor, and before it
    retried = backfill.job(strategy, job)
    hooks.pre_process(strategy, retried)
    hooks.process(strategy, retried)

    assert (retried.result.updated, retried.result.rejected, retried.result.advancement_count) == (10, 2, 12)
    assert backfill.rejects(retried)[1:] == ["5,0,5,id: is round", "10,0,10,id: is round"]
    visits = dict(run_sql("SELECT id, n FROM goods"))  # type: ignore[arg-type]
    assert visits == {number: int(number not in (0, 5, 10)) for number in range(13)}


def _is_sqlite(job: JobRun) -> bool:
    return job.target.dialect.name == "sqlite"


def test_too_many_rejects_fail_before_anything_is_written(backfill: Backfill, goods: Sql) -> None:
    def transform(strategy: FrameUpdate, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        job.reject_rows(frame["note"].isna(), None, "has no note")
        frame["name"] = "x"
        return frame

    with pytest.raises(TooManyRejects, match="2 rows are rejected and max_rejects is 1; nothing was written"):
        backfill(updating(transform), max_rejects=1)
    assert named(goods)["A"] == "apple"
    assert backfill(updating(transform), max_rejects=2).result.updated == 3


def test_values_that_a_column_cannot_hold_are_rejects(backfill: Backfill, goods: Sql) -> None:
    def transform(strategy: FrameUpdate, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        frame["stock"] = frame["stock"].map({1: "1", 2: "two", 3: "3", 4: "4", 5: "5.5"})
        return frame[["code", "stock"]]

    job = backfill(updating(transform))

    assert job.result.rejected == 2
    assert [line.rpartition(",")[2] for line in backfill.rejects(job)[1:]] == [
        "stock: 'two' is not a whole number",
        "stock: '5.5' is not a whole number",
    ]


def test_a_schema_makes_bad_cells_rejects(backfill: Backfill, goods: Sql) -> None:
    class Priced(BaseModel):
        price: float = Field(lt=8)

    def transform(strategy: FrameUpdate, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        frame["price"] = frame["price"] * 2
        return frame.reset_index(drop=True)[["code", "price"]]

    job = backfill(updating(transform, schema=Priced))

    assert (job.plan["counts"]["reject"], job.result.rejected, job.result.updated) == (2, 2, 2)
    assert ["'8.00': Input should be less than 8" in line for line in backfill.rejects(job)[1:]] == [True, False]


def test_a_condition_may_use_the_contexts_fields(backfill: Backfill, goods: Sql) -> None:
    class Context(FrameUpdate.Context):
        least: float
        names: tuple[str, ...] = ("it's", "egg", "apple")

    where = "price >= :least AND name IN :names AND note <> ':least' AND note LIKE 'k%' -- price :nothing"
    strategy = updating(UpperNames.transform, where=where, Context=Context)  # type: ignore[arg-type]

    assert backfill(strategy, least=2).result.updated == 1
    assert named(goods)["E"] == "EGG"
    assert named(goods)["A"] == "apple"


def test_the_types_are_those_of_the_columns_in_every_page(backfill: Backfill, run_sql: Sql) -> None:
    run_sql(
        "CREATE TABLE goods (id INTEGER PRIMARY KEY, big BIGINT, name VARCHAR(5), price NUMERIC(8, 2), weight NUMERIC, "
        "day DATE, at TIMESTAMP, is_on BOOLEAN, ratio DOUBLE PRECISION, n INTEGER)"
    )
    run_sql("INSERT INTO goods (id) VALUES (1), (2)")
    run_sql(
        "INSERT INTO goods VALUES (3, 9007199254740993, '007', 1.50, 0.125, '2026-01-31', '2026-01-31 12:00:00', "
        "true, 0.1, 1)"
    )
    seen: list[dict[str, str]] = []

    def transform(strategy: FrameUpdate, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        seen.append({name: str(dtype) for name, dtype in frame.dtypes.items()})
        if (frame["id"] == 3).any():
            row = frame.iloc[-1]
            assert (row["big"], row["name"], str(row["price"]), row["ratio"]) == (9007199254740993, "007", "1.50", 0.1)
        return frame

    job = backfill(updating(transform))

    assert job.result.unchanged == 3
    assert all(types == seen[0] for types in seen)
    whole = "int64[pyarrow]" if _is_sqlite(job) else "int32[pyarrow]"
    assert seen[0] == {
        "id": whole,
        "big": "int64[pyarrow]",
        "name": "string[pyarrow]" if seen[0]["name"].startswith("string[") else seen[0]["name"],
        "price": "decimal128(8, 2)[pyarrow]",
        "weight": "double[pyarrow]" if _is_sqlite(job) else "decimal128(18, 3)[pyarrow]",
        "day": "date32[day][pyarrow]",
        "at": "timestamp[us][pyarrow]",
        "is_on": "bool[pyarrow]",
        "ratio": "double[pyarrow]",
        "n": whole,
    }


def test_names_are_quoted_and_computed_columns_left(backfill: Backfill, run_sql: Sql) -> None:
    run_sql(
        'CREATE TABLE "or""der %s" ("gr""oup %" TEXT PRIMARY KEY, "a b:c" INTEGER, '
        'twice INTEGER GENERATED ALWAYS AS ("a b:c" * 2) STORED)'
    )
    run_sql("""INSERT INTO "or""der %s" ("gr""oup %", "a b:c") VALUES ('x', 1), ('y', 2), ('z', 3)""")

    def transform(strategy: FrameUpdate, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        frame["a b:c"] = frame["a b:c"] + frame["twice"]
        return frame

    strategy = updating(transform, table='or"der %s', where='"a b:c" < 3')
    assert backfill(strategy).result.updated == 2
    assert run_sql('SELECT "a b:c", twice FROM "or""der %s" ORDER BY 1') == [(3, 6), (3, 6), (6, 12)]


def test_a_table_in_parts_in_a_schema(backfill: Backfill, run_sql: Sql) -> None:
    if backfill.target.dialect.name == "sqlite":
        pytest.skip("SQLite has no such tables")
    run_sql("CREATE SCHEMA shop")
    run_sql("CREATE TABLE shop.goods (id INTEGER, day DATE, n INTEGER, PRIMARY KEY (day, id)) PARTITION BY RANGE (day)")
    for first, end in (("2026-01-01", "2026-02-01"), ("2026-02-01", "2026-03-01")):
        run_sql(f"CREATE TABLE shop.goods_{end[5:7]} PARTITION OF shop.goods FOR VALUES FROM ('{first}') TO ('{end}')")
    run_sql("INSERT INTO shop.goods SELECT i, DATE '2026-01-28' + i, 0 FROM generate_series(1, 7) AS i")

    assert backfill(updating(count_up, table="shop.goods")).result.updated == 7
    assert run_sql("SELECT DISTINCT n FROM shop.goods") == [(1,)]


def test_values_that_a_frame_cannot_hold_are_rejects_and_stay(backfill: Backfill, run_sql: Sql) -> None:
    if backfill.target.dialect.name == "sqlite":
        run_sql("CREATE TABLE goods (id INTEGER PRIMARY KEY, at INTEGER, n INTEGER)")
        run_sql("INSERT INTO goods VALUES (1, 'never', 0), (2, 2, 0)")
        odd = "never"
    else:
        run_sql("CREATE TABLE goods (id INTEGER PRIMARY KEY, at DATE, n INTEGER)")
        run_sql("INSERT INTO goods VALUES (1, 'infinity', 0), (2, '2026-01-31', 0)")
        odd = "infinity"

    job = backfill(updating(count_up))

    assert (job.result.updated, job.result.rejected) == (1, 1)
    assert backfill.rejects(job)[1].startswith(f"1,{odd},0,1,at: '{odd}' is not")
    assert run_sql("SELECT CAST(at AS TEXT), n FROM goods WHERE id = 1") == [(odd, 0)]


@pytest.mark.parametrize("drops_rows", [True, False])
def test_what_transform_leaves_as_it_is_keeps_its_form(backfill: Backfill, run_sql: Sql, drops_rows: bool) -> None:
    is_sqlite = backfill.target.dialect.name == "sqlite"
    odd, type = ("1769860800", "TIMESTAMP") if is_sqlite else ("1.500", "NUMERIC")
    run_sql(f"CREATE TABLE goods (id INTEGER PRIMARY KEY, odd {type}, body TEXT, n INTEGER, other {type})")
    body = "X'00ff'" if is_sqlite else "'text'"
    run_sql(f"INSERT INTO goods VALUES (1, {odd}, {body}, 0, {odd}), (2, {odd}, {body}, 0, {odd})")
    before = run_sql("SELECT CAST(odd AS TEXT), body, CAST(other AS TEXT) FROM goods")

    def transform(strategy: FrameUpdate, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        frame["n"] = frame["n"] + 1
        return frame[frame["id"] == 1] if drops_rows else frame

    job = backfill(updating(transform))

    assert job.plan["columns"] == {"n": {"changed": 2 - drops_rows, "emptied": 0}}
    assert run_sql("SELECT CAST(odd AS TEXT), body, CAST(other AS TEXT) FROM goods") == before
    assert run_sql("SELECT n FROM goods ORDER BY id") == [(1,), (1 - drops_rows,)]


def test_triggers_see_the_sessions_own_settings(backfill: Backfill, goods: Sql) -> None:
    if backfill.target.dialect.name == "sqlite":
        pytest.skip("SQLite has no such settings")
    goods(
        "CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN NEW.note := current_setting(''TimeZone''); RETURN NEW; END'"
    )
    goods("CREATE TRIGGER noted BEFORE UPDATE ON goods FOR EACH ROW EXECUTE FUNCTION noted()")
    (database,) = goods("SELECT current_database()")[0]
    goods(f"ALTER DATABASE {database} SET TimeZone = 'Europe/Vienna'")
    backfill.target.dispose()

    backfill(UpperNames())

    assert goods("SELECT DISTINCT note FROM goods WHERE code IN ('A', 'E')") == [("Europe/Vienna",)]


@pytest.mark.parametrize("keeps_index", [True, False])
def test_rows_may_come_back_in_any_order(backfill: Backfill, goods: Sql, keeps_index: bool) -> None:
    def transform(strategy: FrameUpdate, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        frame["name"] = frame["name"].fillna("").str.capitalize()
        turned = frame.sort_values("code", ascending=False)
        return (turned if keeps_index else turned.reset_index(drop=True))[["name", "code"]]

    backfill.chunk_size = 4
    assert backfill(updating(transform)).result.updated == 5
    assert named(goods) == {"A": "Apple", "B": "Bread", "C": "Corn", "D": "", "E": "Egg"}


def _with(**columns: Any) -> Transform:
    return lambda strategy, frame, job: frame.assign(**columns)


REFUSED = {
    "a column that is not of the table": (
        _with(slug="x"),
        r"the frame has slug, which goods does not have; there are: code, name",
    ),
    "no key": (
        lambda strategy, frame, job: frame[["name"]],
        "the frame lacks code of the key code; it has: name",
    ),
    "nothing but the key": (lambda strategy, frame, job: frame[["code"]], "transform returns nothing but the key code"),
    "a changed key": (
        lambda strategy, frame, job: frame.assign(code=frame["code"].str.lower()),
        "transform changes the key code=A to code=a; keys stay as they are",
    ),
    "keys that change places": (
        lambda strategy, frame, job: frame.assign(code=frame["code"].to_numpy()[::-1]),
        "transform changes the key code=A to code=B",
    ),
    "an empty key": (_with(code=None), "transform changes the key code=A to code=None"),
    "a key of nowhere": (
        lambda strategy, frame, job: pd.DataFrame({"code": ["Z"], "name": ["x"]}),
        "a row with the key code=Z, which is none of those it was given",
    ),
    "a row twice": (
        lambda strategy, frame, job: pd.concat([frame, frame]),
        "transform returns the row with the key code=A twice",
    ),
    "a type that a column cannot hold": (
        _with(stock=1.5),
        "the frame has what goods cannot hold without loss: stock is double and the column INTEGER",
    ),
    "no frame": (lambda strategy, frame, job: None, "Rewrite.<lambda> gave back NoneType"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_meant_is_refused_in_one_line(backfill: Backfill, goods: Sql, what: str) -> None:
    transform, message = REFUSED[what]
    with pytest.raises(JobRefused, match=message) as refused:
        backfill(updating(transform))  # type: ignore[arg-type]
    assert "\n" not in str(refused.value)
    assert named(goods)["A"] == "apple"


def test_a_key_that_is_changed_in_the_run_alone_stops_that(backfill: Backfill, goods: Sql) -> None:
    def transform(strategy: FrameUpdate, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        frame["name"] = "x"
        return frame.assign(code=frame["code"] + "x") if is_running and (frame["code"] == "C").any() else frame

    is_running = False
    strategy = updating(transform)
    job = backfill.preview(strategy)
    is_running = True
    with pytest.raises(JobRefused, match="changes the key code=C to code=Cx"):
        hooks.process(strategy, job)
    assert named(goods) == {"A": "x", "B": "x", "C": "corn", "D": None, "E": "egg"}


TABLES = {
    "goods": ([], "there is no table goods in the target"),
    "without a primary key": (
        ["CREATE TABLE goods (code TEXT, n INTEGER)"],
        "goods has no primary key; give `key` the columns of a unique index",
    ),
    "a view": (
        ["CREATE TABLE real_goods (code TEXT PRIMARY KEY)", "CREATE VIEW goods AS SELECT * FROM real_goods"],
        "goods is a view, which has no unique index; name the table behind it",
    ),
}


@pytest.mark.parametrize("what", TABLES)
def test_a_table_that_has_no_pages_is_refused(backfill: Backfill, run_sql: Sql, what: str) -> None:
    statements, message = TABLES[what]
    for statement in statements:
        run_sql(statement)
    with pytest.raises(JobRefused, match=message):
        backfill(updating(count_up))


def test_a_key_that_is_not_unique_or_has_empty_cells_is_refused(backfill: Backfill, run_sql: Sql) -> None:
    run_sql("CREATE TABLE goods (code TEXT, n INTEGER)")
    run_sql("INSERT INTO goods VALUES ('a', 0), (NULL, 0)")
    with pytest.raises(JobRefused, match="goods has no unique index on exactly code"):
        backfill(updating(count_up, key=["code"]))
    run_sql("CREATE UNIQUE INDEX goods_code ON goods (code)")
    with pytest.raises(JobRefused, match="goods has rows whose code is empty, and so no key; fill it first"):
        backfill(updating(count_up, key=["code"]))

    assert backfill(updating(count_up, key=["code"], where="code IS NOT NULL")).result.updated == 1


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"key": ["nope"]}, "goods has no column nope, which key names; it has: code"),
        ({"columns": ["nope"]}, "goods has no column nope, which columns names; it has: code"),
    ],
)
def test_unknown_columns_are_refused(backfill: Backfill, goods: Sql, attributes: Any, message: str) -> None:
    with pytest.raises(JobRefused, match=message):
        backfill(updating(count_up, **attributes))


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"table": ""}, "lacks a table"),
        ({"transform": FrameUpdate.transform}, "lacks transform"),
        ({"where": "n > :least"}, "lacks a field least of its Context for where"),
    ],
)
def test_a_strategy_that_lacks_something_is_refused_when_it_is_defined(attributes: Any, message: str) -> None:
    with pytest.raises(StrategyIncomplete, match=message):
        updating(**{"transform": count_up, **attributes})


def test_an_empty_table_is_nothing_to_do(backfill: Backfill, run_sql: Sql) -> None:
    run_sql("CREATE TABLE goods (code TEXT PRIMARY KEY, n INTEGER)")
    job = backfill(updating(count_up))
    assert (job.result.count, job.result.updated) == (0, 0)
