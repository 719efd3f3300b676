"""How numbers are shown as days and times, and what those are as text."""

import math
import re
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc


class Shown(IntEnum):
    """What the format of a cell makes of a number."""

    NUMBER = 0
    DAY = 1
    MOMENT = 2
    CLOCK = 3
    ELAPSED = 4


_DAYS = (*range(14, 18), *range(27, 32), 34, 35, 36, *range(50, 59))
BUILT_IN: dict[str, Shown] = {
    **{str(number): Shown.DAY for number in _DAYS},
    **{str(number): Shown.CLOCK for number in (18, 19, 20, 21, 32, 33, 45, 47)},
    "22": Shown.MOMENT,
    "46": Shown.ELAPSED,
}

_LITERAL = re.compile(r'"[^"]*"|\\.|_.|\*.')
_ELAPSED = re.compile(r"\[(h+|m+|s+)\]", re.IGNORECASE)
_BRACKETS = re.compile(r"\[[^\]]*\]")


def shown_by(code: str) -> Shown:
    """What a format's code makes of a positive number."""
    plain = _LITERAL.sub("", code).split(";")[0].lower()
    if _ELAPSED.search(plain):
        return Shown.ELAPSED
    plain = _BRACKETS.sub("", plain).replace("general", "")
    clock = bool(re.search("[hs]", plain))
    day = bool(re.search("[yd]", plain)) or ("m" in plain.replace("am/pm", "") and not clock)
    return {
        (True, True): Shown.MOMENT, (True, False): Shown.DAY, (False, True): Shown.CLOCK, (False, False): Shown.NUMBER,
    }[day, clock]  # fmt: skip


NO_DAY = "is shown as a day or time and is none that Excel knows"
_DAY_MS = 86_400_000
_TO_1970 = 25_569  # days from 1899-12-30
_1904 = 1_462  # days from there
_LEAP = 60  # Excel's 1900-02-29
_LAST = 2_958_465  # 9999-12-31


@dataclass(frozen=True)
class Dated:
    """Days and times as text; null where there is none such, which ``wrong`` marks."""

    texts: pa.StringArray
    wrong: pa.BooleanArray


def dated(numbers: pa.StringArray, shown: Shown, from_1904: bool) -> Dated:
    """Numbers as what they are shown as.

    A day with a time is given as both, whatever of it is shown; what is under one is a time only.
    """
    try:
        days = numbers.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        days = np.array([_number(text) for text in numbers.to_pylist()])
    if shown is Shown.ELAPSED:
        texts = pa.array([_hours(value) for value in days.tolist()], pa.string())
        return Dated(texts, pc.is_null(texts))
    days = np.where((days >= 0) & (days <= _LAST + 1), days, -1.0)
    day = np.floor(days)
    ms = np.rint((days - day) * _DAY_MS)
    day, ms = (day + (ms == _DAY_MS)).astype(np.int64), np.where(ms == _DAY_MS, 0, ms).astype(np.int64)
    wrong = (day < 0) | (day > _LAST - (_1904 if from_1904 else 0)) | ((day == _LEAP) & (not from_1904))
    # where days begin with 1, there is no day 0
    clock = (day == 0) & (not from_1904 or shown is Shown.CLOCK)
    day = day + _1904 if from_1904 else np.where((day > 0) & (day < _LEAP), day + 1, day)
    moments = np.where(wrong, 0, (day - _TO_1970) * _DAY_MS + ms)
    texts = _moments(moments)
    if clock.any():
        texts = pc.if_else(pa.array(clock), pc.utf8_slice_codeunits(texts, len("1900-01-01 ")), texts)
    if shown is Shown.DAY:
        only_day = pa.array(moments // _DAY_MS).cast(pa.int32()).cast(pa.date32()).cast(pa.string())
        texts = pc.if_else(pa.array((ms == 0) & ~clock), only_day, texts)
    return Dated(pc.if_else(pa.array(wrong), pa.scalar(None, pa.string()), texts), pa.array(wrong))


def _moments(milliseconds: npt.NDArray[np.int64]) -> pa.StringArray:
    """Such as 2026-01-31 13:45:00, with six digits more only where a second is not whole."""
    seconds = pa.array(milliseconds // 1000).cast(pa.timestamp("s")).cast(pa.string())
    parts = milliseconds % 1000 != 0
    if not parts.any():
        return seconds
    exact = pa.array(milliseconds * 1000).cast(pa.timestamp("us")).cast(pa.string())
    return pc.if_else(pa.array(parts), exact, seconds)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _hours(days: float) -> str | None:
    """A length of time; a day has 24 hours and the hours go on from there."""
    if not math.isfinite(days):
        return None
    seconds, ms = divmod(round(abs(days) * _DAY_MS), 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{'-' if days < 0 else ''}{hours:02}:{minutes:02}:{seconds:02}" + (f".{ms:03}" if ms else "")
