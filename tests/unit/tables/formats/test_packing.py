"""Files in what they are packed in."""

import bz2
import gzip
import io
import re
import zipfile
from collections.abc import Callable

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch_jobs.strategies.sdk.errors import InputRefused
from batch_jobs.strategies.tables.formats.format import open_reader
from batch_jobs.strategies.tables.formats.packing import bare_name, copy_within_bounds, is_packed, split_member
from batch_jobs.strategies.tables.formats.reading import Input

CSV = b"id,name\n" + b"".join(b"%d,name %d\n" % (number, number) for number in range(50))


def zst(content: bytes) -> bytes:
    stream = pa.BufferOutputStream()
    with pa.CompressedOutputStream(stream, "zstd") as packed:
        packed.write(content)
    return bytes(stream.getvalue())


def archive(**files: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(re.sub("_(?=[a-z])", ".", name.replace("__", "/").replace("MAC", "__MAC")), content)
    return stream.getvalue()


def parquet() -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table({"id": range(50), "name": [f"name {number}" for number in range(50)]}), stream)
    return stream.getvalue()


def xlsx() -> bytes:
    book, stream = openpyxl.Workbook(), io.BytesIO()
    for row in (["id", "name"], *([number, f"name {number}"] for number in range(50))):
        book.active.append(row)
    book.save(stream)
    return stream.getvalue()


def rows(content: bytes, name: str, format: str | None = None) -> list[dict[str, str]]:
    reader = open_reader(lambda: io.BytesIO(content), name, format=format)
    return [row for batch in reader.batches() for row in batch.table.to_pylist()]


EXPECTED = [{"id": str(number), "name": f"name {number}"} for number in range(50)]
KINDS: dict[str, Callable[[bytes], bytes]] = {"gz": gzip.compress, "bz2": bz2.compress, "zst": zst}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("inner", ["csv", "parquet", "xlsx"])
def test_every_format_is_read_out_of_every_packing(kind, inner):
    content = {"csv": lambda: CSV, "parquet": parquet, "xlsx": xlsx}[inner]()

    assert rows(KINDS[kind](content), f"prices.{inner}.{kind}") == EXPECTED
    assert rows(KINDS[kind](content), f"PRICES.{inner.upper()}.{kind.upper()}") == EXPECTED


@pytest.mark.parametrize("kind", KINDS)
def test_several_packed_parts_one_after_the_other_are_one_file(kind):
    head, tail = CSV[:100], CSV[100:]

    assert rows(KINDS[kind](head) + KINDS[kind](tail), f"prices.csv.{kind}") == EXPECTED


@pytest.mark.parametrize("inner", ["csv", "parquet", "xlsx"])
def test_the_one_table_of_a_zip_is_read(inner):
    content = {"csv": lambda: CSV, "parquet": parquet, "xlsx": xlsx}[inner]()
    packed = archive(**{f"data__prices_{inner}": content, "readme_md": b"# hello", "MACOSX__x_csv": b"junk"})

    assert rows(packed, "prices.zip") == EXPECTED
    assert rows(packed, f"prices.zip#data/prices.{inner}") == EXPECTED


def test_a_file_of_a_zip_may_be_packed_again_and_the_only_one_may_have_any_name():
    assert rows(archive(prices_csv_gz=gzip.compress(CSV)), "a.zip") == EXPECTED
    assert rows(archive(export_dat=CSV), "a.zip", format="csv") == EXPECTED


def test_several_tables_of_a_zip_are_named_and_one_can_be_chosen():
    packed = archive(a_csv=b"x\n1\n", b_csv=CSV)

    with pytest.raises(InputRefused, match=r"a\.zip: it has 2 tables: a\.csv, b\.csv; name one, as a\.zip#a\.csv"):
        rows(packed, "a.zip")
    assert rows(packed, "a.zip#b.csv") == EXPECTED
    with pytest.raises(InputRefused, match=r"it has no file c\.csv; it has: a\.csv, b\.csv"):
        rows(packed, "a.zip#c.csv")


def test_a_zip_without_a_table_is_refused():
    with pytest.raises(InputRefused, match=r"it has no table; it has: a\.md, b\.md"):
        rows(archive(a_md=b"", b_md=b""), "a.zip")
    with pytest.raises(InputRefused, match="it has no table; it has: nothing"):
        rows(archive(), "a.zip")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("inner", ["csv", "xlsx"])
def test_what_is_no_packed_file_or_was_cut_off_is_refused_in_one_line(kind, inner):
    name = f"f.{inner}.{kind}"
    with pytest.raises(InputRefused, match=rf"it is named \.{kind} and is not a g?b?zs?i?p?t?d?2? file, or is damaged"):
        rows(CSV, name)
    with pytest.raises(InputRefused, match="file ends too early; it was cut off, upload it again"):
        rows(KINDS[kind](CSV * 200)[:-20], name)


def test_a_damaged_zip_is_refused():
    whole = archive(a_csv=CSV * 100)
    broken = bytearray(whole)
    broken[200:220] = bytes(20)
    for content in (CSV, whole[:-30], bytes(broken)):
        with pytest.raises(InputRefused, match=r"it is named \.zip and is not a zip file, or is damaged"):
            rows(content, "a.zip")


def test_an_error_of_the_store_is_not_taken_for_damage():
    class Broken(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def seek(self, *_: int) -> int:
            return 0

        def read(self, size: int = -1) -> bytes:
            raise ConnectionResetError("the store went away")

    for name in ("f.csv.gz", "f.csv.zst", "f.csv.bz2", "f.zip"):
        with pytest.raises(ConnectionResetError):
            open_reader(Broken, name)  # type: ignore[arg-type]


def test_an_error_while_reading_a_zip_with_a_password_says_so():
    content = bytearray(archive(a_csv=CSV))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + offset] |= 1  # the bit that says it is encrypted

    with pytest.raises(InputRefused, match=r"it cannot be unpacked: .*password"):
        rows(bytes(content), "a.zip")


def test_names():
    assert split_member("a/b.ZIP#c/d.csv") == ("a/b.ZIP", "c/d.csv")
    assert split_member("a#b.csv") == ("a#b.csv", None)
    assert [bare_name(name) for name in ("a.csv", "a.csv.gz", "a.zip#b.csv.zst", "a.tsv.BZ2")] == [
        "a.csv",
        "a.csv",
        "b.csv",
        "a.tsv",
    ]
    assert [is_packed(name) for name in ("a.csv", "a.csv.gz", "a.zip", "a.zip#b.csv")] == [False, True, True, True]


def test_the_checksum_is_that_of_the_file_as_it_is():
    from hashlib import sha256

    for name, content in (("a.csv.zst", zst(CSV)), ("a.zip", archive(a_csv=CSV)), ("a.xlsx.gz", gzip.compress(xlsx()))):
        file = Input(lambda content=content: io.BytesIO(content), name)
        assert file.checksum == sha256(content).hexdigest()


def test_a_copy_that_grows_beyond_all_bounds_is_refused(monkeypatch):
    monkeypatch.setattr("batch_jobs.strategies.tables.formats.packing.ALWAYS_UNPACKED", 1 << 20)
    target = io.BytesIO()

    with pytest.raises(InputRefused, match="it unpacks to more than 1 MB and 100 times its size"):
        copy_within_bounds(io.BytesIO(bytes(4 << 20)), target, "a.xlsx.gz", lambda: 1_000)
    copy_within_bounds(io.BytesIO(bytes(4 << 20)), io.BytesIO(), "a.xlsx.gz", lambda: 1 << 20)
