"""What people ask of an exported file beyond its rows."""

import codecs
import gzip
import io
import json
import zipfile

import pyarrow as pa
import pytest

from batch_jobs.deployments.api.file_response import TYPES
from batch_jobs.strategies.sdk.errors import ContextRefused, JobRefused, StopRequested
from batch_jobs.strategies.sdk.job import JobRun


@pytest.fixture
def events(run_sql):
    run_sql(
        "CREATE TABLE events (id INTEGER PRIMARY KEY, price NUMERIC(8, 2), day DATE, at TIMESTAMP, clock TIME, "
        "note TEXT)"
    )
    run_sql(
        "INSERT INTO events VALUES (1, -1.25, '2024-02-29', '2024-02-29 13\\:05\\:06', '13\\:05\\:06', '1.5'), "
        "(2, NULL, NULL, NULL, NULL, 'NULL'), (3, 10, '0044-03-15', '2024-01-01 00\\:00\\:00', '00\\:00\\:00', '')"
    )


def unpack(content: bytes, compression: str) -> bytes:
    if compression == "gz":
        return gzip.decompress(content)
    if compression == "zst":
        return pa.CompressedInputStream(pa.BufferReader(content), "zstd").read()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        (name,) = archive.namelist()
        return archive.read(name)


def test_a_byte_order_mark_is_written_and_an_import_reads_over_it(files, products):
    result = files.export(table="products", bom=True)

    assert files.read(result).startswith(codecs.BOM_UTF8 + b"code,")
    assert files.load(result, table="products", mode="upsert").unchanged == 3


@pytest.mark.parametrize("file_format", ["csv", "tsv"])
def test_numbers_nothing_and_days_are_written_as_asked_for(files, events, file_format):
    written = files.text(table="events", format=file_format, decimal=",", null="NULL", date_format="%d.%m.%Y")

    mark = "," if file_format == "csv" else "\t"
    price = '"-1,25"' if file_format == "csv" else "-1,25"
    first, second, third = written.splitlines()[1:]
    assert first == mark.join(["1", price, "29.02.2024", "29.02.2024", "13:05:06", "1.5"])
    assert second == mark.join(["2", "NULL", "NULL", "NULL", "NULL", '"NULL"'])
    assert "15.03.0044" in third
    assert third.endswith(f'{mark}""')


def test_each_column_has_a_date_format_of_its_own(files, events):
    forms = {"at": "%H.%M on %Y%m%d, 100%%", "clock": "%Hh%M"}

    first = files.text(table="events", columns=["day", "at", "clock"], date_format=forms).splitlines()[1]

    assert first == '2024-02-29,"13.05 on 20240229, 100%",13h05'
    line = files.text(table="events", columns=["id", "day"], format="jsonl", date_format="%d/%m/%Y").splitlines()[0]
    assert json.loads(line) == {"id": 1, "day": "29/02/2024"}


def test_what_no_calendar_has_keeps_its_text(files, run_sql, target):
    if target.dialect.name != "postgresql":
        pytest.skip("SQLite has no infinity")
    run_sql("CREATE TABLE odd (id int PRIMARY KEY, d date)")
    run_sql("INSERT INTO odd VALUES (1, 'infinity'), (2, '2024-02-29')")

    assert files.text(table="odd", date_format="%d.%m.%Y").splitlines()[1:] == ["1,infinity", "2,29.02.2024"]


def test_numbers_with_a_decimal_comma_keep_what_is_no_number(files, run_sql, target):
    if target.dialect.name != "sqlite":
        pytest.skip("PostgreSQL's columns of numbers hold numbers")
    run_sql("CREATE TABLE t (n NUMERIC)")
    run_sql("INSERT INTO t VALUES (1.5), ('v1.2.3'), (-1e-10)")

    assert files.text(table="t", delimiter=";", decimal=",", order_by=[]).splitlines()[1:3] == ["1,5", "v1.2.3"]


def test_columns_are_renamed_and_ordered_downwards(files, products):
    result = files.export(table="products", columns=["code", "stock"], rename={"code": "SKU"}, order_by=["-code"])

    assert files.read(result).decode().splitlines() == ["SKU,stock", "C,", "B,2", "A,-1"]
    (named,) = [line.message for line in result.stat_descriptors if line.key == "export-columns"]
    assert named == "SKU, stock"
    (taken,) = [line.message for line in result.stat_descriptors if line.key == "export-options"]
    assert taken == "order_by ['-code'], rename {'code': 'SKU'}"


def test_a_column_whose_name_begins_with_a_dash_is_that_column(files, run_sql):
    run_sql('CREATE TABLE t ("-a" INTEGER, a INTEGER)')
    run_sql("INSERT INTO t VALUES (2, 1), (1, 2)")

    assert files.text(table="t", order_by=["-a"]).splitlines()[1:] == ["1,2", "2,1"]
    assert files.text(table="t", order_by=["--a"]).splitlines()[1:] == ["2,1", "1,2"]


@pytest.mark.parametrize(
    ("context", "refused"),
    [
        ({"rename": {"cod": "x"}}, "rename names cod, which is not exported; exported are: code, name, stock, price"),
        ({"rename": {"code": "name"}}, "two columns would be called name in the file"),
        ({"date_format": {"code": "%Y"}}, "date_format names code, which has no days or times"),
        ({"date_format": {"day": "%Y"}}, "date_format names day, which is not exported"),
        ({"order_by": ["-cod"]}, "products has no column cod"),
        ({"format": "jsonl", "bom": True}, "bom is not for format jsonl; it is for csv, tsv"),
        ({"format": "parquet", "date_format": "%Y"}, "date_format is not for format parquet; it is for csv, "),
        ({"format": "xlsx", "decimal": ","}, "decimal is not for format xlsx"),
        ({"format": "jsonl", "null": "-"}, "null is not for format jsonl"),
    ],
)
def test_what_cannot_be_meant_is_refused(files, products, context, refused):
    with pytest.raises((ContextRefused, JobRefused), match=refused):
        files.export(table="products", **context)


@pytest.mark.parametrize("file_format", ["csv", "tsv", "jsonl", "parquet", "xlsx"])
@pytest.mark.parametrize("compression", ["gz", "zst", "zip"])
def test_a_packed_file_is_the_same_inside(files, products, file_format, compression):
    plain = files.export(table="products", format=file_format)
    packed = files.export(table="products", format=file_format, compression=compression)

    assert packed.file_key.endswith(f"products.{file_format}.{compression}")
    assert f".{compression}" in TYPES
    content = unpack(files.read(packed), compression)
    assert content[:4] == files.read(plain)[:4]
    if file_format in ("csv", "tsv", "jsonl"):
        assert content == files.read(plain)
    assert packed.file_size == len(files.read(packed))
    assert files.load(packed, table="products", mode="upsert").unchanged == 3


@pytest.mark.parametrize("file_format", ["csv", "jsonl", "parquet", "xlsx"])
@pytest.mark.parametrize("compression", [None, "gz", "zip"])
def test_a_split_export_is_a_zip_of_whole_files(files, run_sql, file_format, compression):
    run_sql("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)")
    run_sql("INSERT INTO t VALUES " + ", ".join(f"({number}, 'n{number}')" for number in range(7)))

    result = files.export(table="t", format=file_format, rows_per_file=3, compression=compression)

    assert (result.file_key.split("/")[-1], result.count) == ("t.zip", 7)
    inside = ".gz" if compression == "gz" else ""
    with zipfile.ZipFile(io.BytesIO(files.read(result))) as archive:
        assert archive.namelist() == [f"t-{number:04d}.{file_format}{inside}" for number in (1, 2, 3)]
        contents = [archive.read(name) for name in archive.namelist()]
    if file_format == "csv":
        contents = [gzip.decompress(content) if inside else content for content in contents]
        assert contents == [b"id,name\n0,n0\n1,n1\n2,n2\n", b"id,name\n3,n3\n4,n4\n5,n5\n", b"id,name\n6,n6\n"]


def test_parts_have_the_byte_order_mark_and_neutralised_formulas_each(files, products):
    result = files.export(table="products", rows_per_file=1, bom=True, columns=["name"])

    with zipfile.ZipFile(io.BytesIO(files.read(result))) as archive:
        parts = [archive.read(name).decode("utf-8-sig") for name in archive.namelist()]
    assert parts == ["name\n'=1+1\n", 'name\n"Bread, ""white"""\n', 'name\n""\n']


def test_what_fits_into_one_file_is_one(files, products):
    assert files.export(table="products", rows_per_file=3).file_key.endswith("/products.csv")
    assert files.export(table="products", rows_per_file=3, compression="gz").file_key.endswith("/products.csv.gz")


@pytest.mark.parametrize("context", [{"compression": "zip"}, {"rows_per_file": 1}, {"compression": "zst"}])
def test_a_stopped_packed_export_offers_no_file(files, products, monkeypatch, context):
    def stop(self):
        raise StopRequested("canceled")

    monkeypatch.setattr(JobRun, "stop_if_asked", stop)
    with pytest.raises(StopRequested):
        files.export(table="products", **context)

    assert files.store.list() == []
