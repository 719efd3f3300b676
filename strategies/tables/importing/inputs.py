"""Which files an import reads, in which order, and whether they are still those of the plan."""

from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha256
from typing import Any

from pydantic import AliasChoices, BaseModel, Field

from batch_jobs.strategies.sdk.context_fields import FileKey
from batch_jobs.strategies.sdk.corrections import Corrections
from batch_jobs.strategies.sdk.errors import ContextRefused, InputChanged, InputRefused, JobRefused
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.tables.formats.corrected import CorrectedReader, GivenRows
from batch_jobs.strategies.tables.formats.format import Format, format_of, get_format
from batch_jobs.strategies.tables.formats.many import ManyReader
from batch_jobs.strategies.tables.formats.options import ReadOptions
from batch_jobs.strategies.tables.formats.packing import split_member
from batch_jobs.strategies.tables.formats.reading import Input, Reader
from batch_jobs.strategies.tables.importing.fetching import SourceOption, fetched, name_of

SHOWN_FILES = 3


class InputOptions(SourceOption):
    """Which files an import reads."""

    file_key: FileKey | list[FileKey] = Field(
        default="",
        title="File",
        description="Key of the file in the file store, as `batch-jobs files list` shows it; several, or a pattern "
        "such as uploads/*.csv, are loaded one after the other; archive.zip#prices.csv is a file in an archive",
        validation_alias=AliasChoices("file_key", "fileKey"),
    )
    corrections: FileKey | None = Field(
        default=None,
        title="Corrections",
        description="Key of a file of corrected cells, which are read instead of those of the input; "
        "`batch-jobs correct ID FILE` makes it and the job that has it",
    )

    def first_name(self, batch_type: str) -> str:
        """The name of the first file, which tells the format of all.

        Raises:
            ContextRefused: no file is named, or a file and a source are.
        """
        keys = [self.file_key] if isinstance(self.file_key, str) else self.file_key
        if self.source and any(keys):
            raise ContextRefused("give either file_key or source")
        if self.source:
            return name_of(self.source)
        if "file_key" not in self.model_fields_set:
            raise ContextRefused(f"the context of {batch_type} is wrong: file_key is missing", ["file_key"])
        if not keys or not all(key.strip() for key in keys):
            raise ContextRefused(f"{batch_type} needs a file_key")
        return keys[0]


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
        self._corrections = corrections_of(job, keys)
        self.planned = self._as_corrected or [
            PlannedFile(key=key, version=job.files.version(split_member(key)[0])) for key in keys
        ]
        self._many: ManyReader | None = None
        job.rejects.name_files(keys)

    def format(self, given: str | None, unnamed: str | None = None) -> Format:
        """The format of all files: as given, or by their names; ``unnamed`` is that of files whose name tells none.

        Raises:
            InputRefused: a name tells none, or another one than the first file's.
        """
        if given:
            return get_format(given)
        first, *others = self._files
        format = format_named(first.table_name, unnamed)
        for other in others:
            if (found := format_named(other.table_name, unnamed)) is not format:
                raise InputRefused(
                    other.name, f"it is {found.name} and {first.name} is {format.name}; load it by itself"
                )
        return format

    @property
    def gives_rows(self) -> bool:
        """Whether all there is of the input are corrected rows, and no file is read."""
        return self._corrections is not None and self._corrections.head.only

    @property
    def found_before(self) -> dict[str, Any] | None:
        """What the reader of the whole input had found out, where some rows of it are all there is."""
        return self._corrections.head.found if self._corrections is not None and self.gives_rows else None

    def reader(
        self,
        format: Format,
        context: BaseModel,
        found: dict[str, Any] | None = None,
        around: Callable[[Reader], Reader] = lambda reader: reader,
    ) -> Reader:
        """Open them for reading, their corrections applied.

        Args:
            format: of all.
            context: how they are read.
            found: what an earlier reader of the same files found.
            around: what is made of the files' reader before that.
        """
        corrections = self._corrections
        if corrections is None:
            return around(self._whole(format, context, found))
        self._job.describe("corrected", "Corrected", str(corrections.head))
        if self.gives_rows:
            return GivenRows(corrections, format)
        self.refuse_changed([PlannedFile(**file.model_dump()) for file in corrections.head.files])
        return CorrectedReader(around(self._whole(format, context, found)), corrections, format)

    def _whole(self, format: Format, context: BaseModel, found: dict[str, Any] | None) -> Reader:
        def open_one(file: Input, known: dict[str, Any] | None) -> Reader:
            return format.reader(file, ReadOptions.of(context, known))

        if len(self._files) == 1:
            return open_one(self._files[0], found)
        self._many = ManyReader(self._files, open_one, found)
        return self._many

    def look_at(self, total: int | None) -> list[PlannedFile]:
        """The files as they were read: with their checksums and their rows, those of a single one being ``total``."""
        if self.gives_rows:
            return self.planned
        rows = [total] if self._many is None else self._many.rows
        for planned, file, count in zip(self.planned, self._files, rows, strict=True):
            planned.checksum, planned.rows = file.checksum, count
        return self.planned

    def refuse_changed(self, planned: Sequence[PlannedFile]) -> None:
        """Make sure that they are those that were looked at.

        Raises:
            InputChanged: names the one that is not.
        """
        for before, now, file in zip(planned, self.planned, () if self.gives_rows else self._files, strict=False):
            if before.version != now.version and before.checksum != file.checksum:
                raise InputChanged(before.key)

    @property
    def _as_corrected(self) -> list[PlannedFile]:
        """The files as they were when their rows were corrected, which need not be there any more."""
        if self._corrections is None or not self.gives_rows:
            return []
        return [PlannedFile(**file.model_dump()) for file in self._corrections.head.files]


def corrections_of(job: JobRun, keys: Sequence[str]) -> Corrections | None:
    """What a job's context corrects of the files of these keys.

    Raises:
        FileMissing: the file that it names is gone.
        JobRefused: it is another kind of file.
    """
    key = getattr(job.context, "corrections", None)
    return Corrections(job.files, key).of(keys) if key else None


def format_named(name: str, unnamed: str | None = None) -> Format:
    """The format that a file's name tells, or the one of files whose name tells none.

    Raises:
        InputRefused: it tells none, and there is none for such files.
    """
    try:
        return format_of(name)
    except InputRefused:
        if unnamed is None:
            raise
        return get_format(unnamed)


def input_keys(job: JobRun) -> list[str]:
    """The keys of the files that a job's context means; a source is fetched for it.

    Raises:
        JobRefused: there is none, or it may not be read.
    """
    context: InputOptions = job.context
    return [fetched(job, context.source)] if context.source else chosen_keys(job.files, context.file_key)


def shown_files(keys: Sequence[str]) -> str:
    """Files for people: all of a few, else the first ones."""
    named = ", ".join(keys[:SHOWN_FILES])
    return named if len(keys) <= SHOWN_FILES else f"{named} and {len(keys) - SHOWN_FILES} more"


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
