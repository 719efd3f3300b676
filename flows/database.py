"""The job database: its migrations, and whether it is up to date."""

import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import DBAPIError, OperationalError

from batch_jobs.flows.errors import DatabaseAhead, DatabaseBehind, DatabaseUnreachable
from batch_jobs.strategies.sdk.connecting import seconds_to_wait
from batch_jobs.strategies.sdk.database import database_of, for_writing
from batch_jobs.strategies.sdk.transient import is_transient, pauses

#: The revision this version of the program works with; a test holds it against the migrations. They are numbered, so
#: that a program finds one to be newer which it does not know.
HEAD = "0010"
VERSION_TABLE = "batch_job_alembic_version"
MIGRATIONS = Path(__file__).parent / "migrations"
#: How often something is tried whose connection is lost: those of a pool may all be.
LOST_TRIES = 5
#: How long one waits at most, first and later, before it is tried again what passes by itself.
FIRST_PAUSE, LONGEST_PAUSE = 0.4, 1.0

P = ParamSpec("P")
T = TypeVar("T")


class Tries:
    """Decides after each failure of a statement on the job table whether it is to be tried again.

    On a new connection it is at once, where the one it had was lost. A run also waits for what passes by itself, such
    as a file that somebody else has locked or a serialization failure, as long as it waits for a database that is away.
    """

    def __init__(self) -> None:
        self._losses = 0
        self._started = time.monotonic()
        self._pauses = pauses(FIRST_PAUSE, LONGEST_PAUSE)

    def go_on(self, error: DBAPIError) -> bool:
        """Whether to try again now; this waits before it says so, where waiting helps.

        Args:
            error: of the last try.
        """
        if error.connection_invalidated:
            self._losses += 1
            return self._losses < LOST_TRIES
        if not is_transient(error) or time.monotonic() - self._started >= seconds_to_wait():
            return False
        time.sleep(next(self._pauses))
        return True


def again_when_lost(method: Callable[P, T]) -> Callable[P, T]:
    """Do it again as ``Tries`` has it; for what may be done twice."""

    @wraps(method)
    def steady(*args: P.args, **named: P.kwargs) -> T:
        tries = Tries()
        while True:
            try:
                return method(*args, **named)
            except DBAPIError as error:
                if not tries.go_on(error):
                    raise

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
