from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.result import JobResult
from batch_jobs.strategies.sdk.testing import run_strategy
from batch_jobs.strategies.table_export import TableExport
from batch_jobs.strategies.table_import import TableImport


@dataclass
class Files:
    """Exports from the target and imports again."""

    target: Engine
    store: FileStore

    def export(self, **context: Any) -> JobResult:
        return run_strategy(TableExport(), context, target=self.target, files=self.store)

    def read(self, result: JobResult) -> bytes:
        assert result.file_key
        with self.store.open(result.file_key) as stream:
            return stream.read()

    def text(self, **context: Any) -> str:
        return self.read(self.export(**context)).decode()

    def load(self, result: JobResult, **context: Any) -> JobResult:
        return run_strategy(
            TableImport(), {"file_key": result.file_key, **context}, target=self.target, files=self.store
        )


@pytest.fixture
def files(target: Engine, tmp_path: Path) -> Files:
    return Files(target, FileStore(str(tmp_path / "files")))


@pytest.fixture
def run_sql(target: Engine) -> Callable[[str], None]:
    def run(statement: str) -> None:
        with target.begin() as connection:
            connection.execute(text(statement))

    return run


@pytest.fixture
def products(run_sql: Callable[[str], None]) -> None:
    run_sql("CREATE TABLE products (code VARCHAR(20) PRIMARY KEY, name TEXT, stock INTEGER, price NUMERIC(8, 2))")
    run_sql(
        "INSERT INTO products VALUES ('B', 'Bread, \"white\"', 2, 1.25), ('A', '=1+1', -1, 3.5), ('C', '', NULL, NULL)"
    )
