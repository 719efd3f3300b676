"""How many rows a block of statements writes."""

from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, event


class WrittenRows:
    """Adds up the rows of INSERT, UPDATE and DELETE statements run on a connection inside the block."""

    def __init__(self, connection: Connection) -> None:
        self.rows = 0
        self._connection = connection

    def __enter__(self) -> Self:
        event.listen(self._connection, "after_cursor_execute", self._count)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        event.remove(self._connection, "after_cursor_execute", self._count)

    def _count(
        self, _connection: Any, cursor: Any, _statement: Any, _parameters: Any, context: Any, _many: Any
    ) -> None:
        # a statement given as text is not known to be a write, but only a write has a row count and no columns
        is_write = context is not None and (context.isinsert or context.isupdate or context.isdelete)
        if is_write or cursor.description is None:
            self.rows += max(cursor.rowcount, 0)
