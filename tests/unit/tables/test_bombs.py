"""Small files that unpack to large ones: refused before they fill the memory."""

import gzip
import io
import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from batch_jobs.strategies.sdk.errors import InputRefused
from batch_jobs.strategies.tables.formats import packing
from batch_jobs.strategies.tables.formats.format import open_reader
from tests.support.workbooks import by_hand

MEGABYTES = 600
LONG = pytest.mark.long
IN_CELL = b"<worksheet><sheetData><row><c t='inlineStr'><is><t>"
OUT_OF_CELL = b"</t></is></c></row></sheetData></worksheet>"
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


def not_plain(path: Path, part: str, head: bytes, tail: bytes) -> Path:
    """A workbook with one large part, in XML that only a parser reads."""
    with (
        zipfile.ZipFile(io.BytesIO(by_hand(""))) as small,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as book,
    ):
        for name in small.namelist():
            if name != SHEET:
                text = small.read(name)
                book.writestr(name, text.replace(b'"sharedStrings.xml"', f'"{part.removeprefix("xl/")}"'.encode()))
        with book.open(part, "w") as large:
            large.write(head)
            for _ in range(MEGABYTES):
                large.write(b"0" * (1 << 20))
            large.write(tail)
        if part != SHEET:
            book.writestr(SHEET, "<worksheet><sheetData><row><c t='s'><v>0</v></c></row></sheetData></worksheet>")
    return path


def repeating(path: Path, nested: bool) -> Path:
    """10,000 times one text of a megabyte."""
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 10_000, pa.int32()), pa.array(["x" * (1 << 20)]))
    column = pa.ListArray.from_arrays(pa.array(range(10_001), pa.int32()), texts) if nested else texts
    table = pa.table({"a": column})
    parquet.write_table(table, path, compression="zstd", store_schema=False, write_statistics=False)
    return path


def of_lists(path: Path) -> Path:
    """One row with a list of 200 million nothings."""
    column = pa.ListArray.from_arrays(pa.array([0, 200_000_000], pa.int32()), pa.nulls(200_000_000, pa.int8()))
    parquet.write_table(pa.table({"a": column}), path, compression="zstd", write_statistics=False)
    return path


def sharing(path: Path) -> Path:
    """20,000 cells that share a text of a megabyte."""
    cells = '<row><c t="s"><v>0</v></c></row>' * 20_000
    path.write_bytes(by_hand(cells, texts=f"<si><t>{'x' * (1 << 20)}</t></si>"))
    return path


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def zipped(path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("bomb.csv", "w") as stream:
        stream.write(b"a,b\n")
        stream.write(b'1,"')
        for _ in range(MEGABYTES):
            stream.write(b"0" * (1 << 20))
    return path


def written_workbook(path: Path, rows: str) -> Path:
    path.write_bytes(by_hand(rows))
    with (
        zipfile.ZipFile(io.BytesIO(path.read_bytes())) as plain,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book,
    ):
        for name in plain.namelist():
            book.writestr(name, plain.read(name))
    return path


def crowded(path: Path) -> Path:
    """An archive whose directory names many files, all of which are the same one."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", "a\n1\n")
        archive.filelist *= 200_000
    return path


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("csv", "the quote opened in the row of line 2 is never closed"),
        ("jsonl", "line 1 is longer than 64 MB"),
        pytest.param("zip", "the quote opened in the row of line 2 is never closed", marks=LONG),
        ("xlsx.gz", "it unpacks to more than 256 MB and 100 times its size"),
        ("xlsx", "its texts unpack to more than 256 MB"),
        pytest.param("xlsx with a long row", "one of its rows or texts is longer than 64 MB", marks=LONG),
        ("xlsx with a long cell", "one of its rows or texts is longer than 64 MB"),
        pytest.param("xlsx with a long attribute", "one of its rows or texts is longer than 64 MB", marks=LONG),
        pytest.param("xlsx with texts elsewhere", "one of its rows or texts is longer than 64 MB", marks=LONG),
        pytest.param("xlsx with many cells", "one of its rows or texts is longer than 64 MB", marks=LONG),
        ("xlsx with shared texts", "its cells repeat shared texts until they are more than 1024 MB"),
        ("parquet", "its column a repeats values of up to 1,048,576 bytes until they are more than 1024 MB"),
        pytest.param(
            "parquet nested",
            "its column a.list.element repeats values of up to 1,048,576 bytes",
            marks=pytest.mark.long,
        ),
        ("parquet of lists", "has 200,000,000 values in"),
        ("csv of columns", "it has 100,000 columns and may have 16,384"),
        ("csv of a header", "its first line is longer than 1 MB, so that it is no header"),
        ("jsonl of keys", "it has 16,385 columns and may have 16,384"),
        ("jsonl of values", "there is no JSON object in it"),
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
        "xlsx with a long cell": lambda: not_plain(tmp_path / "bomb.xlsx", SHEET, IN_CELL, OUT_OF_CELL),
        "xlsx with a long attribute": lambda: not_plain(
            tmp_path / "bomb.xlsx",
            SHEET,
            b"<worksheet x='1'><sheetData><row><c t='",
            b"'/></row></sheetData></worksheet>",
        ),
        "xlsx with texts elsewhere": lambda: not_plain(
            tmp_path / "bomb.xlsx", "xl/worksheets/t.xml", b"<sst a='1'><si><r><t>", b"</t></r></si></sst>"
        ),
        "xlsx with many cells": lambda: written_workbook(tmp_path / "bomb.xlsx", f"<row>{'<c/>' * (1 << 22)}</row>"),
        "xlsx with shared texts": lambda: sharing(tmp_path / "bomb.xlsx"),
        "parquet": lambda: repeating(tmp_path / "bomb.parquet", nested=False),
        "parquet nested": lambda: repeating(tmp_path / "bomb.parquet", nested=True),
        "parquet of lists": lambda: of_lists(tmp_path / "bomb.parquet"),
        "csv of columns": lambda: written(tmp_path / "bomb.csv", ",".join(f"c{n}" for n in range(100_000)) + "\n1\n"),
        "csv of a header": lambda: packed(tmp_path / "bomb.csv.gz", b"a", b"b" * (1 << 20), megabytes=10),
        "jsonl of keys": lambda: written(tmp_path / "bomb.jsonl", "".join(f'{{"k{n}": {n}}}\n' for n in range(20_000))),
        "jsonl of values": lambda: packed(tmp_path / "bomb.jsonl.gz", b'{"a": [', b"0.1," * (1 << 18), megabytes=60),
    }
    bomb = files[kind]()
    assert bomb.stat().st_size < 4 << 20

    done = subprocess.run([sys.executable, "-c", READ, str(bomb)], capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stderr
    assert told in done.stdout
    assert int(done.stdout.split()[-1]) < MEGABYTES * 0.9, done.stdout


@pytest.mark.parametrize("part", [SHEET, "xl/workbook.xml", "xl/styles.xml"])
def test_a_workbook_of_many_levels_is_refused_before_a_parser_holds_them(tmp_path: Path, part: str):
    levels = b"<a>" * 10_000 + b"</a>" * 10_000
    bomb = tmp_path / "bomb.xlsx"
    with zipfile.ZipFile(io.BytesIO(by_hand(""))) as small, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as book:
        for name in small.namelist():
            text = IN_CELL + b"a" + OUT_OF_CELL if name == SHEET else small.read(name)
            root = text.rindex(b"</")
            book.writestr(name, text[:root] + levels + text[root:] if name == part else text)

    with pytest.raises(InputRefused, match="its XML has more than 256 levels"):
        list(open_reader(partial(bomb.open, "rb"), bomb.name).batches())


def test_many_short_rows_out_of_a_small_file_are_read_in_little_memory(tmp_path: Path):
    bomb = packed(tmp_path / "rows.csv.gz", b"a,b\n", b"1,2\n" * (1 << 18), megabytes=200)

    done = subprocess.run([sys.executable, "-c", READ, str(bomb)], capture_output=True, text=True, timeout=120)

    assert "rows 52428800" in done.stdout, done.stderr
    assert int(done.stdout.split()[-1]) < 150, done.stdout


def test_an_archive_of_too_many_files_is_refused_before_their_names_are_held(tmp_path: Path):
    bomb = crowded(tmp_path / "bomb.zip")

    with pytest.raises(InputRefused, match="it has too many files in it"):
        open_reader(partial(bomb.open, "rb"), bomb.name)


@pytest.mark.long
def test_what_is_packed_twice_and_unpacks_to_far_more_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(packing, "ALWAYS_STREAMED", 1 << 22)
    inner = gzip.compress(b"a,b\n" + b"1,2\n" * (1 << 22))
    bomb = tmp_path / "bomb.csv.gz.gz"
    bomb.write_bytes(gzip.compress(inner))

    with pytest.raises(InputRefused, match="times its size"):
        list(open_reader(partial(bomb.open, "rb"), bomb.name).batches())
