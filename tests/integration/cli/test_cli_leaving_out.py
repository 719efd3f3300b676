"""``confirm`` with parts left out, at the command line."""

import json
from pathlib import Path
from typing import Any

import pytest

from batch_jobs.deployments.cli.leaving_out import what_is_left_out
from batch_jobs.deployments.errors import UsageRefused

CONTEXT = ["-c", "table=goods", "-c", "mode=upsert", "-c", "key=code"]


def left_out(**given: Any) -> dict[str, Any]:
    names = ("whole", "columns", "kinds", "only", "keys", "lines", "rules")
    return what_is_left_out(**{name: given.get(name) for name in names})


def test_a_part_of_a_preview_is_confirmed_and_the_rest_is_in_the_rejects_file(cli_with_prefect: Any, tmp_path: Path):
    (tmp_path / "goods.csv").write_text("code,name,price\nA,Apple,10\nB,Bun,5\n")
    assert cli_with_prefect("run", "table-import", "-c", f"file_key=@{tmp_path}/goods.csv", *CONTEXT).code == 0
    (tmp_path / "goods.csv").write_text("code,name,price\nA,Apple,4\nB,Bread,6\nC,Cake,7\nD,Date,8\n")
    file = f"file_key=@{tmp_path}/goods.csv"
    job = cli_with_prefect("run", "table-import", "-c", file, *CONTEXT, "--dry-run", "--json").json["id"]

    refused = cli_with_prefect("confirm", job, "--leave-out-column", "prize", "--here")
    assert (refused.code, refused.error) == (
        2,
        "leave_out names prize, which is not written; what is: code, name, price",
    )
    rule, key = ("--leave-out-where", "price falls more than 50 %"), ("--leave-out-key", "C")
    done = cli_with_prefect("confirm", job, *rule, *key, "--here", "--json")

    assert done.code == 0
    result = done.json["result"]
    assert (result["created"], result["updated"], result["rejected"]) == (1, 1, 2)
    rejects = cli_with_prefect("files", "get", result["rejects_file_key"]).out.splitlines()
    assert rejects == [
        "code,name,price,reject_line,reject_reason",
        "A,Apple,4,2,left out: price falls by 60 %",
        "C,Cake,7,4,left out by its key",
    ]
    assert "2 rows (1 price falls, 1 by its key)" in cli_with_prefect("show", job).out


def test_options_are_read_as_they_are_meant():
    assert left_out(columns=["price"], only=["created"], keys=["A-1", '["x", 2]'], lines=["7", "one.csv:3"]) == {
        "columns": ["price"],
        "kinds": ["updated", "removed"],
        "keys": ["A-1", ["x", 2]],
        "lines": [7, {"file": "one.csv", "line": 3}],
    }
    assert left_out(whole='{"keys": ["B"]}', keys=["A"]) == {"keys": ["B", "A"]}
    assert left_out() == {}


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("price falls more than 50 %", {"column": "price", "change_percent_below": "-50"}),
        ("unit price falls by 12.5%", {"column": "unit price", "change_percent_below": "-12.5"}),
        ("stock rises by more than 200 %", {"column": "stock", "change_percent_above": "200"}),
        ("price becomes empty", {"column": "price", "becomes_empty": True}),
    ],
)
def test_a_rule_is_a_sentence(text: str, rule: dict[str, Any]):
    assert left_out(rules=[text]) == {"rules": [rule]}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rules": ["price falls"]}, "a rule such as 'price falls more than 50 %'"),
        ({"only": ["new"]}, "'new' is none of created, updated, removed"),
        ({"lines": ["A"]}, "takes a number, or FILE:NUMBER"),
        ({"whole": "["}, "--leave-out is not JSON"),
        ({"whole": json.dumps({"keys": "A"})}, "must be a JSON object of lists"),
        ({"whole": "@/nowhere.json"}, "the file /nowhere.json cannot be read"),
    ],
)
def test_what_is_typed_wrongly_is_refused_in_one_line(given: dict[str, Any], message: str):
    with pytest.raises(UsageRefused) as refused:
        left_out(**given)
    assert message in str(refused.value)
