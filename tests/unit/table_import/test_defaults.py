"""``defaults``: what a row gets that has no value for a column of the table."""

from collections.abc import Callable
from typing import Any

import pytest

from batch_jobs.strategies.sdk.errors import JobRefused
from support.importing import Importing

Sql = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture
def prices(run_sql: Sql) -> None:
    run_sql(
        "CREATE TABLE prices (code varchar(10) NOT NULL, shop varchar(10) NOT NULL, price numeric(8,2) NOT NULL,"
        " note text DEFAULT 'own', PRIMARY KEY (code, shop))"
    )


@pytest.mark.usefixtures("prices")
def test_an_empty_cell_and_a_column_that_the_file_lacks_get_it(importing: Importing, run_sql: Sql):
    given = {"mode": "upsert", "decimal": ",", "defaults": {"shop": "main", "price": "1,50", "note": "none"}}
    result = importing("code;price;note\nA;;x\nB;2,00;\nC;x;\n", table="prices", **given)

    found = run_sql("SELECT code, shop, CAST(price AS float), note FROM prices ORDER BY code")
    assert found == [("A", "main", 1.5, "x"), ("B", "main", 2.0, "none")]
    assert (result.created, result.rejected) == (2, 1)
    assert importing.jobs[-1].plan["options"]["defaults"] == given["defaults"]
    again = importing("code;price;note\nA;;x\nB;2,00;\n", table="prices", **given)
    assert (again.unchanged, again.updated) == (2, 0)


@pytest.mark.usefixtures("prices")
def test_the_rejects_file_goes_in_with_the_same_context_once_corrected(importing: Importing, run_sql: Sql):
    given = {"table": "prices", "mode": "upsert", "defaults": {"shop": "main", "price": "1"}}
    result = importing("code,price\nA,x\n", **given)
    header, row = importing.rejects(result)
    assert "main" not in row
    importing(f"{header}\n{row}\n".replace(",x", ","), **given)
    assert run_sql("SELECT code, shop, CAST(price AS float) FROM prices") == [("A", "main", 1.0)]


@pytest.mark.usefixtures("prices")
def test_a_column_that_is_left_out_may_get_one_for_all_rows(importing: Importing, run_sql: Sql):
    importing("code,shop,price\nA,x,1\n", table="prices", columns={"shop": None}, defaults={"shop": "main"})
    assert run_sql("SELECT code, shop FROM prices") == [("A", "main")]


@pytest.mark.usefixtures("prices")
@pytest.mark.parametrize("empty", ["null", "default", "keep"])
def test_it_goes_before_what_an_empty_cell_means_and_a_word_for_nothing_is_none(
    empty: str, importing: Importing, run_sql: Sql
):
    content = "code,shop,price,note\nA,s,1,\nB,s,1,NA\n"
    importing(content, table="prices", empty=empty, null_values=["NA"], defaults={"note": "filled"})
    assert run_sql("SELECT code, note FROM prices ORDER BY code") == [("A", "filled"), ("B", None)]


@pytest.mark.usefixtures("prices")
def test_a_key_that_a_json_object_lacks_gets_it(importing: Importing, run_sql: Sql):
    lines = '{"code":"A","shop":"s","price":1}\n{"code":"B","shop":"s","price":1,"note":"x"}\n'
    importing(lines, name="in.jsonl", table="prices", defaults={"note": "filled"})
    assert run_sql("SELECT code, note FROM prices ORDER BY code") == [("A", "filled"), ("B", "x")]


def test_a_new_table_has_the_column_too(importing: Importing, run_sql: Sql):
    defaults = {"currency": "EUR", "stock": "0", "sold": "7"}
    importing("code,sold\nA,3\nB,\n", table="new_ones", defaults=defaults, types={"stock": "integer"})
    assert run_sql("SELECT code, sold, currency, stock FROM new_ones ORDER BY code") == [
        ("A", 3, "EUR", 0), ("B", 7, "EUR", 0)
    ]  # fmt: skip
    assert {one["name"]: one["type"] for one in importing.jobs[-1].plan["creates"]} == {
        "code": "Text", "sold": "BigInteger", "currency": "Text", "stock": "Integer"
    }  # fmt: skip


@pytest.mark.usefixtures("prices")
@pytest.mark.parametrize(
    ("defaults", "why"),
    [
        ({"price": "x"}, "defaults gives price a value that it cannot hold: 'x' is not a number"),
        ({"shop": "x" * 11}, "defaults gives shop a value that it cannot hold"),
        ({"price": ""}, "defaults gives price no value; leave it out"),
        ({"nowhere": "x"}, "prices has no column nowhere"),
    ],
)
def test_a_default_that_cannot_be_is_refused_before_a_row_is_read(
    defaults: dict[str, str], why: str, importing: Importing
):
    with pytest.raises(JobRefused, match=why):
        importing.preview("code,price\nA,1\n", table="prices", mode="upsert", defaults={"shop": "s", **defaults})
