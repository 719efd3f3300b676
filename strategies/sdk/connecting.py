"""Waiting for a database that refuses a connection for now or is away, where whoever needs it can wait."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from sqlalchemy import Dialect, Engine, event

from batch_jobs.strategies.sdk.database import Database, database_of
from batch_jobs.strategies.sdk.transient import NEVER_REACHED, pauses

logger = logging.getLogger("batch_jobs")

#: How long anybody waits for one of the server's connections to be free.
FREE_SECONDS = 15.0
#: How long a run waits for a database that is away or has no connection free.
RUN_SECONDS = 600.0
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 3.0

#: How long this thread waits for a database that is away; less than nothing: for no connection at all.
_away_seconds: ContextVar[float] = ContextVar("away_seconds", default=0.0)


def wait_for_connections(
    engine: Engine, away_seconds: float = 0.0, stop_if_asked: Callable[[], None] = lambda: None
) -> Engine:
    """Let whoever needs a connection of an engine wait for it while it is refused for a reason that passes.

    A database that was never reached may be one that is not there at all, and so is waited for a short while only.

    Args:
        engine: the database.
        away_seconds: how long whoever uses it waits for a database that is away; without it a run waits as long as runs
            do, and others do not.
        stop_if_asked: called between two tries; raises when the waiting is to end.

    Returns:
        The engine.
    """
    database, where = database_of(engine), engine.url.render_as_string(hide_password=True)
    was_reached = False

    def connect(dialect: Dialect, _record: Any, arguments: Any, parameters: Any) -> Any:
        nonlocal was_reached
        started, is_noted, left = time.monotonic(), False, pauses(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            try:
                connection = dialect.connect(*arguments, **parameters)
                was_reached = True
                return connection
            except dialect.loaded_dbapi.Error as error:
                of_engine = away_seconds if was_reached else min(away_seconds, FREE_SECONDS)
                if time.monotonic() - started >= _seconds_for(database, error, of_engine):
                    if away_seconds and not was_reached:
                        error.add_note(NEVER_REACHED)
                    raise
                if not is_noted:
                    logger.warning("%s is waited for: %s", where, " ".join(str(error).split()))
                is_noted = True
            stop_if_asked()
            time.sleep(next(left))

    event.listen(engine, "do_connect", connect)
    return engine


def _seconds_for(database: Database, error: BaseException, away_seconds: float) -> float:
    here = _away_seconds.get()
    if here < 0:
        return 0
    longest = away_seconds or here
    if database.has_no_connection_free(error):
        return max(FREE_SECONDS, longest)
    return 0 if database.will_never_connect(error) else longest


def seconds_to_wait() -> float:
    """How long this thread waits for a database that is away: 0 for not at all."""
    return max(_away_seconds.get(), 0.0)


@contextmanager
def waiting_as_runs_do() -> Iterator[None]:
    """Have connections that this thread needs inside the block waited for, however they are refused."""
    yield from _with(RUN_SECONDS)


@contextmanager
def without_waiting() -> Iterator[None]:
    """Have connections that this thread needs inside the block refused at once, as they are."""
    yield from _with(-1.0)


def _with(seconds: float) -> Iterator[None]:
    token = _away_seconds.set(seconds)
    try:
        yield
    finally:
        _away_seconds.reset(token)
