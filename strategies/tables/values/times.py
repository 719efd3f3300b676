"""Kinds of columns that hold days and times, in ISO 8601."""

import re
from datetime import UTC, date, datetime, time

import pyarrow as pa

from batch_jobs.strategies.tables.values.arrays import Parsed, digits_or, matching, quoted

DAY = re.compile(r"\d{4}-\d\d-\d\d")
MOMENT = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d{1,9})?)?\s*(Z|z|[+-]\d\d(:?\d\d)?)?)?")


def day() -> Parsed:
    """Days; a time is refused unless it is midnight, which is how spreadsheets write a day."""

    def parse(cell: str) -> date:
        moment = _moment(cell, "a day such as 2026-01-31")
        if moment.time() != time():
            raise ValueError(f"{quoted(cell)} has a time and the column holds days")
        return moment.date()

    return Parsed(pa.date32(), digits_or(r"^\d{4}-\d\d-\d\d$"), parse)


def moment(zoned: bool) -> Parsed:
    """Moments: in a column with a time zone one without is taken for UTC, in one without a zone is refused."""

    def parse(cell: str) -> datetime:
        value = _moment(cell, "a time such as 2026-01-31 13:45:00")
        if zoned:
            return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        if value.tzinfo is not None:
            raise ValueError(f"{quoted(cell)} has a time zone and the column has none")
        return value

    if zoned:
        return Parsed(
            pa.timestamp("us", "UTC"),
            matching(r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)$"),
            parse,
        )
    return Parsed(pa.timestamp("us"), matching(r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,6})?$"), parse)


def time_of_day() -> Parsed:
    """Times of a day."""

    def parse(cell: str) -> time:
        try:
            value = time.fromisoformat(cell)
        except ValueError:
            raise ValueError(f"{quoted(cell)} is not a time such as 13:45:00") from None
        if value.tzinfo is not None:
            raise ValueError(f"{quoted(cell)} has a time zone and the column has none")
        return value

    return Parsed(pa.time64("us"), matching(r"^\d\d:\d\d:\d\d(\.\d{1,6})?$"), parse)


def _moment(cell: str, wanted: str) -> datetime:
    if not MOMENT.fullmatch(cell):
        raise ValueError(f"{quoted(cell)} is not {wanted}")
    try:
        return datetime.fromisoformat(re.sub(r"\s+(?=[+-]|Z|z)", "", cell).replace("z", "Z"))
    except ValueError:
        raise ValueError(f"{quoted(cell)} is not {wanted}: there is no such day or time") from None
