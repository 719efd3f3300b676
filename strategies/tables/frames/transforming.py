"""Calling the part of a strategy that is written in pandas, and what is said when it fails."""

import inspect
from collections.abc import Callable
from pathlib import Path
from traceback import walk_tb
from typing import TYPE_CHECKING

import pandas as pd

from batch_jobs.strategies.sdk.base import BatchJobStrategy
from batch_jobs.strategies.sdk.errors import BatchJobError, JobRefused
from batch_jobs.strategies.sdk.transient import is_transient
from batch_jobs.strategies.tables.databases.naming import shown

if TYPE_CHECKING:
    from batch_jobs.strategies.sdk.job import JobRun
    from batch_jobs.strategies.tables.frames.rows import FrameRows

Transform = Callable[[pd.DataFrame, "JobRun"], pd.DataFrame]


class TransformFailed(BatchJobError):
    """The strategy's own code failed; says on which line of it, and which part of the input it was given."""


def transformed(
    strategy: BatchJobStrategy,
    transform: Transform,
    frame: pd.DataFrame,
    rows: "FrameRows",
    job: "JobRun",
    of: str = "the input",
) -> pd.DataFrame:
    """What a strategy makes of rows of its input.

    Args:
        strategy: whose code it is.
        transform: its method.
        frame: some rows of the input; the method may change it.
        rows: takes what is refused of them.
        job: is given to the method.
        of: where the lines of the rows are.

    Raises:
        TransformFailed: it raised.
        JobRefused: it gave no frame.
    """
    with job.refusing_in(rows):
        return made_frame(strategy, transform, frame, _place(rows, of), job)


def made_frame(
    strategy: BatchJobStrategy, transform: Transform, frame: pd.DataFrame, place: str, job: "JobRun"
) -> pd.DataFrame:
    """What a strategy makes of a frame.

    Args:
        strategy: whose code it is.
        transform: its method.
        frame: the method may change it.
        place: which rows they are, for an error.
        job: is given to the method.

    Raises:
        TransformFailed: it raised.
        JobRefused: it gave no frame.
    """
    given = [f"{column} {str(dtype).removesuffix('[pyarrow]')}" for column, dtype in frame.dtypes.items()]
    name = f"{type(strategy).__name__}.{transform.__name__}"
    try:
        made = transform(frame, job)
    except BatchJobError:
        raise
    except Exception as error:
        if is_transient(error):
            raise
        said = " ".join(str(error).split())
        where = _where(strategy, error)
        raise TransformFailed(
            f"{name} failed{where}: {type(error).__name__}{f': {said}' if said else ''}; "
            f"it was given {place}, with the columns {shown(given)}"
        ) from error
    if not isinstance(made, pd.DataFrame):
        raise JobRefused(f"{name} gave back {type(made).__name__} and no DataFrame; end it with `return frame`")
    return made


def _place(rows: "FrameRows", of: str) -> str:
    if not len(rows.lines):
        return "no rows"
    return f"lines {int(rows.lines[0])} to {int(rows.lines[-1])} of {of}"


def _where(strategy: BatchJobStrategy, error: Exception) -> str:
    """The innermost line of the author's own file that the error passed through."""
    file = inspect.getsourcefile(type(strategy))
    lines = [line for frame, line in walk_tb(error.__traceback__) if frame.f_code.co_filename == file]
    return f" on line {lines[-1]} of {Path(file).name}" if file and lines else ""
