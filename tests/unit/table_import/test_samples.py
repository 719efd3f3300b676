"""A sample of a file says at once what a job's preview of the whole file says later, and writes nothing."""

import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import model_validator
from sqlalchemy import Engine, inspect, text

from batch_jobs.flows.access.target import TargetAccess
from batch_jobs.flows.jobs.samples import Samples
from batch_jobs.flows.settings import Settings
from batch_jobs.strategies.sdk.errors import StrategyUnknown
from batch_jobs.strategies.sdk.registry import load_strategies
from batch_jobs.strategies.sdk.sample import FileSample
from batch_jobs.strategies.table_import import TableImport
from support.importing import Importing
from support.workbooks import workbook

Sample = Callable[..., FileSample]


def samples_of(target: Engine, importing: Importing, **settings: Any) -> Samples:
    url = target.url.render_as_string(hide_password=False)
    registry, access = load_strategies(), TargetAccess(Settings(target_url=url, **settings))
    return Samples(lambda: registry, lambda: target, lambda: importing.files, access, lambda: None)  # type: ignore[arg-type,return-value]


@pytest.fixture
def samples(target: Engine, importing: Importing) -> Samples:
    return samples_of(target, importing)


@pytest.fixture
def sample(samples: Samples, importing: Importing) -> Sample:
    def sampled(content: str | bytes, name: str = "in.csv", rows: int = 20, **context: Any) -> FileSample:
        found = samples.of("table-import", {"file_key": importing.put(content, name), **context}, rows=rows)
        assert found is not None
        return found

    return sampled


@pytest.fixture
def prices(target: Engine) -> None:
    with target.begin() as connection:
        connection.execute(
            text(
                "CREATE TABLE prices (code varchar(10) PRIMARY KEY, price numeric(8,2) NOT NULL,"
                " stock integer DEFAULT 0, seen date, note text)"
            )
        )


def cells(found: FileSample, column: str) -> list[tuple[str | None, str | None, str | None]]:
    place = [one.name for one in found.columns].index(column)
    return [(row.cells[place].raw, row.cells[place].value, row.cells[place].problem) for row in found.rows]


def types(found: FileSample) -> dict[str, str]:
    return {column.name: column.found_type for column in found.columns}


@pytest.mark.usefixtures("prices")
def test_each_cell_of_the_first_rows_says_what_it_becomes_or_why_not(sample: Sample):
    content = "code;price;stock;extra\nA;1,50;3;x\nB;abc;4;y\nC;;5;z\n;1;1;\nD;2,255;;z\nE;1;2;3;4\nF;1\n"
    found = sample(content, table="prices", decimal=",", mode="upsert", columns={"extra": None})

    assert (found.refusal, found.problems, found.target, found.target_exists) == (None, [], "prices", True)
    assert found.described == {"format": "csv", "delimiter": "semicolon", "encoding": "utf-8"}
    assert [(one.name, one.renamed, one.target, one.target_type) for one in found.columns] == [
        ("code", "code", "code", "varchar(10)"), ("price", "price", "price", "numeric(8, 2)"),
        ("stock", "stock", "stock", "integer"), ("extra", None, None, None),
    ]  # fmt: skip
    assert [row.line for row in found.rows] == [2, 3, 4, 5, 6, 7, 8]
    assert cells(found, "price")[:5] == [
        ("1,50", "1.50", None),
        ("abc", None, "'abc' is not a number"),
        (None, None, "is empty; the column needs a value"),
        ("1", "1.00", None),
        ("2,255", None, "'2.255' has 3 decimals where the column has 2"),
    ]
    assert cells(found, "code")[3][2] == "is part of the key and may not be empty"
    assert [row.problem for row in found.rows[5:]] == [
        "has 5 cells where the header has 4", "has 2 cells where the header has 4"
    ]  # fmt: skip
    assert [(one.name, one.source, one.in_key, one.has_default) for one in found.target_columns] == [
        ("code", "code", True, False), ("price", "price", False, False), ("stock", "stock", False, True),
        ("seen", None, False, False), ("note", None, False, False),
    ]  # fmt: skip
    assert next(one for one in found.target_columns if one.name == "price").is_required


#: What a file may be, and the options that it takes: what the preview says of it is what the sample says.
BOOK = workbook(["Prices", None, None], ["code", "price", "seen"], ["A", 1.5, "2026-01-31"], ["B", "x", "y"], ["end"])
CASES: list[tuple[str, str | bytes, dict[str, Any]]] = [
    ("in.csv", "code,price\nA,1\nB,x\n,2\nA,3\n", {}),
    ("in.csv", "title\ncode,price\nA,1\nB,x\nsum,9\n", {"skip_rows": 1, "skip_footer": 1}),
    ("in.csv", "A,1\nB,x\n", {"header": False, "columns": {"column_1": "code", "column_2": "price"}}),
    ("in.csv", "# by hand\ncode|price\nA|1\n#B|x\nC|y\n", {"comment": "#", "delimiter": "|"}),
    ("in.csv", "code,note,price\n'A','it\\'s','1'\n'B','b','x'\n", {"quote": "'", "escape": "\\"}),
    ("in.csv", "code,price,stock\nA,NA,1\nB,1,NA\n", {"null_values": ["NA"]}),
    ("in.csv", "code;price\nA;1.234,50\nB;1.2,3\n", {"decimal": ",", "thousands": "."}),
    ("in.csv", "code,price,seen\nA,1,31.01.2026\nB,1,2026-01-31\n", {"date_format": "%d.%m.%Y"}),
    ("in.csv", "code,price,seen\nA,1,31.01.2026\nB,1,2026-01-31\n", {"date_format": {"seen": "%d.%m.%Y"}}),
    ("in.csv", "code,price\nGrün,1\nB,x\n".encode("cp1252"), {"encoding": "cp1252"}),
    ("in.csv", "Code,Preis,x\nA,1,1\nB,x,1\n", {"columns": {"Code": "code", "Preis": "price", "x": None}}),
    ("in.tsv", "code\tprice\nA\t1\nB\tx\n", {}),
    ("in.txt", "code;price\nA;1\nB;x\n", {"format": "csv"}),
    ("in.jsonl", '{"code":"A","price":1}\n{"code":"B","price":"x"}\nno\n{"code":"C","price":2,"stock":"y"}\n', {}),
    ("in.xlsx", BOOK, {"skip_rows": 1, "skip_footer": 1}),
    ("in.csv", "code,price\nA,1\nB,x\n,2\n", {"defaults": {"code": "none", "stock": "7"}}),
    ("in.csv.gz", gzip.compress(b"code,price\nA,1\nB,x\n"), {}),
]


@pytest.mark.usefixtures("prices")
@pytest.mark.parametrize("case", range(len(CASES)))
def test_what_the_sample_says_of_rows_is_what_the_preview_says(case: int, sample: Sample, importing: Importing) -> None:
    name, content, given = CASES[case]
    job = importing.preview(content, name=name, table="prices", **given)
    found = sample(content, name, table="prices", **given)

    assert (found.refusal, list(found.problems)) == (None, [])
    assert found.described == job.plan["file"]
    from_file = {name: column for name, column in job.plan["mapping"].items() if not name.endswith(" (default)")}
    assert {one.name: one.target for one in found.columns if one.target} == from_file
    said = {(row.line, row.problem) for row in found.rows if row.problem}
    for place, column in enumerate(found.columns):
        said |= {(row.line, f"{column.name}: {problem}") for row in found.rows if (problem := row.cells[place].problem)}
    assert said
    assert said == {
        (one["line"], f"{one['column']}: {one['message']}" if one["column"] else one["message"])
        for one in job.plan["rejects"]
    }


@pytest.mark.parametrize("case", [case for case, (_, content, _) in enumerate(CASES) if content != BOOK])
def test_the_types_of_a_new_table_are_those_that_the_preview_finds(case: int, sample: Sample, importing: Importing):
    name, content, given = CASES[case]
    job = importing.preview(content, name=name, table="new_ones", **given)
    found = sample(content, name, table="new_ones", **given)

    assert (found.target, found.target_exists, list(found.problems)) == ("new_ones", False, [])
    created = {one["name"]: one["why"] for one in job.plan["creates"]}
    by_default = {one.name: "defaults gives it to every row" for one in found.target_columns if not one.source}
    assert {one.target: one.why for one in found.columns if one.target} | by_default == created
    found_types = {one.target: one.found_type for one in found.columns if one.target}
    assert {one.name: one.type for one in found.target_columns if one.source} == found_types


@pytest.mark.parametrize(
    ("content", "given", "guessed"),
    [
        ("a;b\n1,5;x\n2;y\n", {}, {"decimal": ","}),
        ("a;b\n1.234,5;1\n2,0;2\n", {}, {"decimal": ",", "thousands": "."}),
        ("a;b\n1,5;1.5\n", {}, {}),
        ("a;b\ncheap;x\n1,5;y\n2O,0;z\n2,0;\n7;\n", {}, {}),  # it stays text in any notation
        ("a;b\n1,5;x\nred, blue;y\n", {}, {}),
        ("a;b\n1,5;x\n", {"decimal": ","}, {}),
        ("a,b\n31.12.2026,1/2/2026\n", {}, {"date_format": {"a": "%d.%m.%Y"}}),
        ("a,b\n12/31/2026,x\n01/02/2026,y\n", {}, {"date_format": {"a": "%m/%d/%Y"}}),
        ("a,b\n1.5,2026-12-31\n", {}, {}),
    ],
)
def test_options_that_would_read_more_are_proposed_and_not_taken(
    sample: Sample, content: str, given: dict[str, Any], guessed: dict[str, Any]
):
    found = sample(content, **given)
    assert dict(found.guesses) == guessed
    if guessed:
        taken = types(sample(content, **given, **guessed))
        assert sum(type != "text" for type in taken.values()) > sum(type != "text" for type in types(found).values())


@pytest.mark.usefixtures("prices")
@pytest.mark.parametrize(
    ("cells", "guessed"),
    [
        (["20,00", "cheap", "15O,00", "30,50", "7"], {"decimal": ","}),
        (["cheap", "1.020,00", "30,50"], {"decimal": ",", "thousands": "."}),
        (["cheap", "15O,00", "30,50"], {}),
        (["cheap", "20.00", "30.50"], {}),
    ],
)
def test_marks_are_proposed_for_a_column_of_numbers_though_some_cells_are_wrong(
    sample: Sample, cells: list[str], guessed: dict[str, str]
):
    content = "code;price\n" + "".join(f"A-{n};{cell}\n" for n, cell in enumerate(cells))
    assert dict(sample(content, table="prices").guesses) == guessed


def test_without_a_table_yet_the_columns_and_their_types_are_known(sample: Sample):
    found = sample("code,price,at,yes\n001,1.5,2026-01-31,true\n")
    assert (found.target, found.target_exists, list(found.problems)) == (None, False, [])
    assert {name: type.split("(")[0] for name, type in types(found).items()} == {
        "code": "text", "price": "numeric", "at": "date", "yes": "boolean"
    }  # fmt: skip
    assert [one.target for one in found.columns] == ["code", "price", "at", "yes"]


@pytest.mark.usefixtures("prices")
@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"mode": "upsert"}, "prices has no column extra"),
        ({"columns": {"none": "code"}}, "columns names none, which the file does not have"),
        ({"columns": {"extra": "code"}}, "two columns of the file go into code"),
        ({"columns": {"price": None, "extra": None}}, "prices needs a value for price"),
        ({"columns": {"extra": None}, "mode": "upsert", "key": ["price"]}, "no unique index on exactly price"),
        ({"columns": {"extra": None}, "types": {"extra": "text"}}, "types names extra, which is not loaded"),
        (
            {"columns": {"extra": None}, "date_format": "%d."},
            "date_format '%d.' does not give a whole day",
        ),
        ({"columns": {"extra": None}, "mode": "unheard"}, "mode: Input should be"),
        ({"columns": {"extra": None}, "sheet": "1"}, "sheet is not for format csv; it is for xlsx"),
        ({"columns": {"extra": None}, "missing": "delete", "max_removed": 3}, "are for mode sync"),
    ],
)
def test_what_a_job_would_be_refused_for_is_a_line_and_the_rows_are_shown_all_the_same(
    sample: Sample, given: dict[str, Any], problem: str
):
    found = sample("code,price,extra\nA,1,x\n", table="prices", **given)
    assert found.refusal is None
    assert any(problem in line for line in found.problems), found.problems
    assert all("\n" not in line for line in found.problems)
    is_loaded = given.get("columns", {}).get("price", "price") is not None
    assert cells(found, "price") == [("1", "1.00" if is_loaded else None, None)]


@pytest.mark.parametrize(
    ("content", "name", "given", "refusal"),
    [
        ("", "in.csv", {}, "the file is empty"),
        ("a,b\n1,2\n", "in.csv", {"skip_rows": 5}, "in.csv: "),
        (b"%PDF-1.4", "in.csv", {}, "this is a PDF, not text"),
        (b"no workbook", "in.xlsx", {}, "this is not an Excel file"),
        (BOOK, "in.xlsx", {"sheet": "Nowhere"}, "it has no sheet 'Nowhere'; it has: 1 Sheet"),
        ("a,a\n1,2\n", "in.csv", {}, "the header has 'a' in columns 1 and 2"),
        ("a,b\n1,2\n", "in.doc", {}, "the name does not tell the format"),
        ("a,b\n1,2\n", "in.csv", {"decimal": ",", "thousands": ","}, "decimal and thousands are both ','"),
    ],
)
def test_a_file_that_cannot_be_read_so_is_refused_in_one_line(
    sample: Sample, content: str | bytes, name: str, given: dict[str, Any], refusal: str
):
    found = sample(content, name, table="prices", **given)
    assert refusal in (found.refusal or "")
    assert "\n" not in (found.refusal or "")
    assert (list(found.columns), list(found.rows)) == ([], [])


def test_a_workbook_says_which_sheets_it_has(sample: Sample):
    book, stream = openpyxl.Workbook(), io.BytesIO()
    book.active.append(["a"])
    for title in ("Second", "Third"):
        book.create_sheet(title).append([title.lower()])
    book.save(stream)
    found = sample(stream.getvalue(), "in.xlsx", sheet="Third")
    assert (list(found.sheets), [one.name for one in found.columns]) == (["Sheet", "Second", "Third"], ["third"])


def test_of_several_files_the_first_one_is_shown(samples: Samples, importing: Importing):
    keys = [importing.put(f"a\n{number}\n", f"{number}.csv") for number in (1, 2)]
    found = samples.of("table-import", {"file_key": keys})
    assert found is not None
    assert (found.file, cells(found, "a")[0][0]) == (keys[0], "1")
    assert list(found.warnings) == [f"{keys[0]} is the first of 2 files; the others are not looked at"]


def test_where_no_file_is_read_there_is_no_sample(samples: Samples):
    assert samples.of("table-import", {}) is None
    assert samples.of("table-import", {"file_key": "", "table": "prices"}) is None
    assert samples.of("table-import", {"source": "https://files.example.com/a.csv"}) is None
    assert samples.of("table-export", {"table": "prices"}) is None
    with pytest.raises(StrategyUnknown):
        samples.of("unheard", {})
    gone = samples.of("table-import", {"file_key": "uploads/gone.csv"})
    assert gone is not None
    assert "there is no file" in (gone.refusal or "")


@pytest.mark.usefixtures("prices")
def test_tables_that_may_not_be_used_are_not_looked_at(target: Engine, importing: Importing):
    key = importing.put("code,price\nA,1\n")
    by_settings = samples_of(target, importing, tables="other").of("table-import", {"file_key": key, "table": "prices"})
    samples = samples_of(target, importing)
    by_key = samples.of("table-import", {"file_key": key, "table": "prices"}, tables=["other", "shop.*"])
    own = samples.of("table-import", {"file_key": key, "table": "batch_job"})
    for found, why in [(by_settings, "allows other"), (by_key, "is for the tables other"), (own, "of the jobs")]:
        assert found is not None
        assert (found.target, found.target_exists) == (None, False)
        assert any(why in line for line in found.problems), found.problems
        assert "numeric(8, 2)" not in str(found)
    allowed = samples.of("table-import", {"file_key": key, "table": "prices"}, tables=["prices"])
    assert allowed is not None
    assert allowed.target == "prices"


def test_nothing_is_written(sample: Sample, importing: Importing, target: Engine):
    before = importing.files.list()
    found = sample("code,price\nA,1\nB,x\n", table="new_ones", key=["code"], mode="upsert")
    assert found.rows
    assert len(importing.files.list()) == len(before) + 1
    assert inspect(target).get_table_names() == []


class _Counted(io.RawIOBase):
    """Counts the bytes that are read of a file."""

    def __init__(self, stream: Any, read: list[int]) -> None:
        self._stream, self._read = stream, read

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, place: int, whence: int = 0) -> int:
        return int(self._stream.seek(place, whence))

    def tell(self) -> int:
        return int(self._stream.tell())

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        self._read.append(len(data))
        buffer[: len(data)] = data
        return len(data)


def large_workbook() -> bytes:
    """Half a million cells, whose texts are all others."""
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    sheet.append(["code", "note"])
    for number in range(60_000):
        sheet.append([f"code {number}", f"note {number} {'x' * (number % 40)}"])
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def large_parquet() -> bytes:
    stream = io.BytesIO()
    codes = [f"code {number}" for number in range(400_000)]
    pq.write_table(pa.table({"code": codes, "note": codes}), stream, row_group_size=20_000)
    return stream.getvalue()


def zipped(content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("in.csv", content)
    return stream.getvalue()


LARGE_CSV = b"code,note\n" + b"".join(b"code %d,note %d\n" % (number, number) for number in range(400_000))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("in.csv", LARGE_CSV),
        ("in.csv", LARGE_CSV + b"\xff late \xe4\n"),
        ("in.zip", zipped(LARGE_CSV)),
        ("in.jsonl", b"".join(b'{"code":"code %d","note":"x"}\n' % number for number in range(300_000))),
        ("in.parquet", large_parquet()),
        ("in.xlsx", large_workbook()),
    ],
)
def test_only_the_beginning_of_a_large_file_is_read(
    name: str, content: bytes, samples: Samples, importing: Importing, monkeypatch: pytest.MonkeyPatch
):
    key, read = importing.put(content, name), list[int]()
    opened = importing.files.open
    monkeypatch.setattr(importing.files, "open", lambda key: io.BufferedReader(_Counted(opened(key), read), 1 << 16))

    found = samples.of("table-import", {"file_key": key})

    assert found is not None
    assert (found.refusal, len(found.rows)) == (None, 20)
    assert cells(found, "code")[19] == ("code 19", "code 19", None)
    assert sum(read) < len(content) * 0.75, (sum(read), len(content))


@pytest.mark.usefixtures("prices")
def test_a_default_is_seen_at_the_column_that_it_is_for(sample: Sample):
    found = sample("code,price\nA,\n", table="prices", defaults={"price": "1,5", "stock": "3"}, decimal=",")
    assert cells(found, "price") == [(None, "1.50", None)]
    assert {one.name: (one.default, one.source) for one in found.target_columns if one.default} == {
        "price": ("1,5", "price"), "stock": ("3", None)
    }  # fmt: skip
    wrong = sample("code,price\nA,1\n", table="prices", defaults={"stock": "x"})
    assert list(wrong.problems) == ["defaults gives stock a value that it cannot hold: 'x' is not a whole number"]
    assert cells(wrong, "price") == [("1", "1.00", None)]


@pytest.mark.usefixtures("prices")
def test_a_cell_that_changes_nothing_says_so(sample: Sample):
    found = sample("code,price,stock\nA,1,\nB,2,3\n", table="prices", mode="upsert", empty="keep")
    assert [row.cells[2].is_left for row in found.rows] == [True, False]


def test_a_cell_that_is_longer_than_anybody_reads_is_cut(sample: Sample):
    found = sample(f"a\n{'x' * 100_000}\n")
    assert cells(found, "a")[0][:2] == ("x" * 999 + "…",) * 2


def test_the_number_of_rows_is_the_askers_choice(sample: Sample, tmp_path: Path):
    content = "a\n" + "".join(f"{number}\n" for number in range(100))
    assert [len(sample(content, rows=rows).rows) for rows in (1, 20, 100, 500)] == [1, 20, 100, 100]


class NeedyImport(TableImport):
    """Counts on fields that may be missing yet."""

    identifier, batch_type = "needy-strategy", "needy"

    class Context(TableImport.Context):  # type: ignore[name-defined,misc]
        @model_validator(mode="after")
        def check(self) -> Self:
            self.table.upper()
            return self


def test_a_context_whose_own_check_counts_on_what_is_missing_is_a_line(target: Engine, importing: Importing):
    registry = load_strategies()
    registry.by_type["needy"] = NeedyImport
    access = TargetAccess(Settings(target_url=target.url.render_as_string(hide_password=False)))
    samples = Samples(lambda: registry, lambda: target, lambda: importing.files, access, lambda: None)  # type: ignore[arg-type,return-value]
    key = importing.put("a\n1\n")
    missing, whole = (samples.of("needy", {"file_key": key, **given}) for given in ({}, {"table": "new_ones"}))
    assert missing is not None
    assert whole is not None
    assert missing.refusal == "the fields that are still missing are needed to look at the file"
    assert (whole.refusal, len(whole.rows)) == (None, 1)
