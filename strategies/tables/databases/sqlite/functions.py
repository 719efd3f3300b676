"""SQL functions of our own: whether two cells mean the same though they are written differently."""

import json
import sqlite3
from decimal import Decimal
from typing import Any

from batch_jobs.strategies.tables.databases.sqlite.moments import Cell, same_time

SAME_TIME = "batch_job_same_time"
SAME_JSON = "batch_job_same_json"


def register(connection: sqlite3.Connection) -> None:
    """Make the functions known to a connection."""
    connection.create_function(SAME_TIME, 2, same_time, deterministic=True)
    connection.create_function(SAME_JSON, 2, _same_json, deterministic=True)


def _same_json(left: Cell, right: Cell) -> bool:
    if left is None or right is None:
        return left is right  # no value is not JSON's null
    try:
        return bool(_meaning(left) == _meaning(right))
    except (ValueError, TypeError, ArithmeticError, RecursionError):
        return False


def _meaning(cell: Cell) -> Any:
    # numbers are marked, since Python takes true for 1
    text = cell if isinstance(cell, str) else json.dumps(cell)
    return json.loads(text, parse_int=_number, parse_float=_number, parse_constant=_refuse)


def _number(text: str) -> tuple[Decimal]:
    return (Decimal(text),)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
