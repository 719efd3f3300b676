"""``undo``: what a job changed is taken back, after a look."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

GOODS = "code,name\nA,Apple\nB,Bread\n"


def test_a_job_is_undone_after_a_look_and_only_once(cli_with_prefect, tmp_path: Path):
    cli, file = cli_with_prefect, tmp_path / "goods.csv"
    file.write_text(GOODS)
    load = ("run", "table-import", "-c", f"file_key=@{file}", "-c", "table=goods", "-c", "key=code", "--json")
    job = cli(*load, "-c", "mode=insert").json
    assert "batch-jobs undo" in cli("show", job["id"]).out

    looked = cli("undo", job["id"])

    assert looked.code == 0
    assert "2 rows that it created will be removed" in looked.out
    assert "goods will be empty; the table itself stays" in looked.out
    undo = cli("list", "--type", "undo", "--json").json[0]
    assert (undo["status"], undo["context"]["job"]) == ("pre_processed", job["id"])

    assert "2 removed" in cli("confirm", undo["id"], "--here").out

    again = cli("undo", job["id"], "--yes")
    assert again.code == 2
    assert again.err.strip().endswith(
        f"{job['id']} was undone already, by {undo['id']}; undo that one to have its changes again"
    )
    assert "2 created" in cli("undo", undo["id"], "--yes").out
    assert cli("run", "table-export", "-c", "table=goods", "--json").json["result"]["count"] == 2


def test_what_cannot_be_undone_is_said_in_one_line(cli_with_prefect):
    cli = cli_with_prefect
    assert "there is no job batch_none" in cli("undo", "batch_none").err
    job = cli("run", "steps", "--dry-run", "--json").json
    assert f"{job['id']} is pre_processed, and only a job that has ended can be undone" in cli("undo", job["id"]).err
    done = cli("run", "steps", "--json").json
    refused = cli("undo", done["id"])
    assert refused.code == 1
    assert f"nothing is kept of what {done['id']} changed" in refused.err
    assert "give one of them" in cli("undo", done["id"], "--dry-run", "--yes").err
