"""How often an import reads its input: once to look, once to load; once more where the table is new."""

import bz2
import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import create_engine, text

from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.testing import run_strategy
from batch_jobs.strategies.table_import import TableImport

ROWS = 80_000


class CountingStore(FileStore):
    """Counts the bytes that are read of one file."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.read = 0

    def open(self, key: str) -> BinaryIO:
        stream = super().open(key)
        if not key.startswith("in."):
            return stream
        store, original = self, stream.read

        class Counted(io.RawIOBase):
            def read(self, size: int | None = -1) -> bytes:
                block = original(-1 if size is None else size)
                store.read += len(block)
                return block

            def seek(self, offset: int, whence: int = 0) -> int:
                return stream.seek(offset, whence)

            def close(self) -> None:
                stream.close()

        return Counted()  # type: ignore[return-value]


def csv() -> bytes:
    return b"id,name\n" + b"".join(b'%d,"name of %d"\n' % (number, number) for number in range(ROWS))


def csv_whose_quotes_come_late() -> bytes:
    return b"id,name\n" + b"".join(b"%d,name of %d\n" % (number, number) for number in range(ROWS)) + b'-1,"a\nb"\n'


def csv_that_is_not_utf8_late() -> bytes:
    return b"id,name\n" + b"".join(b"%d,name of %d\n" % (number, number) for number in range(ROWS)) + b"-1,\xe4\n"


def jsonl() -> bytes:
    return b"".join(b'{"id": %d, "name": "name of %d"}\n' % (number, number) for number in range(ROWS))


def parquet() -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table({"id": range(ROWS), "name": [f"name {number}" for number in range(ROWS)]}), stream)
    return stream.getvalue()


def xlsx() -> bytes:
    book, stream = openpyxl.Workbook(write_only=True), io.BytesIO()
    sheet = book.create_sheet()
    for row in (["id", "name"], *([number, f"name {number}"] for number in range(2_000))):
        sheet.append(row)
    book.save(stream)
    return stream.getvalue()


def zip_of_csv() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("in.csv", csv())
    return stream.getvalue()


CASES: list[tuple[str, Callable[[], bytes]]] = [
    ("in.csv", csv),
    ("in.csv", csv_whose_quotes_come_late),
    ("in.csv", csv_that_is_not_utf8_late),
    ("in.csv.gz", lambda: gzip.compress(csv(), 1)),
    ("in.csv.bz2", lambda: bz2.compress(csv(), 1)),
    ("in.zip", zip_of_csv),
    ("in.xlsx.gz", lambda: gzip.compress(xlsx(), 1)),
    ("in.jsonl", jsonl),
    ("in.parquet", parquet),
    ("in.xlsx", xlsx),
]


@pytest.mark.parametrize(("existing", "most"), [(True, 2), (False, 3)])
@pytest.mark.parametrize(("key", "content"), CASES, ids=[f"{key}-{make.__name__}" for key, make in CASES])
def test_the_input_is_read_no_more_often_than_it_must_be(
    tmp_path: Path, key: str, content: Callable[[], bytes], existing: bool, most: int
):
    files, written = CountingStore(str(tmp_path / "files")), content()
    with files.writing(key) as stream:
        stream.write(written)
    target = create_engine(f"sqlite:///{tmp_path}/data.db")
    if existing:
        with target.begin() as connection:
            connection.execute(text("CREATE TABLE goods (id INTEGER PRIMARY KEY, name TEXT)"))
    context: dict[str, Any] = {"file_key": key, "table": "goods", "mode": "upsert", "key": ["id"]}

    result = run_strategy(TableImport(), context, target=target, files=files)

    assert result.created == result.count
    assert result.rejected == 0
    assert files.read <= most * len(written) * 1.01
