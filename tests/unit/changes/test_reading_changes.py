"""What people are shown of changes: before a job runs from its preview, afterwards from the log, page by page."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from batch_jobs.flows.jobs.pruning import Pruning
from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.change_log import ChangeOptions, Changes
from batch_jobs.strategies.sdk.checkpoint import CheckpointStore
from batch_jobs.strategies.sdk.database import make_engine
from batch_jobs.strategies.sdk.errors import FileMissing
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.job import JobIdentity, JobParts, JobRun
from batch_jobs.strategies.tables.changes.blocks import ChangedRows
from batch_jobs.strategies.tables.changes.entries import Entry
from batch_jobs.strategies.tables.changes.logged import LoggedBlocks, LoggedRows
from batch_jobs.strategies.tables.changes.planned import ChangesFile, planned_key, planning
from batch_jobs.strategies.tables.changes.reading import (
    BlockHead,
    Blocks,
    ChangeFilter,
    Cursor,
    CursorWrong,
    WantedKey,
    read_page,
)
from batch_jobs.strategies.tables.changes.recording import record
from batch_jobs.strategies.tables.changes.stored import stored_table
from batch_jobs.strategies.tables.frames.frame_update import FrameUpdate
from support.change_log import log_change
from support.importing import Importing

RunSql = Callable[[str], list[tuple[Any, ...]]]

TABLES = {
    "a plain key": ("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, price NUMERIC(8, 2))", ["id"]),
    "a key of two": (
        "CREATE TABLE t (id INTEGER, name VARCHAR(9), price NUMERIC(8, 2), UNIQUE (name, id))",
        ["name", "id"],
    ),
    "nothing but the key": ("CREATE TABLE t (id INTEGER, name VARCHAR(9), PRIMARY KEY (id, name))", ["id", "name"]),
}
MODES = ["append", "insert", "upsert", "update", "sync", "marking"]
names = st.sampled_from(["mug", "Mug", 'a "b", c', "x\ny", "ü", "10", "=1+1"])
prices = st.sampled_from(["", "1", "1.5", "2.25", "wrong"])
ids = st.integers(1, 9)
EVERYTHING = ChangeFilter()


@contextmanager
def log_of(target: Engine, job_id: str, by_key: bool = True) -> Iterator[Blocks]:
    with target.connect() as connection:
        yield LoggedBlocks(connection, job_id, by_key)


def all_of(blocks: Blocks, wanted: ChangeFilter = EVERYTHING, limit: int = 100, seconds: float = 1.0) -> list[Entry]:
    """All pages, one after the other; a cursor is given as text, as clients do."""
    page = read_page(blocks, wanted, None, limit, seconds)
    entries = page.entries
    while page.cursor:
        after = Cursor.parse(str(page.cursor), [int] * len(page.cursor.place))
        page = read_page(blocks, wanted, after, limit, seconds)
        assert len(page.entries) <= limit
        entries = entries + page.entries
    return entries


def comparable(entries: list[Entry]) -> list[Any]:
    """In an order of their own, numbers whatever their form."""
    return sorted(
        (one.kind, sorted(one.key.items()), str(one.line), str(one.column), _plain(one.before), _plain(one.after))
        for one in entries
    )


def _plain(text: str | None) -> str:
    try:
        return repr(float(text or ""))
    except ValueError:
        return repr(text)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("mode", MODES)
def test_the_preview_says_what_the_log_says_afterwards(importing: Importing, run_sql: RunSql, mode, table):
    made, key = TABLES[table]
    if mode == "append" and key != ["id"]:
        pytest.skip("rows that are added are named by a primary key only")
    if mode == "marking" and table != "a plain key":
        pytest.skip("there is no other column to mark")
    context: dict[str, Any] = {"mode": "sync", "missing": {"mark": {"name": "gone"}}} if mode == "marking" else {}
    if mode in ("sync", "marking"):
        context["max_removed"] = 10
    columns = ["id", "name"] if table == "nothing but the key" else ["id", "name", "price"]

    @settings(max_examples=8)
    @given(
        there=st.sets(st.tuples(ids, names), max_size=5),
        file=st.lists(st.tuples(ids, names, prices), min_size=1, max_size=9),
    )
    def check(there: set[tuple[int, str]], file: list[tuple[int, str, str]]) -> None:
        for name in ("t", "batch_job_change", "batch_job_checkpoint"):
            run_sql(f"DROP TABLE IF EXISTS {name}")
        run_sql(made)
        for number, name in {number: (number, name) for number, name in sorted(there)}.values():
            run_sql(f"INSERT INTO t (id, name) VALUES ({number}, '{name}')")
        if mode in ("sync", "marking"):
            file = [(number, name, price.replace("wrong", "3")) for number, name, price in file]
        if mode == "append":  # whether a key is there is found in the run alone
            file = [row for number, row in {row[0]: row for row in file}.items() if number not in dict(there)]
        content = str(pd.DataFrame(file, columns=["id", "name", "price"], dtype=str)[columns].to_csv(index=False))
        given_key = {} if mode == "append" else {"key": key}

        job = importing.preview(content, table="t", **{"mode": mode, **given_key, **context})
        with ChangesFile(importing.files, job.id) as planned:
            before = all_of(planned)
        hooks.process(importing.strategy, job)
        with log_of(importing.target, job.id) as logged:
            assert comparable(before) == comparable(all_of(logged))

    check()


def test_an_update_in_pandas_says_beforehand_what_it_does(target: Engine, tmp_path: Path, run_sql: RunSql):
    class Raise(FrameUpdate):
        """Raise prices."""

        identifier, batch_type, table = "raise-strategy", "raise", "t"

        def transform(self, frame: "pd.DataFrame", job: Any) -> "pd.DataFrame":
            frame["price"] = frame["price"] * 2
            return frame

    run_sql(TABLES["a plain key"][0])
    run_sql("INSERT INTO t VALUES (1, 'a', 1), (2, 'b', NULL), (3, 'c', 0), (4, 'd', 2.5)")
    importing = Importing(target, FileStore(str(tmp_path / "files")), strategy=Raise())  # type: ignore[arg-type]
    job = importing.job_of(Raise.Context())
    hooks.pre_process(Raise(), job)

    with ChangesFile(importing.files, job.id) as planned:
        before = all_of(planned)
    hooks.process(Raise(), job)
    with log_of(target, job.id) as logged:
        after = all_of(logged)

    assert [(entry.key, entry.column) for entry in before] == [({"id": "1"}, "price"), ({"id": "4"}, "price")]
    assert comparable(before) == comparable(after)


def test_rows_with_a_repeated_key_are_not_in_the_preview(importing: Importing, run_sql: RunSql):
    run_sql(TABLES["a plain key"][0])
    run_sql("INSERT INTO t VALUES (1, 'a', 1)")
    job = importing.preview("id,name\n1,b\n2,c\n1,d\n2,e\n3,f\n", table="t", mode="upsert")

    with ChangesFile(importing.files, job.id) as planned:
        assert {entry.line for entry in all_of(planned)} == {2, 3, 6}


def test_the_preview_is_kept_though_the_changes_are_not(importing: Importing, run_sql: RunSql):
    run_sql(TABLES["a plain key"][0])
    job = importing.preview("id,name\n1,b\n", table="t", mode="upsert", keep_changes=False)

    with ChangesFile(importing.files, job.id) as planned:
        assert [(entry.key, entry.after) for entry in all_of(planned)] == [({"id": "1"}, "b")]


def test_values_that_are_hidden_are_in_neither(importing: Importing, run_sql: RunSql):
    run_sql(TABLES["a plain key"][0])
    run_sql("INSERT INTO t VALUES (1, 'secret', 1)")
    job = importing.job("id,name,price\n1,whisper,2\n2,,\n", table="t", mode="upsert")
    job.changes = Changes(ChangeOptions(hidden=("t.name",), secret=b"s"), None)
    hooks.pre_process(importing.strategy, job)
    hooks.process(importing.strategy, job)

    with ChangesFile(importing.files, job.id) as planned, log_of(importing.target, job.id) as logged:
        before, after = all_of(planned), all_of(logged)
    stored = (importing.files.open(f"jobs/{job.id}/changes.parquet")).read()

    assert [(entry.column, entry.before, entry.after) for entry in before if entry.kind == "updated"] == [
        ("name", "(hidden)", "(hidden)"),
        ("price", "1" if importing.target.dialect.name == "sqlite" else "1.00", before[1].after),
    ]
    assert job.plan["sample"][0]["before"] == "(hidden)"
    assert comparable(before) == comparable(after)
    assert b"secret" not in stored
    assert b"whisper" not in stored


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("seconds", [0.0, 1.0])
def test_pages_have_every_change_once_and_in_order(target: Engine, tmp_path: Path, limit: int, seconds: float):
    for chunk in range(1, 5):
        cells = [(str(number), str(number + chunk)) for number in range(5)]
        log_change(target, "j", chunk, code=[f"{chunk}{n}" for n in range(5)], price=cells, stock=cells[::-1])
    with log_of(target, "j") as logged:
        whole = all_of(logged, limit=1_000)
        wanted = ChangeFilter(column="stock")

        assert len(whole) == 40
        assert all_of(logged, limit=limit, seconds=seconds) == whole
        assert all_of(logged, wanted, limit, seconds) == [entry for entry in whole if entry.column == "stock"]


def test_a_filter_that_nothing_meets_ends_each_request_in_time_and_comes_to_an_end(target: Engine):
    for chunk in range(1, 4):
        log_change(target, "j", chunk)
    pages = 0
    with log_of(target, "j") as logged:
        page = read_page(logged, ChangeFilter(column="none"), None, 10, seconds=0)
        while page.cursor:
            assert page.entries == []
            pages += 1
            page = read_page(logged, ChangeFilter(column="none"), page.cursor, 10, seconds=0)

    assert pages <= 4


@pytest.mark.parametrize(
    ("wanted", "codes"),
    [
        (ChangeFilter(percent_below=-50), ["fell"]),
        (ChangeFilter(percent_above=0), ["rose", "began"]),
        (ChangeFilter(percent_below=0, percent_above=-60), ["half"]),
        (ChangeFilter(column="price", percent_above=100), ["began"]),
        (ChangeFilter(emptied=True), ["emptied"]),
        (ChangeFilter(filled=True), ["filled"]),
        (ChangeFilter(emptied=True, filled=True, key_begins="FI"), ["filled"]),
        (ChangeFilter(emptied=True, percent_below=0), []),
        (ChangeFilter(key_begins="r"), ["rose"]),
        (ChangeFilter(key_begins="ose"), []),
        (ChangeFilter(kind="created"), []),
        (ChangeFilter(column="stock"), []),
        (ChangeFilter(key=WantedKey(["ROSE"])), ["rose"]),
        (ChangeFilter(key=WantedKey({"code": "rose"})), ["rose"]),
        (ChangeFilter(key=WantedKey({"id": "rose"})), []),
        (ChangeFilter(key=WantedKey(["rose", "b"])), []),
    ],
    ids=str,
)
def test_filters(target: Engine, wanted: ChangeFilter, codes: list[str]):
    # a fall from 0.7 to 0.35 is one of half, and not of more by the last bit of a floating-point number
    prices = {"fell": ("10", "3"), "half": ("0.7", "0.35"), "rose": ("1.00", "2.00"), "began": ("0", "1"),
              "word": ("none", "3"), "emptied": ("3", None), "filled": (None, "3")}  # fmt: skip
    log_change(target, "j", code=list(prices), price=list(prices.values()))

    with log_of(target, "j") as logged:
        assert [entry.key["code"] for entry in all_of(logged, wanted)] == codes


def test_of_keys_that_no_block_has_no_block_is_read(target: Engine, monkeypatch: pytest.MonkeyPatch):
    log_change(target, "j", code=[f"K{number}" for number in range(1_000)], price=[("1", "2")] * 1_000)
    monkeypatch.setattr(LoggedBlocks, "rows", lambda self, head: pytest.fail("it was read"))

    with log_of(target, "j") as logged:
        assert all_of(logged, ChangeFilter(key=WantedKey(["nobody"]))) == []


def test_the_history_of_a_row_begins_with_the_newest_job(target: Engine):
    log_change(target, "batch_1", price=[("1", "2")])
    log_change(target, "batch_1", 2, price=[("2", "3")])
    log_change(target, "batch_2", code=["A", "B"], price=[("3", "4"), ("1", "2")])

    with target.connect() as connection:
        rows = LoggedRows(connection, ["products"])
        page = read_page(rows, ChangeFilter(key=WantedKey(["A"])), None, 10)
        first = read_page(rows, ChangeFilter(key=WantedKey(["A"])), None, 2)
        after = Cursor.parse(str(first.cursor), [str, int, int, int])
        rest = read_page(rows, ChangeFilter(key=WantedKey(["A"])), after, 2)

    assert [(place[0], entry.after) for place, entry in zip(page.places, page.entries, strict=True)] == [
        ("batch_2", "4"),
        ("batch_1", "3"),
        ("batch_1", "2"),
    ]
    assert first.entries + rest.entries == page.entries


def test_a_removed_row_is_found_by_a_key_whose_columns_have_another_order_in_the_table(
    importing: Importing, run_sql: RunSql
):
    run_sql(TABLES["a key of two"][0])
    run_sql("INSERT INTO t VALUES (1, 'a', 5), (2, 'b', 6)")
    result = importing("id,name,price\n1,a,5\n", table="t", mode="sync", key=["name", "id"], max_removed=1)
    assert result.removed == 1

    with log_of(importing.target, importing.jobs[-1].id) as logged:
        (entry,) = all_of(logged, ChangeFilter(key=WantedKey(["b", "2"])))
    assert (entry.kind, entry.column, entry.after) == ("removed", "price", None)


@pytest.mark.parametrize(
    "text", ["", "x", "W10", "WzEsMl0", "WzEsMiwzLDQsNV0", "Wy0xLDIsMyw0XQ", "WyJhIiwyLDMsNF0", "é"]
)
def test_what_is_no_cursor_is_refused_as_that(text: str):
    with pytest.raises(CursorWrong, match="next_cursor"):
        Cursor.parse(text, [int, int, int])


@pytest.mark.parametrize(
    ("texts", "cells"),
    [
        (["a", "b"], ["a", "b"]),
        (['["a", 2]'], ["a", "2"]),
        (['{"code": "a", "n": 1.50}'], {"code": "a", "n": "1.5"}),
        (["[not json"], ["[not json"]),
        (["{"], ["{"]),
    ],
)
def test_a_key_is_cells_in_order_or_json(texts: list[str], cells: Any):
    assert WantedKey.parse(texts).cells == cells


@pytest.mark.parametrize("text", ['{"a": [1]}', "[]", "[null]", "{}"])
def test_json_that_is_no_key_is_refused(text: str):
    with pytest.raises(ValueError, match="key must be"):
        WantedKey.parse([text])


def test_rows_of_one_kind_may_have_any_types(tmp_path: Path):
    rows = pa.table(
        {
            "=id": pa.array([1, 2]),
            "+at": pa.array([0, 1_500_000], pa.timestamp("us")),
            "+tags": pa.array([["a"], None]),
            "+raw": pa.array([b"\x00", b""]),
            "+on": pa.array([True, None]),
        }
    )
    files = FileStore(str(tmp_path))
    with planning(files, "j") as planned:
        planned.add([ChangedRows("t", "created", ["id"], rows)])

    with ChangesFile(files, "j") as file:
        assert [(entry.key["id"], entry.column, entry.after) for entry in all_of(file)] == [
            ("1", "at", "1970-01-01 00:00:00"),
            ("1", "tags", '["a"]'),
            ("1", "raw", "\\x00"),
            ("1", "on", "true"),
            ("2", "at", "1970-01-01 00:00:01.5"),
            ("2", "raw", "\\x"),
        ]


def test_a_job_without_a_preview_has_no_file(tmp_path: Path):
    with pytest.raises(FileMissing):
        ChangesFile(FileStore(str(tmp_path)), "j")


def test_a_preview_is_forgotten_with_the_changes(target: Engine, tmp_path: Path):
    files = FileStore(str(tmp_path))
    log_change(target, "j")
    with planning(files, "j") as planned:
        planned.add([])

    assert Pruning(target, target, files).forget_changes(timedelta(0)) == 1
    assert not files.exists(planned_key("j"))


stored = st.one_of(
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=4),
    st.binary(max_size=3),
)


@settings(max_examples=40, deadline=None)
@given(blocks=st.lists(st.lists(stored, min_size=1, max_size=4), min_size=1, max_size=3))
def test_a_row_is_found_by_its_key_as_it_is_shown_whatever_else_is_in_that_column(blocks: list[list[Any]]):
    heads, rows = [], []
    for number, keys in enumerate(blocks):
        made = stored_table(["=key", "-n", "+n"], [(key, 1, 2) for key in keys])
        changed = ChangedRows("t", "updated", ["key"], made)
        heads.append(BlockHead((number,), "t", "updated", ["key"], changed.counts, changed.encoded().sieve))
        rows.append(made)

    class InMemory:
        def heads(self, start: Any) -> Iterator[BlockHead]:
            return iter(heads[start[0] if start else 0 :])

        def rows(self, head: BlockHead) -> pa.Table:
            return rows[head.place[0]]

    for entry in all_of(InMemory()):
        key = entry.key["key"]
        assert key is not None
        assert key in [one.key["key"] for one in all_of(InMemory(), ChangeFilter(key=WantedKey([key])))]
        assert key in [one.key["key"] for one in all_of(InMemory(), ChangeFilter(key_begins=key))]


def test_the_history_has_rows_of_a_column_without_a_type(tmp_path: Path):
    target = make_engine(f"sqlite:///{tmp_path / 'mixed.db'}")
    job = JobRun(
        JobIdentity("batch_mixed", "own", None),
        JobParts(target, FileStore(str(tmp_path / "files")), CheckpointStore(target, "batch_mixed", 1)),
    )
    job.begin_processing()
    with job.chunk(cursor=1) as connection:
        made = stored_table(["=code", "-n", "+n"], [(code, 1, 2) for code in (1, "A", 2.5, b"\x00\xff")])
        record(connection, [ChangedRows("mixed", "updated", ["code"], made)])
    with target.connect() as connection:
        for key in ("1", "a", "2.5", "\\x00ff"):
            page = read_page(LoggedRows(connection, ["mixed"]), ChangeFilter(key=WantedKey([key])), None, 10)
            assert [(one.column, one.before, one.after) for one in page.entries] == [("n", "1", "2")], key
