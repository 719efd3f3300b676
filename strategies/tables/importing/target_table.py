"""The table that an import loads: as it is, or as it is to be created."""

from sqlalchemy import Table, select

from batch_jobs.strategies.sdk.data_access import DataAccess
from batch_jobs.strategies.sdk.job import JobRun
from batch_jobs.strategies.tables.changes.recording import key_of_log
from batch_jobs.strategies.tables.databases.loading import Destination
from batch_jobs.strategies.tables.databases.naming import find_table, require_table
from batch_jobs.strategies.tables.importing.creation import Creation
from batch_jobs.strategies.tables.importing.import_options import ImportContext, value_options
from batch_jobs.strategies.tables.importing.mapping import unique_key
from batch_jobs.strategies.tables.importing.plan import ImportPlan, table_to_create


def access_of(job: JobRun) -> DataAccess:
    """What of the target may be used; the table of the strategy itself is its author's choice."""
    return job.access if "table" in type(job.context).model_fields else DataAccess()


def destination_of(job: JobRun, plan: ImportPlan, table: Table, exists: bool) -> Destination:
    """Where rows go; ``exists`` says whether the table is there."""
    context: ImportContext = job.context
    columns = list(plan.mapping.values())
    logged_by = key_of_log(job.changes, table, columns, plan.key if context.mode != "append" else [])
    if context.mode == "append":
        return Destination(table, columns, [], context.mode, logged_by=logged_by)
    collations = unique_key(job.target, table, plan.key).collations if exists else {}
    resets = value_options(context).empty == "default"
    return Destination(table, columns, plan.key, context.mode, collations, resets=resets, logged_by=logged_by)


def has_rows(job: JobRun, table: Table) -> bool:
    """Whether the table has any."""
    with job.target.connect() as connection:
        return connection.execute(select(1).select_from(table).limit(1)).first() is not None


def table_of(job: JobRun, plan: ImportPlan) -> tuple[Table, Creation]:
    """The table, and its creation where it is not there yet."""
    found = find_table(job.target, job.context.table, access_of(job))
    is_before = job.checkpoint is None and job.partition is None  # another partition may have created it
    if plan.creates is None or (found is not None and is_before):
        table = found if found is not None else require_table(job.target, job.context.table, access_of(job))
        return table, Creation(None)
    # of the types that were decided on, some are not found again in the database
    planned = table_to_create(job.target, job.context.table, plan.creates, plan.key, access_of(job))
    return planned, Creation(planned if found is None else None, by_any=job.partition is not None)
