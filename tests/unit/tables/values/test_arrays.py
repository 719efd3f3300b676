"""Whole arrays of text cells."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from batch_jobs.strategies.tables.values.arrays import Beyond, Parsed, matching, only_between, quoted, trimmed


def test_blanks_around_cells_go_and_what_is_then_empty_is_nothing():
    assert trimmed(pa.array([" a ", "", " ", None, "b"])).to_pylist() == ["a", None, None, None, "b"]


def test_a_cell_in_a_message_is_short_and_on_one_line():
    assert quoted("a\nb") == "'a\\nb'"
    assert len(quoted("x" * 1000)) < 50


@given(st.lists(st.text(max_size=3) | st.none(), max_size=5), st.integers(0, 5), st.integers(0, 5))
def test_bytes_are_those_of_the_slice_alone(cells: list[str | None], start: int, size: int):
    part = pa.array(cells, pa.string()).slice(min(start, len(cells)), size)
    expected = all("!" <= character <= "~" for cell in part.to_pylist() for character in cell or "")
    assert only_between(part, "!", "~") == expected


def test_values_that_were_cast_but_do_not_say_what_their_cells_say_are_parsed_one_by_one():
    def parse(cell: str) -> int:
        if cell == "13":
            raise ValueError("bad luck")
        return int(cell)

    kind = Parsed(pa.int64(), matching(r"^\d+$"), parse, lambda texts, values: 13 not in values.to_pylist())
    converted = kind.convert(pa.array(["1", "13"]))
    assert (converted.values.to_pylist(), converted.bad) == ([1, None], [(1, "bad luck")])


def test_a_value_that_only_the_server_reads_makes_its_column_text():
    kind = Beyond(Parsed(pa.int64(), matching(r"^\d+$"), int), lambda cell: cell if cell == "many" else None)
    assert kind.convert(pa.array(["1", "2"])).values.type == pa.int64()
    converted = kind.convert(pa.array(["1", " many ", "x"]))
    assert converted.values.to_pylist() == ["1", "many", None]
    assert [index for index, _ in converted.bad] == [2]
