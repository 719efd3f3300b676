from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def products(run_sql: Callable[[str], list[tuple[Any, ...]]]) -> Callable[[], list[tuple[Any, ...]]]:
    run_sql(
        "CREATE TABLE products (code VARCHAR(20) PRIMARY KEY, name TEXT NOT NULL, "
        "stock INTEGER CHECK (stock < 1000), note TEXT)"
    )
    run_sql("INSERT INTO products VALUES ('A', 'Apple', 1, 'keep'), ('B', 'Bread', 2, 'keep')")
    return lambda: run_sql("SELECT * FROM products ORDER BY code")
