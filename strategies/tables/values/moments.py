"""Days, moments and times of a day; a second has at most as many digits as its column keeps."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from batch_jobs.strategies.tables.values.arrays import (
    Converted,
    Kind,
    Parsed,
    any_of,
    digits_or,
    each,
    matching,
    quoted,
    trimmed,
)

MICRO = 6  # digits of a second that Python, Arrow and the databases keep
_DAY = r"\d{4}-\d\d-\d\d"
_CLOCK = r"\d\d:\d\d(:\d\d(\.\d{1,6})?)?"
_FULL = r"\d\d:\d\d:\d\d(\.\d{1,6})?"
_ZONE = r"(Z|[+-]\d\d:\d\d)"
MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,](?P<fraction>\d+))?)?\s*(Z|z|[+-]\d\d(:?\d\d)?)?)?", re.ASCII
)
_TIME = re.compile(r"[^.,]*([.,](?P<fraction>\d+))?.*", re.ASCII)
_FIRST_DAY = date.min.toordinal() - date(1970, 1, 1).toordinal()
_RULES_END = int(datetime(2037, 1, 1, tzinfo=UTC).timestamp()) * 10**MICRO
_FIRST_MOMENT = _FIRST_DAY * 86_400 * 10**MICRO

#: The usual form first: it is matched faster than the one with parts that may be missing.
are_naive = any_of(matching(rf"^{_DAY}[T ]{_FULL}$"), matching(rf"^{_DAY}[T ]{_CLOCK}$"))
are_zoned = any_of(matching(rf"^{_DAY}[T ]{_FULL}{_ZONE}$"), matching(rf"^{_DAY}[T ]{_CLOCK}{_ZONE}$"))
are_days = digits_or(rf"^{_DAY}$")


def day() -> Parsed:
    """Days; a time is refused unless it is midnight, which is how spreadsheets write a day."""

    def parse(cell: str) -> date:
        moment = _moment(cell, "a day such as 2026-01-31", MICRO)
        if moment.time() != time():
            raise ValueError(f"{quoted(cell)} has a time and the column holds days")
        return moment.date()

    def kept(texts: pa.Array, values: pa.Array) -> bool:
        return _begins_after(values.view(pa.int32()), _FIRST_DAY)

    return Parsed(pa.date32(), are_days, parse, kept, takes=pa.date32())


class Moments(Kind):
    """Moments: in a column with a time zone one without is taken for a local one, in one without a zone is refused.

    Args:
        zoned: whether the column has a time zone.
        zone: where local times are local; UTC by default. With one, moments that have a zone are made local for a
            column that has none.
        digits: how many of a second the column keeps.
    """

    def __init__(self, zoned: bool, zone: str | None = None, digits: int | None = None) -> None:
        self._zoned, self._zone = zoned, ZoneInfo(zone) if zone else None
        self._digits = MICRO if digits is None else digits
        self._type = pa.timestamp("us", "UTC") if zoned else pa.timestamp("us")
        self.takes = self._type if self._digits == MICRO else None

    def convert(self, cells: pa.Array) -> Converted:
        """Turn cells of text into values of the column."""
        texts = trimmed(cells)
        try:
            values = self._cast(texts)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            values = None  # no such day, or no such local time: the slow way tells
        if values is not None and _fits(values, self._digits):
            return Converted(values)
        return each(texts, self._type, self._parse)

    def _cast(self, texts: pa.Array) -> pa.Array | None:
        if are_naive(texts):
            naive = texts.cast(pa.timestamp("us"))
            if not self._zoned:
                return naive
            is_known = self._zone is None or _has_known_rules(naive)
            return pc.assume_timezone(naive, str(self._zone or "UTC")).cast(self._type) if is_known else None
        if not (self._zoned or self._zone) or not are_zoned(texts):
            return None
        values = texts.cast(pa.timestamp("us", "UTC"))
        if self._zoned:
            return values
        is_known = _has_known_rules(values)
        return pc.local_timestamp(values.cast(pa.timestamp("us", str(self._zone)))) if is_known else None

    def _parse(self, cell: str) -> datetime:
        value = _moment(cell, "a time such as 2026-01-31 13:45:00", self._digits)
        try:
            if self._zoned:
                return (value if value.tzinfo else located(value, self._zone, cell)).astimezone(UTC)
            if value.tzinfo is None:
                return value
            if self._zone is not None:
                return value.astimezone(self._zone).replace(tzinfo=None, fold=0)
        except OverflowError:
            raise ValueError(f"{quoted(cell)} is before or after all times there are") from None
        raise ValueError(f"{quoted(cell)} has a time zone and the column has none")


def located(value: datetime, zone: ZoneInfo | None, cell: str) -> datetime:
    """A local time with its zone.

    Raises:
        ValueError: there is no such local time in the zone, or there are two.
    """
    if zone is None:
        return value.replace(tzinfo=UTC)
    first, second = (value.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if first.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != value:
        raise ValueError(f"{quoted(cell)} does not exist in {zone}: clocks are put forward there")
    if first.utcoffset() != second.utcoffset():
        raise ValueError(f"{quoted(cell)} is twice in {zone}: clocks are put back there")
    return first


def time_of_day(digits: int | None = None) -> Parsed:
    """Times of a day."""
    kept = MICRO if digits is None else digits

    def parse(cell: str) -> time:
        _refuse_digits(cell, _TIME.fullmatch(cell), kept)
        try:
            value = time.fromisoformat(cell)
        except ValueError:
            raise ValueError(f"{quoted(cell)} is not a time such as 13:45:00") from None
        if value.tzinfo is not None:
            raise ValueError(f"{quoted(cell)} has a time zone and the column has none")
        return value

    plain = matching(r"^\d\d:\d\d:\d\d(\.\d{1,6})?$")
    takes = pa.time64("us") if kept == MICRO else None
    return Parsed(pa.time64("us"), plain, parse, lambda _texts, values: _fits(values, kept), takes)


def clock_text(digits: int | None = None) -> Parsed:
    """Times of a day with a zone, and spans of time, as the database itself reads them."""

    def parse(cell: str) -> str:
        _refuse_digits(cell, _TIME.fullmatch(cell), MICRO if digits is None else digits)
        return cell

    return Parsed(pa.string(), matching(r"^[^.,]*$"), parse)


def _begins_after(values: pa.Array, first: int) -> bool:
    # Arrow has a year 0, which is none
    earliest = pc.min(values).as_py()
    return earliest is None or earliest >= first


def _has_known_rules(values: pa.Array) -> bool:
    """Whether Arrow knows the rules of zones for these moments; in later years it never puts clocks forward."""
    bounds = pc.min_max(values.view(pa.int64())).as_py()
    return bounds["min"] is None or (bounds["min"] >= 0 and bounds["max"] < _RULES_END)


def _fits(values: pa.Array, digits: int) -> bool:
    counts = values.view(pa.int64())
    if pa.types.is_timestamp(values.type) and not _begins_after(counts, _FIRST_MOMENT):
        return False
    if digits >= MICRO:
        return True
    step = 10 ** (MICRO - digits)
    return pc.all(pc.equal(pc.multiply(pc.divide(counts, step), step), counts)).as_py() is not False


def _refuse_digits(cell: str, found: re.Match[str] | None, most: int) -> None:
    if found and len((found["fraction"] or "").rstrip("0")) > most:
        raise ValueError(f"{quoted(cell)} has more than the {most} digits of a second that are kept")


def _moment(cell: str, wanted: str, digits: int) -> datetime:
    found = MOMENT.fullmatch(cell)
    if not found:
        raise ValueError(f"{quoted(cell)} is not {wanted}")
    _refuse_digits(cell, found, digits)
    try:
        return datetime.fromisoformat(re.sub(r"\s+(?=[+-]|Z|z)", "", cell).replace("z", "Z"))
    except ValueError:
        raise ValueError(f"{quoted(cell)} is not {wanted}: there is no such day or time") from None


#: What only PostgreSQL holds: its last years, and the first year before Christ.
LAST_YEARS = {True: 5_874_897, False: 294_276}
FIRST_YEAR_BC = 4713
_BEYOND = re.compile(
    r"(?P<year>\d{4,7})(?P<day>-\d\d-\d\d)([T ](?P<time>\d\d:\d\d(:\d\d(\.\d+)?)?)(?P<zone>Z|[+-]\d\d(:?\d\d)?)?)?"
    r"(?P<bc> BC)?",
    re.ASCII,
)


def beyond_days(cell: str) -> str | None:
    """Gives what PostgreSQL takes for a day though Python has none such: infinity, before Christ, after 9999."""
    return _endless(cell) or _beyond(cell, is_day=True, digits=0)


def beyond_moments(zoned: bool, zone: str | None = None, digits: int | None = None) -> Callable[[str], str | None]:
    """The same of moments; far local times are taken only where they are in UTC."""

    def beyond(cell: str) -> str | None:
        found = _beyond(cell, is_day=False, digits=MICRO if digits is None else digits)
        if found is None:
            return _endless(cell)
        match: Any = _BEYOND.fullmatch(cell)
        if zoned and not match["zone"]:
            return None if zone else f"{match['year']}{match['day']} {match['time'] or '00:00'}+00{match['bc'] or ''}"
        return found if zoned or not match["zone"] else None

    return beyond


def beyond_times(cell: str) -> str | None:
    """Gives the end of a day, which PostgreSQL has as a time."""
    return "24:00:00" if re.fullmatch(r"24:00(:00(\.0+)?)?", cell) else None


def _endless(cell: str) -> str | None:
    word = cell.lower().removeprefix("+")
    return word if word in ("infinity", "-infinity") else None


def _beyond(cell: str, is_day: bool, digits: int) -> str | None:
    found = _BEYOND.fullmatch(cell)
    if not found:
        return None
    year, is_before = int(found["year"]), bool(found["bc"])
    if not (0 < year <= FIRST_YEAR_BC if is_before else 9999 < year <= LAST_YEARS[is_day]):
        return None
    clock = found["time"] or "00:00"
    try:
        # the calendar is the same every 400 years, and before Christ the year 1 comes after the year 0
        date.fromisoformat(f"{(1 - year if is_before else year) % 400 + 2000}{found['day']}")
        at = time.fromisoformat(clock)
        _refuse_digits(cell, _TIME.fullmatch(clock), digits)
    except ValueError:
        return None
    if not is_day:
        return cell
    return f"{found['year']}{found['day']}{found['bc'] or ''}" if at == time() else None
