"""Comma-separated values."""

from collections.abc import Iterator
from typing import BinaryIO, ClassVar, Literal

from batch_jobs.strategies.tables.formats.csv_reading import CsvReader
from batch_jobs.strategies.tables.formats.csv_writing import write_csv
from batch_jobs.strategies.tables.formats.format import Format, Rows
from batch_jobs.strategies.tables.formats.reading import Input, ReadOptions
from batch_jobs.strategies.tables.formats.writing import WriteOptions

SMALL_BLOCK = 1 << 16


class Csv(Format):
    """Comma-separated values; read with any delimiter."""

    name: ClassVar[str] = "csv"
    suffixes: ClassVar[tuple[str, ...]] = (".csv", ".txt")
    media_type: ClassVar[str] = "text/csv"
    read_options: ClassVar[frozenset[str]] = frozenset(
        {"delimiter", "encoding", "skip_rows", "skip_footer", "header", "comment", "quote", "escape"}
    )
    write_options: ClassVar[frozenset[str]] = frozenset({"delimiter", "bom", "null", "decimal", "date_format"})
    for_spreadsheets: ClassVar[bool] = True
    joined_by: ClassVar[Literal["bytes", "join"] | None] = "bytes"
    #: In reading, ``None`` finds it out.
    read_delimiter: ClassVar[str | None] = None
    write_delimiter: ClassVar[str] = ","

    def reader(self, source: Input, options: ReadOptions) -> CsvReader:
        """Open a file for reading."""
        return CsvReader(source, self._chosen(options))

    def beginning(self, source: Input, options: ReadOptions, rows: int) -> CsvReader:
        """Open a file, to be read in small blocks: Arrow reads some of them ahead."""
        return CsvReader(source, self._chosen(options), SMALL_BLOCK)

    def _chosen(self, options: ReadOptions) -> ReadOptions:
        return options.model_copy(update={"delimiter": options.delimiter or self.read_delimiter})

    def write(self, rows: Rows, stream: BinaryIO, options: WriteOptions) -> Iterator[int]:
        """Have the database write the lines, which is fastest, unless cells are to look otherwise."""
        return write_csv(rows, stream, options, options.delimiter or self.write_delimiter)


FORMAT = Csv()
