"""``create``, ``list``, ``show`` and the actions, without any Prefect: the job table is enough for them."""

import shutil
import subprocess
from dataclasses import replace

import pytest

from batch_jobs.flows.jobs.process_identity import ProcessIdentity
from batch_jobs.flows.settings import Settings
from batch_jobs.flows.workspace import Workspace
from support.command_line import COMMAND


def test_a_job_is_recorded_even_when_there_is_no_prefect(cli):
    done = cli("create", "steps")

    assert done.code == 0
    assert done.out.startswith("batch_")
    assert "recorded but not started" in done.err
    assert cli("show", done.out.strip(), "--json").json["status"] == "created"


def test_the_newest_job_is_first_and_pages_follow(cli):
    first, second, third = (cli("create", "steps").out.strip() for _ in range(3))

    page = cli("list", "--limit", "2", "--json").json
    rest = cli("list", "--before", page[-1]["id"], "--json").json

    assert [job["id"] for job in page] == [third, second]
    assert [job["id"] for job in rest] == [first]
    hint = cli("list", "--status", "created", "--type", "steps", "--limit", "2").err.strip()
    assert hint == f"more: batch-jobs list --status created --type steps --before {second} --limit 2"
    assert [job["id"] for job in cli(*hint.split()[2:], "--json").json] == [first]
    assert cli("list", "--before", "nothing").error.startswith("there is no job nothing;")
    assert cli("list").out.splitlines()[0].split() == ["ID", "TYPE", "STATUS", "PROGRESS", "ROWS", "CREATED", "BY"]


@pytest.mark.parametrize(("columns", "shown"), [(60, 4), (80, 5), (200, 7)])
def test_a_narrow_terminal_shows_fewer_columns_and_each_job_in_one_line(cli, columns, shown):
    ids = [cli("create", "steps").out.strip() for _ in range(2)]

    head, *lines = cli.on_a_terminal("list", columns=columns)

    assert len(head.split()) == shown
    assert [line.split()[0] for line in lines] == ids[::-1]
    assert max(map(len, lines)) <= columns


def test_no_line_for_a_program_is_padded_with_blanks(cli):
    cli("create", "steps")

    lines = [line for command in ("list", "strategies") for line in cli(command).out.splitlines()]

    assert [line for line in lines if line != line.rstrip()] == []


def test_jobs_can_be_filtered(cli):
    canceled, kept = (cli("create", "steps").out.strip() for _ in range(2))
    cli("cancel", canceled)

    assert [job["id"] for job in cli("list", "--status", "canceled", "--json").json] == [canceled]
    assert [job["id"] for job in cli("list", "--status", "created", "--json").json] == [kept]
    assert cli("list", "--type", "other").out == "no jobs\n"


def test_an_illegal_action_names_the_status_and_what_is_allowed(cli):
    job_id = cli("create", "steps").out.strip()

    refused = cli("pause", job_id)
    canceled = cli("cancel", job_id, "--json")
    again = cli("cancel", job_id)
    confirmed = cli("confirm", job_id)

    assert refused.code == 2
    assert refused.error == f"{job_id} is created; pause is possible from processing. Nothing was changed."
    assert canceled.json["status"] == "canceled"
    assert again.code == 0
    assert confirmed.code == 2


def test_show_prints_the_history_and_what_to_do_next(cli):
    job_id = cli("create", "steps", "-c", "names=a,b").out.strip()

    shown = cli("show", job_id).out

    assert "names=a,b" in shown
    assert "History" in shown
    assert "batch-jobs serve" in shown


def test_the_same_idempotency_key_gives_the_same_job(cli):
    first = cli("create", "steps", "--idempotency-key", "monday").out
    second = cli("create", "steps", "--idempotency-key", "monday").out
    other = cli("create", "steps", "-c", "steps=1", "--idempotency-key", "monday")

    assert first == second
    assert other.code == 2


def test_the_database_is_upgraded_once(cli):
    assert "is at revision" in cli("db", "upgrade").out
    assert cli("db", "upgrade").out.endswith("already\n")


def test_watching_a_job_of_a_killed_process_reports_that_as_the_reason(cli, home):
    gone = subprocess.Popen(["true"])
    dead = replace(ProcessIdentity.current(), pid=gone.pid)
    gone.wait()
    workspace = Workspace(Settings(home=home))
    workspace.settings.home.mkdir()
    job = workspace.service.record("table-export", {"table": "goods"}, worker=dead)

    watched = cli("watch", job.id)

    assert watched.code == 1
    assert f"failed after 0 rows: {dead} died; go on with" in watched.err.splitlines()[-1]


def test_a_job_that_cannot_be_run_for_want_of_prefect_fails_at_once(cli):
    refused = cli("run", "steps", PREFECT_API_URL="http://127.0.0.1:9/api")
    assert refused.code == 1
    assert refused.error.startswith("Prefect at http://127.0.0.1:9/api (from PREFECT_API_URL) does not answer")
    (job,) = cli("list", "--json").json
    assert job["status"] == "failed"
    shown = cli("show", job["id"]).out
    assert refused.error in shown
    assert "died" not in shown
    again = cli("retry", job["id"], "--here", PREFECT_API_URL="http://127.0.0.1:9/api")
    assert (again.code, again.error) == (1, refused.error)
    assert cli("show", job["id"], "--json").json["status"] == "failed"


def test_show_prints_the_plan_alone_as_text_and_as_json(cli_with_prefect, tmp_path):
    (tmp_path / "goods.csv").write_text("code,price\nA,1\nB,2.5\n")
    key = cli_with_prefect("files", "put", str(tmp_path / "goods.csv")).out.strip()
    given = ("-c", f"file_key={key}", "-c", "table=goods")
    job_id = cli_with_prefect("run", "table-import", *given, "--dry-run", "--json").json["id"]

    shown = cli_with_prefect("show", job_id, "--plan").out
    plan = cli_with_prefect("show", job_id, "--plan", "--json").json

    assert (plan["counts"]["create"], plan["counts"]["reject"]) == (2, 0)
    assert plan["mapping"] == {"code": "code", "price": "price"}
    assert "Counts\ncreate" in shown
    assert "History" not in shown


@pytest.mark.parametrize("proc", [["--mount-proc"], []], ids=["its own /proc", "the /proc of outside"])
def test_listing_jobs_in_a_container_of_the_same_host_name_leaves_living_ones_alone(cli, home, proc):
    unshare = ["unshare", "--pid", "--fork", *proc]
    if not shutil.which("unshare") or subprocess.run([*unshare, "true"], capture_output=True).returncode:
        pytest.skip("no pid namespaces may be made here")
    workspace = Workspace(Settings(home=home))
    workspace.settings.home.mkdir()
    job = workspace.service.record("table-export", {"table": "goods"}, worker=ProcessIdentity.current())

    for command in (["list"], ["show", job.id]):
        subprocess.run([*unshare, *COMMAND, *command], env=cli.environment, check=True, capture_output=True)

    assert workspace.service.get(job.id) == job
