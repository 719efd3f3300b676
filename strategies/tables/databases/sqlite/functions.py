"""SQL functions of our own: whether two cells mean the same though they are written differently."""

import re
import sqlite3

from batch_jobs.strategies.tables.databases.sqlite.moments import Cell, same_time

SAME_TIME = "batch_job_same_time"
SAME_JSON = "batch_job_same_json"
#: A text in JSON, or blanks between values.
_TEXT_OR_BLANKS = re.compile(r'("(?:[^"\\]|\\.)*")|\s+')


def register(connection: sqlite3.Connection) -> None:
    """Make the functions known to a connection."""
    connection.create_function(SAME_TIME, 2, same_time, deterministic=True)
    connection.create_function(SAME_JSON, 2, _same_json, deterministic=True)


def _same_json(left: Cell, right: Cell) -> bool:
    if not isinstance(left, str) or not isinstance(right, str):
        return left == right
    return _without_blanks(left) == _without_blanks(right)


def _without_blanks(text: str) -> str:
    return _TEXT_OR_BLANKS.sub(lambda found: found[1] or "", text)
