"""A file changed in pandas on its way into a table."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import MetaData, Table, select, text

from batch_jobs.strategies.sdk import hooks
from batch_jobs.strategies.sdk.errors import BatchJobError, ContextRefused, JobRefused
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.sdk.leaving_out import WISH, LeaveOut
from batch_jobs.strategies.tables.frames.frame_import import FrameImport
from support.frames import TEXTS

PRICES = "Art.-Nr.;Net;Text\n 00123;12,50;Mug\nA7;0;Plate\n99;3,10;Bowl\n00123;7;Again\n"
GOODS = "CREATE TABLE goods (code VARCHAR(20) PRIMARY KEY, price NUMERIC(10, 2), name TEXT, stock INTEGER)"


class SupplierPrices(FrameImport):
    """Load the supplier's weekly price list."""

    identifier, batch_type = "supplier-prices-strategy", "supplier-prices"
    table, key = "goods", ["code"]

    class Context(FrameImport.Context):
        vat: float = 0.2

    def transform(self, frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        frame["code"] = frame["Art.-Nr."].str.strip().str.zfill(8)
        frame["price"] = (frame["Net"] * (1 + job.context.vat)).round(2)
        job.reject_rows(frame["price"] <= 0, "price", "is not above zero")
        return frame[["code", "price"]]


def same(frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
    return frame


def test_a_suppliers_file_changed_a_little_goes_into_our_table_with_preview_and_rejects(importing_by, run_sql):
    run_sql(GOODS)
    run_sql("INSERT INTO goods VALUES ('00000099', 3.00, 'Bowl', 7)")
    importing = importing_by(same)
    importing.strategy = SupplierPrices()
    job = importing.preview(PRICES, mode="upsert", decimal=",")
    assert job.plan["counts"] == {"create": 1, "update": 1, "unchanged": 0, "remove": 0, "reject": 2}
    (change,) = job.plan["sample"]
    assert (change["line"], change["key"], change["column"], change["after"]) == (
        4,
        {"code": "00000099"},
        "price",
        "3.72",
    )
    assert [(one["name"], one["type"]) for one in job.plan["frame"]] == [
        ("Art.-Nr.", "Text"), ("Net", "Numeric"), ("Text", "Text")
    ]  # fmt: skip
    result = importing(PRICES, mode="upsert", decimal=",")
    assert (result.created, result.updated, result.rejected, result.advancement_count) == (1, 1, 2, 4)
    rows = run_sql("SELECT code, price, name, stock FROM goods ORDER BY code")
    assert rows == [("00000099", Decimal("3.72"), "Bowl", 7), ("00000123", Decimal("15.00"), None, None)] or rows == [
        ("00000099", 3.72, "Bowl", 7), ("00000123", 15, None, None)
    ]  # fmt: skip
    assert importing.rejects(result) == [
        "Art.-Nr.,Net,Text,reject_line,reject_reason",
        'A7,0,Plate,3,price: is not above zero',
        "00123,7,Again,5,key code=00000123 is already on line 2",
    ]  # fmt: skip


def test_types_are_those_of_the_whole_file_in_every_chunk(importing_by, run_sql):
    seen: set[tuple[str, ...]] = set()

    def note(frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        seen.add(tuple(str(dtype) for dtype in frame.dtypes))
        return frame[["code"]]

    content = "code,n,d,day,moment,flag,big,long,none\n"
    content += "".join(f"{n},{n},{n}.5,2024-01-02,2024-01-02 03:04:05,true,{n},{n},\n" for n in range(1, 30_000))
    content += "007,x,1.25,2024-01-02,2024-01-02 03:04:05,false,9223372036854775808,1.0000000000000000000001,\n"
    importing = importing_by(note, chunk_size=10_000)
    importing(content, mode="upsert")
    last = ("string", "string", "decimal128(18, 2)", "date32[day]", "timestamp[us]", "bool", "decimal128(38, 0)",
            "decimal128(38, 22)", "string")  # fmt: skip
    seen.clear()
    importing(content, mode="upsert")
    assert tuple(TEXTS if name == "string" else f"{name}[pyarrow]" for name in last) in seen


def test_types_that_are_given_are_taken_and_what_does_not_fit_is_a_reject(importing_by, run_sql):
    def note(frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        assert [str(dtype) for dtype in frame.dtypes] == [TEXTS, "decimal128(10, 2)[pyarrow]"]
        frame["price"] = frame["price"] * 2
        return frame

    run_sql("CREATE TABLE goods (code TEXT PRIMARY KEY, price NUMERIC(10, 2))")
    importing = importing_by(note)
    result = importing("code,price\n1,1.50\n2,x\n3,\n", types={"code": "text", "price": "numeric(10,2)"})
    assert importing.rejects(result)[1:] == ["2,x,3,price: 'x' is not a number"]
    assert [(code, price and float(price)) for code, price in run_sql("SELECT * FROM goods ORDER BY 1")] == [
        ("1", 3.0), ("3", None)
    ]  # fmt: skip


def test_rows_that_are_dropped_are_counted_as_left_out(importing_by, run_sql):
    run_sql("CREATE TABLE goods (code TEXT PRIMARY KEY, n INTEGER)")
    importing = importing_by(lambda frame, job: frame[frame["n"] > 4])
    job = importing.preview("code,n\n" + "".join(f"c{n},{n}\n" for n in range(10)))
    assert (job.plan["counts"]["left_out"], job.plan["counts"]["create"], job.progress.total) == (5, 5, 10)
    assert "5 rows that transform does not return" in [one.message for one in job.result.stat_descriptors]
    result = importing("code,n\n" + "".join(f"c{n},{n}\n" for n in range(10)))
    assert (result.created, result.advancement_count, result.progress) == (5, 10, 1.0) or result.created == 5
    assert run_sql("SELECT count(*) FROM goods") == [(5,)]


def test_a_row_that_is_split_keeps_its_line_and_is_refused_with_all_that_was_made_of_it(importing_by, run_sql):
    run_sql("CREATE TABLE goods (code TEXT PRIMARY KEY, n INTEGER CHECK (n < 100))")

    def split(frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        frame["code"] = frame["codes"].str.split("+")
        return frame.explode("code")[["code", "n"]].astype({"code": "string[pyarrow]"})

    content = "codes,n\na+b,1\nc+d,200\ne,2\nf+a,3\ng+h+i,4\n"
    importing = importing_by(split, chunk_size=2)
    preview = importing.preview(content, mode="upsert")
    result = importing(content, mode="upsert")
    assert importing.rejects(result)[-1] == "f+a,3,5,key code=f or code=a is already on line 2"
    assert run_sql("SELECT code FROM goods ORDER BY code") == [(code,) for code in "abeghi"]
    assert (result.created, result.rejected, result.advancement_count) == (6, 2, 5)
    assert preview.progress.total == 5


@pytest.mark.parametrize("mode", ["insert", "update"])
def test_siblings_of_a_row_that_its_key_refuses_are_refused_in_preview_and_run(importing_by, run_sql, mode):
    run_sql("CREATE TABLE goods (code TEXT PRIMARY KEY, n INTEGER)")
    run_sql("INSERT INTO goods VALUES ('a', 1), ('b', 1), ('c', 1)")

    def split(frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        frame["code"] = frame["codes"].str.split("+")
        return frame.explode("code")[["code", "n"]].astype({"code": "string[pyarrow]"})

    content = "codes,n\na+x,1\ny+z,2\nb+c,3\n"
    importing = importing_by(split)
    counts = importing.preview(content, mode=mode).plan["counts"]
    result = importing(content, mode=mode)
    assert (counts["create"], counts["update"], counts["reject"]) == (result.created, result.updated, result.rejected)
    assert (result.created, result.updated, result.rejected) == ((2, 0, 2) if mode == "insert" else (0, 2, 2))


@pytest.mark.parametrize("mask", [
    lambda frame: frame["n"] == 2,
    lambda frame: (frame["n"] == 2).to_numpy(),
    lambda frame: [n == 2 for n in frame["n"]],
    lambda frame: frame[frame["n"] > 1]["n"] == 2,
    lambda frame: frame.sort_values("n", ascending=False)["n"] == 2,
    lambda frame: frame["n"].astype(object) == 2,
])  # fmt: skip
def test_rows_are_refused_by_their_line_however_they_are_marked(importing_by, run_sql, mask):
    run_sql("CREATE TABLE goods (code TEXT PRIMARY KEY, n INTEGER)")

    def refuse(frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        job.reject_rows(mask(frame), "n", "is two")
        return frame

    importing = importing_by(refuse)
    result = importing("code,n\na,1\nb,\nc,2\nd,3\n")
    assert importing.rejects(result)[1:] == ["c,2,4,n: is two"]
    assert run_sql("SELECT count(*) FROM goods") == [(3,)]


def test_an_order_of_ones_own_changes_nothing(importing_by, run_sql):
    run_sql("CREATE TABLE goods (code TEXT PRIMARY KEY, n INTEGER)")
    importing = importing_by(lambda frame, job: frame.sort_values("n", ascending=False))
    result = importing("code,n\na,1\nb,2\nc,x\na,4\n", mode="upsert", types={"n": "integer", "code": "text"})
    assert importing.rejects(result)[1:] == [
        "c,x,4,n: 'x' is not a whole number",
        "a,4,5,key code=a is already on line 2",
    ]


WRONG: list[tuple[Callable[[pd.DataFrame], Any], str]] = [
    (lambda frame: None, "gave back NoneType and no DataFrame"),
    (lambda frame: frame[["n"]], "the frame lacks code of the key code; it has: n"),
    (lambda frame: frame.rename(columns={"n": "m"}), "the frame has m, which goods does not have; there are: code, n"),
    (lambda frame: frame.assign(n=frame["n"] * 1.5), "n is double and the column INTEGER"),
    (lambda frame: frame.assign(n=pd.Timestamp("2024-01-01")), "cannot hold without loss"),
    (lambda frame: frame[["code", "n", "n"]], "the frame has two columns n"),
    (lambda frame: frame.rename(columns={"n": 1}), "has no text for a name"),
    (lambda frame: frame.assign(n=[1, "x", 2.5][: len(frame)]), "has values of several types"),
    (lambda frame: frame[[]], "the frame has no columns"),
]


@pytest.mark.parametrize(("transform", "message"), WRONG)
def test_a_frame_that_cannot_go_in_is_refused_before_anything_is_written(importing_by, run_sql, transform, message):
    run_sql("CREATE TABLE goods (code TEXT PRIMARY KEY, n INTEGER)")
    importing = importing_by(lambda frame, job: transform(frame))
    with pytest.raises(JobRefused) as refused:
        importing("code,n\na,1\nb,2\nc,3\n", mode="upsert")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    assert run_sql("SELECT count(*) FROM goods") == [(0,)]


def test_an_error_says_the_line_of_the_authors_file_and_those_of_the_input(importing_by, run_sql):
    run_sql(GOODS)
    importing = importing_by(same)
    importing.strategy = SupplierPrices()
    with pytest.raises(BatchJobError) as failed:
        importing("Art.-Nr.;Nett\nA;1\nB;2\n")
    lines = Path(__file__).read_text().splitlines()
    line = next(number for number, text in enumerate(lines, 1) if 'frame["price"] = (frame' in text)
    assert str(failed.value) == (
        f"SupplierPrices.transform failed on line {line} of test_frame_import.py: KeyError: 'Net'; "
        "it was given lines 2 to 3 of the input, with the columns Art.-Nr. string, Nett int64"
    )


def test_a_strategy_without_a_table_is_refused_when_it_is_defined():
    with pytest.raises(BatchJobError, match="table"):
        type("Lost", (FrameImport,), {"identifier": "lost-strategy", "batch_type": "lost"})


def test_a_table_is_created_from_what_is_returned(importing_by, run_sql):
    def make(frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        frame["total"] = frame["n"] * 1.5
        frame["sure"] = True
        frame["day"] = pd.to_datetime(frame["on"], format="%d.%m.%Y").dt.date
        frame["digits"] = frame["n"].astype(str)
        return frame.drop(columns="on")

    importing = importing_by(make)
    job = importing.preview("code,n,on\n1,1,31.12.2024\n2,2,01.01.2025\n", mode="upsert")
    assert {one["name"]: one["type"] for one in job.plan["creates"]} == {
        "code": "BigInteger", "n": "BigInteger", "total": "Double", "sure": "Boolean", "day": "Date", "digits": "Text",
    }  # fmt: skip
    importing("code,n,on\n1,1,31.12.2024\n2,2,01.01.2025\n", mode="upsert")
    assert run_sql("SELECT code, total, digits FROM goods ORDER BY code") == [(1, 1.5, "1"), (2, 3.0, "2")]


def test_a_resumed_run_goes_on_where_it_was(importing_by, run_sql):
    run_sql("CREATE TABLE goods (code TEXT PRIMARY KEY, n INTEGER)")

    def without_four(frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        return frame[frame["n"] != 4].assign(n=frame["n"] + 1)

    importing = importing_by(without_four, chunk_size=2)
    content = "code,n\n" + "".join(f"c{n},{n}\n" for n in range(9))
    job = importing.job(content)
    again = importing.broken_off(job, at=3)
    assert run_sql("SELECT n FROM goods ORDER BY n") == [(n,) for n in (1, 2, 3, 4, 6, 7, 8, 9)]
    assert again.result.advancement_count == 9


def test_a_key_named_twice_and_options_of_other_modes_are_refused_as_for_table_import(importing_by):
    importing = importing_by(same, key=["code", "code"])
    with pytest.raises(ContextRefused, match="names a column twice"):
        importing("code\na\n", mode="upsert")


TYPED = """CREATE TABLE goods (code BIGINT PRIMARY KEY, s TEXT, i BIGINT, f DOUBLE PRECISION, d NUMERIC(18, 2),
    b BOOLEAN, day DATE, t TIMESTAMP)"""
SCHEMA = pa.schema({
    "code": pa.int64(), "s": pa.string(), "i": pa.int64(), "f": pa.float64(), "d": pa.decimal128(18, 2),
    "b": pa.bool_(), "day": pa.date32(), "t": pa.timestamp("us"),
})  # fmt: skip
LETTERS = st.characters(exclude_characters="\0\r\n", exclude_categories=["Cs"])
VALUES = st.fixed_dictionaries({
    "s": st.none() | st.text(LETTERS, min_size=1, max_size=8),
    "i": st.none() | st.integers(-(2**63), 2**63 - 1),
    "f": st.none() | st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False),
    "d": st.none() | st.decimals(min_value=-(10**6), max_value=10**6, places=2),
    "b": st.none() | st.booleans(),
    "day": st.none() | st.dates(),
    "t": st.none() | st.datetimes(),
})  # fmt: skip


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(VALUES, min_size=1, max_size=12), size=st.integers(1, 5), order=st.randoms(use_true_random=False))
def test_any_frame_that_is_made_comes_back_equal_whatever_the_chunks(importing_by, target, rows, size, order):
    made = pa.Table.from_pylist([{"code": code, **row} for code, row in enumerate(rows)], SCHEMA)

    def give(frame: pd.DataFrame, job: JobRun) -> pd.DataFrame:
        return made.take(frame["code"].tolist()).to_pandas(types_mapper=pd.ArrowDtype).set_index(frame.index)

    codes = order.sample(range(len(rows)), len(rows))
    with target.begin() as connection:
        connection.execute(text("DROP TABLE IF EXISTS goods"))
        connection.execute(text(TYPED))
    result = importing_by(give, size)("code\n" + "".join(f"{code}\n" for code in codes), mode="upsert")
    assert result.created == len(rows), result
    goods = Table("goods", MetaData(), autoload_with=target)
    with target.connect() as connection:
        assert [
            dict(row._mapping) for row in connection.execute(select(goods).order_by(goods.c.code))
        ] == made.to_pylist()


def test_a_confirmation_leaves_out_what_the_frames_would_change(importing_by, run_sql):
    run_sql(GOODS)
    run_sql("INSERT INTO goods VALUES ('00000099', 30.00, 'Bowl', 7), ('00000123', 15.00, 'Mug', 1)")
    importing = importing_by(same)
    importing.strategy = SupplierPrices()
    job = importing.preview("Art.-Nr.;Net\n00123;12,60\n99;3,10\n7;1\n", decimal=",")
    wish = LeaveOut.of({"rules": [{"column": "price", "change_percent_below": -50}], "keys": ["00000007"]})
    importing.strategy.check_leave_out(wish, job.id, job.plan, job.files)
    job.plan[WISH] = wish.as_json()
    hooks.process(importing.strategy, job)

    assert [(code, float(price)) for code, price in run_sql("SELECT code, price FROM goods ORDER BY code")] == [
        ("00000099", 30.0),
        ("00000123", 15.12),
    ]
    assert [line.rpartition(",")[2] for line in importing.rejects(job.result)[1:]] == [
        "left out: price falls by 87.6 %",
        "left out by its key",
    ]
