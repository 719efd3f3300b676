"""Errors as one line on stderr and an exit code: 2 for what cannot be done as asked, 1 for what did not succeed."""

import tempfile
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from batch_jobs.deployments.cli import output
from batch_jobs.deployments.errors import AddressTaken, NoPrefectNamed, PrefectDidNotStart, PrefectUnreachable, RunBroke
from batch_jobs.flows.errors import DatabaseUnreachable, JobActive, NotLaunched, PrefectAway, RevisionDiffers
from batch_jobs.flows.jobs.context import describe_wrong_values
from batch_jobs.flows.settings import current_settings
from batch_jobs.strategies.sdk.database import driver_says, is_full
from batch_jobs.strategies.sdk.errors import BatchJobError, ContextRefused, has_no_room, has_room

FAILED = 1
USAGE_ERROR = 2

#: Asked rightly, but a database, Prefect or another job is not ready for it.
_NOT_READY = (
    AddressTaken, DatabaseUnreachable, JobActive, NoPrefectNamed, NotLaunched,
    PrefectAway, PrefectDidNotStart, PrefectUnreachable, RevisionDiffers, RunBroke,
)  # fmt: skip


def report(error: BaseException) -> int:
    """Print an error and return the exit code for it."""
    if output.is_debugging():
        traceback.print_exception(error)
    message, code = _message_and_code(error)
    output.error(message)
    return code


def _message_and_code(error: BaseException) -> tuple[str, int]:
    usage = getattr(error, "format_message", None)  # Typer's usage errors; it carries a copy of Click's classes
    if usage is not None:
        return _usage_message(error, str(usage())), USAGE_ERROR
    if isinstance(error, ContextRefused) and error.missing:
        give = " ".join(f"-c {name}=..." for name in error.missing)
        return f"{error}; give {'it' if len(error.missing) == 1 else 'them'} with {give}", USAGE_ERROR
    if isinstance(error, BatchJobError):
        return str(error), FAILED if isinstance(error, _NOT_READY) else USAGE_ERROR
    if isinstance(error, ValidationError) and error.title == "Settings":
        return _settings_message(error), USAGE_ERROR
    if isinstance(error, OSError):
        return _os_message(error), FAILED
    if is_full(error):
        return f"the database is full (BATCH_JOBS_DATABASE_URL): {getattr(error, 'orig', None) or error}", FAILED
    if isinstance(error, SQLAlchemyError):
        return f"the database refused: {driver_says(error)}", FAILED
    return f"{type(error).__name__}: {error}; BATCH_JOBS_DEBUG=1 shows where", FAILED


def _usage_message(error: BaseException, message: str) -> str:
    context = getattr(error, "ctx", None)
    command = getattr(context, "command_path", "batch-jobs")
    return f"{message.replace('Value error, ', '').rstrip('.')}; see `{command} --help`"


def _settings_message(error: ValidationError) -> str:
    return describe_wrong_values(error, lambda place: f"BATCH_JOBS_{'_'.join(map(str, place)).upper()}")


def _os_message(error: OSError) -> str:
    reason = error.strerror or str(error) or type(error).__name__
    if has_no_room(error):
        full = ", ".join(_full_places())
        reason = f"{reason}; full is the disk of {full}" if full else reason
    return f"{error.filename}: {reason}" if error.filename else reason


def _full_places() -> Iterator[str]:
    """The places that this program writes to and that have no room left."""
    settings = current_settings()
    for name, place in (("BATCH_JOBS_HOME", settings.home), ("temporary files", Path(tempfile.gettempdir()))):
        with suppress(OSError):
            if not has_room(place):
                yield f"{name} ({place})"
