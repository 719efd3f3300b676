"""Every error that strategies and their engine raise, each saying what is wrong and what to do about it in one line.

    BatchJobError           a user can act on it
      PermanentError        another attempt at the same job would meet it again, so that none is made by itself
        ContextRefused      raised by ``prepare``: no such job is created
        JobRefused          raised by ``pre_process`` or ``process``: the job fails
          InputRefused      because of its file

Rows are refused by ``job.reject``, which raises nothing.
"""

import errno
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from traceback import walk_tb

#: A disk with less than this left is full.
ROOM_BYTES = 1 << 16


class BatchJobError(Exception):
    """An error a user can act on; its text is one line."""


class PermanentError(BatchJobError):
    """What a job was given cannot be used: another attempt at the same input and context would meet it again."""


class ContextRefused(PermanentError, ValueError):
    """The context given for a job is not one its strategy accepts; ``missing`` are the fields it lacks."""

    def __init__(self, message: str, missing: Sequence[str] = ()) -> None:
        self.missing = list(missing)
        super().__init__(message)


class LeaveOutRefused(PermanentError):
    """What a confirmation is to leave out cannot be left out of this job; it waits as before."""


class JobRefused(PermanentError):
    """The strategy refuses to go on: the input or the target cannot be used as asked."""


class InputRefused(JobRefused):
    """The input cannot be read as the table it should be; nothing was written."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}; nothing was written")


class InputChanged(PermanentError):
    """The input file is not the one that was looked at before."""

    def __init__(self, file_key: str) -> None:
        super().__init__(f"the file {file_key} has changed since the preview; create a new job for the new file")


class TooManyRejects(JobRefused):
    """More rows are bad than the job allows."""

    def __init__(self, rejected: int, allowed: int, written: str) -> None:
        are = "is" if rejected == 1 else "are"
        super().__init__(
            f"{count_rows(rejected)} {are} rejected and max_rejects is {allowed}; {written}. The rejects file says why"
        )


class DatabaseUnsupported(JobRefused):
    """Nobody has said how to work with databases of this kind."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        if not known:
            reason = "no database is known: batch_jobs is imported from a source tree that is not installed; run `make`"
        else:
            reason = f"jobs work with databases of {', '.join(known)}; this one is {name}"
        super().__init__(reason)


class FileKeyUnsafe(PermanentError, ValueError):
    """A file key points out of the file store, or to a file that is still being written."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"{key!r} is not a file key; a key is a relative path without '..' and without .part at its end, such as"
            " uploads/products.csv"
        )


class FileLeadsOut(FileKeyUnsafe):
    """A file key leads out of the file store by a symbolic link, which is not followed."""

    def __init__(self, key: str) -> None:
        PermanentError.__init__(
            self,
            f"{key} leads out of the file store, by a symbolic link in it, which is not followed; put the file itself"
            " there, or let BATCH_JOBS_FILES_URL name the folder that is meant",
        )


class FileMissing(PermanentError, FileNotFoundError):
    """The file store has no file of this key."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(f"there is no file {key} in the file store; `batch-jobs files list` shows what there is")


class StorageFull(BatchJobError):
    """What is to be written finds no room.

    Args:
        what: what is full, for anybody.
        where: its place, for the operator.
    """

    def __init__(self, what: str, where: str) -> None:
        self.what = what
        super().__init__(f"{what} ({where}) is full: no space is left on its disk; make room and try again")


class StorageAway(BatchJobError):
    """The file store does not answer, so nobody knows what is in it."""

    def __init__(self, where: str, error: Exception) -> None:
        said = " ".join(str(error).split()) or type(error).__name__
        super().__init__(f"the file store (BATCH_JOBS_FILES_URL, {where}) does not answer: {said}; try again later")


class RejectsMissing(BatchJobError):
    """The file store has fewer rejected rows than were put there."""

    def __init__(self, job_id: str, found: int, counted: int) -> None:
        super().__init__(
            f"the file store shows {found} of {count_rows(counted)} that {job_id} has rejected; retry the job once the"
            " store has them again: it goes on from its checkpoint"
        )


class Superseded(BatchJobError):
    """This attempt's right to write was taken by a later one (a fencing token, after Gray and Cheriton's leases).

    ``token`` is the later one's, where the target said so.
    """

    def __init__(self, job_id: str, token: int | None = None) -> None:
        self.token = token
        super().__init__(
            f"{job_id} is being run by a later attempt; this one stops here and its open chunk was not written"
        )


class TargetOlder(BatchJobError):
    """The target does not know of this attempt any more, which has taken the right to write there."""

    def __init__(self, job_id: str) -> None:
        super().__init__(
            f"the target was restored from an older backup while {job_id} ran; its open chunk was not written."
            f" `batch-jobs retry {job_id}` goes on after the last chunk in the target"
        )


class RowsMoved(BatchJobError):
    """Others wrote rows of a chunk between two of its statements: what would be logged of them is not what was done."""

    def __init__(self, table: str) -> None:
        super().__init__(f"others wrote the same rows of {table} at the same moment")


class ChunkIsIn(BatchJobError):
    """A chunk was tried again that is in: the answer to its commit was lost, not the commit."""

    def __init__(self, job_id: str, number: int) -> None:
        super().__init__(
            f"chunk {number} of {job_id} is in already, only the answer to its commit was lost; nothing was written"
            " again, and what follows goes on from job.checkpoint"
        )


class StopRequested(BaseException):
    """Raised at a chunk edge when the job is to stop there.

    Not an ``Exception``, so that a strategy's ``except Exception`` does not swallow it.

    Args:
        reason: what happened to the job: ``canceled``, ``paused``, ``interrupted`` or ``superseded``.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class StrategyIncomplete(BatchJobError, TypeError):
    """A strategy class lacks something it must have."""

    def __init__(self, name: str, missing: list[str]) -> None:
        super().__init__(
            f"strategy {name} lacks {', '.join(missing)}; it needs identifier, batch_type, process and build_template"
        )


class StrategyUnknown(BatchJobError):
    """No strategy has the type asked for."""

    def __init__(self, batch_type: str, known: list[str], broken: int) -> None:
        self.batch_type = batch_type
        near = get_close_matches(batch_type, known, 1)
        meant = f"; did you mean {near[0]}?" if near else ""
        hint = f"; {broken} file(s) could not be loaded, see `batch-jobs strategies`" if broken else ""
        super().__init__(
            f"no strategy has the type {batch_type!r}; there are {', '.join(known) or 'none'}{hint}{meant}"
        )


class StrategyFileBroken(BatchJobError):
    """A file that should hold strategies could not be loaded."""

    def __init__(self, origin: Path | str, reason: str, line: int | None = None) -> None:
        self.origin = str(origin)
        super().__init__(f"{origin}{f' line {line}' if line else ''}: {reason}")


class StrategyExited(Exception):
    """A strategy's code asked for the end of the whole process."""

    def __init__(self, raised: BaseException) -> None:
        super().__init__(f"the strategy raised {raised!r}, which ends a program; an error is what fails a job")


@contextmanager
def exits_as_errors() -> Iterator[None]:
    """Let nothing out of the block that ends the process, other than Ctrl-C.

    Raises:
        StrategyExited: in place of ``SystemExit`` and its like, with where it was raised.
    """
    try:
        yield
    except (Exception, KeyboardInterrupt, StopRequested):
        raise
    except BaseException as error:
        raise StrategyExited(error).with_traceback(error.__traceback__) from None


def exit_code(ending: SystemExit) -> int:
    """The code of a process that ends by this, as Python itself has it: 1 for a text."""
    return ending.code if isinstance(ending.code, int) else int(ending.code is not None)


def has_no_room(error: BaseException) -> bool:
    """Whether the operating system refused to write for want of space, or of what a quota or a limit leaves."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def has_room(place: Path) -> bool:
    """Whether the disk of a file or folder has room for more than an error's text."""
    return shutil.disk_usage(place).free >= ROOM_BYTES


def line_in(file: Path, error: BaseException) -> int | None:
    """The line of this file that was being run when the error came up, ``None`` when the file had no part in it."""
    own = file.resolve()
    lines = [line for frame, line in walk_tb(error.__traceback__) if Path(frame.f_code.co_filename).resolve() == own]
    return lines[-1] if lines else None


def count_rows(number: int) -> str:
    """``1 row``, ``2,000 rows``."""
    return f"{number:,} row{'' if number == 1 else 's'}"
