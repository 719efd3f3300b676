"""``changes`` and ``history``: what a job changes, row by row, and what jobs changed in a row."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from batch_jobs.deployments.cli import output
from batch_jobs.deployments.cli.options import AsJson, Force, JobId, output_path
from batch_jobs.deployments.errors import UsageRefused
from batch_jobs.flows.jobs.changes import Changes, all_pages
from batch_jobs.flows.jobs.model import Job
from batch_jobs.flows.workspace import current_workspace
from batch_jobs.strategies.sdk.data_access import DataAccess
from batch_jobs.strategies.tables.changes.reading import KINDS, ChangeFilter, WantedKey

LIMIT = 100
COLUMNS = ("table", "kind", "key", "line", "column", "before", "after")
OF_A_JOB = ("job", "type", "created_by", "at")

Limit = Annotated[int, typer.Option("--limit", min=1, help="How many changes at most.")]


def changes(
    job_id: JobId,
    kind: Annotated[str | None, typer.Option("--kind", help=f"Only rows that are {', '.join(KINDS)}.")] = None,
    column: Annotated[str | None, typer.Option("--column", help="Only this column.")] = None,
    key: Annotated[
        list[str] | None,
        typer.Option("--key", metavar="VALUE", help="Only this row; several times where the key has several columns."),
    ] = None,
    below: Annotated[
        float | None, typer.Option("--percent-below", help="Only numbers that change by less per cent: -50.")
    ] = None,
    above: Annotated[
        float | None, typer.Option("--percent-above", help="Only numbers that change by more per cent.")
    ] = None,
    emptied: Annotated[bool, typer.Option("--emptied", help="Only columns that lose their value.")] = False,
    filled: Annotated[bool, typer.Option("--filled", help="Only columns that had no value and get one.")] = False,
    key_begins: Annotated[
        str | None, typer.Option("--key-begins", metavar="TEXT", help="Only rows whose key begins so.")
    ] = None,
    limit: Limit = LIMIT,
    to: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write all of them to a CSV file instead.")
    ] = None,
    excel: Annotated[
        Path | None, typer.Option("--excel", metavar="FILE", help="Write all of them to an Excel file instead.")
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Show what a job changes, row by row, before and after it runs."""
    if kind is not None and kind not in KINDS:
        raise UsageRefused(f"--kind is one of {', '.join(KINDS)}, not {kind!r}")
    workspace = current_workspace()
    job = workspace.service.get(job_id)
    wanted = ChangeFilter(kind, column, _key(key) if key else None, below, above, emptied, filled, key_begins or None)
    if to and excel:
        raise UsageRefused("--csv and --excel are two files; give one of them")
    file = to or excel
    path = output_path(file, force) if file else None
    found = workspace.job_changes.all(job, wanted, DataAccess())
    if path is not None:
        output.hint(f"{_write(path, 'xlsx' if excel else 'csv', found):,} changes written to {file}")
    elif as_json:
        output.print_json_array(found)
    else:
        _print(found, COLUMNS, limit, f"all of them: batch-jobs changes {job_id} --csv FILE")


def history(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="table or schema.table", show_default=False)],
    key: Annotated[
        list[str],
        typer.Argument(
            metavar="KEY...", help="The row's key: a value for each of its columns, in order.", show_default=False
        ),
    ],
    limit: Limit = LIMIT,
    as_json: AsJson = False,
) -> None:
    """Show which jobs changed a row of a table, and from what to what. The newest job comes first."""
    workspace = current_workspace()

    def visible(ids: Sequence[str]) -> Mapping[str, Job]:
        return {job.id: job for job in workspace.service.of_ids(ids)}

    def page(cursor: str | None) -> Changes:
        return workspace.job_changes.history(table, wanted, DataAccess(), visible, cursor)

    wanted = _key(key)
    found = all_pages(page)
    if as_json:
        output.print_json_array(found)
    else:
        _print(found, (*OF_A_JOB, *COLUMNS[1:]), limit, "more: --limit N")


def _key(values: list[str]) -> WantedKey:
    try:
        return WantedKey.parse(values)
    except ValueError as error:
        raise UsageRefused(str(error)) from None


def _print(found: Iterable[dict[str, Any]], columns: Sequence[str], limit: int, more: str) -> None:
    entries = list(islice(found, limit + 1))
    if not entries:
        output.hint("no change is like that")
        return
    output.out.print(output.grid([_cells(entry, columns) for entry in entries[:limit]], head=columns))
    if len(entries) > limit:
        output.hint(f"the first {limit} are shown; {more}")


def _write(path: Path, format: str, found: Iterator[dict[str, Any]]) -> int:
    from batch_jobs.flows.jobs.changes_file import FORMATS, Counted, begun

    counted = Counted(begun(found))  # what is wrong is reported before a file is made
    try:
        with path.open("wb") as file:
            file.writelines(FORMATS[format](counted))
    except OSError as error:
        path.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error
    return counted.count


def _cells(entry: dict[str, Any], columns: Sequence[str]) -> list[str]:
    from batch_jobs.flows.jobs.changes_file import cell

    return [cell(name, entry.get(name)) for name in columns]
