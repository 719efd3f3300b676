"""What an error of the job database means: that it is away, that it is busy, or that it was asked wrongly."""

import sqlite3
from enum import Enum

from sqlalchemy.exc import DBAPIError

#: Where a code of PostgreSQL begins so: deadlocks, no room, no lock, a statement that took too long.
BUSY_STATES = ("40", "53", "55", "57014")
#: A program limit is passed by what is asked; a driver that refuses by itself, as too many parameters, gives no code.
WRONG_STATES = ("54", "None")
BUSY_CODES = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


class Trouble(Enum):
    """Why the database did not do what it was asked."""

    AWAY = "the job database does not answer"
    BUSY = "the job database is busy, ask again in a second"
    ASKED_WRONGLY = "the job database cannot do this"


def trouble_of(error: DBAPIError) -> Trouble:
    """Why an error came: drivers use one class for a lost connection and for many another thing."""
    original = error.orig
    if isinstance(original, sqlite3.Error):
        return _of_sqlite(getattr(original, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF, error)
    state = str(getattr(original, "sqlstate", None))
    if state.startswith(BUSY_STATES):
        return Trouble.BUSY
    if _never_asked(error) or not state.startswith(WRONG_STATES):
        return Trouble.AWAY
    return Trouble.ASKED_WRONGLY


def _of_sqlite(code: int, error: DBAPIError) -> Trouble:
    if code in BUSY_CODES:
        return Trouble.BUSY
    return Trouble.ASKED_WRONGLY if code == sqlite3.SQLITE_ERROR and not _never_asked(error) else Trouble.AWAY


def _never_asked(error: DBAPIError) -> bool:
    """Whether there was no connection to ask through, or it was lost meanwhile."""
    return error.statement is None or error.connection_invalidated
