"""The job database: its migrations, and whether it is up to date."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import DBAPIError, OperationalError

from batch_jobs.flows.errors import DatabaseAhead, DatabaseBehind, DatabaseUnreachable
from batch_jobs.strategies.sdk.database import database_of, for_writing

#: The revision this version of the program works with; a test holds it against the migrations. They are numbered, so
#: that a program finds one to be newer which it does not know.
HEAD = "0006"
VERSION_TABLE = "batch_job_alembic_version"
MIGRATIONS = Path(__file__).parent / "migrations"
#: How often something is tried whose connection is lost: those of a pool may all be.
LOST_TRIES = 5

P = ParamSpec("P")
T = TypeVar("T")


def again_when_lost(method: Callable[P, T]) -> Callable[P, T]:
    """Do it again on a new connection where the one it had was lost; for what may be done twice."""

    @wraps(method)
    def steady(*args: P.args, **named: P.kwargs) -> T:
        for _ in range(LOST_TRIES - 1):
            try:
                return method(*args, **named)
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
        return method(*args, **named)

    return steady


def current_revision(engine: Engine) -> str | None:
    """The revision the database is at, ``None`` when it holds no job table yet.

    Raises:
        DatabaseUnreachable: it does not answer.
    """
    try:
        with engine.connect() as connection:
            if not inspect(connection).has_table(VERSION_TABLE):
                return None
            revision: str | None = connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))
            return revision
    except OperationalError as error:
        shown = engine.url.render_as_string(hide_password=True)
        raise DatabaseUnreachable("BATCH_JOBS_DATABASE_URL", shown, str(error.orig).strip().splitlines()[0]) from error


def upgrade(engine: Engine) -> None:
    """Bring the job database to this version; two at once wait for each other.

    Raises:
        DatabaseAhead: a newer version has brought it further.
    """
    found = current_revision(engine)
    if found is not None and found > HEAD:
        raise DatabaseAhead(found, HEAD)
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["version_table"] = VERSION_TABLE
    with for_writing(engine.connect()) as connection, connection.begin():
        database_of(connection).lock(connection, "batch_job_migrations")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def require_current(engine: Engine) -> None:
    """Check that the tables are as this version knows them.

    Raises:
        DatabaseAhead: they are newer.
        DatabaseBehind: they are older.
    """
    with engine.connect() as connection:
        found: str = connection.scalars(text(f"SELECT version_num FROM {VERSION_TABLE}")).one()
    if found != HEAD:
        raise (DatabaseAhead if found > HEAD else DatabaseBehind)(found, HEAD)


def ensure_current(engine: Engine) -> None:
    """Create the tables in a database that has none; an embedded one is also brought up to date.

    Raises:
        DatabaseAhead: a newer version has brought them further.
        DatabaseBehind: a database server's tables are older; migrating them is for their owner to decide.
    """
    found = current_revision(engine)
    if found == HEAD:
        return
    if found is not None and not database_of(engine).is_embedded:
        require_current(engine)
    upgrade(engine)
