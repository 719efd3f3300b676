"""Reading rows: what the sources and lookups of all databases have in common."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, BinaryIO, Protocol

import pyarrow as pa
from sqlalchemy import Connection, types

from batch_jobs.strategies.sdk.errors import BatchJobError
from batch_jobs.strategies.tables.ranges import RowRange
from batch_jobs.strategies.tables.selecting import Parameters, SelectedColumn, Selection

#: Rows and bytes after which an export reports how far it is; whichever comes first bounds what is held in memory.
BLOCK_ROWS = 10_000
BLOCK_BYTES = 1 << 20


class SnapshotGone(BatchJobError):
    """The transaction that kept a snapshot for others has ended."""

    def __init__(self) -> None:
        super().__init__(
            "the snapshot that this part was to be read from is gone, with the connection that kept it; retry the job"
        )


class Source(Protocol):
    """Reads from one kind of database, in a transaction that sees one state of it and cannot write."""

    def reading(self, snapshot: str | None = None) -> AbstractContextManager[Connection]:
        """A read-only transaction, on a snapshot of ``export_snapshot`` where one is given.

        Raises:
            SnapshotGone: the transaction that exported it has ended.
        """

    def export_snapshot(self, connection: Connection) -> str:
        """Let others read what this connection of ``reading`` sees, as long as its transaction is open."""

    def ranges(self, connection: Connection, selection: Selection, rows: int, count: int) -> list[RowRange]:
        """Cut a table of so many rows into ranges that make, one behind the other, the file of the whole.

        Raises:
            NotCut: says why that cannot be done.
        """

    def beside(self, connection: Connection) -> AbstractContextManager[list[Connection]]:
        """Further connections that see what this one of ``reading`` sees; none where the database has no such."""

    def reading_in(self, connection: Connection) -> AbstractContextManager[None]:
        """Have ``batches`` read in a transaction that is open, and may write, inside the block."""

    def bound(self, connection: Connection, query: str, values: Mapping[str, Any]) -> tuple[str, Parameters]:
        """A query with values in the place of its marks ``:name``: what the driver gets, and what beside it.

        Raises:
            JobRefused: the driver has no such values.
        """

    def query_columns(self, connection: Connection, query: str, parameters: Parameters = None) -> list[SelectedColumn]:
        """The columns of a query.

        Raises:
            JobRefused: the database does not accept the query.
        """

    def exact_types(self, connection: Connection, selection: Selection) -> list[types.TypeEngine[Any]]:
        """The types of the columns with their digits, and with what arrays are made of, as far as they are known."""

    def batches(self, connection: Connection, selection: Selection, nested: bool = False) -> Iterator[pa.Table]:
        """The rows, every cell as text (null where there is none); ``nested`` gives arrays as JSON."""

    def copy_csv(
        self, connection: Connection, selection: Selection, delimiter: str, neutralise: bool, stream: BinaryIO
    ) -> Iterator[int]:
        """Write the rows as CSV, without a header; yields the number of rows now and then."""


class Lookup(Protocol):
    """Finds rows by many texts at once, in the transaction of one connection.

    Also in tables just loaded, of which a planner knows nothing. The SQL that it gives may be used in ``columns`` only.
    """

    def columns(self, query: str, cells: list[str]) -> list[Sequence[str | None]]:
        """The rows of a query, column by column; ``cells`` are SQL for text."""

    def any_of(self, column: str, texts: pa.Array) -> str:
        """The condition that a column has one of these texts."""

    def rows_with(self, table: str, column: str, texts: pa.Array) -> str:
        """A source of the rows that have one of these texts in a column which has an index."""

    def rows_with_one(self, table: str, column: str, texts: pa.Array, condition: str) -> str:
        """The same where the index has only rows that meet a condition, each text once."""
