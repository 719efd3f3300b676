"""``correct``: a rejects file, its cells corrected, while the job waits and once it is done."""

from pathlib import Path
from typing import Any

import pytest

from support.workbooks import workbook

GOODS = "code,price\nA,1.50\nB,dear\nC,cheap\n"
CONTEXT = ("-c", "table=goods", "-c", "mode=upsert", "-c", "key=code")


def waiting(cli: Any, tmp_path: Path) -> dict[str, Any]:
    """An import into a table that has numbers, with two bad rows."""
    for content, options in (("code,price\nZ,9.50\n", ()), (GOODS, ("--dry-run",))):
        (tmp_path / "goods.csv").write_text(content)
        done = cli("run", "table-import", "-c", f"file_key=@{tmp_path}/goods.csv", *CONTEXT, *options, "--json")
        assert done.code == 0, done.err
    found: dict[str, Any] = done.json
    return found


@pytest.mark.long
def test_a_corrected_rejects_file_takes_the_place_of_what_waits_and_adds_to_what_is_done(
    cli_with_prefect: Any, tmp_path: Path
):
    cli, refused = cli_with_prefect, waiting(cli_with_prefect, tmp_path)
    job = refused["id"]
    rejects = cli("files", "get", refused["result"]["rejects_file_key"]).out
    (tmp_path / "rejects.csv").write_text(rejects.replace("dear", "2.50"))

    made = cli("correct", job, str(tmp_path / "rejects.csv"), "--here", "--json")
    assert (made.code, made.json["belongs_to"], made.json["status"]) == (0, job, "pre_processed"), made.err
    assert cli("show", job, "--json").json["status"] == "canceled"
    again = cli("correct", job, str(tmp_path / "rejects.csv")).error
    assert again.endswith(f"it was corrected by {made.json['id']}, so correct that one. Nothing was changed.")
    done = cli("confirm", made.json["id"], "--here", "--json").json
    assert (done["result"]["created"], done["result"]["rejected"]) == (2, 1)

    (tmp_path / "rejects.xlsx").write_bytes(workbook(["code", "price", "reject_line"], ["C", "3.75", "4"]))
    last = cli("correct", done["id"], str(tmp_path / "rejects.xlsx"), "--here", "--json")
    assert (last.code, last.json["status"], last.json["belongs_to"]) == (0, "completed", done["id"]), last.err
    assert (last.json["result"]["created"], last.json["result"]["rejected"]) == (1, 0)
    twice = cli("correct", done["id"], str(tmp_path / "rejects.xlsx"), "--json")
    assert twice.json["id"] == last.json["id"]


def test_what_cannot_be_corrected_is_refused_in_one_line(cli_with_prefect: Any, tmp_path: Path):
    cli, given = cli_with_prefect, tmp_path / "goods.csv"
    job = waiting(cli, tmp_path)["id"]

    assert cli("correct", job, str(given)).error.startswith(f"{given.name} has no column reject_line; give the rejects")
    (tmp_path / "other.csv").write_text("price,reject_line\n2,2\n")
    refused = cli("correct", job, str(tmp_path / "other.csv")).error
    assert refused == f"line 2 is none of the rows that {job} has refused; correct one of these"
    (tmp_path / "other.csv").write_text("prize,reject_line\n2,3\n")
    assert cli("correct", job, str(tmp_path / "other.csv")).error == (
        f"{job} has no column 'prize'; its rows have code, price"
    )
    assert cli("correct", "nothing", str(given)).error.startswith("there is no job nothing;")
    assert cli("correct", job, str(tmp_path / "none.csv")).code == 2
    assert cli("show", job, "--json").json["status"] == "pre_processed"
