"""The rows that jobs have refused, for people: in pages, each row with its bad cells and why."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from batch_jobs.flows.errors import CorrectionRefused, RejectsCursorWrong
from batch_jobs.flows.jobs.model import Job
from batch_jobs.strategies.sdk.errors import FileMissing
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.lines import IN_NO_FILE, place_of
from batch_jobs.strategies.sdk.rejected_rows import RefusedRow, RefusedRows, parts_of, read_part, rows_key
from batch_jobs.strategies.sdk.rejects import reason_of

#: Rows of a page, by default.
LIMIT = 100
#: How a cursor begins that is of what is not put together yet.
PARTS = "p"


@dataclass(frozen=True)
class RejectedRow:
    """An input row that is refused, for people.

    ``line`` is where it begins in its file, ``None`` where it is in none; ``file`` is given where there are several.
    ``cells`` are its own by column, in the order of the file, ``bad`` has the reasons by the column of the bad cell and
    ``reasons`` those that are about the row as a whole.
    """

    line: int | None
    file: str | None
    cells: dict[str, str | None]
    bad: dict[str, list[str]] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, row: RefusedRow, files: Sequence[str]) -> "RejectedRow":
        """A row of the file of a job's rejects, which has these input files."""
        file, line = place_of(row.number)
        is_in_file = line < IN_NO_FILE
        shown = cls(line if is_in_file else None, files[file] if is_in_file and len(files) > 1 else None, row.cells)
        for column, message in row.reasons:
            cell = row.bad_cell(column)
            if cell is None:
                shown.reasons.append(reason_of(column, message))
            else:
                shown.bad.setdefault(cell, []).append(message)
        return shown


@dataclass(frozen=True)
class RejectsPage:
    """A page of refused rows; there are more where there is a cursor.

    ``total`` is how many there are in all and ``columns`` how many have a bad cell in each column, ``None`` and empty
    while that is not known yet.
    """

    rows: list[RejectedRow]
    cursor: str | None
    total: int | None = None
    columns: Mapping[str, int] = field(default_factory=dict)


def input_files(job: Job) -> list[str]:
    """The keys of a job's input files, in the order that its lines are numbered by."""
    found: list[dict[str, Any]] = (job.plan or {}).get("files", [])
    return [file["key"] for file in found]


class JobRejects:
    """Reads what the jobs of an installation have refused.

    Args:
        files: the file store.
    """

    def __init__(self, files: FileStore) -> None:
        self._files = files

    def page(self, job: Job, cursor: str | None = None, limit: int = LIMIT, column: str | None = None) -> RejectsPage:
        """Rows that a job has refused: in its preview until it runs, and once it has ended in its run.

        While it runs, they are those of its preview, or where it had none those of its chunks so far.

        Args:
            job: whose rejects.
            cursor: of the page before, of the same column.
            limit: how many rows at most.
            column: only rows with a bad cell in this column.

        Raises:
            RejectsCursorWrong: the cursor is none.
        """
        if cursor is not None and not all(part.isdecimal() for part in cursor.removeprefix(PARTS).split(".")):
            raise RejectsCursorWrong
        try:
            with self.rows_of(job) as rows:
                return _page(rows, input_files(job), _first(cursor), limit, column)
        except FileMissing:
            return self._unassembled(job, cursor, limit, column)

    @contextmanager
    def rows_of(self, job: Job) -> Iterator[RefusedRows]:
        """The file of a job's refused rows.

        Raises:
            FileMissing: there is none.
        """
        key = rows_key(job.id)
        with self._files.open(key) as stream:
            yield RefusedRows(stream, self._files.size(key))

    def require_rows(self, job: Job) -> None:
        """Refuse to correct rows of a job that has refused none, or whose rows are not kept one by one.

        Raises:
            CorrectionRefused: says why.
        """
        if self._files.exists(rows_key(job.id)):
            return
        if not job.result.rejected:
            raise CorrectionRefused(f"{job.id} has refused no rows, so that there is nothing to correct")
        raise CorrectionRefused(
            f"{job.id} is of an earlier release, which did not keep its refused rows one by one; correct its rejects "
            "file and load that by a job of its own"
        )

    def _unassembled(self, job: Job, cursor: str | None, limit: int, column: str | None) -> RejectsPage:
        """A page of the parts that are there so far, in the order in which they were written."""
        parts, (part, first) = parts_of(self._files, job.id), _place(cursor)
        found: list[RejectedRow] = []
        while part < len(parts) and len(found) < limit:
            rows = read_part(self._files, parts[part])
            for number, row in enumerate(rows[first:], first):
                if column is None or column in {row.bad_cell(name) for name, _ in row.reasons}:
                    found.append(RejectedRow.of(row, input_files(job)))
                if len(found) == limit:
                    first = number + 1
                    break
            else:
                part, first = part + 1, 0
        return RejectsPage(found, f"{PARTS}{part}.{first}" if part < len(parts) else None)


def _page(rows: RefusedRows, files: Sequence[str], first: int, limit: int, column: str | None) -> RejectsPage:
    found = rows.page(first, limit, column)
    total = rows.total if column is None else rows.columns.get(column, 0)
    after = first + len(found)
    shown = [RejectedRow.of(row, rows.files or files) for row in found]
    return RejectsPage(shown, str(after) if found and after < total else None, total, rows.columns)


def _first(cursor: str | None) -> int:
    """Where a page begins; one of what was not put together then begins anew."""
    return int(cursor) if cursor and not cursor.startswith(PARTS) else 0


def _place(cursor: str | None) -> tuple[int, int]:
    if not cursor or not cursor.startswith(PARTS):
        return 0, 0
    part, _, first = cursor.removeprefix(PARTS).partition(".")
    return int(part), int(first or 0)
