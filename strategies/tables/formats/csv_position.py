"""Where one pass over delimited text is: how many records and physical lines it has come past, and which were bad."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch_jobs.strategies.tables.formats.plain_text import PlainText
from batch_jobs.strategies.tables.formats.text import CheckedText


@dataclass
class Position:
    """How far reading has come: records (with the header, blank and bad ones) and physical lines."""

    record: int
    line: int


@dataclass
class Pass:
    """One opening of the file: its text where that is still to be checked, and what Arrow has met."""

    checked: CheckedText | None = None
    text: PlainText | None = None
    #: Bad rows that no batch has reported yet.
    bad: deque[Any] = field(default_factory=deque)
    last_cells: Iterable[str | None] = ()
    last_line: int = 1
    last_bad_line: int = 1
    last_bad_text: str = ""

    def meet(self, row: Any) -> str:
        """Keep a bad row for its batch; Arrow goes on without it."""
        self.bad.append(row)
        return "skip"

    def take_bad(self, begun: int, rows: int, at_end: bool) -> list[Any]:
        """The bad rows between a batch's rows; those after its last row are left to the next one.

        Args:
            begun: how many records there are before the batch.
            rows: how many rows it has.
            at_end: whether no other batch follows.
        """
        found: list[Any] = []
        while self.bad and (at_end or self.bad[0].number <= begun + rows + len(found)):
            found.append(self.bad.popleft())
        return found


def lines_of_records(table: pa.Table, begun: int, bad: list[Any], may_span: bool) -> Any:
    """How many physical lines each record takes; only a quoted cell may span several."""
    counts = np.ones(table.num_rows, dtype=np.int64)
    for column in table.columns if may_span else ():
        embedded = pc.count_substring(column, "\n")
        if pc.max(embedded).as_py():
            counts += pc.fill_null(embedded, 0).to_numpy().astype(np.int64)
    if not bad:
        return counts
    places = [row.number - 1 - begun - index for index, row in enumerate(bad)]
    return np.insert(counts, places, [1 + row.text.count("\n") for row in bad])
