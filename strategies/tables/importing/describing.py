"""What people read of an import's plan in the summary of its job."""

from batch_jobs.strategies.sdk.errors import count_rows
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.tables.databases.naming import shown
from batch_jobs.strategies.tables.importing.plan import ColumnChanges, ColumnToCreate, ImportPlan
from batch_jobs.strategies.tables.importing.sync_options import DELETE

DESCRIBED_COLUMNS = 20
DESCRIBED_FILES = 20


def describe(job: JobRun, plan: ImportPlan) -> None:
    """Say in the job's summary what its plan is."""
    table, counts = job.context.table, plan.counts
    job.describe("import-file", "File", ", ".join(f"{name} {value!r}" for name, value in plan.file.items()))
    for number, file in enumerate(plan.files[:DESCRIBED_FILES] if len(plan.files) > 1 else (), 1):
        rows = count_rows(file.rows or 0)
        job.describe(f"import-file-{number}", "File", f"{file.key}: {rows}, SHA-256 {file.checksum}")
    if len(plan.files) > DESCRIBED_FILES:
        job.describe("import-files", "Files", f"and {len(plan.files) - DESCRIBED_FILES} more")
    if plan.frame is not None:
        frame = [f"{column.name} {column.type}" for column in plan.frame]
        more = f" and {len(frame) - DESCRIBED_COLUMNS} more" if len(frame) > DESCRIBED_COLUMNS else ""
        job.describe("import-frame", "Frame", ", ".join(frame[:DESCRIBED_COLUMNS]) + more)
    if plan.creates is not None:
        job.describe("import-table", "Table", f"{table} will be created")
        _describe_columns(job, plan.creates)
    job.describe("import-create", "To create", f"{count_rows(counts.create)} will be created in {table}")
    job.describe("import-update", "To update", f"{count_rows(counts.update)} will be updated")
    if plan.columns:
        job.describe("import-changes", "Changes", changes_by_column(plan.columns))
    job.describe("import-unchanged", "Unchanged", f"{count_rows(counts.unchanged)} already as in the file")
    if plan.kept:
        job.describe(
            "import-kept", "Kept", f"{shown(plan.kept)} of rows that are there stays: the database gives it out"
        )
    if job.context.mode == "sync":
        marked = "deleted" if job.context.missing == DELETE else "marked"
        job.describe("import-remove", "To remove", f"{count_rows(counts.remove)} not in the file will be {marked}")
    if counts.left_out:
        job.describe("import-not-returned", "Left out", f"{count_rows(counts.left_out)} that transform does not return")
    job.describe("import-reject", "To reject", f"{count_rows(counts.reject)} will be rejected")


def changes_by_column(columns: dict[str, ColumnChanges]) -> str:
    """For people: how many rows change in each column, the most first."""
    shown_columns = [
        f"{name}: {count_rows(changes.changed)}" + (f", {changes.emptied} emptied" if changes.emptied else "")
        for name, changes in sorted(columns.items(), key=lambda item: -item[1].changed)
    ]
    return "; ".join(shown_columns[:DESCRIBED_COLUMNS])


def _describe_columns(job: JobRun, columns: list[ColumnToCreate]) -> None:
    for number, column in enumerate(columns[:DESCRIBED_COLUMNS], 1):
        job.describe(f"import-column-{number}", "Column", f"{column}, because {column.why}")
    if len(columns) > DESCRIBED_COLUMNS:
        job.describe("import-columns", "Columns", f"and {len(columns) - DESCRIBED_COLUMNS} more")
