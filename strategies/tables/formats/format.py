"""What a file format is, and which ones there are: ours, and those that installed packages add by an entry point."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, ClassVar, Literal, Protocol

import pyarrow as pa
from sqlalchemy import Connection

from batch_jobs.strategies.sdk.errors import ContextRefused, InputRefused, JobRefused
from batch_jobs.strategies.tables.formats.encodings import text_encoding
from batch_jobs.strategies.tables.formats.options import ReadingOptions
from batch_jobs.strategies.tables.formats.packing import bare_name
from batch_jobs.strategies.tables.formats.reading import Input, Reader, ReadOptions, Source
from batch_jobs.strategies.tables.formats.writing import WriteOptions as WriteOptions
from batch_jobs.strategies.tables.formats.writing import WritingOptions, dated

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from batch_jobs.strategies.tables.selecting import SelectedColumn, Selection

GROUP = "batch_jobs.formats"
#: Ours, in the order in which they are offered; those of other packages follow by name.
OURS = ("csv", "tsv", "jsonl", "parquet", "xlsx")


class Writer(Protocol):
    """Takes the rows of an export, batch by batch."""

    def write(self, rows: pa.Table) -> None:
        """Write rows, every cell as text."""


class RowSource(Protocol):
    """Where the rows of an export come from: a database."""

    def batches(self, connection: Connection, selection: "Selection", nested: bool = False) -> Iterator[pa.Table]:
        """The rows, every cell as text (null where there is none); ``nested`` gives arrays as JSON."""

    def copy_csv(
        self, connection: Connection, selection: "Selection", delimiter: str, neutralise: bool, stream: BinaryIO
    ) -> Iterator[int]:
        """Write the rows as CSV, without a header; yields the number of rows now and then."""


@dataclass(frozen=True)
class Rows:
    """The rows of an export, and the columns as the file has them."""

    source: RowSource
    connection: Connection
    selection: "Selection"
    columns: "list[SelectedColumn]"

    @property
    def names(self) -> list[str]:
        """The columns' names in the file."""
        return [column.name for column in self.columns]

    def batches(self, nested: bool = False) -> Iterator[pa.Table]:
        """The rows, every cell as text, under the file's names; ``nested`` gives arrays as JSON."""
        for batch in self.source.batches(self.connection, self.selection, nested):
            yield batch.rename_columns(self.names)

    def has_more_than(self, number: int) -> bool:
        """Whether there are more rows than so many."""
        return self.selection.count(self.connection) > number

    def copy_csv(self, delimiter: str, neutralise: bool, stream: BinaryIO) -> Iterator[int]:
        """Have the database write the rows as CSV, without a header; yields the number of rows now and then."""
        return self.source.copy_csv(self.connection, self.selection, delimiter, neutralise, stream)


class Format(ABC):
    """One kind of file.

    To add one, subclass this and name an instance as an entry point of the group ``batch_jobs.formats``; the entry
    point's name is the format's. A module of a format should import what only it needs when it is used, because all
    formats are loaded to find the one of a file's name.
    """

    name: ClassVar[str]
    #: How names of its files end, in lower case; a file that is written gets the first.
    suffixes: ClassVar[tuple[str, ...]]
    #: What a file that is written is sent as over HTTP.
    media_type: ClassVar[str]
    #: How its files begin -> what one is called where another format was expected.
    magic: ClassVar[dict[bytes, str]] = {}
    #: Which fields of ``ReadingOptions`` it heeds in reading, and of ``WritingOptions`` (and delimiter) in writing.
    read_options: ClassVar[frozenset[str]] = frozenset()
    write_options: ClassVar[frozenset[str]] = frozenset()
    #: Whether its cells may be lists of values.
    nests: ClassVar[bool] = False
    #: Whether spreadsheets open it, so that exports neutralise formulas and imports restore them.
    for_spreadsheets: ClassVar[bool] = False
    #: Whether its cells have types, so that only its texts may be in a notation of their own; and whether JSON is one.
    typed: ClassVar[bool] = False
    has_json: ClassVar[bool] = False
    #: Whether its writer takes values instead of text in columns that say which, see ``SelectedColumn``.
    takes_values: ClassVar[bool] = False
    #: How parts of a file, of which only the first has a header, become one: their bytes behind each other, or by
    #: ``join``; not at all where this is ``None``.
    joined_by: ClassVar[Literal["bytes", "join"] | None] = None

    @abstractmethod
    def reader(self, source: Input, options: ReadOptions) -> Reader:
        """Open a file for reading.

        Raises:
            InputRefused: the file is not what it should be.
        """

    def beginning(self, source: Input, options: ReadOptions, rows: int) -> Reader:
        """Open a file of which only so many rows are wanted; for formats that would read all of it for them.

        Raises:
            InputRefused: the file is not what it should be.
        """
        return self.reader(source, options)

    def writer(
        self, stream: BinaryIO, columns: "list[SelectedColumn]", options: WriteOptions
    ) -> "AbstractContextManager[Writer]":
        """Begin a file; leaving the writer finishes it. Not needed where ``write`` is another one."""
        raise NotImplementedError

    def write(self, rows: Rows, stream: BinaryIO, options: WriteOptions) -> Iterator[int]:
        """Write a whole file; yields the number of rows now and then."""
        with self.writer(stream, rows.columns, options) as writer:
            for batch in rows.batches(self.nests):
                writer.write(dated(batch, rows.columns, options.date_format))
                yield batch.num_rows

    def join(self, parts: Iterator[BinaryIO], stream: BinaryIO) -> None:
        """Write one file of several, in their order; not needed where their bytes behind each other are one."""
        raise NotImplementedError

    def check_size(self, rows: int, columns: int) -> None:  # noqa: B027  # most formats have no limit
        """Refuse what does not fit into one file.

        Raises:
            JobRefused: says how much fits.
        """


@cache
def _entry_points() -> dict[str, EntryPoint]:
    # ours are known without metadata too, as in a source tree that was never installed
    found = {name: EntryPoint(name, f"{__package__}.{name}:FORMAT", GROUP) for name in OURS}
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value)):
        found[point.name] = point
    return found


def format_names() -> list[str]:
    """The names of all formats; loads none."""
    return list(_entry_points())


if TYPE_CHECKING:
    FormatName = str
else:
    #: The type of a field that chooses a format.
    FormatName = Literal[tuple(format_names())]


@cache
def get_format(name: str) -> Format:
    """The format of this name.

    Raises:
        JobRefused: there is none, or its package is broken.
    """
    if name not in _entry_points():
        raise JobRefused(f"there is no format {name!r}; there are {', '.join(format_names())}")
    point = _entry_points()[name]
    try:
        loaded = point.load()
        found = loaded() if isinstance(loaded, type) else loaded
    except Exception as error:  # whatever another package's module raises
        raise JobRefused(f"the format {name} ({point.value}) does not load: {' '.join(str(error).split())}") from error
    if not isinstance(found, Format):
        raise JobRefused(f"the format {name} ({point.value}) is no Format")
    return found


def all_formats() -> Iterator[Format]:
    """Every format that loads."""
    for name in format_names():
        try:
            yield get_format(name)
        except JobRefused:  # it is told whoever asks for it by name; the others are to be found all the same
            continue


def format_of(name: str) -> Format:
    """The format that a file's name tells.

    Raises:
        InputRefused: it tells none.
    """
    suffix = PurePosixPath(bare_name(name)).suffix.lower()
    for format in all_formats():
        if suffix in format.suffixes:
            return format
    raise InputRefused(name, f"the name does not tell the format; set format to one of {', '.join(format_names())}")


def is_table_name(name: str) -> bool:
    """Whether a file's name tells a format."""
    suffix = PurePosixPath(bare_name(name)).suffix.lower()
    return any(suffix in format.suffixes for format in all_formats())


def media_types() -> dict[str, str]:
    """What files that exports write are sent as over HTTP, by the end of their name."""
    return {format.suffixes[0]: format.media_type for format in all_formats()}


def other_format(sample: bytes) -> str | None:
    """What a file that begins like this is called, ``None`` where nothing is known of such a beginning."""
    for format in all_formats():
        for magic, what in format.magic.items():
            if sample.startswith(magic):
                return what
    return None


def refuse_unheeded(options: ReadingOptions, format: Format) -> None:
    """Refuse reading options that a format has no use for.

    Raises:
        ContextRefused: names the option and the formats that it is for.
    """
    for name, field in ReadingOptions.model_fields.items():
        if getattr(options, name) != field.default and name not in format.read_options:
            heeding = [other.name for other in all_formats() if name in other.read_options]
            raise ContextRefused(f"{name} is not for format {format.name}; it is for {', '.join(heeding) or 'none'}")


def refuse_encoding(options: ReadingOptions) -> None:
    """Refuse an encoding that no text has.

    Raises:
        ContextRefused: names it.
    """
    try:
        if options.encoding:
            text_encoding(options.encoding)
    except ValueError as error:
        raise ContextRefused(str(error)) from None


def refuse_unheeded_writing(options: WritingOptions, format: Format) -> None:
    """Refuse writing options that a format has no use for; any file can be packed and split.

    Raises:
        ContextRefused: names the option and the formats that it is for.
    """
    for name in ("bom", "null", "decimal", "date_format"):
        if getattr(options, name) != WritingOptions.model_fields[name].default and name not in format.write_options:
            heeding = ", ".join(other.name for other in all_formats() if name in other.write_options)
            raise ContextRefused(f"{name} is not for format {format.name}; it is for {heeding}")


def open_reader(source: Source, name: str, *, format: str | None = None, options: ReadOptions | None = None) -> Reader:
    """Open a file for reading, and settle it.

    Args:
        source: opens the raw input anew.
        name: the file's name, which tells its format and what it is packed in.
        format: one of ``format_names``; by the name when not given.
        options: how to read it; what is not given is found out.

    Raises:
        InputRefused: the file is not what it should be.
    """
    file = Input(source, name)
    chosen = get_format(format) if format else format_of(file.table_name)
    reader = chosen.reader(file, options or ReadOptions())
    reader.settle()
    return reader
