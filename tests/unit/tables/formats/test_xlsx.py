"""What is read of a workbook: the sheet, its rows, and what its cells say."""

import datetime as dt
import io
import zipfile
from typing import Any

import openpyxl
import pytest

from batch_jobs.strategies.sdk.errors import InputRefused
from batch_jobs.strategies.tables.formats.reading import BadRow, Reader
from support.batches import rows
from tests.support.workbooks import by_hand, replaced, workbook, xlsx_reader

NEVER_COMPUTED = "has a formula that was never computed; open the file in Excel and save it"


def lines(reader: Reader) -> list[int]:
    return [line for batch in reader.batches() for line in batch.lines.to_pylist()]


def values(content: bytes, **options: Any) -> list[str | None]:
    """The cells of the only column."""
    return [value for row in rows(xlsx_reader(content, **options)) for value in row.values()]


def wrong(content: bytes) -> list[tuple[int, str, str]]:
    """The bad cells: line, column and message."""
    return [
        (batch.lines[cell.index].as_py(), cell.column, cell.message)
        for batch in xlsx_reader(content).batches()
        for cell in batch.bad_cells
    ]


def column(*cells: str) -> str:
    """Rows of one column v, whose cells are given from row 2 on."""
    written = ['<c r="A1" t="inlineStr"><is><t>v</t></is></c>', *cells]
    return "".join(f'<row r="{line}">{cell}</row>' for line, cell in enumerate(written, 1))


def test_values_become_the_text_an_import_reads():
    content = workbook(
        ["a", "b", "c", None], [1.0, 2.5, dt.date(2024, 1, 2)], [], [True, "x", dt.datetime(2024, 1, 2, 3, 4, 5)]
    )
    reader = xlsx_reader(content)
    assert rows(reader) == [
        {"a": "1", "b": "2.5", "c": "2024-01-02"},
        {"a": "true", "b": "x", "c": "2024-01-02 03:04:05"},
    ]
    assert lines(reader) == [2, 4]


def test_reading_goes_on_from_any_batch():
    content = workbook(["a", "b"], *([i, *[i] * (i % 5)] for i in range(20)), ["end"], ["end"])
    reader = xlsx_reader(content, rows=6, skip_footer=2)
    batches = list(reader.batches())
    assert len(batches) == 4
    for index, batch in enumerate(batches):
        assert list(reader.batches(batch.start)) == batches[index:]


def test_rows_of_a_large_sheet_are_read_block_by_block():
    content = workbook(["a", "b"], *([number, "x" * 300] for number in range(10_000)))
    found = rows(xlsx_reader(content, rows=999))
    assert [row["a"] for row in found] == [str(number) for number in range(10_000)]
    assert {row["b"] for row in found} == {"x" * 300}


@pytest.mark.parametrize("dimension", [b"A1", b"A1:C2", b"B2:B2", b"A1:XFD1048576"])
def test_A1_cells_are_read_whatever_dimension_is_declared(dimension: bytes):
    content = workbook(["id", "name", "n"], [1, "a", 1.5], [2, "b", 2.5], [3, "c", 3.5])
    assert [list(row.values()) for row in rows(xlsx_reader(replaced(content, b"A1:C4", dimension)))] == [
        ["1", "a", "1.5"],
        ["2", "b", "2.5"],
        ["3", "c", "3.5"],
    ]


def test_A1_rows_and_cells_that_do_not_say_where_they_are_follow_each_other():
    content = by_hand("<row><c t='str'><v>a</v></c><c t='str'><v>b</v></c></row><row/><row><c/><c><v>2</v></c></row>")
    assert rows(xlsx_reader(content)) == [{"a": None, "b": "2"}]
    assert lines(xlsx_reader(content)) == [3]


def test_A2_a_row_wider_than_the_header_is_a_bad_row():
    content = workbook(["id", "name"], [1, "a"], [2, "b", None, "x", 7], [3, "c"])
    (batch,) = xlsx_reader(content).batches()
    assert batch.bad_rows == [
        BadRow(3, "has 5 cells where the header has 2", {"id": "2", "name": "b", "reject_surplus": "x,7"})
    ]
    assert batch.table.column("id").to_pylist() == ["1", "3"]
    assert batch.lines.to_pylist() == [2, 4]


def test_A2_cells_without_a_value_beyond_the_header_are_no_fault():
    content = by_hand(
        '<row r="1"><c r="A1" t="str"><v>a</v></c><c r="C1" s="0"/></row>'
        '<row r="2"><c r="A2"><v>1</v></c><c r="B2"/><c r="C2" t="inlineStr"><is><t></t></is></c></row>'
    )
    (batch,) = xlsx_reader(content).batches()
    assert (batch.table.to_pylist(), batch.bad_rows) == ([{"a": "1"}], [])


def test_A2_a_formula_beyond_the_header_that_was_never_computed_is_a_cell_too():
    (batch,) = xlsx_reader(workbook(["a"], [1, "=1+1"])).batches()
    assert [(bad.line, bad.message) for bad in batch.bad_rows] == [(2, "has 2 cells where the header has 1")]


@pytest.mark.parametrize(
    ("above", "skipped"),
    [([["Report"]], 1), ([["Report"], []], 2), ([[], ["Report"], ["of today"], []], 4), ([[None, None, "Report"]], 1)],
)
def test_A3_titles_above_the_header_are_refused_and_left_out_on_demand(above: list[list[Any]], skipped: int):
    content = workbook(*above, ["id", "v", "w"], [1, 2, 3], [4, 5, 6])
    message = (
        rf"not look like a header: (it has|they have) 1 cell and .* 3; leave (it|them) out with skip_rows {skipped};"
    )
    with pytest.raises(InputRefused, match=message):
        xlsx_reader(content)

    reader = xlsx_reader(content, skip_rows=skipped)
    assert rows(reader) == [{"id": "1", "v": "2", "w": "3"}, {"id": "4", "v": "5", "w": "6"}]
    assert lines(reader) == [skipped + 2, skipped + 3]


def test_a_table_of_one_column_is_no_title():
    assert values(workbook(["v"], ["a"], ["b", "note"], ["c"])) == ["a", "c"]


def sheets(*states: str, active: int = 0) -> bytes:
    book, stream = openpyxl.Workbook(), io.BytesIO()
    book.remove(book.active)
    for number, state in enumerate(states, 1):
        sheet = book.create_sheet(f"Sheet {number}")
        sheet.append([f"of {number}"])
        sheet.append([number])
        sheet.sheet_state = state
    book.active = active
    book.save(stream)
    return stream.getvalue()


@pytest.mark.parametrize("hidden", ["hidden", "veryHidden"])
def test_A4_the_first_visible_sheet_is_read_and_the_others_are_named(hidden: str):
    reader = xlsx_reader(sheets(hidden, "visible", "visible", active=1))
    assert rows(reader) == [{"of 2": "2"}]
    assert reader.described == {
        "format": "xlsx", "sheet": "Sheet 2", "other_sheets": "Sheet 1 (hidden), Sheet 3"
    }  # fmt: skip


@pytest.mark.parametrize("wanted", [1, "1", "Sheet 1", "sheet 1"])
def test_A4_a_sheet_is_chosen_by_name_or_number_hidden_or_not(wanted: str | int):
    reader = xlsx_reader(sheets("hidden", "visible", active=1), sheet=wanted)
    assert rows(reader) == [{"of 1": "1"}]
    assert reader.described["sheet"] == "Sheet 1 (hidden)"


@pytest.mark.parametrize("wanted", [0, 3, "Sheet 9"])
def test_A4_a_sheet_that_is_not_there_is_refused_with_those_that_are(wanted: str | int):
    with pytest.raises(InputRefused, match=r"it has no sheet .*; it has: 1 Sheet 1 \(hidden\), 2 Sheet 2; nothing"):
        xlsx_reader(sheets("hidden", "visible", active=1), sheet=wanted)


def test_A4_a_chart_is_no_sheet():
    both = '<sheet name="Chart" sheetId="1" r:id="rId3"/><sheet name="Data" sheetId="2" r:id="rId1"/>'
    reader = xlsx_reader(by_hand(column('<c r="A2"><v>1</v></c>'), sheets=both), sheet=1)
    assert (rows(reader), reader.described["sheet"]) == ([{"v": "1"}], "Data")


def test_A5_formulas_that_were_never_computed_are_bad_cells():
    content = workbook(["a", "s"], [1, "=A2*2"], [2, "text"], ["=A1", "=A3*2"])
    assert wrong(content) == [(2, "s", NEVER_COMPUTED), (4, "a", NEVER_COMPUTED), (4, "s", NEVER_COMPUTED)]
    assert rows(xlsx_reader(content))[0] == {"a": "1", "s": None}


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ('<c r="A2"><f>1+1</f><v>2</v></c>', "2"),
        ('<c r="A2"><f>1-1</f><v>0</v></c>', "0"),
        ('<c r="A2" t="str"><f>""</f><v></v></c>', None),
        ('<c r="A2" t="str"><f t="shared" si="0"/><v>a_x000D_b</v></c>', "a\rb"),
        ('<c r="A2" t="b"><f>TRUE</f><v>1</v></c>', "true"),
    ],
)
def test_A5_formulas_that_were_computed_are_their_values(cell: str, value: str | None):
    content = by_hand(column(cell, '<c r="A3"><v>9</v></c>'))
    assert wrong(content) == []
    assert values(content) == ([value, "9"] if value is not None else ["9"])


@pytest.mark.parametrize(
    "cell",
    [
        '<c r="A2"><f>1+1</f></c>',
        '<c r="A2"><f>1+1</f><v/></c>',
        '<c r="A2" t="str"><f>""</f></c>',
        '<c r="A2"><f t="shared" si="0"/><v></v></c>',
        '<c r="A2" t="e"><f>1/0</f></c>',
    ],
)
def test_A5_a_formula_without_a_value_is_a_bad_cell_however_it_is_written(cell: str):
    assert wrong(by_hand(column(cell))) == [(2, "v", NEVER_COMPUTED)]


def test_A5_a_formula_of_0_is_not_trusted_where_the_program_left_the_computing_to_excel():
    cells = column('<c r="A2"><f>1+1</f><v>0</v></c>', '<c r="A3"><f>1+1</f><v>2</v></c>', '<c r="A4"><v>0</v></c>')
    later = by_hand(
        cells, sheets='<sheet name="Data" sheetId="1" r:id="rId1"/></sheets><calcPr fullCalcOnLoad="1"/><sheets>'
    )
    assert wrong(later) == [(2, "v", NEVER_COMPUTED)]
    assert wrong(by_hand(cells)) == []


@pytest.mark.parametrize("error", ["#N/A", "#REF!", "#DIV/0!", "#VALUE!", "#NAME?", "#NUM!", "#NULL!"])
def test_A5_errors_are_bad_cells_and_can_be_seen(error: str):
    content = by_hand(column(f'<c r="A2" t="e"><v>{error}</v></c>', f'<c r="A3" t="e"><f>A1</f><v>{error}</v></c>'))
    assert wrong(content) == [(2, "v", f"is the error {error}"), (3, "v", f"is the error {error}")]
    assert values(content) == [error, error]


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("line1_x000D_\nline2", "line1\r\nline2"),
        ("_x005F_x000D_", "_x000D_"),
        ("_x005f_", "_"),
        ("_xD83D__xDE00_", "😀"),
        ("_xD83D_", "\N{REPLACEMENT CHARACTER}"),
        ("a &amp;lt; &#65;&#x42; &quot;", 'a &lt; AB "'),
        ("_x12_ _xyz0_", "_x12_ _xyz0_"),
        (" blanks ", " blanks "),
        ("", ""),
    ],
)
def test_A11_escapes_of_texts_are_decoded(written: str, text: str):
    inline = f'<c r="A2" t="inlineStr"><is><t xml:space="preserve">{written}</t></is></c>'
    shared = by_hand(column('<c r="A2" t="s"><v>1</v></c>'), texts=f"<si><t>no</t></si><si><t>{written}</t></si>")
    assert values(by_hand(column(inline))) == [text]
    assert values(shared) == [text]


def test_B2_moments_are_moments_at_midnight_too():
    content = workbook(["at"], [dt.datetime(2024, 1, 1, 10, 30)], [dt.datetime(2024, 1, 2)])
    assert values(content) == ["2024-01-01 10:30:00", "2024-01-02 00:00:00"]


def test_B2_days_are_days_and_keep_a_time_they_have():
    content = workbook(["day"], [45_292], [45_292.5], formats={1: "dd/mm/yyyy"})
    assert values(content)[:2] == ["2024-01-01", "2024-01-01 12:00:00"]


def test_C1_a_sheet_of_a_header_alone_has_one_batch_without_rows():
    reader = xlsx_reader(workbook(["id", "name"]))
    (batch,) = reader.batches()
    assert (batch.table.column_names, batch.table.num_rows) == (["id", "name"], 0)
    assert list(reader.batches(batch.start)) == [batch]


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("57.699999999999996", "57.7"),
        ("-0.30000000000000004", "-0.3"),
        ("434.99999999999994", "435"),
        ("5.7699999999999996E1", "57.7"),
        ("0.1234567890123456", "0.123456789012346"),
        ("1.0", "1"),
        ("1.50", "1.5"),
        ("-0", "0"),
        ("1E-3", "0.001"),
        ("1E+20", "1e+20"),
        ("1234567.89", "1234567.89"),
        ("12345678901234567890", "12345678901234567890"),
        ("+7", "7"),
        ("many", "many"),
    ],
)
def test_C7_a_number_is_what_its_15_digits_say(written: str, text: str):
    assert values(by_hand(column(f'<c r="A2"><v>{written}</v></c>'))) == [text]


def test_C7_a_number_that_is_kept_as_text_is_exact_and_marked_as_text():
    content = workbook(["id", "n"], ["0012345678901234567", 1], ["7", 2])
    (batch,) = xlsx_reader(content).batches()
    assert batch.table.column("id").to_pylist() == ["0012345678901234567", "7"]
    assert {name: marks.to_pylist() for name, marks in batch.texts.items()} == {"id": [True, True]}


def test_C14_a_column_without_a_name_gets_one_and_those_at_the_end_are_none():
    reader = xlsx_reader(workbook([None, "b", None, "d", None], [1, 2, 3, 4], [5, 6, 7, 8]))
    assert reader.columns == ["column_1", "b", "column_3", "d"]
    assert reader.described["unnamed"] == "column_1, column_3"
    assert rows(reader)[0] == {"column_1": "1", "b": "2", "column_3": "3", "d": "4"}


def test_without_a_header_columns_are_numbered():
    reader = xlsx_reader(workbook([], [1], [2, "b"]), header=False)
    assert rows(reader) == [{"column_1": "1", "column_2": None}, {"column_1": "2", "column_2": "b"}]
    assert lines(reader) == [2, 3]


@pytest.mark.parametrize(("footer", "left"), [(0, 4), (1, 3), (3, 1), (4, 0), (9, 0)])
def test_rows_at_the_end_are_left_out_whatever_they_have(footer: int, left: int):
    content = workbook(["a"], [1], [2, "wide"], [3], ["=SUM(A2:A4)"])
    batches = list(xlsx_reader(content, rows=2, skip_footer=footer).batches())
    assert sum(batch.table.num_rows + len(batch.bad_rows) for batch in batches) == left
    assert any(batch.bad_cells for batch in batches) == (footer == 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\n", "this is not an Excel file"),
        (workbook(), "the sheet 'Sheet' is empty"),
        (workbook(["a", "a"]), "the header has 'a' in columns 1 and 2"),
        (by_hand("", sheet=b"<worksheet><sheetData><row r='1'>"), "this is not an Excel file"),
        (by_hand(column('<c r="A2" t="s"><v>5</v></c>')), "this is not an Excel file"),
        (by_hand(column("").replace('r="1"', 'r="3"') + '<row r="2"/>'), "its rows are not in order"),
        (by_hand("", sheet=b'<!DOCTYPE x [<!ENTITY a "b">]><worksheet/>'), "this is not an Excel file"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(content: bytes, message: str):
    with pytest.raises(InputRefused, match=message):
        list(xlsx_reader(content).batches())


def test_a_workbook_with_a_part_that_is_larger_than_it_says_is_refused():
    content = bytearray(workbook(["a"], ["b"]))
    with zipfile.ZipFile(io.BytesIO(bytes(content))) as book:
        size = book.getinfo("xl/worksheets/sheet1.xml").file_size
    place = content.rindex(b"xl/worksheets/sheet1.xml")  # in the central directory, 22 bytes behind the size
    assert int.from_bytes(content[place - 22 : place - 18], "little") == size
    content[place - 22 : place - 18] = (size - 10).to_bytes(4, "little")

    with pytest.raises(InputRefused, match="this is not an Excel file"):
        list(xlsx_reader(bytes(content)).batches())
