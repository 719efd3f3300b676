"""Times as SQLite's users keep them, as text in several forms or as numbers, and which of them are the same.

SQLite has no type for times. An application's column holds what the application writes: ``CURRENT_TIMESTAMP`` has no
fractions, JavaScript has ``T`` and ``Z``, some keep seconds, milliseconds or Julian days.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta

EPOCH = datetime(1970, 1, 1)
#: The Julian day of the epoch.
EPOCH_DAY = 2440587.5
#: Numbers of a column beyond this are milliseconds: as seconds, the year 5138.
MOST_SECONDS = 100_000_000_000
#: Real numbers between these are Julian days: the years 1 to 9999.
JULIAN = (1721425.5, 5373484.5)

Cell = str | int | float | bytes | None


def as_text(number: int | float, milliseconds: bool) -> str | None:
    """The time that a number stands for, as ISO 8601 has it; ``None`` beyond the calendar."""
    moment = _of_number(number, milliseconds)
    return None if moment is None else moment.isoformat(" ")


def is_julian(number: int | float) -> bool:
    """Whether a number is a Julian day; whole ones are taken for seconds."""
    return isinstance(number, float) and JULIAN[0] <= number < JULIAN[1]


def are_milliseconds(numbers: Iterable[int | float]) -> bool:
    """Whether numbers of one column are milliseconds rather than seconds, judged by the largest."""
    return any(abs(number) > MOST_SECONDS for number in numbers)


def without_zone(text: str) -> str:
    """A time with a zone as SQLite's own functions read it: that of UTC, without a zone."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return text if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ")


def same_time(left: Cell, right: Cell) -> bool:
    """Whether two cells are the same time."""
    return left == right or not _meanings(left).isdisjoint(_meanings(right))


def _meanings(cell: Cell) -> set[datetime | time]:
    if isinstance(cell, str):
        return _of_text(cell)
    if isinstance(cell, (int, float)):
        return {moment for unit in (False, True) if (moment := _of_number(cell, unit)) is not None}
    return set()


def _of_text(text: str) -> set[datetime | time]:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        pass
    else:
        return {moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)}
    try:
        return {time.fromisoformat(text)}
    except ValueError:
        return set()


def _of_number(number: int | float, milliseconds: bool) -> datetime | None:
    try:
        if is_julian(number):
            return EPOCH + timedelta(milliseconds=round((number - EPOCH_DAY) * 86_400_000))
        return EPOCH + (timedelta(milliseconds=number) if milliseconds else timedelta(seconds=number))
    except (OverflowError, ValueError):
        return None
