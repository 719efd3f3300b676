"""Cells that somebody has corrected in the page, kept with the job until they go in."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from batch_jobs.deployments.web.kept import Kept
from batch_jobs.flows.jobs.given_corrections import Corrected
from batch_jobs.flows.jobs.rejects import RejectedRow
from batch_jobs.strategies.sdk.files import FileStore

#: A row by its line and its file, which is ``None`` where there is only one.
Place = tuple[int, str | None]


@dataclass(frozen=True)
class Draft:
    """Corrected cells by row."""

    rows: Mapping[Place, Mapping[str, str]]

    @property
    def corrected(self) -> list[Corrected]:
        """The rows as they are checked and go in."""
        return [Corrected(line, cells, file) for (line, file), cells in sorted(self.rows.items(), key=str)]

    @property
    def digest(self) -> str:
        """Another one for other corrections: two clicks on one button make one job."""
        return sha256(repr(self.corrected).encode()).hexdigest()[:32]

    def of(self, row: RejectedRow) -> Mapping[str, str]:
        """The corrected cells of a row."""
        return self.rows.get(place_of(row), {})

    def after(self, looked_at: Iterable[RejectedRow], given: Mapping[Place, Mapping[str, str]]) -> "Draft":
        """The draft after somebody has gone through some rows, with the cells that a form has of them."""
        rows = dict(self.rows)
        for row in looked_at:
            place = place_of(row)
            cells = {name: text for name, text in given.get(place, {}).items() if is_other(row, name, text)}
            rows.pop(place, None)
            if cells:
                rows[place] = cells
        return Draft(rows)


def place_of(row: RejectedRow) -> Place:
    """Where a refused row is."""
    return (row.line or 0, row.file)


def is_other(row: RejectedRow, column: str, text: str) -> bool:
    """Whether a cell was changed: a form ends lines otherwise than a file may, and has no cell that is absent."""
    return column in row.cells and _plain(text) != _plain(row.cells[column] or "")


class Drafts:
    """The drafts that are kept.

    Args:
        files: the file store, where each lies in its job's folder.
    """

    def __init__(self, files: FileStore) -> None:
        self._kept = Kept(files, "draft")

    def of(self, job_id: str) -> Draft:
        """What was corrected so far, nothing by default."""
        return Draft({(row["line"], row["file"]): row["cells"] for row in self._kept.of(job_id) or ()})

    def keep(self, job_id: str, draft: Draft) -> None:
        """Keep what was corrected."""
        rows = [{"line": line, "file": file, "cells": dict(cells)} for (line, file), cells in draft.rows.items()]
        self._kept.keep(job_id, rows)


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n")
