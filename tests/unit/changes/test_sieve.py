"""A sieve holds every key that it was made of, and few others."""

import pyarrow as pa
import pytest

from batch_jobs.strategies.tables.changes.sieve import may_hold, sieve_of


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_it_holds_its_keys_and_few_others(rows):
    keys = [(f"A-{number}", str(number % 7)) for number in range(rows)]
    sieve = sieve_of(pa.table({"code": [code for code, _ in keys], "shop": [shop for _, shop in keys]}))

    assert all(may_hold(sieve, key) for key in keys)
    assert sum(may_hold(sieve, (f"B-{number}", "1")) for number in range(1000)) < 60


@pytest.mark.parametrize(("kept", "asked"), [("1.50", "1.5"), ("ABC", "abc"), ("3.0", "3"), ("10", "10")])
def test_forms_of_one_value_are_one(kept, asked):
    assert may_hold(sieve_of(pa.table({"key": [kept]})), [asked])
