"""Reading JSON lines and Parquet as the same batches of text."""

import datetime as dt
import io
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch_jobs.strategies.sdk.errors import InputRefused
from batch_jobs.strategies.tables.formats.jsonl import JsonLinesReader
from batch_jobs.strategies.tables.formats.parquet import ParquetReader
from batch_jobs.strategies.tables.formats.reading import Input, Reader


def rows(reader: Reader) -> list[dict[str, str | None]]:
    return [row for batch in reader.batches() for row in batch.table.to_pylist()]


def resumes(reader: Reader) -> None:
    batches = list(reader.batches())
    assert len(batches) > 1
    for index, batch in enumerate(batches):
        assert list(reader.batches(batch.start)) == batches[index:]


def test_json_lines_keep_numbers_exactly_and_nested_values_as_json():
    content = '{"a": 1, "b": "x"}\n\n{"b": "", "c": 12345678901234567890.10, "a": null}\n{"a": true, "c": {"d": [1]}}\n'
    reader = JsonLinesReader(Input(lambda: io.BytesIO(content.encode()), "f.jsonl"))
    assert reader.columns == ["a", "b", "c"]
    assert rows(reader) == [
        {"a": "1", "b": "x", "c": None},
        {"a": None, "b": "", "c": "12345678901234567890.10"},
        {"a": "true", "b": None, "c": '{"d":[1]}'},
    ]
    assert [line for batch in reader.batches() for line in batch.lines.to_pylist()] == [1, 3, 4]


def test_lines_that_are_no_json_objects_are_told():
    reader = JsonLinesReader(Input(lambda: io.BytesIO(b'{"a": 1}\n[1]\nnot json\n{"a": 2}\n'), "f.jsonl"))
    (batch,) = reader.batches()
    assert [(bad.line, bad.message) for bad in batch.bad_rows] == [(2, "is not a JSON object"), (3, "is not JSON")]
    assert batch.table.num_rows == 2


def test_half_a_surrogate_pair_becomes_a_question_mark():
    reader = JsonLinesReader(Input(lambda: io.BytesIO(b'{"a": "\\ud800"}\n'), "f.jsonl"))
    assert rows(reader) == [{"a": "?"}]


def test_json_lines_go_on_from_any_batch():
    content = b"".join(b'{"a": %d}\n' % i for i in range(20))
    resumes(JsonLinesReader(Input(lambda: io.BytesIO(content), "f.jsonl"), rows=6))


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


@pytest.mark.parametrize(
    ("reader", "content", "message"),
    [
        (JsonLinesReader, b"", "there is no JSON object in it"),
        (ParquetReader, b"a,b\n", "this is not a Parquet file"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(reader: Any, content: bytes, message: str):
    with pytest.raises(InputRefused, match=message):
        reader(Input(lambda: io.BytesIO(content), "file"))
