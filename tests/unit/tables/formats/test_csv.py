"""Reading delimited text: everything that comes, or one clear line."""

import codecs
import csv
import gzip
import io
import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_jobs.strategies.sdk.errors import InputRefused
from batch_jobs.strategies.tables.formats.csv_reading import CsvReader
from batch_jobs.strategies.tables.formats.format import open_reader
from batch_jobs.strategies.tables.formats.reading import Batch, Input, ReadOptions
from support.batches import goes_on


def read(content: bytes, name: str = "file.csv", **given: Any) -> list[Batch]:
    return list(open_reader(lambda: io.BytesIO(content), name, options=ReadOptions(**given)).batches())


def rows(content: bytes, name: str = "file.csv", **given: Any) -> list[dict[str, str | None]]:
    return [row for batch in read(content, name, **given) for row in batch.table.to_pylist()]


def lines(content: bytes) -> list[int]:
    return [line for batch in read(content) for line in batch.lines.to_pylist()]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a,b\n1,2\n", [("1", "2")]),
        (b"a,b\n1,2", [("1", "2")]),
        (b"a,b\r\n1,2\r\n", [("1", "2")]),
        (b"a,b\r1,2\r3,4", [("1", "2"), ("3", "4")]),
        (b"a;b\n1;2,5\n", [("1", "2,5")]),
        (b"a\tb\n1\t2\n", [("1", "2")]),
        (b"a|b\n1|2\n", [("1", "2")]),
        (b'a,b\n"x\ny","say ""hi"", ok"\n', [("x\ny", 'say "hi", ok')]),
        (b'a,b\n5" pipe,2\n3,4\n', [('5" pipe', "2"), ("3", "4")]),
        (b'a,b\n,""\n1,\n', [(None, ""), ("1", None)]),
        (b"a,b\n1,2\n\n\n3,4\n\n\n", [("1", "2"), ("3", "4")]),
        (b"\n\na,b\n1,2\n", [("1", "2")]),
        (b" a , b \n1,2\n", [("1", "2")]),
        (b"a,b\n1\x00,2\n", [("1\x00", "2")]),
        (codecs.BOM_UTF8 + "a,b\né,2\n".encode(), [("é", "2")]),
        ("a,b\né,€\n".encode("cp1252"), [("é", "€")]),
        ("a,b\né,漢\n".encode("utf-16"), [("é", "漢")]),
        (b"a,b\n", []),
    ],
)
def test_what_comes_is_read(content: bytes, expected: list[tuple[str | None, ...]]):
    assert [tuple(row.values()) for row in rows(content)] == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty; it needs at least a line with the names of the columns"),
        (b"\n \n\n", "the file is empty"),
        (b"a,b,a\n1,2,3\n", "the header has 'a' in columns 1 and 3; rename one"),
        (b"a,,c\n1,2,3\n", "the header has no name in column 2"),
        (b"a,b\x00\n1,2\n", "the header has a NUL character"),
        (b'a,b\n1,2\n3,"open\n4,5\n', "the quote opened in the row of line 3 is never closed"),
        (b'a,b\n1,2\n"open,3\n4,5\n', "the quote opened in the row of line 3 is never closed"),
        (b"PK\x03\x04....", "this is an Excel or zip file, not text"),
        (b"PAR1....", "this is a Parquet file"),
        (b"%PDF-1.7", "this is a PDF"),
        (gzip.compress(b"a,b\n", mtime=0), "this is a gzip file; name it .gz"),
        (b"a,b\n1,\x81\x8d\n", "line 2 is not utf-8 nor cp1252; set the encoding"),
        ("a,b\n1,2\n".encode("utf-16-le"), "this looks like UTF-16 without a mark"),
        ("a,b\n1,2\n".encode("utf-16-be"), "this looks like UTF-16 without a mark"),
        (b"\x01\x00\x00\x00\x02\x00\x00\x00\x7fELF\x00\x00", "this is binary data, not text"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(content: bytes, message: str):
    with pytest.raises(InputRefused) as refused:
        read(content)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    assert str(refused.value).endswith("nothing was written")


@pytest.mark.parametrize(
    ("encoding", "content"),
    [
        ("utf-16", "a,b\n1,2\n".encode("utf-16-le")),  # without its mark
        ("utf-7", b"a,b\n1,+2AA-\n"),  # half a character
        ("unicode-escape", rb"a,b" b"\n" rb"1,\ud800" b"\n"),
        ("raw-unicode-escape", rb"a,b" b"\n" rb"1,\udfff" b"\n"),
    ],
)
def test_a_text_that_the_given_encoding_does_not_have_is_refused_in_one_line(encoding: str, content: bytes):
    with pytest.raises(InputRefused, match=f"line [12] is not {encoding}; set the encoding"):
        read(content, encoding=encoding)


def test_an_archive_that_was_cut_off_or_is_none_is_refused():
    packed = gzip.compress(b"a,b\n" + b"1,2\n" * 100_000, mtime=0)
    assert len(rows(packed, "file.csv.gz")) == 100_000
    with pytest.raises(InputRefused, match="the gzip file ends too early"):
        read(packed[:150], "file.csv.gz")
    with pytest.raises(InputRefused, match="is not a gzip file"):
        read(b"a,b\n", "file.csv.gz")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"delimiter": ";;"}, "is not one plain character"),
        ({"delimiter": '"'}, "is not one plain character"),
        ({"encoding": "klingon"}, "there is no encoding 'klingon'"),
        ({"encoding": "ascii"}, "line 2 is not ascii"),
    ],
)
def test_a_dialect_that_does_not_fit_is_refused(given: dict[str, str], message: str):
    with pytest.raises(InputRefused, match=message):
        read("a,b\né,2\n".encode(), **given)


def test_a_file_whose_name_does_not_tell_its_format_is_refused():
    with pytest.raises(InputRefused, match="set format to one of csv, tsv, jsonl, parquet, xlsx"):
        read(b"a,b\n", "file.dat")


def test_ragged_rows_are_told_with_their_line_and_cells_and_do_not_disturb_the_others():
    (batch,) = read(b'a,b\n1,2\n\n3\n"4\n4",5\n6,7,8,9\n10,11\n')
    assert batch.table.to_pylist() == [{"a": "1", "b": "2"}, {"a": "4\n4", "b": "5"}, {"a": "10", "b": "11"}]
    assert batch.lines.to_pylist() == [2, 5, 8]
    assert [(bad.line, bad.message, bad.row) for bad in batch.bad_rows] == [
        (4, "has 1 cells where the header has 2", {"a": "3", "b": None}),
        (7, "has 4 cells where the header has 2", {"a": "6", "b": "7", "reject_surplus": "8,9"}),
    ]


def test_bad_rows_at_the_end_are_told_too():
    batches = read(b"a,b\n1,2\n3\n")
    assert [bad.line for batch in batches for bad in batch.bad_rows] == [3]


def test_a_semicolon_file_with_commas_in_its_cells_is_read_by_semicolons():
    content = b"name;text\nx;one, two, three\ny;four, five\n"
    assert [row["name"] for row in rows(content)] == ["x", "y"]


def test_a_cell_of_many_megabytes_is_read():
    content = b'a,b\n1,"' + b"x\n" * 10_000_000 + b'"\n2,3\n'
    batches = read(content)
    assert [line for batch in batches for line in batch.lines.to_pylist()] == [2, 10_000_003]
    assert sum(batch.table.num_rows for batch in batches) == 2


def test_a_long_cell_behind_many_blocks_is_read():
    content = b"a,b\n" + b"1,x\n" * 1_000_000 + b'2,"' + b"y" * 3_000_000 + b'"\n3,z\n'
    batches = read(content)
    assert sum(batch.table.num_rows for batch in batches) == 1_000_002
    assert batches[-1].lines.to_pylist()[-2:] == [1_000_002, 1_000_003]


def test_ten_thousand_columns_are_read():
    header = ",".join(f"c{i}" for i in range(10_000))
    content = f"{header}\n{','.join(map(str, range(10_000)))}\n".encode()
    (row,) = rows(content)
    assert row["c9999"] == "9999"


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)


@settings(max_examples=60)
@given(
    table=st.lists(st.lists(cells, min_size=2, max_size=2), max_size=12),
    delimiter=st.sampled_from(",;\t|"),
    line_end=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    block=st.sampled_from([64, 1 << 20]),
)
def test_any_table_of_text_reads_back_with_its_lines_and_from_any_batch(
    table: list[list[str]], delimiter: str, line_end: str, encoding: str, block: int
):
    written = io.StringIO(newline="")
    writer = csv.writer(written, delimiter=delimiter, lineterminator=line_end, quoting=csv.QUOTE_ALL)
    starts = []
    writer.writerow(["first", "second"])
    for row in table:
        starts.append(1 + written.getvalue().count("\n"))
        writer.writerow(row)
    content = written.getvalue().encode(encoding)

    options = ReadOptions(delimiter=delimiter, encoding=None if encoding != "utf-8" else encoding)
    reader = CsvReader(Input(lambda: io.BytesIO(content), "file.csv"), options, block)
    for _first_by_its_beginning_then_settled in range(2):
        batches = list(reader.batches())
        assert [list(row.values()) for batch in batches for row in batch.table.to_pylist()] == table
        assert [line for batch in batches for line in batch.lines.to_pylist()] == starts
    for index, batch in enumerate(batches):
        goes_on(reader, batch.start, batches[index:])


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_unquoted_rows_are_the_same_wherever_a_block_ends(line_end: str):
    records = ["a,b", *(f"{i},{'x' * (i % 5)}" for i in range(30)), "", "ragged", "last,one"]
    content = line_end.join(records).encode()

    def told(block: int) -> list[Any]:
        batches = list(CsvReader(Input(lambda: io.BytesIO(content), "file.csv"), block=block).batches())
        found = [
            (line, row)
            for batch in batches
            for line, row in zip(batch.lines.to_pylist(), batch.table.to_pylist(), strict=True)
        ]
        return sorted([*found, *((bad.line, bad.row) for batch in batches for bad in batch.bad_rows)], key=str)

    whole = told(1 << 20)
    assert len(whole) == 32
    assert all(told(block) == whole for block in range(16, 80))


def test_the_line_that_is_in_no_encoding_is_told_wherever_it_is():
    good = b"a,b\n" + "1,ä\n".encode() * 300_000
    with pytest.raises(InputRefused, match="line 300002 is not cp1252"):
        read(good + b"2,\x81\n", encoding="cp1252")
    with pytest.raises(InputRefused, match="line 300002 is not utf-8 nor cp1252"):
        read(b"a,b\n" + b"1,x\n" * 300_000 + b"2,\x81\n")


def test_batches_follow_each_other_without_a_gap():
    content = b"a,b\n" + b"".join(b"%d,x\n" % i for i in range(1000))
    reader = CsvReader(Input(lambda: io.BytesIO(content), "file.csv"), block=256)
    batches = list(reader.batches())
    assert len(batches) > 10
    assert [int(row["a"]) for batch in batches for row in batch.table.to_pylist()] == list(range(1000))
    assert all(one.start["record"] < other.start["record"] for one, other in itertools.pairwise(batches))
