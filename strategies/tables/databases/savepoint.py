"""Parts of a transaction that can be undone by themselves."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import Connection

NAME = "batch_job_part"


@contextmanager
def savepoint(connection: Connection) -> Iterator[None]:
    """Undo what the block did, and that alone, when it raises.

    What is rolled back to is released too: it would stay, the next one would be inside it, and PostgreSQL holds a lock
    for each as long as the transaction lasts.
    """
    connection.exec_driver_sql(f"SAVEPOINT {NAME}")
    try:
        yield
    except BaseException:
        with suppress(Exception):  # where the connection is lost, the block's error says it
            connection.exec_driver_sql(f"ROLLBACK TO SAVEPOINT {NAME}")
            connection.exec_driver_sql(f"RELEASE SAVEPOINT {NAME}")
        raise
    connection.exec_driver_sql(f"RELEASE SAVEPOINT {NAME}")
