"""Which tables of the target a job may name, and what its query may do."""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from batch_jobs.strategies.sdk.database import Database
from batch_jobs.strategies.sdk.errors import ContextRefused

#: The tables of the jobs themselves are called so, with more behind ``_`` but for one.
OWN = "batch_job"
QUERY_SECONDS = 3600.0


@dataclass(frozen=True)
class TablePatterns:
    """Tables by name: ``orders``, ``shop.*``; one without a schema is in the target's default one.

    ``by`` is who says so, as an error begins with it.
    """

    patterns: tuple[str, ...]
    by: str

    def allow(self, schema: str | None, table: str, default: str | None, folds_names: bool) -> bool:
        """Whether a table is among them; ``default`` is the schema of those that are named without one."""
        names = [f"{schema or default}.{table}", *([table] if schema in (None, default) else [])]
        return any(_matches(name, pattern, folds_names) for name in names for pattern in self.patterns)

    def may_allow(self, name: str) -> bool:
        """Whether a table may be among them, of which only the name is known as somebody wrote it."""
        bare = name.rpartition(".")[2]
        return any(
            _matches(name, pattern, True) or _matches(bare, pattern.rpartition(".")[2], True)
            for pattern in self.patterns
        )


@dataclass(frozen=True)
class DataAccess:
    """What of the target a job may use.

    Args:
        tables: each has to allow a table; none allow all but those of the jobs and of the database.
        by_key: whether somebody asked with an API key: such a query can do no more than read.
        query_seconds: how long an export by a query may take.
        query_role: the role of the database that queries run as; empty for that of the target's URL.
    """

    tables: tuple[TablePatterns, ...] = ()
    by_key: bool = False
    query_seconds: float = QUERY_SECONDS
    query_role: str = ""

    def check_name(self, database: Database, name: str) -> None:
        """Refuse the name of a table, as it stands in a context, where no table can be meant that is allowed.

        Raises:
            ContextRefused: it is so.
        """
        schema, _, table = name.rpartition(".")
        refused = _never(database, schema or None, table, name) or next(
            (_not_among(name, patterns) for patterns in self.tables if not patterns.may_allow(name)), None
        )
        if refused:
            raise ContextRefused(refused)

    def refusal(self, database: Database, schema: str | None, table: str, default: str | None) -> str | None:
        """Why a table of the target is not to be used, ``None`` where it may be.

        Args:
            database: of the target.
            schema: where the table really is.
            table: its name there.
            default: the schema of tables that are named without one.
        """
        name = table if schema in (None, default) else f"{schema}.{table}"
        return _never(database, schema, table, name) or next(
            (
                _not_among(name, patterns)
                for patterns in self.tables
                if not patterns.allow(schema, table, default, database.folds_names)
            ),
            None,
        )


def is_own(table: str) -> bool:
    """Whether a table is one of the jobs themselves: who may write it could make an API key of any role."""
    folded = table.casefold()
    return folded == OWN or folded.startswith(f"{OWN}_")


def _never(database: Database, schema: str | None, table: str, name: str) -> str | None:
    if is_own(table):
        return f"{name} is a table of the jobs themselves; `batch-jobs list --json` gives jobs"
    if database.is_system_table(schema, table):
        return f"{name} is a table of the database itself, which jobs neither read nor write"
    return None


def _not_among(name: str, patterns: TablePatterns) -> str:
    return f"{patterns.by} {', '.join(patterns.patterns)}, and not the table {name}"


def _matches(name: str, pattern: str, folds_names: bool) -> bool:
    return fnmatchcase(name.casefold(), pattern.casefold()) if folds_names else fnmatchcase(name, pattern)
