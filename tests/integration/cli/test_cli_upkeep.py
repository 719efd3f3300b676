"""`db prune`, `db reconcile`, `worker`, `automations` and `create --at`: what they say, and what they refuse."""

import sqlite3


def test_pruning_needs_an_age(cli):
    done = cli("db", "prune")

    assert done.code == 2
    assert done.error == "say how old: --older-than DAYS, or set BATCH_JOBS_RETENTION_DAYS"


def test_pruning_removes_what_ended_and_leaves_the_rest(cli):
    canceled, kept = (cli("create", "steps").out.strip() for _ in range(2))
    cli("cancel", canceled)

    done = cli("db", "prune", "--older-than", "0")

    assert done.out == "1 jobs and 0 files were removed\n"
    assert [job["id"] for job in cli("list", "--json").json] == [kept]
    assert cli("show", canceled).error == f"there is no job {canceled}; `batch-jobs list` shows what there is"
    assert cli("db", "prune", BATCH_JOBS_RETENTION_DAYS="1").out == "0 jobs and 0 files were removed\n"


def test_reconciling_without_prefect_does_what_it_can_and_says_so(cli):
    done = cli("db", "reconcile")

    assert done.code == 0
    assert done.out == "0 expired, 0 lost, 0 followed, 0 started\n"
    cli("create", "steps")
    assert "no Prefect is named" in cli("db", "reconcile").out


def test_reconciling_counts_the_jobs_anew(cli, home):
    cli("create", "steps")
    with sqlite3.connect(home / "jobs.db") as database:
        database.execute("UPDATE batch_job_tally SET jobs = 7")

    assert cli("db", "reconcile").code == 0
    with sqlite3.connect(home / "jobs.db") as database:
        assert database.execute("SELECT jobs FROM batch_job_tally").fetchall() == [(1,)]


def test_a_worker_and_an_automation_need_a_prefect_server(cli):
    for command in (["worker"], ["automations", "notify-on-failure", "http://127.0.0.1:9/hook"]):
        done = cli(*command)
        assert done.code == 1
        assert done.error.startswith("no Prefect server is named: set PREFECT_API_URL, or run `batch-jobs serve`")


def test_a_job_can_be_created_for_later_and_a_wrong_time_is_refused(cli):
    created = cli("create", "steps", "--at", "2030-01-02T03:04", "--json")

    assert created.json["start_at"] == "2030-01-02T03:04:00Z"
    assert created.err.strip().endswith("it starts at 2030-01-02T03:04Z or as soon as `batch-jobs serve` runs")
    assert "not before 2030-01-02T03:04:00Z" in cli("show", created.json["id"]).out
    wrong = cli("create", "steps", "--at", "tomorrow")
    assert wrong.code == 2
    assert "'tomorrow' is no time such as 2026-01-31T22:00 or" in wrong.error


def test_a_job_of_a_type_without_deployment_says_what_to_do(cli_with_prefect):
    created = cli_with_prefect("create", "steps")
    assert created.code == 0
    assert created.err.strip().endswith(
        "Prefect has no deployment of steps; it starts once `batch-jobs serve` or `worker` is started anew, which then"
        " knows the type"
    )


def test_an_automation_refuses_what_is_no_web_address_and_stays_as_it_was(cli_with_prefect):
    for address in ("notaurl", "ftp://127.0.0.1/hook", "http://"):
        done = cli_with_prefect("automations", "notify-on-failure", address)
        assert (done.code, done.error) == (
            2,
            f"{address!r} is no address of a webhook, which begins with http:// or https://; nothing was changed",
        )


def test_a_strategy_that_is_gone_is_named_when_its_job_is_to_go_on(cli, strategies):
    job = cli("run", "steps", "-c", "fails_once_at=1", PREFECT_API_URL="")
    assert job.code == 1
    listed = cli("list", "--json").json[0]
    (strategies / "steps.py").unlink()

    done = cli("retry", listed["id"], "--here")

    assert done.code == 2
    assert done.error.startswith("no strategy has the type 'steps'")
    assert cli("show", listed["id"], "--json").json["status"] == "failed"
