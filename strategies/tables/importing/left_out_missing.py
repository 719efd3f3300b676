"""The rows that a file lacks and that stay all the same, because a confirmation leaves them out of what is removed."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.sdk.lines import IN_NO_FILE
from batch_jobs.strategies.tables.changes.blocks import BEFORE, KEY, LINE, ChangedRows
from batch_jobs.strategies.tables.changes.choosing import Choice
from batch_jobs.strategies.tables.changes.entries import shown
from batch_jobs.strategies.tables.changes.planned import ChangesFile
from batch_jobs.strategies.tables.changes.stored import stored_table
from batch_jobs.strategies.tables.importing.left_out import choice_of, wish_of

#: In a cursor: how many of them are rejected.
LEFT_OUT = "left_out"


class MissingLeftOut:
    """What of the rows that a job is to remove stays.

    Args:
        job: whose confirmation says so.
        removing: the cursor once all rows of the file are in, and these are rejected.
        key: the columns of those that are removed.
    """

    def __init__(self, job: JobRun, removing: dict[str, Any], key: Sequence[str]) -> None:
        self._job = job
        self._removing = removing
        self._choice = choice_of(job) if wish_of(job.plan) else None
        self._keys = self._choice.keys(key) if self._choice else frozenset()

    @property
    def is_all(self) -> bool:
        """Whether none of them is removed."""
        return self._choice is not None and bool(self._choice.missing_kinds)

    def reject(self) -> None:
        """Reject those that the preview found, in chunks, after those that an earlier attempt did."""
        if self._choice is None or self._job.checkpoint == self._removing:
            return
        done = (self._job.checkpoint or {}).get(LEFT_OUT, 0)
        rejects = islice(enumerate(_rejects(self._job, self._choice)), done, None)
        while page := list(islice(rejects, self._job.chunk_size)):
            with self._job.chunk(cursor={**self._removing, LEFT_OUT: page[-1][0] + 1}):
                for number, (reason, row) in page:
                    self._job.reject(IN_NO_FILE + number, None, reason, row)
                self._job.progress.advance(len(page))

    def without(self, page: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Those keys of a page whose rows do not stay."""
        if not self._keys or not page:
            return page
        keys = stored_table([str(place) for place in range(len(page[0]))], page)
        texts = zip(*(shown(field, keys.column(field.name)) for field in keys.schema), strict=True)
        return [row for row, text in zip(page, texts, strict=True) if text not in self._keys]


def _rejects(job: JobRun, choice: Choice) -> Iterator[tuple[str, dict[str, str | None]]]:
    """Why each stays, and what it holds."""
    with ChangesFile(job.files, job.id) as changes:
        for batch in changes.batches():
            for changed in batch:
                if LINE not in changed.rows.column_names:
                    left_out = choice.rows(changed)
                    cells = _cells(changed) if left_out else {}
                    for place, reason in left_out.items():
                        yield reason, {name: values[place] for name, values in cells.items()}


def _cells(changed: ChangedRows) -> dict[str, list[str | None]]:
    rows = changed.rows
    return {
        name[1:]: shown(rows.schema.field(name), rows.column(name))
        for name in rows.column_names
        if name.startswith((KEY, BEFORE))
    }
