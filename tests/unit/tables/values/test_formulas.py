"""Formulas made harmless and restored."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_jobs.strategies.tables.values.formulas import neutralise, neutralise_cell, restore, restore_cell

texts = st.text(alphabet="'=+-@\t\ra1 \n", max_size=6)


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@a", "\tx", "\rx", "'=1"])
def test_S44_what_a_spreadsheet_would_run_gets_an_apostrophe(cell: str):
    assert neutralise_cell(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["", "a=1", "'hello", " =1", "1-1", "'"])
def test_other_text_is_left_alone(cell: str):
    assert neutralise_cell(cell) == cell == restore_cell(cell)


@given(texts)
def test_S44_every_text_comes_back(cell: str):
    assert restore_cell(neutralise_cell(cell)) == cell


@given(st.lists(st.none() | texts, max_size=8))
def test_whole_arrays_are_as_their_cells(cells: list[str | None]):
    array = pa.array(cells, pa.string())
    assert neutralise(array).to_pylist() == [None if cell is None else neutralise_cell(cell) for cell in cells]
    assert restore(array).to_pylist() == [None if cell is None else restore_cell(cell) for cell in cells]
