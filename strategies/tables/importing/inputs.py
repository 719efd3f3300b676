"""Which files an import reads, in which order, and whether they are still those of the plan."""

from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from typing import Any

from pydantic import BaseModel

from batch_jobs.strategies.sdk.errors import InputChanged, InputRefused, JobRefused
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.tables.formats.format import Format, format_of, get_format
from batch_jobs.strategies.tables.formats.many import ManyReader
from batch_jobs.strategies.tables.formats.options import ReadOptions
from batch_jobs.strategies.tables.formats.packing import split_member
from batch_jobs.strategies.tables.formats.reading import Input, Reader


class PlannedFile(BaseModel):
    """A file as the plan saw it; ``rows`` are all it has, those included that are refused."""

    key: str
    version: str
    checksum: str = ""
    rows: int | None = None


class Inputs:
    """The files of an import, as one input.

    Args:
        job: opens them.
        keys: of the file store, each perhaps with the name of a file inside.
    """

    def __init__(self, job: JobRun, keys: Sequence[str]) -> None:
        self._job = job
        self._files = [Input(partial(job.open_input, split_member(key)[0]), key) for key in keys]
        self.planned = [PlannedFile(key=key, version=job.files.version(split_member(key)[0])) for key in keys]
        if len(keys) > 1:
            job.rejects.files = tuple(keys)

    def format(self, given: str | None) -> Format:
        """The format of all files: as given, or by their names.

        Raises:
            InputRefused: a name tells none, or another one than the first file's.
        """
        if given:
            return get_format(given)
        first, *others = self._files
        format = format_of(first.table_name)
        for other in others:
            if (found := format_of(other.table_name)) is not format:
                raise InputRefused(
                    other.name, f"it is {found.name} and {first.name} is {format.name}; load it by itself"
                )
        return format

    def reader(self, format: Format, context: BaseModel, found: dict[str, Any] | None = None) -> Reader:
        """Open them for reading."""

        def open_one(file: Input, known: dict[str, Any] | None) -> Reader:
            return format.reader(file, ReadOptions.of(context, known))

        if len(self._files) == 1:
            return open_one(self._files[0], found)
        return ManyReader(self._files, open_one, found)

    def look_at(self, reader: Reader, total: int) -> list[PlannedFile]:
        """The files as they were read: with their checksums and their rows."""
        rows = reader.rows if isinstance(reader, ManyReader) else [total]
        for planned, file, count in zip(self.planned, self._files, rows, strict=True):
            planned.checksum, planned.rows = file.checksum, count
        return self.planned

    def refuse_changed(self, planned: Sequence[PlannedFile]) -> None:
        """Make sure that they are those that were looked at.

        Raises:
            InputChanged: names the one that is not.
        """
        for before, now, file in zip(planned, self.planned, self._files, strict=True):
            if before.version != now.version and before.checksum != file.checksum:
                raise InputChanged(before.key)


def chosen_keys(files: FileStore, given: str | list[str]) -> list[str]:
    """The keys that are meant: as given, and for a pattern those that match it, sorted.

    Raises:
        JobRefused: none does.
    """
    keys: list[str] = []
    for entry in [given] if isinstance(given, str) else given:
        found = files.matching(entry)
        if not found:
            raise JobRefused(f"no file of the file store matches {entry}; `batch-jobs files list` shows what there is")
        keys += [key for key in found if key not in keys]
    return keys


def checksum_of(planned: Sequence[PlannedFile]) -> str:
    """One checksum of all files: that of a single file, else one of theirs."""
    checksums = [file.checksum for file in planned]
    return checksums[0] if len(checksums) == 1 else sha256("".join(checksums).encode()).hexdigest()
