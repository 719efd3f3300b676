"""``db upgrade --commerce``, and a shop's products in and out."""

import json
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.mark.long
def test_a_shop_is_made_once_and_takes_and_gives_products(cli, tmp_path: Path):
    done = cli("db", "upgrade", "--commerce")
    assert done.code == 0
    assert done.out.splitlines()[1].endswith("has the tables of a shop now")
    assert cli("db", "upgrade", "--commerce").out.splitlines()[1].endswith("has a shop; it was left as it is")

    done = cli("run", "product-import", "-c", f"fileKey=@{EXAMPLES / 'products.csv'}", "--json")
    assert done.code == 0, done.err
    result = done.json["result"]
    assert (result["created"], result["rejected"], result["count"]) == (35, 2, 38)

    exported = cli("run", "product-export", "-c", 'filterable_fields={"handle": "tea-pot"}', "--json").json["result"]
    cli("files", "get", exported["file_key"], "-o", str(tmp_path / "out.csv"))
    assert (tmp_path / "out.csv").read_text().splitlines()[1].split(";")[1] == "tea-pot"


def test_a_filter_that_there_is_not_is_one_line(cli):
    done = cli("create", "product-export", "--context", json.dumps({"filterable_fields": {"colour": 1}}))
    assert done.code == 2
    assert "filterable_fields has no colour" in done.err
    assert len(done.err.splitlines()) == 1
