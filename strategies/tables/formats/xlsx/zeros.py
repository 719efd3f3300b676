"""Whole numbers that are shown with leading zeros, such as postcodes: people see a text of so many digits."""

import re
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

WHOLE = r"^\d+$"
#: Digits alone, with a colour, a condition and blanks around them; what else it has, people see beside the digits.
_ZEROS = re.compile(r"((?:\[[^\]]*\])*)(?:_.|\*.)*(0{2,})(?:_.|\*.)*\Z")
_AT_MOST = re.compile(r"\[<=(\d+)\]")
_CONDITION = re.compile(r"\[[<>=]")


@dataclass(frozen=True)
class Padded:
    """How a number is shown: with at least so many digits."""

    digits: int


def padded_by(code: str) -> Padded | None:
    """How a format's code shows whole numbers from 0 on; ``None`` where not as digits with leading zeros."""
    found = _ZEROS.match(code.split(";")[0])
    if not found:
        return None
    digits = len(found[2])
    limit = _AT_MOST.search(found[1])
    # with a condition, a short number may be shown otherwise
    if _CONDITION.search(found[1]) and not (limit and int(limit[1]) >= 10**digits - 1):
        return None
    return Padded(digits)


def with_zeros(numbers: pa.StringArray, padded: Padded) -> pa.StringArray:
    """Numbers as they are shown, where they are whole and not negative."""
    whole = pc.match_substring_regex(numbers, WHOLE)
    return pc.if_else(whole, pc.utf8_lpad(numbers, padded.digits, "0"), numbers)
