"""What a query may do: read the tables that are allowed, for so long, and nothing else."""

import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, make_url, text

from batch_jobs.strategies.sdk.checkpoint import CheckpointStore
from batch_jobs.strategies.sdk.data_access import DataAccess, TablePatterns
from batch_jobs.strategies.sdk.database import make_engine
from batch_jobs.strategies.sdk.errors import ContextRefused, JobRefused, StopRequested
from batch_jobs.strategies.sdk.files import FileStore
from batch_jobs.strategies.sdk.job import JobIdentity, JobParts, JobRun
from batch_jobs.strategies.sdk.result import JobResult
from batch_jobs.strategies.sdk.testing import run_strategy
from batch_jobs.strategies.table_export import TableExport, TableExportContext
from batch_jobs.strategies.table_import import TableImport
from batch_jobs.strategies.tables.databases.postgresql.query_check import DOING, HARMLESS
from batch_jobs.strategies.tables.selecting import check_query

GUEST = DataAccess(by_key=True, query_seconds=30)
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) AS c FROM n"
#: Query -> what the refusal says, for an API key on PostgreSQL.
DOING_MORE = {
    "SELECT query_to_xml('SELECT * FROM batch_job_api_key', true, false, '') AS x": "query_to_xml",
    "SELECT table_to_xml('batch_job_api_key', true, false, '') AS x": "table_to_xml",
    "SELECT schema_to_xml('public', true, false, '') AS x": "schema_to_xml",
    "SELECT * FROM ts_stat('SELECT to_tsvector(secret) FROM hidden') AS s": "ts_stat",
    "SELECT ts_rewrite('a'::tsquery, 'SELECT ''a''::tsquery, ''b''::tsquery') AS t": "ts_rewrite",
    "SELECT pg_read_file('/etc/passwd') AS f": "pg_read_file",
    "SELECT lo_create(0) AS made": "lo_create",
    "SELECT lo_from_bytea(0, 'x') AS made": "lo_from_bytea",
    "SELECT set_config('statement_timeout', '0', false) AS s": "set_config",
    "SELECT code FROM goods WHERE set_config('role', 'none', false) = 'x'": "set_config",
    "SELECT pg_advisory_lock(1) AS l": "pg_advisory_lock",
    "SELECT pg_sleep(1) AS s": "pg_sleep",
    "SELECT pg_terminate_backend(1) AS t": "pg_terminate_backend",
    "SELECT pg_notify('a', 'b') AS n": "pg_notify",
    "SELECT query FROM pg_stat_get_activity(NULL) AS a": "pg_stat_get_activity",
    "SELECT nextval('counted') AS n": "nextval",
    'SELECT U&"p\\0067_sleep"(1) AS s': "pg_sleep",
    "SELECT (SELECT max(n) FROM (SELECT lo_get(1) AS n) AS a) AS m": "lo_get",
    "SELECT deeply_volatile() AS v": "deeply_volatile",
    "WITH gone AS (DELETE FROM goods RETURNING *) SELECT * FROM gone": "WITH",
    "SELECT * FROM goods FOR UPDATE": "read-only",
    "SELECT 1 AS one; SELECT 2 AS two": "the query is refused",
    "SELECT 1 AS pg_advisory_lock) AS a, ROWS FROM (generate_series(1, 1)": "the query is refused",
    "SELECT 1 AS ts_stat) AS a, ROWS FROM (unnest(ARRAY['SELECT to_tsvector(secret) FROM hidden'])": "the query is",
    "SELECT 1 AS one) AS a; DROP TABLE goods; SELECT * FROM (SELECT 1 AS one": "the query is refused",
}
#: Names of functions that do more than compute, as PostgreSQL's manual has them.
SUCH = (
    "_to_xml|^ts_stat$|^lo_|^pg_(read_|ls_.*dir|stat_file|sleep|terminate|cancel|notify|.*advisory|reload|switch|drop|create)"
    "|^(set_config|nextval|setval|currtid2|pg_logical_emit_message|pg_stat_get_activity)$"
)
SECRET_OF = {
    "sqlite": [
        "SELECT * FROM batch_job_api_key",
        'SELECT hash FROM "BATCH_JOB_API_KEY"',
        "SELECT count(*) AS c FROM main.batch_job_api_key",
        "WITH batch AS (SELECT hash FROM batch_job_api_key) SELECT * FROM batch",
        "SELECT (SELECT max(hash) FROM [batch_job_api_key]) AS h",
        "SELECT * FROM seen_keys",
    ],
    "postgresql": [
        "SELECT * FROM batch_job_api_key",
        'SELECT hash FROM "public"."batch_job_api_key"',
        'SELECT hash FROM U&"b\\0061tch_job_api_key"',
        "SELECT hash FROM U&\"b!0061tch_job_api_key\" UESCAPE '!'",
        "WITH batch AS (SELECT hash FROM batch_job_api_key) SELECT * FROM batch",
        "SELECT (SELECT max(hash) FROM public.batch_job_api_key) AS h",
        "TABLE batch_job_api_key",
        "SELECT * FROM (TABLE batch_job_api_key) AS t",
    ],
}
SYSTEM_OF = {
    "sqlite": [
        "SELECT * FROM sqlite_master",
        "SELECT * FROM sqlite_schema",
        "SELECT * FROM sqlite_temp_schema",
        "SELECT * FROM sqlite_sequence",
        "SELECT * FROM pragma_table_info('goods')",
        "SELECT * FROM dbstat",
    ],
    "postgresql": [
        "SELECT * FROM pg_class",
        "SELECT * FROM pg_catalog.pg_roles",
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM pg_stat_activity",
    ],
}


@pytest.fixture
def role(pg_server: Any) -> Iterator[str]:
    """A role of PostgreSQL that is no superuser."""
    name = f"jobs_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(pg_server.get_uri(), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN")
    yield name
    with psycopg.connect(pg_server.get_uri(), autocommit=True) as connection:
        connection.execute(f"DROP ROLE {name}")


@pytest.fixture
def jobs_role(role: str, target: Engine) -> Iterator[str]:
    """The role while it may use the target."""
    with target.begin() as connection:
        connection.execute(text(f"GRANT ALL ON SCHEMA public TO {role}"))
    yield role
    with target.begin() as connection:
        connection.execute(text(f"DROP OWNED BY {role}"))


@pytest.fixture
def guests(request: pytest.FixtureRequest, target: Engine) -> Iterator[Engine]:
    """The target as jobs of API keys reach it, with goods and the tables of the jobs beside them."""
    url = make_url(target.url)
    if target.dialect.name == "postgresql":
        url = url.set(username=request.getfixturevalue("jobs_role"))
    engine = make_engine(url.render_as_string(hide_password=False))
    with engine.begin() as connection:
        for statement in (
            "CREATE TABLE goods (code VARCHAR(20) PRIMARY KEY, stock INTEGER)",
            "INSERT INTO goods VALUES ('A', 1), ('B', 2)",
            "CREATE TABLE hidden (secret TEXT)",
            "INSERT INTO hidden VALUES ('hush')",
            "CREATE TABLE batch_job_api_key (hash TEXT)",
            "INSERT INTO batch_job_api_key VALUES ('c0ffee')",
            "CREATE VIEW seen AS SELECT stock FROM goods",
        ):
            connection.execute(text(statement))
    yield engine
    engine.dispose()


@pytest.fixture
def export(guests: Engine, tmp_path: Any) -> Callable[..., str]:
    store = FileStore(str(tmp_path / "files"))

    def run(access: DataAccess = GUEST, **context: Any) -> str:
        result = run_strategy(TableExport(), context, target=guests, files=store, access=access)
        assert result.file_key
        with store.open(result.file_key) as stream:
            return stream.read().decode()

    return run


def only(*patterns: str, by_key: bool = True) -> DataAccess:
    return replace(GUEST, tables=(TablePatterns(patterns, "BATCH_JOBS_TABLES allows"),), by_key=by_key)


def run_sql(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement))


@pytest.mark.parametrize("by_key", [True, False])
def test_the_tables_of_the_jobs_are_read_by_no_query_however_they_are_written(guests, export, by_key):
    if guests.dialect.name == "sqlite":
        run_sql(guests, "CREATE VIEW seen_keys AS SELECT * FROM batch_job_api_key")
    for query in SECRET_OF[guests.dialect.name]:
        with pytest.raises((JobRefused, ContextRefused), match=r"is a table of the jobs themselves|must be one SELECT"):
            export(replace(GUEST, by_key=by_key), query=query)


def test_the_tables_of_the_database_itself_are_read_by_no_query(guests, export):
    if guests.dialect.name == "sqlite":
        run_sql(guests, "CREATE TABLE counted (id INTEGER PRIMARY KEY AUTOINCREMENT)")
    for query in SYSTEM_OF[guests.dialect.name]:
        with pytest.raises(JobRefused, match=r"is a table of the database itself|does something else"):
            export(query=query)


def test_a_text_or_a_column_that_is_called_like_a_table_of_the_jobs_is_none(export):
    assert export(query="SELECT 'batch_job_api_key' AS batch_job, stock FROM goods WHERE code = 'A'") == (
        "batch_job,stock\nbatch_job_api_key,1\n"
    )


def test_what_a_query_commonly_calls_it_may(guests, export):
    query = "SELECT upper(code) AS u, coalesce(stock, 0) + abs(-1) AS n, sum(stock) OVER () AS s FROM goods ORDER BY 1"
    assert export(query=query) == "u,n,s\nA,2,3\nB,3,3\n"
    if guests.dialect.name == "sqlite":
        assert export(query="SELECT value FROM json_each('[1, 2]')") == "value\n1\n2\n"
        return
    run_sql(guests, "CREATE FUNCTION twice(n integer) RETURNS integer LANGUAGE sql STABLE AS 'SELECT n * 2'")
    query = "SELECT twice(n) AS n, now() IS NULL AS never, random() < 2 AS sure FROM generate_series(1, 2) AS n"
    assert export(query=query) == "n,never,sure\n2,false,true\n4,false,true\n"


def test_a_query_may_have_columns_of_types_that_have_no_collation(guests, export):
    if guests.dialect.name == "sqlite":
        pytest.skip("SQLite has no such types")
    query = """SELECT '0e37df36-f698-11e6-8dd4-cb9ced3df976'::uuid AS u, interval '1 day' AS d,
        goods AS g, '=1'::varchar AS v, '=1'::name AS n FROM goods WHERE code = 'A'"""
    assert export(query=query).splitlines()[1] == ("0e37df36-f698-11e6-8dd4-cb9ced3df976,1 day,\"(A,1)\",'=1,'=1")


@pytest.mark.parametrize("query", DOING_MORE)
def test_a_query_of_an_api_key_does_nothing_but_read(guests, export, query):
    if guests.dialect.name == "sqlite":
        pytest.skip("these are of PostgreSQL")
    run_sql(guests, "CREATE SEQUENCE counted")
    run_sql(guests, "CREATE FUNCTION deeply_volatile() RETURNS integer LANGUAGE sql AS 'SELECT 1'")

    with pytest.raises(JobRefused, match=DOING_MORE[query]):
        export(query=query)

    with guests.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM goods")) == 2


@pytest.mark.parametrize(
    "query",
    [
        "SELECT load_extension('x') AS x",
        "WITH a AS (SELECT 1) DELETE FROM goods",
        "WITH a AS (SELECT 1) INSERT INTO goods SELECT 'C', 3",
        "SELECT hex(zeroblob(200000000)) AS x",
        "SELECT 1 AS one; DROP TABLE goods",
    ],
)
def test_a_query_of_sqlite_does_nothing_but_read(guests, export, query):
    if guests.dialect.name != "sqlite":
        pytest.skip("these are of SQLite")
    with pytest.raises(JobRefused):
        export(query=query)
    with guests.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM goods")) == 2


def test_every_function_of_the_server_that_runs_sql_or_writes_or_waits_is_refused(target):
    if target.dialect.name == "sqlite":
        pytest.skip("these are of PostgreSQL")
    with target.connect() as connection:
        driver: Any = connection.connection.driver_connection
        everything = [number for (number,) in driver.execute("SELECT oid::int8 FROM pg_proc").fetchall()]
        refused = driver.execute(DOING, {"functions": everything, "operators": [], "harmless": HARMLESS}).fetchall()
        expected = driver.execute("SELECT DISTINCT proname FROM pg_proc WHERE proname ~ %s", [SUCH]).fetchall()
    assert len(expected) > 60
    assert set(expected) <= set(refused)


def test_a_query_leaves_nothing_behind_in_its_session(guests, export):
    if guests.dialect.name == "sqlite":
        pytest.skip("SQLite has no settings of a session that a query could set")
    local = replace(GUEST, by_key=False)

    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        export(local, query="SELECT lo_create(77) AS made")
    export(local, query="SELECT set_config('app.who', 'me', false) AS s, pg_advisory_lock(12) IS NULL AS l")

    with guests.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM pg_largeobject_metadata")) == 0
        assert connection.scalar(text("SELECT current_setting('app.who', true)")) is None
        assert connection.scalar(text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")) == 0
        assert connection.scalar(text("SHOW default_transaction_read_only")) == "off"


def test_a_superuser_runs_no_query_of_an_api_key_and_still_its_own(target, tmp_path):
    if target.dialect.name == "sqlite":
        pytest.skip("SQLite has no roles")

    def run(access: DataAccess) -> JobResult:
        query = {"query": "SELECT 1 AS one"}
        return run_strategy(TableExport(), query, target=target, files=FileStore(str(tmp_path)), access=access)

    with pytest.raises(JobRefused, match=r"do not run as postgres, a superuser; .*CREATE ROLE reader"):
        run(GUEST)
    assert run(replace(GUEST, by_key=False)).file_key


def test_a_member_of_a_mighty_role_runs_no_query_of_an_api_key(target, guests, export):
    if target.dialect.name == "sqlite":
        pytest.skip("SQLite has no roles")
    run_sql(target, f"GRANT pg_read_server_files TO {guests.url.username}")
    with pytest.raises(JobRefused, match="a member of pg_read_server_files"):
        export(query="SELECT 1 AS one")


def test_queries_run_as_the_role_that_is_set(target, guests, export):
    if target.dialect.name == "sqlite":
        pytest.skip("SQLite has no roles")
    reader = f"{guests.url.username}_reader"
    run_sql(target, f"CREATE ROLE {reader}")
    run_sql(target, f"GRANT USAGE ON SCHEMA public TO {reader}")
    run_sql(target, f"GRANT SELECT ON goods TO {reader}")
    access = replace(GUEST, query_role=reader)
    try:
        with pytest.raises(JobRefused, match=f"BATCH_JOBS_QUERY_AS names {reader}"):
            export(access, query="SELECT stock FROM goods")
        run_sql(target, f"GRANT {reader} TO {guests.url.username}")
        assert export(access, query="SELECT stock FROM goods ORDER BY 1") == "stock\n1\n2\n"
        with pytest.raises(JobRefused, match="permission denied for table hidden"):
            export(access, query="SELECT * FROM hidden")
    finally:
        run_sql(target, f"DROP OWNED BY {reader}")
        run_sql(target, f"DROP ROLE {reader}")


@pytest.mark.parametrize("by_key", [True, False])
def test_a_query_reads_the_tables_that_are_allowed_and_no_other(export, by_key):
    access = only("goods", "other*", by_key=by_key)
    assert export(access, query="WITH g AS (SELECT stock FROM goods) SELECT sum(stock) AS s FROM g") == "s\n3\n"
    assert export(access, query="WITH n AS (SELECT 1 AS i) SELECT count(*) AS c FROM n") == "c\n1\n"
    for query in (
        "SELECT * FROM hidden",
        "SELECT count(*) AS c FROM hidden",
        "SELECT stock FROM goods WHERE EXISTS (SELECT 1 FROM hidden)",
        "WITH goods AS (SELECT secret FROM hidden) SELECT * FROM goods",
        "SELECT (SELECT count(*) FROM hidden) AS c FROM goods",
    ):
        with pytest.raises(JobRefused, match=r"BATCH_JOBS_TABLES allows goods, other\*, and not the table hidden"):
            export(access, query=query)


def test_a_query_that_calls_its_own_table_like_one_that_is_not_allowed_is_answered_or_refused_in_words(guests, export):
    query = "WITH hidden AS (SELECT 1 AS a) SELECT * FROM hidden"
    if guests.dialect.name == "postgresql":
        assert export(only("goods"), query=query) == "a\n1\n"
        return
    with pytest.raises(JobRefused, match="and not the table hidden"):
        export(only("goods"), query=query)


def test_a_query_without_a_column_is_refused(guests, export):
    if guests.dialect.name == "sqlite":
        pytest.skip("SQLite knows no such query")
    with pytest.raises(JobRefused, match="the query has no columns, and so nothing to write"):
        export(query="SELECT FROM goods")


def test_an_endless_query_ends_with_its_time_before_its_first_row(export):
    with pytest.raises(JobRefused, match="took longer than the 1 s of BATCH_JOBS_QUERY_TIMEOUT"):
        export(replace(GUEST, query_seconds=1), query=ENDLESS)


#: One call of a function each, or the reading of the statement's text, which SQLite lets nothing interrupt.
LONG_CALLS = [
    "SELECT instr(hex(zeroblob(30000000)), hex(zeroblob(10000000)) || '1') AS n",
    "SELECT length(replace(hex(zeroblob(30000000)), hex(zeroblob(10000000)) || '1', 'x')) AS n",
    "SELECT length(printf('%.*c%.*c%.*c%.*c%.*c', 2e9, 'x', 2e9, 'x', 2e9, 'x', 2e9, 'x', 2e9, 'x')) AS n",
    "WITH a0 AS (SELECT 1 AS x)"
    + "".join(f", a{i} AS (SELECT x FROM a{i - 1} UNION ALL SELECT x FROM a{i - 1})" for i in range(1, 40))
    + " SELECT count(*) AS n FROM a39",
]


@pytest.mark.parametrize("by_key", [True, False])
@pytest.mark.parametrize("query", LONG_CALLS)
def test_one_long_call_of_a_function_ends_with_its_time(guests, export, query, by_key):
    if guests.dialect.name != "sqlite":
        pytest.skip("these are of SQLite")
    with pytest.raises(JobRefused, match="took longer than the 1 s of BATCH_JOBS_QUERY_TIMEOUT"):
        export(replace(GUEST, by_key=by_key, query_seconds=1), query=query)


class Stopping:
    """Reports nothing, and stops the job once it is told to."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self.asked = threading.Event()

    def save(self, result: JobResult, plan: dict[str, Any]) -> None:
        """Nothing."""

    def stop_reason(self) -> str | None:
        self.asked.set()
        return self.reason


@pytest.mark.parametrize("query", [ENDLESS, "a long call"])
@pytest.mark.parametrize("hook", ["pre_process", "process"])
def test_a_cancel_ends_an_endless_query_before_its_first_row(guests, tmp_path, hook, query):
    if query != ENDLESS:
        query = LONG_CALLS[0] if guests.dialect.name == "sqlite" else ENDLESS
    report = Stopping()
    parts = JobParts(guests, FileStore(str(tmp_path)), CheckpointStore(guests, "batch_1", 1), report, access=GUEST)
    context = TableExportContext.model_validate({"query": query})
    job = JobRun(JobIdentity("batch_1", "table-export", context), parts)

    def cancel() -> None:
        report.asked.wait(60)
        report.reason = "canceled"

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(StopRequested, match="canceled"):
        getattr(TableExport(), hook)(job)
    thread.join()


def test_a_query_that_is_all_comments_is_looked_at_once_and_not_once_for_each(export):
    for query in ("SELECT 1 AS one " + "/* " * 300_000, "/* " * 300_000, "--" * 300_000, "(" * 300_000):
        if query.startswith("SELECT"):
            check_query(query)
        else:
            with pytest.raises(ContextRefused, match="must be one SELECT"):
                check_query(query)


@pytest.mark.parametrize("table", ["hidden", "HIDDEN", "main.hidden", "public.hidden", "made_up"])
def test_an_import_and_an_export_name_the_tables_that_are_allowed_and_no_other(guests, export, tmp_path, table):
    of_the_database = "sqlite_*" if guests.dialect.name == "sqlite" else "pg_catalog.*"
    access = only("goods", "batch_job*", of_the_database)
    store = FileStore(str(tmp_path / "files"))
    with store.writing("uploads/a.csv") as stream:
        stream.write(b"code,stock\nC,3\n")

    def load(name: str) -> JobResult:
        context = {"file_key": "uploads/a.csv", "table": name}
        return run_strategy(TableImport(), context, target=guests, files=store, access=access)

    assert export(access, table="goods", columns=["code"]) == "code\nA\nB\n"
    assert load("goods").created == 1
    for refused in (table, "batch_job_api_key", "sqlite_sequence", "pg_catalog.pg_class"):
        with pytest.raises(JobRefused, match=r"and not the table|is a table of|there is no (table|schema)"):
            load(refused)
        with pytest.raises(JobRefused, match=r"and not the table|is a table of|there is no table"):
            export(access, table=refused)
    with guests.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM hidden")) == 1
