"""Reading Parquet as batches of text."""

import datetime as dt
import io
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch_jobs.strategies.sdk.errors import InputRefused
from batch_jobs.strategies.tables.formats.parquet import ParquetReader
from batch_jobs.strategies.tables.formats.reading import BadCell, Batch, Input
from support.batches import resumes, rows


def parquet(table: pa.Table) -> io.BytesIO:
    stream = io.BytesIO()
    pq.write_table(table, stream)
    return stream


def test_parquet_values_become_the_text_an_import_reads():
    moment = dt.datetime(2024, 1, 2, 3, 4, 5, 600_000)
    zoned = moment.replace(tzinfo=dt.UTC)
    table = pa.table(
        {
            "i": [1, None], "f": [0.1, 1e300], "d": [Decimal("1.50"), None], "b": [True, False], "t": ["x", ""],
            "day": [dt.date(2024, 1, 2), None], "at": [moment, None],
            "z": pa.array([zoned, None], pa.timestamp("us", "Europe/Paris")),
            "bytes": [b"\x00\xff", None], "list": [[1, 2], None],
        }
    )  # fmt: skip
    content = parquet(table).getvalue()
    first, second = rows(ParquetReader(Input(lambda: io.BytesIO(content), "f.parquet")))
    assert list(first.values()) == [
        "1", "0.1", "1.50", "true", "x", "2024-01-02", "2024-01-02 03:04:05.600000", "2024-01-02 03:04:05.600000+00:00",
        "\\x00ff", "[1, 2]",
    ]  # fmt: skip
    assert (second["i"], second["t"], second["at"]) == (None, "", None)


def test_parquet_goes_on_from_any_batch():
    content = parquet(pa.table({"a": range(100)})).getvalue()
    resumes(ParquetReader(Input(lambda: io.BytesIO(content), "f.parquet"), rows=30))


def opened(table: pa.Table) -> ParquetReader:
    content = parquet(table).getvalue()
    return ParquetReader(Input(lambda: io.BytesIO(content), "f.parquet"))


def only_batch(**columns: Any) -> Batch:
    (batch,) = opened(pa.table(columns)).batches()
    return batch


def test_A13_a_column_without_a_name_is_named_by_its_place():
    reader = opened(pa.table([pa.array([1]), pa.array([2])], names=["a", ""]))
    assert reader.columns == ["a", "column_2"]
    assert reader.described["unnamed"] == "column_2"
    assert rows(reader) == [{"a": "1", "column_2": "2"}]


def test_two_columns_of_one_name_are_refused():
    with pytest.raises(InputRefused, match="two of its columns have one name"):
        opened(pa.table([pa.array([1]), pa.array([2])], names=["column_2", ""]))


def test_B4_the_reader_knows_the_files_own_types():
    columns = {
        "f": pa.array([1.5, float("nan")]), "d": pa.array([dt.date(2024, 1, 1), None]), "b": pa.array([b"\0", None]),
        "l": pa.array([[1], None]), "n": pa.array([Decimal("1.50"), None]), "t": pa.array(["1", None]),
    }  # fmt: skip
    reader = opened(pa.table({**columns, "w": pa.array(["x", None]).dictionary_encode()}))
    assert reader.types == {**{name: values.type for name, values in columns.items()}, "w": pa.string()}
    assert rows(reader)[0] == {
        "f": "1.5", "d": "2024-01-01", "b": "\\x00", "l": "[1]", "n": "1.50", "t": "1", "w": "x",
    }  # fmt: skip


@pytest.mark.parametrize("type", [pa.timestamp("ns"), pa.timestamp("ns", "Europe/Paris"), pa.time64("ns")])
def test_A15_nanoseconds_that_would_be_lost_are_a_fault(type: pa.DataType):
    batch = only_batch(at=pa.array([36_000_123_456_789, 36_000_123_456_000, None], type))
    first, second, third = batch.table.column("at").to_pylist()
    assert (first, third) == (None, None)
    assert "10:00:00.123456" in second
    (bad,) = batch.bad_cells
    assert (bad.index, bad.column) == (0, "at")
    assert "10:00:00.123456789" in bad.message or "11:00:00.123456789" in bad.message
    assert bad.message.endswith("has nanoseconds, which a database does not keep")


def test_A15_times_that_no_calendar_has_are_a_fault():
    assert only_batch(at=pa.array([2**50], pa.timestamp("ms"))).bad_cells == [
        BadCell(0, "at", "is a time out of range")
    ]


def test_C1b_a_file_without_rows_has_one_batch_without_rows():
    (batch,) = opened(pa.table({"id": pa.array([], pa.int64()), "x": pa.array([], pa.list_(pa.int8()))})).batches()
    assert batch.table.num_rows == 0
    assert batch.table.column_names == ["id", "x"]


def test_C8_lists_are_json_whose_numbers_are_exact():
    batch = only_batch(
        numbers=pa.array([[Decimal("1.50"), None], []]), nested=pa.array([[[1, 2], [3]], None]),
        days=pa.array([[dt.date(2024, 1, 2)], None]), objects=pa.array([{"a": 0.1, "b": b"x"}, None]),
    )  # fmt: skip
    assert [list(row.values()) for row in batch.table.to_pylist()] == [
        ["[1.50, null]", "[[1, 2], [3]]", '["2024-01-02"]', '{"a": 0.1, "b": "\\\\x78"}'],
        ["[]", None, None, None],
    ]


def test_A15_a_list_with_a_value_that_json_does_not_know_is_a_fault():
    assert only_batch(l=pa.array([[float("nan")], [1.5]])).bad_cells == [
        BadCell(0, "l", "has nan, which JSON does not know")
    ]


def test_durations_are_written_as_iso_8601_has_them():
    batch = only_batch(d=pa.array([dt.timedelta(days=1, microseconds=3), dt.timedelta(seconds=-1), None]))
    assert batch.table.column("d").to_pylist() == ["PT86400.000003S", "PT-1.000000S", None]


def test_what_is_no_parquet_file_is_refused():
    with pytest.raises(InputRefused, match="this is not a Parquet file"):
        ParquetReader(Input(lambda: io.BytesIO(b"a,b\n"), "file"))
