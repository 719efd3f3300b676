"""Reporting the rows that an undo leaves as they are."""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

from sqlalchemy import Connection

from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.sdk.lines import IN_NO_FILE
from batch_jobs.strategies.tables.changes.blocks import AFTER, BEFORE, GROUP, KEY
from batch_jobs.strategies.tables.changes.choosing import COLUMN_LEFT_OUT
from batch_jobs.strategies.tables.changes.entries import cells
from batch_jobs.strategies.tables.undoing import keeping
from batch_jobs.strategies.tables.undoing.blocks import Fate
from batch_jobs.strategies.tables.undoing.log import Logged
from batch_jobs.strategies.tables.undoing.plan import RowOfTable
from batch_jobs.strategies.tables.undoing.since import Later

NO_COLUMNS: Mapping[int, Sequence[str]] = MappingProxyType({})


class Rejecting:
    """Reports rows that stay.

    Args:
        job: whose rejects they are.
        tables: that the job which is undone has changed.
    """

    def __init__(self, job: JobRun, tables: Collection[str]) -> None:
        self._job = job
        self._has_several = len(tables) > 1

    def of(
        self, logged: Logged, fate: Fate, before: int, spared: Mapping[int, Sequence[str]] = NO_COLUMNS
    ) -> list[RowOfTable]:
        """Report those of a block, and return them.

        Args:
            logged: the block.
            fate: what became of its rows.
            before: the rows of the log that came before it.
            spared: columns that were left out of rows which went back otherwise.
        """
        changed, found = logged.changed, list[RowOfTable]()
        if not fate.kept and not spared:
            return found
        marks = (AFTER,) if changed.kind == "created" else (BEFORE,)
        names = [name for name in changed.rows.column_names if name[0] in (KEY, *marks)]
        taken = {name: cells(changed.rows, name) for name in names}
        for index in sorted(fate.kept.keys() | spared.keys()):
            row: dict[str, str | None] = {"table": changed.table} if self._has_several else {}
            row |= {name[1:]: texts[index] for name, texts in taken.items()}
            # of a line of a shop's file rows of several tables are made, each a reject of its own
            line = None if GROUP in changed.rows.column_names else keeping.line_of(changed, index)
            number = IN_NO_FILE + before + index if line is None else line
            kept = fate.kept.get(index)
            if kept is not None:
                self._job.reject(number, kept.column, kept.message, row)
                found.append(keeping.shown(changed, index, kept))
            else:
                for name in spared[index]:
                    self._job.reject(number, name, COLUMN_LEFT_OUT, row)
        return found


def name_authors(
    connection: Connection, logged: Logged, later: Later, fate: Fate, at: list[int], is_before: bool = False
) -> None:
    """Say of rows that were changed since who did it, as far as the log knows.

    Args:
        connection: to the target.
        logged: the block of the rows.
        later: finds it out.
        fate: of the rows, by numbers.
        at: their indices in the block, by number.
        is_before: whether this is the look before the undo, when what the job itself did later is still in its way.
    """
    rows = [row for row, kept in fate.kept.items() if kept.is_by_others]
    if not rows:
        return
    for row, who in zip(rows, later.who(connection, logged, [at[row] for row in rows]), strict=True):
        if is_before and who is not None and who.job_id == later.job_id:
            del fate.kept[row]
            fate.back.append(row)
        else:
            fate.kept[row] = fate.kept[row].by(who)
    fate.back.sort()
