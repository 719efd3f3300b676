"""Where in a strategy's own file an error came from."""

from pathlib import Path
from traceback import walk_tb


def line_in(file: Path, error: BaseException) -> int | None:
    """The line of this file that was being run when the error came up, ``None`` when the file had no part in it."""
    own = file.resolve()
    lines = [line for frame, line in walk_tb(error.__traceback__) if Path(frame.f_code.co_filename).resolve() == own]
    return lines[-1] if lines else None
