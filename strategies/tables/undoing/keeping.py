"""Rows that an undo leaves as they are, and why."""

from dataclasses import dataclass, replace
from enum import StrEnum

from batch_jobs.strategies.sdk.lines import place_of
from batch_jobs.strategies.tables.changes.blocks import LINE, ChangedRows
from batch_jobs.strategies.tables.changes.entries import cells
from batch_jobs.strategies.tables.undoing.plan import RowOfTable

SHOWN = 60  # characters of a value in a reason


class Why(StrEnum):
    """Why rows stay, as a summary has it."""

    CHANGED = "somebody changed them since"
    GONE = "somebody removed them since"
    REFERENCED = "other rows refer to them"
    ALTERED = "their table was altered"
    HIDDEN = "what they were is not kept (CHANGES_HIDE)"
    REFUSED = "the database refuses them as they were"
    GROUP = "not all of what they belong to can be put back"
    LEFT_OUT = "the confirmation leaves them out"


@dataclass(frozen=True)
class Author:
    """The job of the log that wrote a row, and when."""

    job_id: str
    at: str

    def __str__(self) -> str:
        return f"{self.job_id} at {self.at}"


@dataclass(frozen=True)
class Kept:
    """Why a row stays as it is, for people, and the first column that it is about."""

    why: Why
    message: str
    column: str | None = None
    author: Author | None = None

    @property
    def is_by_others(self) -> bool:
        """Whether somebody wrote the row since the job."""
        return self.why in (Why.CHANGED, Why.GONE)

    @property
    def may_be_forced(self) -> bool:
        """Whether the row can be overwritten all the same."""
        return self.why is Why.CHANGED

    def by(self, author: Author | None) -> "Kept":
        """The same with who it was: a job of the log, or somebody else."""
        return replace(self, message=f"{self.message}; by {author or 'somebody else'}", author=author)


def gone() -> Kept:
    """The row that was changed is not there."""
    return Kept(Why.GONE, "the row was removed since")


def hidden(column: str) -> Kept:
    """What a column held is not known."""
    return Kept(Why.HIDDEN, f"what {column} was is not kept (CHANGES_HIDE)", column)


def undecodable(column: str) -> Kept:
    """A text that cannot be compared or written."""
    return Kept(Why.REFUSED, f"{column} has a text that is not in UTF-8, which cannot be written", column)


def altered(message: str, column: str | None = None) -> Kept:
    """The table is another one by now."""
    return Kept(Why.ALTERED, f"the table was altered: {message}", column)


def referenced(tables: list[str]) -> Kept:
    """Other rows would lose what they refer to."""
    return Kept(Why.REFERENCED, f"rows of {', '.join(tables)} refer to it")


def refused(message: str) -> Kept:
    """The database does not take the row as it was."""
    return Kept(Why.REFUSED, message)


def of_group(group: str) -> Kept:
    """Another row of its group stays."""
    return Kept(Why.GROUP, f"stays with the rest of {group}, of which not all can be put back")


def left_out(reason: str) -> Kept:
    """The confirmation says so."""
    return Kept(Why.LEFT_OUT, reason)


def changed_since(columns: dict[str, tuple[str | None, str | None]]) -> Kept:
    """Somebody changed columns since: what each is, and what it was after the job."""
    parts = [f"{name} is {_quoted(now)} and was {_quoted(then)} after the job" for name, (now, then) in columns.items()]
    return Kept(Why.CHANGED, f"changed since: {'; '.join(parts)}", next(iter(columns)))


def made_anew(columns: list[str]) -> Kept:
    """A row with the key of one that was removed is there, and another one."""
    return Kept(Why.CHANGED, f"a row with its key was made since, with another {', '.join(columns)}")


def key_cells(changed: ChangedRows, index: int) -> dict[str, str]:
    """The key of a row for people."""
    row = changed.rows.slice(index, 1)
    return {name: str(cells(row, f"={name}")[0]) for name in changed.key}


def line_of(changed: ChangedRows, index: int) -> int | None:
    """The line of the input that a row was on, where it was on one."""
    if LINE not in changed.rows.column_names:
        return None
    line: int | None = changed.rows.column(LINE)[index].as_py()
    return line


def shown(changed: ChangedRows, index: int, kept: Kept) -> RowOfTable:
    """A row that stays or is overwritten, as a plan has it."""
    line = place_of(line_of(changed, index) or 0)[1]
    return RowOfTable(
        line=line,
        column=kept.column,
        message=kept.message,
        table=changed.table,
        key=key_cells(changed, index),
        by=kept.author.job_id if kept.author else None,
        at=kept.author.at if kept.author else None,
    )


def _quoted(value: str | None) -> str:
    if value is None:
        return "empty"
    return repr(value if len(value) <= SHOWN else value[:SHOWN] + "…")
