"""Which formats there are, and adding one from outside."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from batch_jobs.strategies.sdk.errors import ContextRefused, InputRefused, JobRefused
from batch_jobs.strategies.shop.exporting.export import ShopExportContext
from batch_jobs.strategies.table_export import TableExportContext
from batch_jobs.strategies.table_import import TableImportContext
from batch_jobs.strategies.tables.formats.format import (
    format_names,
    format_of,
    get_format,
    media_types,
    refuse_unheeded,
)
from batch_jobs.strategies.tables.formats.options import ReadOptions

TOY = '''
import pyarrow as pa
from contextlib import closing
from batch_jobs.strategies.tables.formats.format import Format
from batch_jobs.strategies.tables.formats.reading import Batch, Reader


class ToyReader(Reader):
    """A line of names, then lines of cells, with a bar between them."""

    described = {"format": "toy"}

    def __init__(self, source):
        self._source = source
        with source() as stream:
            self.columns = stream.readline().decode().strip().split("|")

    def batches(self, start=None):
        with self._source() as stream:
            rows = [line.decode().rstrip("\\n").split("|") for line in stream][1:]
        columns = [pa.array(cells, pa.string()) for cells in zip(*rows, strict=True)]
        lines = pa.array(range(2, 2 + len(rows)), pa.int64())
        yield Batch(pa.table(columns, names=self.columns), lines, [], {"line": 2})


class ToyWriter:
    def __init__(self, stream, columns):
        self._stream = stream
        stream.write(("|".join(column.name for column in columns) + "\\n").encode())

    def write(self, rows):
        for row in rows.to_pylist():
            self._stream.write(("|".join(row.values()) + "\\n").encode())

    def close(self):
        pass


class Toy(Format):
    name, suffixes, media_type = "toy", (".toys",), "text/x-toy"

    def reader(self, source, options):
        return ToyReader(source)

    def writer(self, stream, columns, options):
        return closing(ToyWriter(stream, columns))
'''

USE = """
import sys
from sqlalchemy import create_engine
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.testing import run_strategy
from batch_jobs.strategies.table_export import TableExport, TableExportContext
from batch_jobs.strategies.table_import import TableImport
from batch_jobs.strategies.tables.formats.format import media_types

assert TableExportContext.model_json_schema()["properties"]["format"]["enum"][-2:] == ["broken", "toy"]
target, files = create_engine(f"sqlite:///{sys.argv[1]}/data.db"), FileStore(f"{sys.argv[1]}/files")
with files.writing("in.toys") as stream:
    stream.write(b"code|stock\\nA|1\\nB|2\\n")
assert run_strategy(TableImport(), {"file_key": "in.toys", "table": "t"}, target=target, files=files).created == 2
done = run_strategy(TableExport(), {"table": "t", "format": "toy"}, target=target, files=files)
print(done.file_key.split("/")[-1], media_types()[".toys"], files.open(done.file_key).read())
"""


def test_a_format_from_outside_is_imported_and_exported(tmp_path: Path):
    (tmp_path / "toy_format.py").write_text(TOY)
    info = tmp_path / "toy-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[batch_jobs.formats]\ntoy = toy_format:Toy\nbroken = toy_format:Nothing\n")

    command = [sys.executable, "-c", f"import sys; sys.path.append({str(tmp_path)!r})\n{USE}", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "t.toys text/x-toy b'code|stock\\nA|1\\nB|2\\n'"


def test_finding_a_format_loads_the_libraries_of_none():
    heavy = ["openpyxl", "python_calamine", "pyarrow.parquet", "pyarrow.csv"]
    code = (
        "import sys; from batch_jobs.strategies.tables.formats.format import all_formats; "
        f"print([format.name for format in all_formats()], [name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)

    assert done.stdout.strip() == "['csv', 'tsv', 'jsonl', 'parquet', 'xlsx'] []", done.stderr


@pytest.mark.parametrize("context", [TableImportContext, TableExportContext, ShopExportContext])
def test_contexts_offer_the_formats_there_are(context: type[BaseModel]):
    field = context.model_json_schema()["properties"]["format"]
    assert field.get("enum") or field["anyOf"][0]["enum"] == format_names()
    with pytest.raises(ValidationError, match="Input should be 'csv', 'tsv', 'jsonl', 'parquet' or 'xlsx'"):
        context.model_validate({"file_key": "f", "table": "t", "format": "doc"})


def test_formats_are_found_by_name_and_by_a_files_name():
    assert [get_format(name).name for name in format_names()] == format_names()
    found = {name: format_of(name).name for name in ("a.TXT", "a.csv.gz", "a.tab", "b.ndjson", "a.parquet", "a.xlsm")}
    assert list(found.values()) == ["csv", "csv", "tsv", "jsonl", "parquet", "xlsx"]
    with pytest.raises(JobRefused, match="there is no format 'doc'; there are csv, tsv, jsonl, parquet, xlsx"):
        get_format("doc")
    with pytest.raises(InputRefused, match="set format to one of csv, tsv"):
        format_of("file")


def test_files_are_sent_as_what_they_are():
    assert media_types() == {
        ".csv": "text/csv",
        ".tsv": "text/tab-separated-values",
        ".jsonl": "application/x-ndjson",
        ".parquet": "application/vnd.apache.parquet",
        ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    }


def test_an_option_that_a_format_has_no_use_for_is_refused_by_name():
    with pytest.raises(ContextRefused, match="sheet is not for format csv; it is for"):
        refuse_unheeded(ReadOptions(sheet="Prices"), get_format("csv"))
    with pytest.raises(ContextRefused, match="encoding is not for format parquet; it is for csv, tsv"):
        refuse_unheeded(ReadOptions(encoding="cp1252"), get_format("parquet"))
    refuse_unheeded(ReadOptions(delimiter=";"), get_format("csv"))
