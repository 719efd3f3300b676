"""Options that would read more of a file's cells than are read without them: proposals, by its first rows."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import types

from batch_jobs.strategies.tables.formats.reading import Batch
from batch_jobs.strategies.tables.importing.families import NUMBER, Decision
from batch_jobs.strategies.tables.values.arrays import trimmed
from batch_jobs.strategies.tables.values.notation import DateNotation, NumberNotation
from batch_jobs.strategies.tables.values.options import ValueOptions

#: How numbers may be written, the likeliest first.
MARKS = ({"decimal": ","}, {"decimal": ",", "thousands": "."}, {"thousands": ","}, {"decimal": ",", "thousands": " "})
DAYS = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d.%m.%y", "%d/%m/%y", "%m/%d/%y")
CLOCKS = ("", " %H:%M", " %H:%M:%S")

Types = dict[str, Decision]
#: Gives the types that the columns have with such options.
Infer = Callable[[ValueOptions], Types]


def guesses(
    batches: Sequence[Batch], decided: Types, options: ValueOptions, infer: Infer, meant: Collection[str] = ()
) -> dict[str, Any]:
    """Options with their values, of which each makes of columns of text what they seem to be.

    ``decimal`` and ``thousands`` are proposed where they make numbers of columns and nothing that was understood is
    lost by them; ``date_format`` for each column that exactly one usual format reads: of 01/02/2026 nobody knows.

    Args:
        batches: the first rows.
        decided: the types that the columns have without.
        options: how cells are understood by now; what is given is not proposed.
        infer: gives the types that the columns have with other options.
        meant: columns that are to be numbers whatever is in them; most cells are enough, others are wrong in any way.
    """
    found: dict[str, Any] = {}
    if options.decimal is None and options.thousands is None:
        found |= _marks(batches, decided, options, infer, meant)
    if options.date_format is None and _are_hinted(decided, "date_format"):
        formats = {name: format for name in decided if (format := _day_format(name, decided[name], batches))}
        found |= {"date_format": formats} if formats else {}
    return found


def _are_hinted(decided: Types, hint: str) -> bool:
    return any(hint in decision.why for decision in decided.values())


def _marks(
    batches: Sequence[Batch], decided: Types, options: ValueOptions, infer: Infer, meant: Collection[str]
) -> dict[str, str]:
    texts = {name: _cells(name, batches) for name, decision in decided.items() if _is_text(decision)}
    if not any(name in meant for name in texts) and not _are_hinted(decided, "set to a comma"):
        return {}
    best: dict[str, str] = {}
    most = 0
    for marks in MARKS:
        there = infer(options.model_copy(update=marks))
        lost = any(not _is_text(decided[name]) and _is_text(there[name]) for name in decided)
        gained = sum(
            not _is_text(there[name]) or (name in meant and cells is not None and _makes_numbers(marks, cells))
            for name, cells in texts.items()
        )
        if gained > most and not lost:
            best, most = marks, gained
    return best


def _makes_numbers(marks: dict[str, str], cells: pa.Array) -> bool:
    """Whether most cells are numbers with these marks, and more than without."""
    notation = NumberNotation(marks.get("decimal", "."), marks.get("thousands"))
    numbers, plain = (_count_numbers(texts) for texts in (notation.plain(cells).values, cells))
    return numbers * 2 > len(cells) and numbers > plain


def _count_numbers(cells: pa.Array) -> int:
    return pc.sum(pc.match_substring_regex(cells, NUMBER)).as_py() or 0


def _cells(name: str, batches: Sequence[Batch]) -> pa.Array | None:
    """The cells of a column that have a text, if there are any."""
    chunks = [chunk for batch in batches for chunk in batch.table.column(name).chunks]
    if not chunks or not pa.types.is_string(chunks[0].type):
        return None
    cells = trimmed(pa.concat_arrays(chunks))
    return cells.filter(pc.fill_null(pc.not_equal(cells, ""), False)) or None


def _day_format(name: str, decision: Decision, batches: Sequence[Batch]) -> str | None:
    if "date_format" not in decision.why:
        return None
    cells = trimmed(pa.concat_arrays([chunk for batch in batches for chunk in batch.table.column(name).chunks]))
    formats = [f"{day}{clock}" for day in DAYS for clock in CLOCKS]
    fitting = [format for format in formats if not DateNotation(format).plain(cells).bad]
    return fitting[0] if len(fitting) == 1 else None


def _is_text(decision: Decision) -> bool:
    return isinstance(decision.type, types.Text)
