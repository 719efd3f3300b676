"""What a strategy can say at once of the file that a job would read, before there is a job."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

#: Where a job's plan says by ``header_of`` which columns its file has.
HEADER = "_header"
#: Characters of a cell that are shown.
LONGEST = 1_000


def header_of(columns: Iterable[str]) -> str:
    """The columns of a file as one short text; the same for the same names, whatever their order."""
    return sha256(json.dumps(sorted(set(columns))).encode()).hexdigest()


@dataclass(frozen=True)
class FileColumn:
    """A column of the file.

    Args:
        name: as the file has it.
        renamed: as the context has it loaded, ``None`` where it is left out.
        target: the column of the target that it goes to, ``None`` where there is none for it.
        found_type: what its cells are by the beginning of the file, which is the type that it would get in a new table.
        why: what decided, the end of a sentence with because.
        target_type: the type of the target's column; ``None`` without one.
        further_targets: other columns that it goes to as well, where the type of job can do that.
    """

    name: str
    renamed: str | None
    target: str | None
    found_type: str
    why: str
    target_type: str | None = None
    further_targets: Sequence[str] = ()


@dataclass(frozen=True)
class TargetColumn:
    """A column of the target.

    Args:
        name: its name.
        type: as the database calls it; empty where the target has no types of its own.
        nullable: whether it may be without a value.
        has_default: whether the database gives it a value where a row brings none.
        is_required: whether a new row cannot be without a value for it.
        is_computed: whether the database computes it, so that nothing can be loaded into it.
        in_key: whether it is of the key by which rows are matched.
        default: what the context gives rows that have no value for it.
        source: the file's column that goes into it, ``None`` where none does.
    """

    name: str
    type: str = ""
    nullable: bool = True
    has_default: bool = False
    is_required: bool = False
    is_computed: bool = False
    in_key: bool = False
    default: str | None = None
    source: str | None = None


@dataclass(frozen=True)
class SampleCell:
    """A cell: as it is in the file, and what it becomes.

    Args:
        raw: its text, ``None`` where there is none.
        value: what would be loaded, as text; ``None`` for no value, a column that is left out, and a bad cell.
        problem: why its row would be a reject.
        is_left: whether it changes nothing: the table's own value stays, or the column's default is taken.
    """

    raw: str | None
    value: str | None = None
    problem: str | None = None
    is_left: bool = False

    @classmethod
    def of(
        cls, raw: str | None, value: str | None = None, problem: str | None = None, is_left: bool = False
    ) -> "SampleCell":
        """A cell whose texts are cut where they are longer than anybody reads."""
        return cls(_cut(raw), _cut(value), problem, is_left)


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


@dataclass(frozen=True)
class SampleRow:
    """A row of the file: its line, its cells in the order of the columns, and why it is a reject as a whole.

    ``made`` are the rows of the table that the strategy makes of it, where it does not load it as it is: column ->
    value.
    """

    line: int
    cells: Sequence[SampleCell]
    problem: str | None = None
    made: Sequence[Mapping[str, SampleCell]] = ()


@dataclass(frozen=True)
class FileSample:
    """The beginning of a file as a job of this context would read it.

    Args:
        file: its key, the first one where there are several.
        described: how it is read, as the plan's ``file`` has it: format, delimiter, encoding (``encoding_is`` says
            whether that is guessed), sheet.
        columns: those of the file, in its order.
        rows: the first ones.
        sheets: of a workbook.
        target: the table that is loaded, ``None`` where the context names none yet, or one that may not be used.
        target_exists: whether it is there; a new one is created by the job.
        target_columns: its columns; of a new table those that it would get.
        guesses: options that would read more of the cells, with their values, such as ``{"decimal": ","}``.
        problems: why a job of this context would be refused as it stands, a line each.
        warnings: what else is to be known, a line each.
        refusal: why the file cannot be read so, in a line; then there are no columns and no rows.
    """

    file: str
    described: Mapping[str, str] = field(default_factory=dict)
    columns: Sequence[FileColumn] = ()
    rows: Sequence[SampleRow] = ()
    sheets: Sequence[str] = ()
    target: str | None = None
    target_exists: bool = False
    target_columns: Sequence[TargetColumn] = ()
    guesses: Mapping[str, Any] = field(default_factory=dict)
    problems: Sequence[str] = ()
    warnings: Sequence[str] = ()
    refusal: str | None = None

    @property
    def header(self) -> str:
        """What ``header_of`` makes of its columns."""
        return header_of(column.name for column in self.columns)
