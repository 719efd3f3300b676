from collections.abc import Callable
from typing import Any

import pytest

from support.importing import Importing
from support.undoing import Undoing


@pytest.fixture
def undoing(importing: Importing) -> Undoing:
    return Undoing(importing)


@pytest.fixture
def goods(run_sql: Callable[[str], list[tuple[Any, ...]]]) -> Callable[[], list[tuple[Any, ...]]]:
    run_sql(
        "CREATE TABLE goods (code VARCHAR(20) PRIMARY KEY, name TEXT, price NUMERIC(10, 2), stock INTEGER, "
        "CHECK (stock < 1000))"
    )
    run_sql(
        "INSERT INTO goods VALUES ('A', 'Apple', 1.50, 1), ('B', 'Bread', 2, NULL), ('C', NULL, NULL, 3), "
        "('D', 'Dates', 4.25, 4)"
    )
    return lambda: run_sql("SELECT * FROM goods ORDER BY code")
