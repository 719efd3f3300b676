"""``changes`` and ``history``, of a real import."""

from pathlib import Path

import openpyxl
import pytest

FILE = "code,name,price\nA,=1+1,9.50\nB,Bread,4\n"
AGAIN = "code,name,price\nA,=1+1,9.50\nB,Brot,1\nC,Corn,2\n"
CONTEXT = ("-c", "table=goods", "-c", "mode=upsert", "-c", "key=code")


@pytest.mark.long
def test_changes_are_shown_before_and_after_and_by_row(cli_with_prefect, tmp_path: Path):
    cli = cli_with_prefect
    first, again = tmp_path / "first.csv", tmp_path / "again.csv"
    first.write_text(FILE)
    again.write_text(AGAIN)
    made = cli("run", "table-import", "-c", f"file_key=@{first}", *CONTEXT, "--json").json["id"]
    job = cli("run", "table-import", "-c", f"file_key=@{again}", *CONTEXT, "--dry-run", "--json").json["id"]

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


def test_all_changes_are_written_to_an_excel_file(cli_with_prefect, tmp_path: Path):
    cli, file, written = cli_with_prefect, tmp_path / "goods.csv", tmp_path / "changes.xlsx"
    file.write_text(FILE)
    job = cli("run", "table-import", "-c", f"file_key=@{file}", *CONTEXT, "--dry-run", "--json").json["id"]

    done = cli("changes", job, "--excel", str(written))

    assert (done.code, done.err.strip()) == (0, f"4 changes written to {written}")
    head, *rows = openpyxl.load_workbook(written).active.iter_rows(values_only=True)
    cells = {(row[head.index("key")], row[head.index("column")]): row[head.index("after")] for row in rows}
    assert len(cells) == len(rows) == 4
    assert str(cells["code=A", "name"]).lstrip("'") == "=1+1"
    assert "f" not in {cell.data_type for row in openpyxl.load_workbook(written).active.rows for cell in row}
    assert cli("changes", job, "--excel", str(written)).error == f"{written} exists; --force overwrites it"
    assert cli("changes", job, "--excel", str(written), "--force", "--key-begins", "B").code == 0
    assert cli("changes", job, "--excel", "a.xlsx", "--csv", "a.csv").error == (
        "--csv and --excel are two files; give one of them"
    )


def test_what_is_not_there_is_one_line(cli):
    job = cli("create", "steps").out.strip()

    assert "no preview of its changes is there" in cli("changes", job).error
    assert cli("changes", "nothing").error.startswith("there is no job nothing;")
    assert cli("changes", job, "--kind", "all").error == "--kind is one of created, updated, removed, not 'all'"
    assert cli("history", "goods", "1").error.startswith("no job has kept a change of goods;")
    assert cli("history", "batch_job", "1").code == 2
