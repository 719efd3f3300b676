"""Rules about how a column changes say what a plain evaluation says, and say it in words."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batch_jobs.strategies.sdk.leaving_out import LeaveOut, Rule
from batch_jobs.strategies.tables.changes.blocks import ChangedRows
from batch_jobs.strategies.tables.changes.choosing import Choice, change_text, number
from batch_jobs.strategies.tables.changes.stored import stored_table

DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=2)
NUMBERS = st.one_of(DECIMALS, st.integers(-(10**30), 10**30), st.floats(allow_nan=False, allow_infinity=False))
LIMITS = st.one_of(st.none(), st.integers(-200, 200).map(Decimal), st.decimals(-200, 200, places=3))
#: Pairs that change by a round percentage, at which a rule is decided exactly.
AT_THE_LIMIT = st.tuples(st.integers(1, 10**6), st.integers(-200, 200)).map(
    lambda pair: (Decimal(pair[0]), Decimal(pair[0]) * (100 + pair[1]) / 100)
)


def updated(pairs: list[tuple[Any, Any]], by_text: bool) -> ChangedRows:
    if by_text:  # as PostgreSQL gives them back
        texts = [[None if value is None else str(value) for value in side] for side in zip(*pairs, strict=True)]
        rows = pa.table({"-price": pa.array(texts[0], pa.string()), "+price": pa.array(texts[1], pa.string())})
    else:  # as SQLite does, perhaps of several kinds
        stored = [tuple(map(_as_stored, pair)) for pair in pairs]
        rows = stored_table(["-price", "+price"], stored)
    keys = pa.array([f"K{place}" for place in range(len(pairs))])
    return ChangedRows("goods", "updated", ["code"], rows.append_column("=code", keys))


def _as_stored(value: Any) -> Any:
    if isinstance(value, Decimal) or (isinstance(value, int) and abs(value) >= 1 << 63):
        return float(value)
    return value


def plainly(before: Any, after: Any, below: Decimal | None, above: Decimal | None) -> bool:
    """The rule in one line of plain Python."""
    old, new = Fraction(before), Fraction(after)
    if old == 0:
        return (above is not None and new > 0) or (below is not None and new < 0)
    percent = (new - old) / abs(old) * 100
    return (below is not None and percent < Fraction(below)) or (above is not None and percent > Fraction(above))


@given(
    pairs=st.lists(st.one_of(st.tuples(NUMBERS, NUMBERS), AT_THE_LIMIT), min_size=1, max_size=20),
    below=LIMITS,
    above=LIMITS,
    by_text=st.booleans(),
)
@example([(Decimal(100), Decimal(50))], Decimal(-50), None, True)
@example([(Decimal("0.1"), Decimal("0.3"))], None, Decimal(200), True)
@example([(0, 5), (0, -5), (-10, -20), (-10, 10)], Decimal(-50), Decimal(50), False)
@example([(1e308, -1e308), (5e-324, 1e308)], Decimal(-100), Decimal(100), False)
@example([(10**30, 10**30 + 1)], None, Decimal(0), True)
def test_a_rule_is_true_of_the_rows_that_a_plain_evaluation_finds(
    pairs: list[tuple[Any, Any]], below: Decimal | None, above: Decimal | None, by_text: bool
):
    if below is None and above is None:
        above = Decimal(10)
    rule = Rule(column="price", change_percent_below=below, change_percent_above=above)
    pairs = [pair for pair in pairs if str(pair[0]) != str(pair[1])] or [(1, 2)]

    found = Choice(LeaveOut(rules=[rule]), ["code"], []).rows(updated(pairs, by_text))

    exact = pairs if by_text else [tuple(map(_as_stored, pair)) for pair in pairs]
    assert sorted(found) == [
        place
        for place, (before, after) in enumerate(exact)
        if before != after and plainly(_exact(before), _exact(after), below, above)
    ]


def _exact(value: Any) -> Any:
    return Decimal(repr(value)) if isinstance(value, float) else value


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("20", "7.6", "falls by 62 %"),
        ("10", "40", "rises by 300 %"),
        ("3", "4", "rises by 33.33 %"),
        ("8", "7", "falls by 12.5 %"),
        ("-10", "-20", "falls by 100 %"),
        ("0", "3", "rises from 0"),
        ("1", "100000", "rises by 9,999,900 %"),
    ],
)
def test_a_change_is_said_in_words(before: str, after: str, said: str):
    assert change_text(Decimal(before), Decimal(after)) == said


@pytest.mark.parametrize("value", [None, True, "", "many", "NaN", "Infinity", float("nan"), b"\x01", "1,5", "$5"])
def test_what_is_no_number_has_no_percentage(value: Any):
    assert number(value) is None


def test_where_several_things_leave_a_row_out_the_first_reason_counts():
    rows = updated([("10", "1"), ("10", None), ("10", "9")], by_text=True)
    wish = LeaveOut(keys=["K0"], rules=[Rule(column="price", change_percent_below=Decimal(-50), becomes_empty=True)])

    assert Choice(wish, ["code"], []).rows(rows) == {
        0: "left out by its key",
        1: "left out: price becomes empty",
    }
