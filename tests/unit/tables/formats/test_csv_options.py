"""Reading delimited text as the options and the file's own habits mean it."""

import io
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_jobs.strategies.sdk.errors import InputRefused
from batch_jobs.strategies.tables.formats.csv_reading import CsvReader
from batch_jobs.strategies.tables.formats.format import open_reader
from batch_jobs.strategies.tables.formats.reading import Input, Reader, ReadOptions
from support.batches import goes_on


def opened(content: str | bytes, name: str = "file.csv", **given: Any) -> Reader:
    written = content if isinstance(content, bytes) else content.encode()
    return open_reader(lambda: io.BytesIO(written), name, options=ReadOptions(**given))


def rows(content: str | bytes, **given: Any) -> dict[int, list[str | None]]:
    """The rows by their lines."""
    return {
        line: list(row.values())
        for batch in opened(content, **given).batches()
        for line, row in zip(batch.lines.to_pylist(), batch.table.to_pylist(), strict=True)
    }


def bad(content: str | bytes, **given: Any) -> dict[int, str]:
    """What is wrong, by line."""
    return {row.line: row.message for batch in opened(content, **given).batches() for row in batch.bad_rows}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "Report 2024\nid,v,w\n1,2,3\n",
            "the first line does not look like a header: it has 1 cell and the rows below have 3; "
            "leave it out with skip_rows 1",
        ),
        ("Report 2024,,\nid,v,w\n1,2,3\n", "leave it out with skip_rows 1"),
        ("Report 2024\n\nAll shops\nid;v;w\n1;2;3\n", "the first 3 lines do not look like a header: they have 1 cell"),
        ('"Report\n2024"\nid\tv\tw\n1\t2\t3\n', "leave them out with skip_rows 2"),
        ("Report,2024\nid,v,w,x\n1,2,3,4\n2,,,\n3,4,5,6\n", "it has 2 cells and the rows below have 4"),
    ],
)
def test_A3_title_lines_are_refused_and_skip_rows_proposed(content: str, message: str):
    with pytest.raises(InputRefused) as refused:
        opened(content)
    assert message in str(refused.value)


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_A3_skip_rows_leaves_out_physical_lines_and_the_others_keep_their_numbers(line_end: str):
    content = line_end.join(['An open " quote,', "", "id,v", "1,2", '3,"4', '5"', "6,7", ""])
    assert rows(content, skip_rows=2) == {4: ["1", "2"], 5: ["3", f"4{line_end}5"], 7: ["6", "7"]}


def test_A3_a_further_title_line_is_counted_from_the_files_start():
    with pytest.raises(InputRefused, match="leave them out with skip_rows 3"):
        opened("a\nb\nReport\nid,v,w\n1,2,3\n", skip_rows=2)


@pytest.mark.parametrize(
    "content", ["a\n1\n2\n", "a\n1,\n2,\n", "id,v,w\n1,,\n2,,\n", "name\nSmith, John\nBach\nBlum\n"]
)
def test_A3_what_looks_like_a_header_is_one(content: str):
    assert opened(content).columns[0] in ("a", "id", "name")


def test_A12_a_column_whose_numbers_are_quoted_where_others_are_not_is_text():
    assert list(opened('id,zip\n1,"01234"\n2,"12345"\n').types) == ["zip"]


@pytest.mark.parametrize(
    "content",
    [
        '"id","zip"\n"1","12345"\n"2","23456"\n',  # everything is quoted, which says nothing
        'id,zip\n1,"12345"\n2,23456\n',
        'id,price\n1,"1,200"\n2,"12"\n',  # the comma is why
        '"","v"\n"1",2\n',  # the names of rows, as R writes them
        'id,name\n1,"x"\n',
        "id,zip\n1,2\n",
    ],
)
def test_A12_quotes_that_say_nothing_decide_nothing(content: str):
    assert list(opened(content).types) == []


@pytest.mark.parametrize("before", [0, 300_000])
@pytest.mark.parametrize("note", [r'"say \"hi\" now"', r'"\"hi\" he said"', r'"he said \"hi\""'])
def test_A14_backslashes_before_quotes_are_reported_with_their_line(note: str, before: int):
    content = "id,note\n" + '1,"x"\n' * before + f'2,{note}\n3,"y"\n'
    with pytest.raises(InputRefused) as refused:
        opened(content)
    assert f'line {before + 2} has \\" within a quoted cell; set escape to \\ if that means a quote' in str(
        refused.value
    )


def test_A14_an_import_that_reads_only_once_reports_them_too():
    reader = CsvReader(Input(lambda: io.BytesIO(b'id,note\n1,"a \\"b\\" c"\n'), "file.csv"))
    with pytest.raises(InputRefused, match="line 2 has"):
        list(reader.batches())


def test_A14_escape_reads_them():
    content = 'id,note\n1,"say \\"hi\\" now"\n2,"C:\\\\dir"\n3,\\N\n4,C:\\temp\n5,a\\,b\n'
    content += '6,"say ""hi"""\n7,"a\\\nb"\n8,""\n9,\n'
    assert [row[1] for row in rows(content, escape="\\").values()] == [
        'say "hi" now', "C:\\dir", "\\N", "C:\\temp", "a,b", 'say "hi"', "a\nb", "", None,
    ]  # fmt: skip


def test_A14_a_backslash_before_a_closing_quote_is_one():
    assert rows('id,dir\n1,"C:\\dir\\"\n') == {2: ["1", "C:\\dir\\"]}
    assert rows('id,note\n1,"a \\"b"\n', escape='"')


@pytest.mark.parametrize(
    "content",
    [
        "sep=;\nid;city\n1;U,lm\n",
        '"sep=;"\r\nid;city\r\n1;U,lm\r\n',
        "SEP=;\nid;city\n1;U,lm\n",
        "\ufeffsep=;\nid;city\n1;U,lm\n",
        "sep=;\nid;city\n1;U,lm\n".encode("utf-16"),
        "sep=\t\nid\tcity\n1\tU,lm\n",
    ],
)
def test_C12_excels_hint_for_the_delimiter_is_heeded_and_is_a_line(content: str | bytes):
    assert rows(content) == {3: ["1", "U,lm"]}


def test_C12_the_option_goes_before_the_hint():
    assert rows("sep=;\nid,city\n1,U;lm\n", delimiter=",") == {3: ["1", "U;lm"]}


@pytest.mark.parametrize("header", ["id,name", "id,name,", "id,name,,"])
@pytest.mark.parametrize("end", ["", ",", ",,", ',""', ", "[:1] + '"",'])
@pytest.mark.parametrize("late", [False, True])
def test_C13_empty_cells_beyond_the_last_column_are_no_fault(header: str, end: str, late: bool):
    plain = "0,x\n" * 100 if late else ""
    found = rows(f'{header}\n{plain}1,a{end}\n2,""{end}\n3,{end}\n')
    first = 2 + plain.count("\n")
    assert [found[line] for line in range(first, first + 3)] == [["1", "a"], ["2", ""], ["3", None]]


def test_C13_cells_that_are_not_empty_are_a_fault():
    content = "id,name\n1,a,\n2,b,x\n3,c,,\n4,d,,y\n5\n"
    assert rows(content) == {2: ["1", "a"], 4: ["3", "c"]}
    assert bad(content) == {
        3: "has 3 cells where the header has 2",
        5: "has 4 cells where the header has 2",
        6: "has 1 cells where the header has 2",
    }


@pytest.mark.parametrize(
    ("content", "columns", "row"),
    [
        (",v\n0,1\n1,2\n", ["column_1", "v"], ["0", "1"]),
        ('"","v"\n"a",1\n', ["column_1", "v"], ["a", "1"]),
        (",,v\na,b,1\n", ["column_1", "column_2", "v"], ["a", "b", "1"]),
        ('"v","w"\n"x",1,2\n"y",3,4\n', ["column_1", "v", "w"], ["x", "1", "2"]),
        ("v\tw\nx\t1\t2\ny\t3\t4\n", ["column_1", "v", "w"], ["x", "1", "2"]),
    ],
)
def test_C14_first_columns_without_a_name_are_named_by_their_place(content: str, columns: list[str], row: list[str]):
    reader = opened(content)
    assert reader.columns == columns
    assert reader.described["unnamed"] == ", ".join(name for name in columns if name.startswith("column_"))
    assert rows(content)[2] == row


def test_C14_rows_that_a_decimal_comma_makes_wider_do_not_move():
    assert bad("id,price\n1,9,50\n2,8,20\n") == dict.fromkeys((2, 3), "has 3 cells where the header has 2")


def test_a_file_without_a_header_has_columns_by_number():
    content = "1,a\n2,b\n3\n4,d\n"
    assert opened(content, header=False).columns == ["column_1", "column_2"]
    assert rows(content, header=False) == {1: ["1", "a"], 2: ["2", "b"], 4: ["4", "d"]}
    assert bad(content, header=False) == {3: "has 1 cells where most rows have 2"}
    assert rows("1,a,\n2,b,\n", header=False) == {1: ["1", "a"], 2: ["2", "b"]}


@pytest.mark.parametrize("footer", range(7))
def test_the_last_rows_are_left_out_whatever_they_are(footer: int):
    content = "id,v\n1,2\n\n3,4\nTotal\nas of,,2024\n5,6\n"
    left = [2, 4, 5, 6, 7][: max(0, 5 - footer)]
    for block in (8, 1 << 20):
        reader = CsvReader(Input(lambda: io.BytesIO(content.encode()), "f.csv"), ReadOptions(skip_footer=footer), block)
        batches = list(reader.batches())
        found = [
            line for batch in batches for line in (*batch.lines.to_pylist(), *(row.line for row in batch.bad_rows))
        ]
        assert sorted(found) == left


def test_lines_that_begin_with_the_comment_are_no_rows():
    content = '# made by\nid,v\n#x\n1,"a\n#b"\n2,c#d\n#\n'
    assert rows(content, comment="#") == {4: ["1", "a\n#b"], 6: ["2", "c#d"]}
    assert rows("//x\nid,v\n1,2\n", comment="//") == {3: ["1", "2"]}


def test_cells_are_quoted_with_what_the_option_says():
    assert rows("id,v\n1,'a,''b'''\n2,\"x\n", quote="'") == {2: ["1", "a,'b'"], 3: ["2", '"x']}
    assert rows('id,v\n1,"a\n2,b"c\n', quote="") == {2: ["1", '"a'], 3: ["2", 'b"c']}
    assert rows('id\tv\n1\ta\\\tb\n2\t"\\N\n', quote="", escape="\\") == {2: ["1", "a\tb"], 3: ["2", '"\\N']}


def test_blanks_between_a_delimiter_and_a_quote_mean_nothing():
    assert rows('id, v\n1, "b,c"\n2, "d" \n3, e\n') == {2: ["1", "b,c"], 3: ["2", "d"], 4: ["3", " e"]}
    assert rows('id,v\n1,"he, ""x"""\n2, "nick" name\n') == {2: ["1", 'he, "x"'], 3: ["2", ' "nick" name']}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"quote": "''"}, "the quote \"''\" is not one plain character"),
        ({"escape": "\\\\"}, "is not one plain character"),
        ({"delimiter": ";", "quote": ";"}, "is not one plain character"),
        ({"comment": '"'}, "cannot begin a line"),
        ({"skip_rows": 9}, "the file is empty"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(given: dict[str, Any], message: str):
    with pytest.raises(InputRefused, match=message):
        opened("a,b\n1,2\n", **given)


@dataclass(frozen=True)
class Written:
    """A file, how it is to be read, and what is in it."""

    content: str
    options: dict[str, Any]
    rows: list[tuple[int, list[str | None]]]
    bad: list[int]


@st.composite
def files(draw: st.DrawFn) -> Written:
    """Files with all habits at once."""
    delimiter, quote = draw(st.sampled_from(",;\t|")), draw(st.sampled_from("\"'"))
    escape, comment = draw(st.sampled_from([None, "\\"])), draw(st.sampled_from([None, "#", "//"]))
    line_end, blanks = draw(st.sampled_from(["\n", "\r\n"])), draw(st.booleans())
    has_header, first = draw(st.booleans()), ["first", "second", "third"]
    surplus = draw(st.sampled_from([0, 0, 1, 2])) if has_header else 0
    texts = st.text(st.sampled_from(f"ab1 #/é{delimiter}{quote}\\\n"), max_size=5)

    def cell(text: str | None, bare: bool) -> str:
        if text is None or (bare and text.isalnum()):
            return text or ""
        inside = text if escape is None else text.replace(escape, escape * 2)
        marks = quote * 2 if escape is None else draw(st.sampled_from([quote * 2, f"{escape}{quote}"]))
        return quote + inside.replace(quote, marks) + quote

    def record(cells: list[str | None], surplus: int) -> str:
        bare = draw(st.booleans()) and not blanks
        return (f"{delimiter} " if blanks else delimiter).join(cell(text, bare) for text in cells) + delimiter * surplus

    titles = draw(st.lists(st.sampled_from(["", "Report", f"a{delimiter}{quote}", "#x"]), max_size=3))
    content = "".join(title + line_end for title in titles)
    kept: list[tuple[int, list[str | None]]] = []
    wrong: list[int] = []
    if has_header:
        content += record([*first], surplus) + line_end
    else:
        for _ in range(9):  # so that most rows are as wide as they are
            kept.append((content.count("\n") + 1, [*first]))
            content += record([*first], surplus) + line_end
    for _ in range(draw(st.integers(0, 8))):
        line = content.count("\n") + 1
        kind = draw(st.sampled_from(["row", "row", "row", "blank", "comment", "short", "long"]))
        # with blanks after the delimiters only what is quoted is without them
        cells = ["x", draw(texts if blanks else st.none() | texts), draw(texts)]
        if kind == "comment" and comment:
            content += f"{comment}{quote}x{delimiter}"
        elif kind == "short":
            content += record(cells[:1], 0)
            wrong.append(line)
        elif kind == "long" and not surplus:  # else they may be taken for columns whose names are missing
            content += record([*cells, "", "y"], 0)
            wrong.append(line)
        elif kind == "row":
            content += record(cells, draw(st.sampled_from([surplus, surplus, 0, 1])))
            kept.append((line, cells))
        content += line_end
    footer = draw(st.integers(0, 3))
    left_out = sorted([*(line for line, _ in kept), *wrong])[-footer:] if footer else []
    options = {
        "delimiter": delimiter, "quote": quote, "escape": escape or quote, "comment": comment,
        "skip_rows": len(titles), "skip_footer": footer, "header": has_header,
    }  # fmt: skip
    return Written(
        content,
        options,
        [(line, cells) for line, cells in kept if line not in left_out],
        [line for line in wrong if line not in left_out],
    )


@settings(max_examples=60, deadline=None)
@given(
    file=files(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    block=st.sampled_from([48, 1 << 20]),
)
def test_lines_and_cells_are_right_in_every_combination_and_from_any_batch(file: Written, encoding: str, block: int):
    content = file.content.encode(encoding)
    options = ReadOptions(**file.options, encoding="cp1252" if encoding == "cp1252" else None)
    reader = CsvReader(Input(lambda: io.BytesIO(content), "file.csv"), options, block)
    for _first_by_its_beginning_then_settled in range(2):
        batches = list(reader.batches())
        found = [
            (line, list(row.values()))
            for batch in batches
            for line, row in zip(batch.lines.to_pylist(), batch.table.to_pylist(), strict=True)
        ]
        assert found == file.rows
        assert [row.line for batch in batches for row in batch.bad_rows] == file.bad
    again = CsvReader(
        Input(lambda: io.BytesIO(content), "file.csv"), options.model_copy(update={"found": reader.found}), block
    )
    assert again.described == reader.described
    for index, batch in enumerate(batches):
        goes_on(again, batch.start, batches[index:])
