"""A file that is cut into parts has the rows, the bad rows and the lines of the whole, whatever is in it."""

import gzip
import io
import itertools
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from batch_jobs.strategies.sdk.errors import InputRefused
from batch_jobs.strategies.sdk.lines import LINES_OF_A_FILE
from batch_jobs.strategies.tables.formats.csv_reading import CsvReader
from batch_jobs.strategies.tables.formats.jsonl import JsonLinesReader
from batch_jobs.strategies.tables.formats.many import ManyReader
from batch_jobs.strategies.tables.formats.marks import Mark, Marks
from batch_jobs.strategies.tables.formats.parquet import ParquetReader
from batch_jobs.strategies.tables.formats.reading import Batch, Input, NotAsItBegan, Reader, ReadOptions
from support.batches import contents, goes_on

BLOCK = 24


def csv_reader(content: bytes, name: str = "file.csv", found: Any = None, **options: Any) -> CsvReader:
    return CsvReader(Input(lambda: io.BytesIO(content), name), ReadOptions(found=found, **options), block=BLOCK)


def all_of(reader: Reader) -> list[Batch]:
    try:
        return list(reader.batches())
    except NotAsItBegan:
        reader.settle()
        return list(reader.batches())


def parts(reader: Reader, marks: list[Mark]) -> list[list[Batch]]:
    """What is between each two of these marks, each as another process reads it."""
    starts = [json.loads(json.dumps(mark.start)) for mark in marks]
    return [list(reader.part(start, until)) for start, until in zip(starts, [*starts[1:], None], strict=True)]


def chosen(marks: list[Mark], places: list[int]) -> list[Mark]:
    """The first mark and those at some places."""
    return [marks[0], *(marks[place] for place in sorted({place % len(marks) for place in places} - {0}))]


texts = st.lists(
    st.sampled_from(
        [
            "a",
            "b",
            ",",
            ",",
            '"',
            '"',
            '""',
            "\n",
            "\n",
            "\r\n",
            "\ufeff",
            "é",
            " ",
            "xyzw" * 8,
            '"q\nq",',
            "1,2\n",
            "\r",
        ]
    ),
    max_size=200,
).map("".join)


@settings(max_examples=200, deadline=None)
@given(
    text=texts,
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "cp1252", "gb18030"]),
    skip=st.sampled_from([0, 0, 1]),
    given_encoding=st.booleans(),
    places=st.lists(st.integers(0, 200), max_size=63),
)
@example('a,b\n5" pipe,1\n' + "x,y\n" * 30 + '"in\nside",2\n' * 10, "utf-8", 0, False, list(range(64)))
@example("a,b\r\n" + "x,y\r\n\r\n" * 30, "utf-8-sig", 0, True, list(range(64)))
@example("a,b\n" + "\ufeffx,y\n" * 30, "utf-8", 0, True, list(range(64)))
@example("a,b\n" + "1\n1,2\n1,2,3\n\n" * 20 + "1", "utf-8", 0, True, list(range(64)))
@example('""q\nq","\n', "utf-8", 0, True, [])
@example("a,b\n" + "1,2\r3,4\n" * 20, "utf-8", 0, True, list(range(64)))
def test_any_csv_in_any_parts(text: str, encoding: str, skip: int, given_encoding: bool, places: list[int]):
    content = f"é,b\n{text}".encode(encoding, errors="ignore")
    options: dict[str, Any] = {"skip_rows": skip, "delimiter": ",", "encoding": encoding if given_encoding else None}
    try:
        reader = csv_reader(content, **options)
        whole = all_of(reader)
    except InputRefused:
        assume(False)
    again = csv_reader(content, found=json.loads(json.dumps(reader.found)), **options)
    assert again.uncut == reader.uncut
    if reader.uncut is None:
        cut = parts(again, chosen(reader.marks, places))
        assert [line for part in cut for line in contents(part)] == contents(whole)
        for part in cut:
            for index, batch in enumerate(part[:5]):
                goes_on(
                    again, batch.start, part[index:] + [one for other in cut[cut.index(part) + 1 :] for one in other]
                )
    else:
        assert any(odd in text for odd in '\r "')  # a lone return, blanks before quotes, an open one


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_text_with_a_few_broken_bytes_in_parts(mark: bytes):
    lines = ["é,ü\n".encode() * 30, b"\xff,y\n", "\ufeffé,ü\n".encode() * 30, b'"\xfe\n",y\n', "é,ü".encode()]
    content = mark + "é,b\n".encode() + b"".join(lines)
    reader = csv_reader(content)
    whole = all_of(reader)
    assert reader.described["encoding_is"] == "broken"
    again = csv_reader(content, found=json.loads(json.dumps(reader.found)))
    cut = parts(again, reader.marks)
    assert len(cut) > 10
    assert [line for part in cut for line in contents(part)] == contents(whole)
    batches = list(again.batches())
    for index, batch in enumerate(batches):
        goes_on(again, batch.start, batches[index:])


@settings(max_examples=80, deadline=None)
@given(
    lines=st.lists(
        st.sampled_from(['{"a": 1}', '{"a": "x", "b": [1]}', "", "no", '{"é": null}', f'{{"a": "{90 * "y"}"}}', "[1]"]),
        max_size=60,
    ),
    end=st.sampled_from(["\n", "\r\n"]),
    has_mark=st.booleans(),
    is_ended=st.booleans(),
    rows=st.integers(1, 7),
    places=st.lists(st.integers(0, 200), max_size=63),
)
def test_any_json_lines_in_any_parts(
    lines: list[str], end: str, has_mark: bool, is_ended: bool, rows: int, places: list[int]
):
    text = ('{"a": 0}' + end) + end.join(lines) + (end if is_ended else "")
    content = text.encode("utf-8-sig" if has_mark else "utf-8")

    def opened(found: Any = None) -> JsonLinesReader:
        return JsonLinesReader(Input(lambda: io.BytesIO(content), "f.jsonl"), ReadOptions(found=found), rows=rows)

    reader = opened()
    reader.settle()
    whole = all_of(reader)
    again = opened(json.loads(json.dumps(reader.found)))
    cut = parts(again, chosen(reader.marks, places))
    assert [line for part in cut for line in contents(part)] == contents(whole)
    for index, batch in enumerate(whole):
        goes_on(again, batch.start, whole[index:])


@settings(max_examples=40, deadline=None)
@given(
    groups=st.lists(st.integers(0, 40), min_size=1, max_size=8),
    rows=st.integers(1, 30),
    places=st.lists(st.integers(0, 200), max_size=8),
)
def test_any_parquet_file_in_any_parts(groups: list[int], rows: int, places: list[int]):
    stream, schema = io.BytesIO(), pa.schema({"a": pa.int64(), "b": pa.string()})
    with pq.ParquetWriter(stream, schema) as writer:
        for size in groups:
            table = pa.table({"a": range(size), "b": [f"row {row}" for row in range(size)]}, schema=schema)
            writer.write_table(table, row_group_size=max(1, size))

    def opened(found: Any = None) -> ParquetReader:
        return ParquetReader(Input(lambda: io.BytesIO(stream.getvalue()), "f.parquet"), rows, found)

    reader = opened()
    whole = all_of(reader)
    again = opened(json.loads(json.dumps(reader.found)))
    if reader.uncut is None:
        cut = parts(again, chosen(reader.marks, places))
        assert [line for part in cut for line in contents(part)] == contents(whole)
    for index, batch in enumerate(whole):
        assert list(again.batches(batch.start)) == whole[index:]


@pytest.mark.parametrize("places", [[], [1], [2, 4], list(range(64))])
def test_several_files_in_parts_that_begin_anywhere(places: list[int]):
    files = {
        "a.csv": b"a,b\n" + b"1,2\n" * 50,
        "b.csv.gz": gzip.compress(b"a,b\n" + b"3,4\n" * 50),
        "c.csv": b"b,a\r\n" + b'"5\n",6\r\n7\r\n' * 20,
        "d.csv": b"a,b\n",
        "e.csv": b"a,b\n" + b"8,9\n" * 20,
    }

    def opened(found: Any = None) -> ManyReader:
        inputs = [Input(lambda content=content: io.BytesIO(content), name) for name, content in files.items()]
        return ManyReader(inputs, lambda file, known: CsvReader(file, ReadOptions(found=known), BLOCK), found)

    reader = opened()
    whole = all_of(reader)
    assert len(reader.marks) > 8
    assert [mark.rows for mark in reader.marks if mark.line % LINES_OF_A_FILE == 1] == [0, 50, 100, 140, 140]
    again = opened(json.loads(json.dumps(reader.found)))
    cut = parts(again, chosen(reader.marks, places))
    assert [line for part in cut for line in contents(part)] == contents(whole)
    assert [sum(len(contents([batch])) for batch in part) for part in cut] == [
        after - before.rows
        for before, after in zip(
            chosen(reader.marks, places), [*(mark.rows for mark in chosen(reader.marks, places)[1:]), 160], strict=True
        )
    ]


@pytest.mark.parametrize(
    ("name", "content", "options", "reason"),
    [
        ("f.csv.gz", gzip.compress(b"a,b\n1,2\n", mtime=0), {}, "a packed file is read from its beginning"),
        ("f.csv", "a,b\n1,2\n".encode("utf-16"), {}, "a text in utf-16 is read from its beginning"),
        ("f.csv", b"a,b\r1,2\r3,4\r", {}, "some of its lines end otherwise than in a line feed"),
        ("f.csv", b"a,b\n1,2\r3,4\n", {}, "some of its lines end otherwise than in a line feed"),
        ("f.csv", b"a,b\n#,2\n", {"comment": "#"}, "it has comments, escapes or blanks before quotes"),
        ("f.csv", b"a,b\n1,2\nend\n", {"skip_footer": 1}, "rows at its end are left out"),
    ],
)
def test_what_cannot_be_cut_says_why(name: str, content: bytes, options: dict[str, Any], reason: str):
    reader = csv_reader(content, name, **options)
    all_of(reader)
    assert reader.uncut == reason


def test_marks_are_few_and_even_however_long_the_input_is():
    marks = Marks(most=8)
    for place in range(0, 10_000, 10):
        marks.add(Mark({"byte": place}, place, place), place)
        assert len(marks.kept) <= 8
    apart = [after.rows - before.rows for before, after in itertools.pairwise(marks.kept)]
    assert marks.kept[0].rows == 0
    assert max(apart) <= 2 * min(apart)
    assert len(marks.kept) >= 4


def test_a_part_reads_no_byte_outside_of_it():
    content = b"a,b\n" + b"1,2\n" * 100_000
    reader = CsvReader(Input(lambda: io.BytesIO(content), "f.csv"), block=1 << 14)
    all_of(reader)
    second, third = reader.marks[5:7]
    assert second.start is not None
    assert third.start is not None
    read = CountingBytes(content)
    part = CsvReader(Input(lambda: read, "f.csv"), ReadOptions(found=reader.found))
    assert sum(batch.table.num_rows for batch in part.part(second.start, third.start)) == third.rows - second.rows
    assert read.count == third.start["byte"] - second.start["byte"]


class CountingBytes(io.BytesIO):
    """Counts what is read of it."""

    count = 0

    def read(self, size: int | None = -1) -> bytes:
        found = super().read(size)
        self.count += len(found)
        return found
