from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from batch_jobs.strategies.sdk.files import FileStore
from support.importing import Importing


@pytest.fixture
def importing(target: Engine, tmp_path: Path) -> Importing:
    return Importing(target, FileStore(str(tmp_path / "files")))


@pytest.fixture
def products(run_sql: Callable[[str], list[tuple[Any, ...]]]) -> Callable[[], list[tuple[Any, ...]]]:
    run_sql(
        "CREATE TABLE products (code VARCHAR(20) PRIMARY KEY, name TEXT NOT NULL, "
        "stock INTEGER CHECK (stock < 1000), note TEXT)"
    )
    run_sql("INSERT INTO products VALUES ('A', 'Apple', 1, 'keep'), ('B', 'Bread', 2, 'keep')")
    return lambda: run_sql("SELECT * FROM products ORDER BY code")
