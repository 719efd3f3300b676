"""Reading JSON lines as batches of text."""

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_jobs.strategies.sdk.errors import InputRefused
from batch_jobs.strategies.tables.formats.jsonl import JsonLinesReader
from batch_jobs.strategies.tables.formats.reading import BadCell, Batch, Input
from support.batches import resumes, rows


def opened(content: str | bytes, **given: Any) -> JsonLinesReader:
    written = content if isinstance(content, bytes) else content.encode()
    return JsonLinesReader(Input(lambda: io.BytesIO(written), "f.jsonl"), **given)


def only_batch(content: str | bytes) -> Batch:
    (batch,) = opened(content).batches()
    return batch


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


def test_json_lines_go_on_from_any_batch():
    content = b"".join(b'{"a": %d}\n' % i for i in range(20))
    resumes(JsonLinesReader(Input(lambda: io.BytesIO(content), "f.jsonl"), rows=6))


def test_A8_a_key_that_an_object_lacks_is_absent_and_null_is_not():
    batch = only_batch('{"id": 1, "a": null}\n{"id": 2}\n{"id": 3, "a": "x"}\n')
    assert batch.table.column("a").to_pylist() == [None, None, "x"]
    assert {name: marks.to_pylist() for name, marks in batch.absent.items()} == {"a": [False, True, False]}


def test_A9_A12_strings_are_marked_whatever_they_look_like():
    batch = only_batch('{"a": "123", "b": 1}\n{"a": 123, "b": 2}\n{"a": null, "b": {"c": "x"}}\n{"a": "", "b": true}\n')
    assert batch.table.column("a").to_pylist() == ["123", "123", None, ""]
    assert {name: marks.to_pylist() for name, marks in batch.texts.items()} == {"a": [True, False, False, True]}


def test_C8_arrays_stay_json_nested_ones_too():
    batch = only_batch('{"a": ["x", "y z"], "b": [[1, 2], [3]], "c": []}\n')
    assert batch.table.to_pylist() == [{"a": '["x","y z"]', "b": "[[1,2],[3]]", "c": "[]"}]
    assert not batch.texts


def test_A15_numbers_keep_their_text_in_nested_values_too():
    batch = only_batch('{"a": 1e400, "b": {"x": [1e400, 12345678901234567890.10, -0.0]}, "c": 1.50}\n')
    assert batch.table.to_pylist() == [{"a": "1e400", "b": '{"x":[1e400,12345678901234567890.10,-0.0]}', "c": "1.50"}]


def test_A15_what_json_does_not_know_is_kept_in_a_cell_and_a_fault_in_a_nested_value():
    batch = only_batch('{"a": NaN, "b": -Infinity}\n{"a": [NaN], "b": 1}\n')
    assert batch.table.to_pylist() == [{"a": "NaN", "b": "-Infinity"}, {"a": None, "b": "1"}]
    assert batch.bad_cells == [BadCell(1, "a", "has NaN, which JSON does not know")]
    assert not batch.texts


@pytest.mark.parametrize(
    "line",
    ['{"a": 1, "a": 2}', '{"a":1,"a" :2}', '{"a" : 1, "a":2}', '{"b":1,"a":{"a":1,"a":2}}', '{"a":"\\":","a":1}'],
)
def test_A15_a_key_that_is_there_twice_is_a_bad_row(line: str):
    batch = only_batch(f'{{"a": 0}}\n{line}\n{{"a": 3}}\n')
    assert [(row.line, row.message) for row in batch.bad_rows] == [(2, "has the key 'a' twice")]
    assert batch.lines.to_pylist() == [1, 3]


@given(st.lists(st.dictionaries(st.text(), st.text() | st.integers() | st.lists(st.text()), min_size=1), min_size=1))
def test_no_object_is_taken_for_one_with_a_key_twice(objects: list[dict[str, Any]]):
    objects = [{f"k{key}": value for key, value in one.items()} for one in objects]
    separators = [(",", ":"), (", ", " : ")]
    for separator in separators:
        content = "".join(json.dumps(one, separators=separator) + "\n" for one in objects)
        (batch,) = opened(content, rows=len(objects) + 1).batches()
        assert not batch.bad_rows


def test_half_a_surrogate_pair_is_a_fault_and_not_changed():
    batch = only_batch('{"a": "\\ud800"}\n{"\\ud800": 1}\n{"a": ["\\ud800"]}\n{"a": "\\ud83d\\ude00"}\n')
    assert [(cell.index, cell.message) for cell in batch.bad_cells] == [
        (0, "has half a surrogate pair, which is no character"),
        (1, "has half a surrogate pair, which is no character"),
    ]
    assert [(row.line, row.message) for row in batch.bad_rows] == [
        (2, "has a key that has half a surrogate pair, which is no character")
    ]
    assert batch.table.to_pylist()[-1] == {"a": "😀"}


@pytest.mark.parametrize("content", ['[{"a": 1}, {"a": 2}]', '[\n  {"a": 1},\n  {"a": 2}\n]\n'])
def test_one_array_is_refused_with_what_to_do(content: str):
    with pytest.raises(InputRefused, match="it is one JSON array; write each object of it on a line of its own"):
        opened(content)


def test_a_file_without_an_object_is_refused():
    with pytest.raises(InputRefused, match="there is no JSON object in it"):
        opened(b"")
