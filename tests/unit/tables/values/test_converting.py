"""Batches as rows of the table: typed, with every bad cell found and those marked that are to be left."""

from typing import Any

import pyarrow as pa
import pytest
from sqlalchemy import Column, MetaData, Table, types

from batch_jobs.strategies.sdk.database import database_named
from batch_jobs.strategies.tables.databases.naming import DATABASE
from batch_jobs.strategies.tables.formats.reading import BadCell, Batch
from batch_jobs.strategies.tables.values.converting import Checked, Converter
from batch_jobs.strategies.tables.values.options import ValueOptions


def table(*columns: Column[Any], database: str = "postgresql") -> Table:
    return Table("t", MetaData(), *columns, info={DATABASE: database_named(database)})


def check(
    into: Table,
    cells: dict[str, list[str | None]],
    *,
    key: list[str] | None = None,
    texts: dict[str, list[bool]] | None = None,
    absent: dict[str, list[bool]] | None = None,
    bad_cells: list[BadCell] | None = None,
    traits: dict[str, bool] | None = None,
    **options: Any,
) -> Checked:
    rows = pa.table({name: pa.array(column, pa.string()) for name, column in cells.items()})
    lines = pa.array(range(2, 2 + rows.num_rows), pa.int64())
    masks = [{name: pa.array(mask) for name, mask in (given or {}).items()} for given in (texts, absent)]
    batch = Batch(rows, lines, [], {"line": 2}, bad_cells or [], *masks)
    mapping = {name: name for name in cells}
    return Converter(into, mapping, key or [], False, ValueOptions(**options), **(traits or {})).check(batch)


def rejects(checked: Checked) -> list[tuple[int, str | None, str]]:
    return [(reject.line, reject.column, reject.message) for reject in checked.rejects]


def masks(checked: Checked) -> dict[str, list[bool]]:
    return {name: mask.tolist() for name, mask in checked.absent.items()}


def test_A9_texts_of_json_stay_texts_in_json_and_what_is_json_there_stays_json():
    cells = ["123", "true", "text", '{"a": 1}', "123", None, 'a"b\\u0000']
    texts = {"j": [True, True, True, False, False, False, True]}
    checked = check(
        table(Column("j", types.JSON())), {"j": cells}, texts=texts, traits={"typed": True, "has_json": True}
    )
    expected = ['"123"', '"true"', '"text"', '{"a": 1}', "123", None, '"a\\"b\\\\u0000"']
    assert checked.rows.column("j").to_pylist() == expected
    assert checked.rejects == []


def test_A9_the_cells_of_a_file_without_json_of_its_own_are_json_as_they_are_written():
    checked = check(table(Column("j", types.JSON())), {"j": ["123", '"123"', "text"]})
    assert checked.rows.column("j").to_pylist() == ["123", '"123"', None]
    assert rejects(checked) == [(4, "j", "'text' is not JSON")]


def test_words_for_nothing_are_nothing_in_every_column_whatever_blanks_are_around():
    into = table(Column("n", types.Integer()), Column("s", types.Text(), nullable=False))
    checked = check(into, {"n": ["1", " NA ", "\\N"], "s": ["a", "NAN", "NA"]}, null_values=["NA", "\\N"])
    assert checked.rows.to_pydict() == {"n": [1, None, None], "s": ["a", "NAN", None]}
    assert rejects(checked) == [(4, "s", "is empty; the column needs a value")]


def test_marks_of_numbers_are_those_of_numeric_columns_alone():
    into = table(Column("n", types.Numeric(10, 2)), Column("i", types.Integer()), Column("s", types.Text()))
    cells: dict[str, list[str | None]] = {"n": ["1.234,50", "1.23,5"], "i": ["1.000", "1,0"], "s": ["1.234,50", "1.5"]}
    checked = check(into, cells, decimal=",", thousands=".")
    assert [str(value) for value in checked.rows.column("n").to_pylist()] == ["1234.50", "None"]
    assert checked.rows.column("i").to_pylist() == [1000, 1]
    assert checked.rows.column("s").to_pylist() == ["1.234,50", "1.5"]
    assert rejects(checked) == [(3, "n", "'1.23,5' is not a number with decimal mark ',' and thousands mark '.'")]


def test_numbers_and_days_that_a_typed_file_has_as_such_are_in_no_notation_of_its_texts():
    into = table(Column("n", types.Double()), Column("d", types.Date()))
    cells: dict[str, list[str | None]] = {"n": ["1.5", "1,5"], "d": ["2024-01-31", "31.01.2024"]}
    marked = {"n": [False, True], "d": [False, True]}
    checked = check(into, cells, texts=marked, traits={"typed": True}, decimal=",", date_format="%d.%m.%Y")
    assert checked.rows.column("n").to_pylist() == [1.5, 1.5]
    assert [str(day) for day in checked.rows.column("d").to_pylist()] == ["2024-01-31"] * 2
    assert checked.rejects == []


def test_a_format_for_all_is_for_days_and_times_and_one_by_name_for_that_column():
    into = table(Column("d", types.Date()), Column("at", types.DateTime()), Column("t", types.Time()))
    cells: dict[str, list[str | None]] = {"d": ["31.01.2024"], "at": ["31.01.2024"], "t": ["10:30:00"]}
    checked = check(into, cells, date_format="%d.%m.%Y")
    assert [str(column[0]) for column in checked.rows.columns] == ["2024-01-31", "2024-01-31 00:00:00", "10:30:00"]
    checked = check(
        into, {"d": ["2024-01-31"], "at": ["1/31/24"], "t": ["10.30"]}, date_format={"at": "%m/%d/%y", "t": "%H.%M"}
    )
    assert [str(column[0]) for column in checked.rows.columns] == ["2024-01-31", "2024-01-31 00:00:00", "10:30:00"]


def test_keys_that_an_object_lacks_are_marked_and_an_explicit_null_is_not():
    into = table(Column("a", types.Text()), Column("b", types.Text(), nullable=False))
    cells: dict[str, list[str | None]] = {"a": ["x", None, None], "b": [None, "y", None]}
    checked = check(into, cells, absent={"a": [False, True, False], "b": [True, False, False]})
    assert masks(checked) == {"a": [False, True, False], "b": [True, False, False]}
    assert rejects(checked) == [(4, "b", "is empty; the column needs a value")]


@pytest.mark.parametrize("empty", ["keep", "default"])
def test_empty_cells_are_marked_where_they_are_to_be_left_but_not_words_for_nothing_or_bad_cells(empty: str):
    into = table(Column("n", types.Integer(), server_default="0"))
    checked = check(into, {"n": ["1", None, " ", "NULL", "x"]}, empty=empty, null_values=["NULL"])
    assert masks(checked) == {"n": [False, True, True, False, False]}
    assert check(into, {"n": ["1", None]}).absent == {}
    assert check(into, {"n": ["1", "2"]}, empty=empty).absent == {}


def test_an_empty_cell_is_missing_unless_the_column_has_a_default_and_that_is_asked_for():
    into = table(
        Column("a", types.Integer(), nullable=False, server_default="0"), Column("b", types.Integer(), nullable=False)
    )
    cells: dict[str, list[str | None]] = {"a": [None], "b": [None]}
    assert [name for _, name, _ in rejects(check(into, cells))] == ["a", "b"]
    assert [name for _, name, _ in rejects(check(into, cells, empty="default"))] == ["b"]
    assert rejects(check(into, cells, empty="keep")) == []


@pytest.mark.parametrize("empty", ["null", "keep", "default"])
def test_a_key_is_never_left_empty(empty: str):
    into = table(Column("id", types.Integer(), primary_key=True, server_default="0"))
    checked = check(into, {"id": [None]}, key=["id"], empty=empty, absent={"id": [True]})
    assert rejects(checked) == [(2, "id", "is part of the key and may not be empty")]
    assert checked.absent == {}


def test_a_cell_that_could_not_be_read_is_one_reject_and_not_missing_too():
    into = table(Column("n", types.Integer(), nullable=False))
    checked = check(into, {"n": [None, "1"]}, bad_cells=[BadCell(0, "n", "is a formula without a value")])
    assert rejects(checked) == [(2, "n", "is a formula without a value")]
