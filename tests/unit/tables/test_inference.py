"""Finding types over a whole file."""

import pyarrow as pa
import pytest

from batch_jobs.strategies.tables.formats.reading import Batch
from batch_jobs.strategies.tables.importing.inference import Inference


def decide(*cells: str | None, batch: int = 2, has_zones: bool = True) -> tuple[str, str]:
    inference = Inference(has_zones)
    for start in range(0, len(cells), batch):
        part = pa.array(cells[start : start + batch], pa.string())
        lines = pa.array(range(start + 2, start + 2 + len(part)), pa.int64())
        inference.feed(Batch(pa.table({"c": part}), lines, [], {"line": start + 2}))
    decision = inference.columns()["c"]
    return type(decision.type).__name__, decision.why


@pytest.mark.parametrize(
    ("cells", "type"),
    [
        (["1", "-20", None, "0", ""], "BigInteger"),
        (["1", "2.50", "-0.5"], "Numeric"),
        (["31.95376472", "-89.23450472"], "Numeric"),
        (["1.5", "1e10"], "Double"),
        (["true", "FALSE"], "Boolean"),
        (["2024-01-31", "1999-12-31"], "Date"),
        (["2024-01-31 10:00:00", "2024-01-31T10:00:00.123"], "DateTime"),
        (["2024-01-31T10:00:00Z", "2024-01-31T10:00:00+01:00"], "DateTime"),
        (["00501", "10001"], "Text"),
        (["1", "2", "3", "x"], "Text"),
        (["+1"], "Text"),
        (["12345678901234567890"], "Text"),
        (["2024-02-30"], "Text"),
        (["2024-01-31", "2024-01-31 10:00:00"], "Text"),
        (["1", "true"], "Text"),
        (["-0"], "Text"),
        ([None, ""], "Text"),
    ],
)
def test_the_type_holds_every_cell_as_it_is(cells: list[str | None], type: str):
    assert decide(*cells)[0] == type


def test_the_reason_names_the_cell_that_decided():
    assert decide("10001", "00501")[1] == "'00501' would not be the same as a number"
    assert decide("1", "2", "3", "x")[1] == "'x' is not a whole number"
    assert decide("1.5", "2.5")[1] == "every value is a decimal number of at most 15 digits"
    assert decide(None)[1] == "there is no value in the whole file"


def test_times_with_a_zone_stay_text_where_the_database_has_none():
    assert decide("2024-01-31T10:00:00Z", has_zones=False)[0] == "Text"
