"""Tab-separated values: delimited text with another delimiter."""

from typing import ClassVar

from batch_jobs.strategies.tables.formats.csv import Csv


class Tsv(Csv):
    """Tab-separated values."""

    name: ClassVar[str] = "tsv"
    suffixes: ClassVar[tuple[str, ...]] = (".tsv", ".tab")
    media_type: ClassVar[str] = "text/tab-separated-values"
    write_options: ClassVar[frozenset[str]] = Csv.write_options - {"delimiter"}
    read_delimiter: ClassVar[str | None] = "\t"
    write_delimiter: ClassVar[str] = "\t"


FORMAT = Tsv()
