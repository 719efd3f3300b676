"""Failures of a database that pass by themselves: which they are, and how long to wait before each further try."""

import random
from collections.abc import Iterator

from sqlalchemy.exc import DBAPIError

from batch_jobs.strategies.sdk.database import installed_databases, is_full

#: The first pause at most, and any later one.
FIRST_SECONDS = 0.2
LONGEST_SECONDS = 10.0
#: The note of an error of a database that may not be there at all, such as one whose address is mistyped.
NEVER_REACHED = "it was never reached"


def is_transient(error: BaseException) -> bool:
    """Whether a database may do later what it did not do now, as after a deadlock or while it is restarted.

    Args:
        error: SQLAlchemy's error or the driver's own.
    """
    if is_full(error) or NEVER_REACHED in getattr(getattr(error, "orig", error), "__notes__", ()):
        return False
    if isinstance(error, DBAPIError):
        # drivers give lost and refused connections no code, and some of what they refuse themselves neither
        if error.connection_invalidated or (error.statement is None and error.orig is not None):
            return True
        return error.orig is not None and _has_passing_code(error.orig)
    return _has_passing_code(error) or any(database.has_lost(error) for database in installed_databases())


def pauses(first: float = FIRST_SECONDS, longest: float = LONGEST_SECONDS) -> Iterator[float]:
    """Seconds to wait before each further try, without end: they double, and differ so that two do not meet again.

    Args:
        first: the first one at most.
        longest: any later one at most.
    """
    most = first
    while True:
        yield random.uniform(most / 2, most)  # nothing is kept secret by it
        most = min(2 * most, longest)


def _has_passing_code(error: BaseException) -> bool:
    return any(database.may_pass(error) for database in installed_databases())
