"""Cells that somebody has corrected in the page, kept with the job until they go in."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from batch_jobs.flows.jobs.given_corrections import Corrected
from batch_jobs.flows.jobs.rejects import RejectedRow
from batch_jobs.strategies.sdk.errors import FileMissing
from batch_jobs.strategies.sdk.files import JOBS, FileStore

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
        return self.rows.get((row.line or 0, row.file), {})

    def after(self, looked_at: Iterable[RejectedRow], given: Mapping[Place, Mapping[str, str]]) -> "Draft":
        """The draft after somebody has gone through some rows, with the cells that a form has of them."""
        rows = dict(self.rows)
        for row in looked_at:
            place = (row.line or 0, row.file)
            cells = {name: text for name, text in given.get(place, {}).items() if is_other(row, name, text)}
            rows.pop(place, None)
            if cells:
                rows[place] = cells
        return Draft(rows)


def is_other(row: RejectedRow, column: str, text: str) -> bool:
    """Whether a cell was changed: a form ends lines otherwise than a file may, and has no cell that is absent."""
    return column in row.cells and _plain(text) != _plain(row.cells[column] or "")


class Drafts:
    """The drafts that are kept.

    Args:
        files: the file store, where each lies in its job's folder.
    """

    def __init__(self, files: FileStore) -> None:
        self._files = files

    def of(self, job_id: str) -> Draft:
        """What was corrected so far, nothing by default."""
        try:
            with self._files.open(_key(job_id)) as stream:
                return Draft({(row["line"], row["file"]): row["cells"] for row in json.load(stream)})
        except FileMissing:
            return Draft({})

    def keep(self, job_id: str, draft: Draft) -> None:
        """Keep what was corrected."""
        rows = [{"line": line, "file": file, "cells": dict(cells)} for (line, file), cells in draft.rows.items()]
        with self._files.writing(_key(job_id)) as stream:
            stream.write(json.dumps(rows).encode())


def _key(job_id: str) -> str:
    return f"{JOBS}/{job_id}/draft.json"


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n")
