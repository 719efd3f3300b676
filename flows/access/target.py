"""What jobs may do with the target, and where they may fetch files: by the settings, and by the API key that asked."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Engine, inspect

from batch_jobs.flows.jobs.model import Job, Trigger
from batch_jobs.flows.jobs.table import batch_job_api_key
from batch_jobs.flows.settings import Settings
from batch_jobs.strategies.sdk.context_fields import Names, named
from batch_jobs.strategies.sdk.data_access import DataAccess, TablePatterns
from batch_jobs.strategies.sdk.database import database_of, database_of_url
from batch_jobs.strategies.sdk.errors import ContextRefused, JobRefused
from batch_jobs.strategies.sdk.files import MEMBER

#: How many tables are named to choose from.
MOST_NAMED = 500


class TargetAccess:
    """The rules of one installation."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._database = database_of_url(settings.data_url)

    def of(self, job: Job) -> DataAccess:
        """What a job may do, whichever process runs it."""
        return DataAccess(
            self._tables(job.tables),
            by_key=job.trigger is Trigger.API,
            query_seconds=self._settings.query_timeout,
            query_role=self._settings.query_as,
        )

    def check(self, context: BaseModel, tables: Sequence[str] | None) -> None:
        """Refuse a new job that names a table which it may not use, as far as its name says that, or such an address.

        Args:
            context: of the job.
            tables: those of the API key that asks, ``None`` where that is for all.

        Raises:
            ContextRefused: it does.
        """
        values = context.model_dump()
        self.check_names(type(context), values, tables)
        for address in named(type(context), values, Names.SOURCE):
            self._check_source(address.partition(MEMBER)[0])

    def check_names(self, model: type[BaseModel], values: Mapping[str, Any], tables: Sequence[str] | None) -> None:
        """Refuse tables that values of a context name and that may not be used, as far as their names say that.

        Raises:
            ContextRefused: names the first one.
        """
        access = DataAccess(self._tables(tables))
        for name in named(model, values, Names.TABLE):
            access.check_name(self._database, name)

    def of_key(self, tables: Sequence[str] | None) -> DataAccess:
        """What the holder of an API key may read in changes, by its tables, ``None`` where it is for all."""
        return DataAccess(self._tables(tables), by_key=True)

    def _check_source(self, address: str) -> None:
        try:
            self._settings.allowed_sources.check(address)
        except JobRefused as refused:
            raise ContextRefused(str(refused)) from None

    def _tables(self, of_key: Sequence[str] | None) -> tuple[TablePatterns, ...]:
        of_settings, found = self._settings.allowed_tables, []
        if of_settings:
            found.append(TablePatterns(of_settings, "BATCH_JOBS_TABLES allows"))
        if of_key is not None:
            found.append(TablePatterns(tuple(of_key), "the API key of this job is for the tables"))
        return tuple(found)


def usable_tables(target: Engine, access: DataAccess) -> list[str]:
    """The names of tables and views that may be used, those of the default schema first; the first ones of many."""
    inspector, database = inspect(target), database_of(target)
    default = inspector.default_schema_name
    found: list[str] = []
    for schema in [default, *(name for name in inspector.get_schema_names() if name != default)]:
        tables = sorted([*inspector.get_table_names(schema), *inspector.get_view_names(schema)])
        prefix = "" if schema == default else f"{schema}."
        found += [f"{prefix}{name}" for name in tables if not access.refusal(database, schema, name, default)]
        if len(found) >= MOST_NAMED:
            break
    return found[:MOST_NAMED]


def holds_the_jobs(target: Engine) -> bool:
    """Whether a target is the job database too, whatever its address: it has the table of keys, in whichever schema."""
    inspector = inspect(target)
    return any(inspector.has_table(batch_job_api_key.name, schema=schema) for schema in inspector.get_schema_names())
