"""What a query names, as the server understands it, and whether that is allowed.

The server parses the query as a view that is rolled back again; the view's tree has every table, function and operator
by its number, however they were written.
"""

import re
from typing import Any

import psycopg

from batch_jobs.strategies.sdk.data_access import DataAccess
from batch_jobs.strategies.sdk.database import Database
from batch_jobs.strategies.sdk.errors import JobRefused
from batch_jobs.strategies.tables.selecting import nested

VIEW = "batch_job_query"
TREE = f"SELECT ev_action::text, ev_class::int8 FROM pg_rewrite WHERE ev_class = 'pg_temp.{VIEW}'::regclass"
#: https://github.com/postgres/postgres/blob/master/src/include/nodes/primnodes.h and parsenodes.h have the fields. What
#: a query writes itself, such as a name, cannot look like one: its blanks are written with a backslash.
RELATION = re.compile(r":relid (\d+)")
FUNCTION = re.compile(r":(?:funcid|aggfnoid|winfnoid) (\d+)")
OPERATOR = re.compile(r":opno (\d+)")

RELATIONS = """SELECT nspname, relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE pg_class.oid = ANY (%s) ORDER BY 1, 2"""
DEFAULT_SCHEMA = "SELECT current_schema()"
#: Functions that may do more than compute from what they are given, or read what the query does not name.
#: Of the server's own: those that are not the same within a statement, since all that write, wait, read files, set
#: something or run SQL are such; those that run SQL for XML; those about the server itself. Of others, the ones that
#: are not the same within a statement, and those in C that are not always the same, such as crosstab of tablefunc.
DOING = """SELECT proname FROM pg_proc JOIN pg_namespace ON pg_namespace.oid = pronamespace
JOIN pg_language ON pg_language.oid = prolang
WHERE (pg_proc.oid = ANY (%(functions)s)
    OR pg_proc.oid IN (SELECT oprcode FROM pg_operator WHERE pg_operator.oid = ANY (%(operators)s)))
AND CASE WHEN nspname = 'pg_catalog'
    THEN provolatile = 'v' AND proname <> ALL (%(harmless)s)
        OR provolatile <> 'i' AND (prorettype = 'xml'::regtype OR starts_with(proname, 'pg_'))
            AND proname <> ALL (%(harmless)s)
    ELSE provolatile = 'v' OR provolatile = 's' AND lanname IN ('c', 'internal') END
ORDER BY 1"""
HARMLESS = [
    "random",
    "random_normal",
    "clock_timestamp",
    "timeofday",
    "gen_random_uuid",
    "uuidv4",
    "uuidv7",
    "pg_typeof",
    "pg_column_size",
]
#: Roles that may read and write the server's files or run its programs.
MIGHTY = ["pg_read_server_files", "pg_write_server_files", "pg_execute_server_program"]
ROLE = """SELECT rolname, CASE WHEN rolsuper THEN 'a superuser' WHEN rolreplication THEN 'a role for replication'
    ELSE (SELECT 'a member of ' || min(mighty) FROM unnest(%s::text[]) AS mighty
        WHERE pg_has_role(pg_roles.oid, mighty, 'MEMBER')) END AS might
FROM pg_roles WHERE rolname IN (session_user, current_user) ORDER BY might LIMIT 1"""


class QueryCheck:
    """The look at one query.

    Args:
        database: of the target.
        driver: a connection in a transaction that is rolled back later.
        access: what is allowed.
    """

    def __init__(self, database: Database, driver: Any, access: DataAccess) -> None:
        self._database, self._driver, self._access = database, driver, access

    def check(self, query: str) -> None:
        """Do nothing where all that a query names is allowed.

        Raises:
            JobRefused: it names what is not, or is no query.
        """
        tree, view = self._tree(query)
        self._check_relations(_numbers(RELATION, tree) - {view})
        if self._access.by_key:
            self._check_functions(_numbers(FUNCTION, tree), _numbers(OPERATOR, tree))

    def _tree(self, query: str) -> tuple[str, int]:
        try:
            # prepared, so that the server takes one statement only; first alone: one that closes our parentheses
            # and opens others would mean something else where it runs, such as a call by source.name
            self._driver.execute(f"PREPARE {VIEW} AS {query}", prepare=True)
            self._driver.execute(
                f"CREATE TEMPORARY VIEW {VIEW} AS SELECT 1 AS one FROM {nested(query)} AS source", prepare=True
            )
        except psycopg.errors.QueryCanceled:
            raise
        except psycopg.errors.InsufficientPrivilege as error:
            needs = "its role needs TEMPORARY on the database, for a look at the query, and USAGE on the schemas"
            raise JobRefused(f"the query is refused: {_said(error)}; {needs}") from error
        except psycopg.Error as error:
            raise JobRefused(f"the query is refused: {_said(error)}") from error
        tree, view = self._driver.execute(TREE).fetchone()
        return tree, view

    def _check_relations(self, numbers: set[int]) -> None:
        (default,) = self._driver.execute(DEFAULT_SCHEMA).fetchone()
        for schema, table in self._driver.execute(RELATIONS, [list(numbers)]).fetchall():
            refused = self._access.refusal(self._database, schema, table, default)
            if refused:
                raise JobRefused(refused)

    def _check_functions(self, functions: set[int], operators: set[int]) -> None:
        given = {"functions": list(functions), "operators": list(operators), "harmless": HARMLESS}
        doing = [name for (name,) in self._driver.execute(DOING, given).fetchall()]
        if doing:
            raise JobRefused(
                f"the query calls {', '.join(doing)}, and a query of an API key calls no function that may do more "
                "than compute; leave it out, or declare a function of your own STABLE"
            )


def refuse_role(driver: Any) -> None:
    """Refuse to run the query of an API key as a role that may do more than read and write tables.

    Raises:
        JobRefused: with the role to make.
    """
    role, might = driver.execute(ROLE, [MIGHTY]).fetchone()
    if might is None:
        return
    raise JobRefused(
        f"queries of API keys do not run as {role}, {might}; let BATCH_JOBS_TARGET_URL name a role without such "
        "rights, and best let BATCH_JOBS_QUERY_AS name one that may only read: CREATE ROLE reader; "
        "GRANT SELECT ON orders TO reader; GRANT reader TO the role of BATCH_JOBS_TARGET_URL"
    )


def _numbers(pattern: re.Pattern[str], tree: str) -> set[int]:
    return {int(number) for number in pattern.findall(tree)}


def _said(error: psycopg.Error) -> str:
    return " ".join((error.diag.message_primary or str(error)).split())
