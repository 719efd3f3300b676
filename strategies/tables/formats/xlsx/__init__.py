"""Excel files: reading a sheet, and writing as a stream."""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, BinaryIO, ClassVar

from batch_jobs.strategies.tables.formats.format import Format, Writer
from batch_jobs.strategies.tables.formats.reading import Input, ReadOptions
from batch_jobs.strategies.tables.formats.writing import WriteOptions
from batch_jobs.strategies.tables.formats.xlsx.reading import XlsxBeginning, XlsxReader
from batch_jobs.strategies.tables.formats.xlsx.writing import XlsxWriter, check_size

if TYPE_CHECKING:
    from batch_jobs.strategies.tables.selecting import SelectedColumn


class Xlsx(Format):
    """Excel workbooks."""

    name: ClassVar[str] = "xlsx"
    suffixes: ClassVar[tuple[str, ...]] = (".xlsx", ".xlsm")
    media_type: ClassVar[str] = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    magic: ClassVar[dict[bytes, str]] = {b"PK\x03\x04": "an Excel or zip file"}
    read_options: ClassVar[frozenset[str]] = frozenset({"sheet", "skip_rows", "skip_footer", "header"})
    for_spreadsheets: ClassVar[bool] = True
    typed: ClassVar[bool] = True

    def reader(self, source: Input, options: ReadOptions) -> XlsxReader:
        """Open a file for reading."""
        return XlsxReader(source, options)

    def beginning(self, source: Input, options: ReadOptions, rows: int) -> XlsxReader:
        """Open a file of which only so many rows are wanted."""
        return XlsxBeginning(source, options, rows)

    def writer(
        self, stream: BinaryIO, columns: "list[SelectedColumn]", options: WriteOptions
    ) -> AbstractContextManager[Writer]:
        """Begin a file."""
        return XlsxWriter(stream, columns, options.neutralise)

    def check_size(self, rows: int, columns: int) -> None:
        """Refuse what does not fit on a sheet."""
        check_size(rows, columns)


FORMAT = Xlsx()
