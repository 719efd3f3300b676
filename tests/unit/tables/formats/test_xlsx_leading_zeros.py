"""Whole numbers that a workbook shows with leading zeros, such as postcodes, are what people see."""

import pytest

from support.batches import rows
from support.workbooks import workbook, xlsx_reader


@pytest.mark.parametrize(
    ("code", "number", "seen"),
    [
        ("00000", 1234, "01234"),
        ("00000", 0, "00000"),
        ("00000", 123456, "123456"),
        ("[Red]00000_ ;-00000", 7, "00007"),
        ("[<=99999]00000;00000-0000", 1234, "01234"),
        ("[<=99999]00000;00000-0000", 123456789, "123456789"),
        ("00000", -12, "-12"),
        ("00000", 12.5, "12.5"),
        ("[>5]000;0", 3, "3"),
        ("0", 7, "7"),
        ("00.0", 7, "7"),
        ('"A"000', 7, "7"),
        ("00,000", 7, "7"),
        ("000%", 7, "7"),
        ("General", 7, "7"),
    ],
)
def test_a_format_of_only_zeros_is_heeded_and_no_other(code, number, seen):
    assert rows(xlsx_reader(workbook(["zip"], [number], formats={1: code}))) == [{"zip": seen}]
