"""``changes`` and ``history``, of a real import."""

from pathlib import Path

import pytest

FILE = "code,name,price\nA,=1+1,9.50\nB,Bread,4\n"
AGAIN = "code,name,price\nA,=1+1,9.50\nB,Brot,1\nC,Corn,2\n"


@pytest.mark.long
def test_changes_are_shown_before_and_after_and_by_row(cli_with_prefect, tmp_path: Path):
    cli = cli_with_prefect
    first, again = tmp_path / "first.csv", tmp_path / "again.csv"
    first.write_text(FILE)
    again.write_text(AGAIN)
    context = ("-c", "table=goods", "-c", "mode=upsert", "-c", "key=code")
    made = cli("run", "table-import", "-c", f"file_key=@{first}", *context, "--json").json["id"]
    job = cli("run", "table-import", "-c", f"file_key=@{again}", *context, "--dry-run", "--json").json["id"]

    before = cli("changes", job, "--json").json
    updated = [entry for entry in before if entry["kind"] == "updated"]
    assert (updated[0]["key"], updated[0]["column"], updated[0]["before"]) == ({"code": "B"}, "name", "Bread")
    assert [entry["column"] for entry in updated] == ["name", "price"]
    fell = cli("changes", job, "--percent-below", "-50", "--json").json
    assert [entry["column"] for entry in fell] == ["price"]
    assert cli("changes", job, "--key-begins", "b", "--json").json == updated
    assert cli("changes", job, "--emptied", "--json").json == []
    assert cli("confirm", job, "--here").code == 0
    after = cli("changes", job, "--json").json
    assert sorted(after, key=str) == sorted(before, key=str)

    shown = cli("changes", job, "--column", "name", "--limit", "1")
    assert shown.out.splitlines()[0].split() == ["table", "kind", "key", "line", "column", "before", "after"]
    assert "the first 1 are shown" in shown.err
    written = tmp_path / "changes.csv"
    assert cli("changes", made, "--csv", str(written)).code == 0
    assert "goods,created,code=A,2,name,,'=1+1," in written.read_text().splitlines()
    assert cli("changes", made, "--csv", str(written)).error == f"{written} exists; --force overwrites it"

    history = cli("history", "goods", "B", "--json").json
    assert [entry["job"] for entry in history] == [job, job, made, made]
    assert {entry["before"] for entry in history if entry["column"] == "name"} == {"Bread", None}


def test_what_is_not_there_is_one_line(cli):
    job = cli("create", "steps").out.strip()

    assert "no preview of its changes is there" in cli("changes", job).error
    assert cli("changes", "nothing").error.startswith("there is no job nothing;")
    assert cli("changes", job, "--kind", "all").error == "--kind is one of created, updated, removed, not 'all'"
    assert cli("history", "goods", "1").error.startswith("no job has kept a change of goods;")
    assert cli("history", "batch_job", "1").code == 2
