"""A strategy may fork; what comes back from a fork is not the job's process, and neither writes nor reports for it.

A child of ``multiprocessing`` ends by itself where its function does. One of ``os.fork`` that nobody ends would go on
as if it were the job: it is ended where it comes back from the strategy's code, before it commits a chunk twice. The
connections of the process are nobody's in its forks (SQLAlchemy, "Using Connection Pools with Multiprocessing").
"""

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn
from weakref import WeakSet

from sqlalchemy import Connection, Engine, Pool, QueuePool, event

from batch_jobs.strategies.sdk.errors import BatchJobError, exit_code

#: The exit code of a fork that is ended.
ENDED = 1
#: Under which a connection's record has the process that opened it, once that has forks.
OPENED_BY = "opened_by"
END_IT = "End a fork by os._exit where its work is done, or use multiprocessing"

_engines: WeakSet[Engine] = WeakSet()
#: Never let go of: a connection that is collected is closed, beneath the process that works with it.
_inherited: list[Pool] = []
_generation = 0


class ForkOfJob(BatchJobError):
    """A fork of the process that runs a job did what only that one may do."""

    @classmethod
    def here(cls, what: str) -> "ForkOfJob":
        """The error of this process; of one text, as pools of processes hand errors on by pickle."""
        return cls(f"process {os.getpid()} is a fork of the process that runs the job and {what}. {END_IT}")


def this_process() -> tuple[int, int]:
    """What no other process is: its id, which is used again, and how many forks it is away from the first one."""
    return os.getpid(), _generation


def refuse_fork(process: tuple[int, int], what: str) -> None:
    """Let only the process do something in which a job's handle was made.

    Raises:
        ForkOfJob: this one is a fork of it.
    """
    if process != this_process():
        raise ForkOfJob.here(f"may not {what}; nothing was written")


@contextmanager
def ending_forks() -> Iterator[None]:
    """Let nothing out of the block, which is a strategy's code, but the process that went in."""
    process = this_process()
    try:
        yield
    except BaseException as error:
        if process != this_process():
            _end(error)
        raise
    if process != this_process():
        _end(None)


def without_inheritance(engine: Engine) -> Engine:
    """Have every fork of this process open connections of its own, and let none use one that was open before."""
    _engines.add(engine)
    return engine


def _end(error: BaseException | None) -> NoReturn:
    """End this process at once: whatever it would tidy up is another one's."""
    code = ENDED
    if isinstance(error, SystemExit):
        code = exit_code(error)
    else:
        if error is not None and not isinstance(error, ForkOfJob):
            traceback.print_exception(error)
        said = error if isinstance(error, ForkOfJob) else ForkOfJob.here("came back from its work; it is ended")
        print(f"error: {said}", file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def _after_fork() -> None:
    global _generation
    _generation += 1
    for engine in [*_engines]:
        inherited = engine.pool
        _inherited.append(inherited)
        engine.dispose(close=False)
        if isinstance(inherited, QueuePool) and inherited.checkedout():
            _refuse_inherited(engine, inherited)


def _refuse_inherited(engine: Engine, inherited: Pool) -> None:
    """End this process where it would use a connection that was in use when it was forked."""

    def mark(_connection: Any, record: Any) -> None:
        record.info[OPENED_BY] = this_process()

    def check(connection: Connection, *_: Any) -> None:
        if connection.info.get(OPENED_BY) != this_process():
            end()

    def end(*_: Any) -> None:
        _end(ForkOfJob.here("may not use its database connections; it is ended"))

    event.listen(engine.pool, "connect", mark)
    event.listen(inherited, "reset", end)
    for name in ("before_cursor_execute", "commit", "rollback"):
        event.listen(engine, name, check)


os.register_at_fork(after_in_child=_after_fork)
