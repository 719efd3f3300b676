"""Columns are matched by name where that is unambiguous, and not otherwise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_jobs.strategies.tables.importing.matching import propose


@pytest.mark.parametrize(
    ("file", "target", "proposed"),
    [
        (["code"], ["code"], {"code": "code"}),
        (["Code", "UNIT PRICE"], ["unit_price", "code"], {"Code": "code", "UNIT PRICE": "unit_price"}),
        (["Café No."], ["cafe_no"], {"Café No.": "cafe_no"}),
        (["Größe", "Straße"], ["groesse", "strasse"], {"Größe": "groesse", "Straße": "strasse"}),
        (["Größe"], ["grosse"], {"Größe": "grosse"}),
        (["Prices"], ["price"], {"Prices": "price"}),
        (["category"], ["Categories"], {"category": "Categories"}),
        (["boxes", "houses"], ["box", "house"], {"boxes": "box", "houses": "house"}),
        (["价格"], ["价格"], {"价格": "价格"}),
        # what is equal goes before what is alike, and leaves one for the other
        (["code", "Code"], ["code", "CODE"], {"code": "code", "Code": "CODE"}),
        (["price", "prices"], ["price"], {"price": "price"}),
        (["price"], ["price", "prices"], {"price": "price"}),
        # of two that are alike nobody knows which
        (["a b", "a_b"], ["ab"], {}),
        (["ab"], ["a b", "a_b"], {}),
        (["price_s", "pric es"], ["price"], {}),
        (["stock"], ["price"], {}),
        (["--", "?"], ["..", "!"], {}),
        ([], ["code"], {}),
    ],
)
def test_names_that_are_alike_are_proposed_for_each_other(file: list[str], target: list[str], proposed: dict[str, str]):
    assert propose(file, target) == proposed


NAMES = st.lists(st.text(alphabet="aAbBäsS_ -e", max_size=4), unique=True, max_size=8)


@given(file=NAMES, target=NAMES)
def test_no_column_is_proposed_twice_and_equal_names_are_always_pairs(file: list[str], target: list[str]):
    proposed = propose(file, target)
    assert set(proposed) <= set(file)
    assert len(set(proposed.values())) == len(proposed)
    assert set(proposed.values()) <= set(target)
    assert all(proposed[name] == name for name in file if name in target and name)
    assert list(proposed) == [name for name in file if name in proposed]
    assert propose(reversed(file), reversed(target)) == proposed
