"""A file whose bad cells are corrected in the preview gives the table that the right file gives, in every mode."""

import csv
import io
import json
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from batch_jobs.flows.jobs.given_corrections import Corrected
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.workspace import Workspace
from support.phases import finished, put, waiting
from support.workbooks import workbook

COLUMNS = ("code", "price", "stock")
BAD = {"code": "", "price": "dear", "stock": "many"}
NUMBERS = count()

Row = dict[str, str]

rows_of_a_file = st.lists(
    st.fixed_dictionaries(
        {
            "code": st.sampled_from(["A", "B", "C", "D", "E", "F G", '"H"']),
            "price": st.sampled_from(["1.50", "2", "-3.25"]),
            "stock": st.sampled_from(["1", "20", "300"]),
        }
    ),
    min_size=1,
    max_size=12,
)


def as_csv(rows: list[Row], extra: set[int]) -> bytes:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for number, row in enumerate(rows):
        writer.writerow([*(row[name] for name in COLUMNS), *(["surplus"] * (number in extra))])
    return stream.getvalue().encode()


def as_jsonl(rows: list[Row], extra: set[int]) -> bytes:
    return "".join(json.dumps({name: cell or None for name, cell in row.items()}) + "\n" for row in rows).encode()


def as_xlsx(rows: list[Row], extra: set[int]) -> bytes:
    def cell(text: str) -> Any:
        try:
            return float(text)
        except ValueError:
            return text or None

    return workbook(COLUMNS, *([cell(row[name]) for name in COLUMNS] for row in rows))


FORMATS = {"csv": (as_csv, 2), "jsonl": (as_jsonl, 1), "xlsx": (as_xlsx, 2)}


def outcome(workspace: Workspace, job: Job) -> tuple[Any, ...]:
    result = job.result
    rows, name = workspace.job_rejects.page(job, limit=100).rows, job.context["table"]
    rejects = [(row.line, row.bad, [reason.replace(name, "goods") for reason in row.reasons]) for row in rows]
    with workspace.target.connect() as connection:
        table = connection.execute(text(f"SELECT code, CAST(price AS float), stock FROM {name} ORDER BY 1, 2, 3"))
        found = [tuple(row) for row in table]
    return found, result.created, result.updated, result.unchanged, result.removed, result.rejected, rejects


def make_table(workspace: Workspace, mode: str) -> str:
    name = f"goods_{next(NUMBERS)}"
    key = " NOT NULL" if mode == "append" else " PRIMARY KEY"
    with workspace.target.begin() as connection:
        connection.execute(text(f"CREATE TABLE {name} (code varchar(20){key}, price numeric(8,2), stock integer)"))
        connection.execute(text(f"INSERT INTO {name} VALUES ('A', 1.50, 1), ('B', 7, 7), ('Z', 9, 9)"))
    return name


@pytest.mark.long
@pytest.mark.parametrize("format", FORMATS)
@given(
    rows=rows_of_a_file,
    damaged=st.sets(st.tuples(st.integers(0, 11), st.sampled_from(COLUMNS)), min_size=1, max_size=6),
    extra=st.sets(st.integers(0, 11), max_size=2),
    mode=st.sampled_from(["append", "insert", "upsert", "update", "sync"]),
)
@settings(
    max_examples=6,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_corrected_in_the_preview_the_table_is_as_if_the_file_had_been_right(
    workspace: Workspace, format: str, rows: list[Row], damaged: set[tuple[int, str]], extra: set[int], mode: str
):
    write, first = FORMATS[format]
    extra = extra if format == "csv" else set()
    wrong = [
        {name: BAD[name] if (at, name) in damaged else cell for name, cell in row.items()}
        for at, row in enumerate(rows)
    ]
    context = {"mode": mode, **({} if mode == "append" else {"key": ["code"]})}
    context |= {"max_removed": "100%"} if mode == "sync" else {}
    context |= {"delimiter": ",", "quote": '"'} if format == "csv" else {}  # the two files are to be read alike
    name = f"goods.{format}"

    right = waiting(
        workspace,
        "table-import",
        table=make_table(workspace, mode),
        file_key=put(workspace, write(rows, set()), name),
        **context,
    )
    expected = outcome(workspace, finished(workspace, right))

    job = waiting(
        workspace,
        "table-import",
        table=make_table(workspace, mode),
        file_key=put(workspace, write(wrong, extra), name),
        **context,
    )
    refused = {row.line: row for row in workspace.job_rejects.page(job, limit=100).rows}
    corrections = []
    for at, row in enumerate(rows):
        cells: dict[str, str | None] = {column: cell for column, cell in row.items() if (at, column) in damaged}
        if at in extra:
            cells["reject_surplus"] = None
        if cells and at + first in refused:
            corrections.append(Corrected(at + first, cells))
    if corrections:
        job = workspace.job_corrections.correct(job, corrections, created_by="bob")
    assert outcome(workspace, finished(workspace, job)) == expected
