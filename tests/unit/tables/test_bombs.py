"""Small files that unpack to large ones: refused before they fill the memory."""

import gzip
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.workbooks import by_hand

MEGABYTES = 600
SHEET = "xl/worksheets/sheet1.xml"

READ = """
import os, sys
from functools import partial
from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.tables.formats.format import open_reader
from tests.support.memory import peak_mb

before = peak_mb()
try:
    rows = sum(batch.table.num_rows for batch in open_reader(partial(open, sys.argv[1], "rb"), sys.argv[1]).batches())
    print("rows", rows)
except JobRefused as refused:
    print("refused", refused)
print(int(peak_mb() - before), flush=True)
os._exit(0)  # Arrow's threads may still hold the file
"""


def packed(path: Path, head: bytes, block: bytes, megabytes: int = MEGABYTES) -> Path:
    with gzip.open(path, "wb", compresslevel=1) as stream:
        stream.write(head)
        for _ in range(megabytes):
            stream.write(block)
    return path


def workbook(path: Path, part: str, head: bytes = b"") -> Path:
    """A small workbook with one part that is large."""
    with (
        zipfile.ZipFile(io.BytesIO(by_hand(""))) as small,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as book,
    ):
        for name in small.namelist():
            if name != part:
                book.writestr(name, small.read(name))
        with book.open(part, "w") as large:
            large.write(head)
            for _ in range(MEGABYTES):
                large.write(b"0" * (1 << 20))
    return path


def zipped(path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("bomb.csv", "w") as stream:
        stream.write(b"a,b\n")
        stream.write(b'1,"')
        for _ in range(MEGABYTES):
            stream.write(b"0" * (1 << 20))
    return path


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("csv", "the quote opened in the row of line 2 is never closed"),
        ("jsonl", "line 1 is longer than 64 MB"),
        ("zip", "the quote opened in the row of line 2 is never closed"),
        ("xlsx.gz", "it unpacks to more than 256 MB and 100 times its size"),
        ("xlsx", "its texts unpack to more than 256 MB"),
        ("xlsx with a long row", "one of its rows or texts is longer than 64 MB"),
    ],
)
def test_a_bomb_is_refused_and_takes_less_memory_than_it_unpacks_to(tmp_path: Path, kind: str, told: str):
    files = {
        "csv": lambda: packed(tmp_path / "bomb.csv.gz", b"a,b\n", b"0" * (1 << 20)),
        "jsonl": lambda: packed(tmp_path / "bomb.jsonl.gz", b'{"a": "', b"0" * (1 << 20)),
        "zip": lambda: zipped(tmp_path / "bomb.zip"),
        "xlsx.gz": lambda: packed(tmp_path / "bomb.xlsx.gz", b"PK\x03\x04", bytes(1 << 20)),
        "xlsx": lambda: workbook(tmp_path / "bomb.xlsx", "xl/sharedStrings.xml"),
        "xlsx with a long row": lambda: workbook(tmp_path / "bomb.xlsx", SHEET, b"<sheetData><row><c><v>"),
    }
    bomb = files[kind]()
    assert bomb.stat().st_size < 4 << 20

    done = subprocess.run([sys.executable, "-c", READ, str(bomb)], capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stderr
    assert told in done.stdout
    assert int(done.stdout.split()[-1]) < MEGABYTES * 0.9, done.stdout


def test_many_short_rows_out_of_a_small_file_are_read_in_little_memory(tmp_path: Path):
    bomb = packed(tmp_path / "rows.csv.gz", b"a,b\n", b"1,2\n" * (1 << 18), megabytes=200)

    done = subprocess.run([sys.executable, "-c", READ, str(bomb)], capture_output=True, text=True, timeout=120)

    assert "rows 52428800" in done.stdout, done.stderr
    assert int(done.stdout.split()[-1]) < 150, done.stdout
