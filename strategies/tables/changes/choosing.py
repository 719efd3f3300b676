"""Which of the changes that a preview found are left out, and why: what a confirmation says, change by change."""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from batch_jobs.strategies.sdk.leaving_out import LeaveOut, Rule
from batch_jobs.strategies.tables.changes.blocks import AFTER, BEFORE, GROUP, KEY, LINE, ChangedRows
from batch_jobs.strategies.tables.changes.entries import shown
from batch_jobs.strategies.tables.changes.stored import stored_values

Reasons = dict[int, str]
#: The reason for leaving a column of a row out, which the row's reject has beside the column's name.
COLUMN_LEFT_OUT = "left out"
#: Within so much of its limit a percentage is compared exactly; floating-point numbers err by far less.
NEAR = 1e-6


class Choice:
    """What is left out of a job's changes.

    Args:
        wish: what its confirmation says.
        files: of the input, in their order.
        marks: whether rows that the input lacks are marked instead of removed.
    """

    def __init__(self, wish: LeaveOut, files: Sequence[str], marks: bool = False) -> None:
        self.wish = wish
        self._keys: dict[tuple[str, ...], frozenset[tuple[str, ...]]] = {}
        self.lines = frozenset(wish.line_numbers(files) if wish.lines else ())
        self._marks = marks
        #: The kinds that are left out of rows which the input lacks.
        self.missing_kinds = [kind for kind in wish.kinds if kind == "removed" or (marks and kind == "updated")]

    def keys(self, key: Sequence[str]) -> frozenset[tuple[str, ...]]:
        """Those that are left out of rows which these columns tell apart, as texts."""
        columns = tuple(key)
        if columns not in self._keys:
            self._keys[columns] = frozenset(self.wish.fitting_keys(columns).values())
        return self._keys[columns]

    def batch(self, batch: Sequence[ChangedRows]) -> list[Reasons]:
        """The same of several changes that were found together: of rows that belong together all, or none."""
        found = [self.rows(changed) for changed in batch]
        torn = {group for changed, rows in zip(batch, found, strict=True) for group in _groups(changed, rows)}
        for changed, rows in zip(batch, found, strict=True) if torn else ():
            for place, group in enumerate(changed.rows.column(GROUP).to_pylist() if _has_groups(changed) else ()):
                if group in torn:
                    rows.setdefault(place, f"left out with the rest of {group}")
        return found

    def rows(self, changed: ChangedRows) -> Reasons:
        """The rows that are left out, by their places, each with the first reason."""
        kinds = self._kinds(changed)
        if kinds:
            return dict.fromkeys(range(len(changed)), f"left out, as all rows that would be {kinds[0]}")
        found: Reasons = {}
        keys = self.keys(changed.key)
        if keys:
            found |= {place: "left out by its key" for place, key in enumerate(key_texts(changed)) if key in keys}
        if self.lines and LINE in changed.rows.column_names:
            lines = changed.rows.column(LINE).to_pylist()
            found |= {place: "left out by its line" for place, line in enumerate(lines) if line in self.lines}
        for rule in self.wish.rules if changed.kind == "updated" else ():
            found = broken(rule, changed) | found
        return found

    def cells(self, changed: ChangedRows) -> dict[str, npt.NDArray[np.int64]]:
        """Columns that are left out, with the places of the rows that would get something else or anything."""
        if changed.kind == "removed" or (self._marks and LINE not in changed.rows.column_names):
            return {}
        names = [name for name in self.wish.columns if name in changed.columns]
        return {name: np.flatnonzero(changed.changed(name)) for name in names}

    def _kinds(self, changed: ChangedRows) -> Sequence[str]:
        if changed.kind == "removed" or (self._marks and LINE not in changed.rows.column_names):
            return self.missing_kinds
        return [kind for kind in self.wish.kinds if kind == changed.kind]


def _has_groups(changed: ChangedRows) -> bool:
    return GROUP in changed.rows.column_names


def _groups(changed: ChangedRows, rows: Reasons) -> set[str]:
    """What some rows belong to."""
    if not rows or not _has_groups(changed):
        return set()
    return set(changed.rows.column(GROUP).take(pa.array(list(rows), pa.int64())).to_pylist()) - {None}


def key_texts(changed: ChangedRows) -> list[tuple[str | None, ...]]:
    """The keys of the rows as people are shown them."""
    columns = [shown(changed.rows.schema.field(KEY + name), changed.rows.column(KEY + name)) for name in changed.key]
    return list(zip(*columns, strict=True))


def broken(rule: Rule, changed: ChangedRows) -> Reasons:
    """The rows of which a rule is true, with what their column does."""
    sides = [mark + rule.column for mark in (BEFORE, AFTER)]
    if any(side not in changed.rows.column_names for side in sides):
        return {}
    places = np.flatnonzero(changed.changed(rule.column))
    before, after = (_values(changed, side, places) for side in sides)
    found: Reasons = {}
    for place, old, new in zip(places.tolist(), before, after, strict=True):
        if new is None:
            if rule.becomes_empty:
                found[place] = f"left out: {rule.column} becomes empty"
        elif old is not None and is_beyond(rule, number(old), number(new)):
            found[place] = f"left out: {rule.column} {change_text(number(old), number(new))}"
    return found


def _values(changed: ChangedRows, name: str, places: npt.NDArray[np.int64]) -> list[Any]:
    field = changed.rows.schema.field(name)
    return stored_values(field, changed.rows.column(name).take(pa.array(places)))


def number(value: Any) -> Decimal | None:
    """A cell as a number; ``None`` where it is none, or is not finite."""
    if isinstance(value, bool):
        return None
    try:
        read = Decimal(repr(value) if isinstance(value, float) else value)
    except (InvalidOperation, TypeError, ValueError):
        return None
    return read if read.is_finite() else None


def is_beyond(rule: Rule, before: Decimal | None, after: Decimal | None) -> bool:
    """Whether a column changes by less or more per cent than a rule has it; from nothing it changes without limit."""
    if before is None or after is None:
        return False
    below, above = rule.change_percent_below, rule.change_percent_above
    if before == 0:
        return (below is not None and after < 0) or (above is not None and after > 0)
    return (below is not None and _compared(before, after, below) < 0) or (
        above is not None and _compared(before, after, above) > 0
    )


def _compared(before: Decimal, after: Decimal, limit: Decimal) -> float | Fraction:
    """Below 0 where the change is less than so many per cent, above 0 where it is more."""
    roughly = _roughly(before, after) - float(limit)
    if isfinite(roughly) and abs(roughly) > NEAR * max(1.0, abs(float(limit))):
        return roughly
    return Fraction(after) - Fraction(before) - Fraction(limit) / 100 * abs(Fraction(before))


def _roughly(before: Decimal, after: Decimal) -> float:
    try:
        old, new = float(before), float(after)
        return (new - old) / abs(old) * 100
    except (OverflowError, ZeroDivisionError):
        return float("nan")


def change_text(before: Decimal | None, after: Decimal | None) -> str:
    """For people: ``falls by 62 %``."""
    assert before is not None
    assert after is not None
    does = "falls" if after < before else "rises"
    if before == 0:
        return f"{does} from 0"
    percent = abs((Fraction(after) - Fraction(before)) / Fraction(before)) * 100
    hundredths = round(percent * 100)
    whole, rest = divmod(hundredths, 100)
    return f"{does} by {whole:,}" + (f".{rest:02d}".rstrip("0") if rest else "") + " %"
