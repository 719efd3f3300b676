"""``run``: a job in this process, with a real Prefect."""

import json
import os
import signal
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def place_of(code: str, file: Path) -> str:
    (line,) = [number for number, text in enumerate(file.read_text().splitlines(), 1) if code in text]
    return f"({file.name} line {line})"


def test_a_job_runs_here_and_its_end_is_printed(cli_with_prefect):
    done = cli_with_prefect("run", "steps", "-c", "steps=2")

    assert done.code == 0
    assert "20 of 20: 20 created" in done.out
    assert "completed" in done.err
    assert "Traceback" not in done.err


def test_json_is_the_job_and_nothing_else(cli_with_prefect, tmp_path: Path):
    (tmp_path / "hello.txt").write_text("hello")

    job = cli_with_prefect(
        *("run", "steps", "--json", "--context", '{"steps": 9, "renamed": {"a": null}}'),
        *("-c", "steps=1", "-c", "names=a,b", "-c", "names=c", "-c", f"file_key=@{tmp_path / 'hello.txt'}"),
    ).json

    assert job["status"] == "completed"
    assert job["trigger"] == "cli"
    assert job["context"]["steps"] == 1
    assert job["context"]["names"] == ["a", "b", "c"]
    assert job["context"]["renamed"] == {"a": None}
    assert cli_with_prefect("files", "get", job["context"]["file_key"]).out == "hello"
    assert job["created_at"].endswith("Z")


def test_a_job_with_a_context_of_megabytes_runs_here(cli_with_prefect, tmp_path: Path):
    (tmp_path / "context.json").write_text(json.dumps({"steps": 1, "names": ["a" * 5_000_000]}))

    job = cli_with_prefect("run", "steps", "--json", "--context", f"@{tmp_path / 'context.json'}").json

    assert (job["status"], len(job["context"]["names"][0])) == ("completed", 5_000_000)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-c", "steps"], "-c takes KEY=VALUE"),
        (["-c", "steps=many"], "steps: Input should be a valid integer"),
        (["-c", "stepps=1"], "steps takes no stepps; its context has"),
        (["-c", "steps=-1"], "steps must not be negative"),
        (["-c", "renamed=a"], "renamed takes JSON"),
        (["-c", "file_key=@none.csv"], "the file none.csv cannot be read: No such file"),
        (["--context", "[1]"], "must be a JSON object"),
        (["--context", "{"], "is not JSON"),
        (["--context", "@none.json"], "the file none.json cannot be read"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_context_makes_no_job(cli, arguments, message):
    done = cli("run", "steps", *arguments)

    assert done.code == 2
    assert message in done.error
    assert cli("list", "--json").json == []


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("run table-export", "the context of table-export is wrong: give either table or query"),
        (
            "run table-import -c table=goods",
            "the context of table-import is wrong: file_key is missing; give it with -c file_key=...",
        ),
        ("list --status bogus", "Invalid value for '--status': 'bogus' is not one of"),
    ],
)
def test_an_error_names_the_context_and_no_library(cli, command, message):
    done = cli(*command.split())

    assert done.code == 2
    assert done.error.startswith(message)


@pytest.mark.long
def test_a_target_that_is_away_is_named_by_its_setting_with_the_drivers_sentence(cli_with_prefect):
    away = "postgresql://nobody:secret@127.0.0.1:1/none"

    done = cli_with_prefect("run", "steps", BATCH_JOBS_TARGET_URL=away)

    assert done.code == 1
    assert "the database of BATCH_JOBS_TARGET_URL refused: connection failed" in done.err.splitlines()[-1]
    assert not [word for word in ("psycopg", "sqlalche", "secret") if word in done.err]


def test_an_address_that_the_settings_do_not_allow_makes_no_job(cli):
    done = cli("create", "table-import", "-c", "table=goods", "-c", "source=https://files.example.com/x.csv")

    assert done.code == 2
    assert "the setting BATCH_JOBS_SOURCES says which are, such as https://files.example.com/*" in done.error
    assert cli("list", "--json").json == []


def test_an_at_sign_can_be_meant_literally(cli):
    job = cli("create", "steps", "--json", "-c", "file_key=@@home=1").json

    assert job["context"]["file_key"] == "@home=1"


def test_a_dry_run_waits_and_is_confirmed_here(cli_with_prefect):
    looked = cli_with_prefect("run", "steps", "--dry-run", "--json")
    job_id = looked.json["id"]

    confirmed = cli_with_prefect("confirm", job_id, "--here")

    assert looked.code == 0
    assert looked.json["status"] == "pre_processed"
    assert confirmed.code == 0
    assert "30 of 30" in confirmed.out


def test_a_dry_run_with_yes_shows_its_plan_and_goes_on(cli_with_prefect):
    done = cli_with_prefect("run", "steps", "--dry-run", "--yes")

    assert done.code == 0
    assert done.out.index("3 steps") < done.out.index("completed")


def test_a_failed_job_says_why_and_where_and_retry_goes_on(cli_with_prefect, strategies: Path):
    where = place_of("raise ValueError", strategies / "steps.py")

    failed = cli_with_prefect("run", "steps", "-c", "fails_once_at=2")
    job_id = failed.out.split()[0]

    shown = cli_with_prefect("show", job_id)
    retried = cli_with_prefect("retry", job_id, "--here", "--json")

    assert failed.code == 1
    assert f"step 2 is broken {where}" in shown.out
    assert f"step 2 is broken {where}; go on with: batch-jobs retry {job_id} --here" in failed.err.splitlines()[-1]
    assert "Traceback" not in failed.err
    assert retried.code == 0
    assert retried.json["result"]["created"] == 30
    assert retried.json["attempt"] == 2


def test_a_job_that_refuses_its_input_is_not_to_be_tried_again(cli_with_prefect, tmp_path: Path):
    (tmp_path / "goods.csv").write_text("code\nx\n")
    given = ["-c", "table=goods", "-c", "mode=upsert", "-c", "key=cod", "-c", f"file_key=@{tmp_path / 'goods.csv'}"]

    misspelt = cli_with_prefect("run", "table-import", *given)
    missing = cli_with_prefect("run", "table-export", "-c", "table=nowhere")
    shown = cli_with_prefect("show", missing.out.split()[0])

    for done in (misspelt, missing):
        assert done.code == 1
        assert done.err.strip().endswith("; correct the input or the context and run a new job")
    assert "batch-jobs run table-export ..." in shown.out
    assert "retry" not in misspelt.err + missing.err + shown.out


def test_neither_is_one_that_its_strategy_refuses_by_a_class_of_its_own(cli_with_prefect, strategies: Path):
    steps = (strategies / "steps.py").read_text()
    raised = 'type("TooSteep", (ContextRefused,), {})("too steep")'
    (strategies / "steps.py").write_text(steps.replace('ValueError(f"step {step} is broken")', raised))

    done = cli_with_prefect("run", "steps", "-c", "fails_once_at=2")

    assert done.code == 1
    assert done.err.strip().endswith("too steep; correct the input or the context and run a new job")


@pytest.mark.parametrize("raised", ["SystemExit(4)", "type('Enough', (BaseException,), {})('now')"])
def test_a_hook_that_ends_the_process_fails_its_job_only(cli_with_prefect, strategies: Path, raised):
    steps = (strategies / "steps.py").read_text()
    (strategies / "steps.py").write_text(steps.replace('ValueError(f"step {step} is broken")', raised))

    done = cli_with_prefect("run", "steps", "-c", "fails_once_at=2")

    assert done.code == 1
    assert "10 of 30" in done.out
    assert "the strategy raised" in done.err.splitlines()[-1]
    assert place_of(f"raise {raised}", strategies / "steps.py") in done.err.splitlines()[-1]
    assert cli_with_prefect("list", "--json").json[0]["status"] == "failed"


def test_ctrl_c_stops_at_the_next_chunk_edge_and_resume_goes_on(cli_with_prefect, until, tmp_path: Path):
    running = cli_with_prefect.start("run", "steps", "-c", f"waits_for={tmp_path / 'go'}")
    job = until(lambda job: job["result"]["advancement_count"] == 10)

    os.killpg(running.pid, signal.SIGINT)
    _, err = running.communicate(timeout=60)
    (tmp_path / "go").touch()
    resumed = cli_with_prefect("resume", job["id"], "--here", "--json")

    assert running.returncode == 1
    assert f"stopped after 10 rows; go on with: batch-jobs resume {job['id']} --here" in err
    assert resumed.json["status"] == "completed"
    assert resumed.json["result"]["created"] == 30


def test_a_killed_run_is_known_dead_and_can_be_retried(cli_with_prefect, until, tmp_path: Path):
    running = cli_with_prefect.start("run", "steps", "-c", f"waits_for={tmp_path / 'go'}")
    job = until(lambda job: job["result"]["advancement_count"] == 10)

    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    shown = cli_with_prefect("show", job["id"])
    (tmp_path / "go").touch()
    retried = cli_with_prefect("retry", job["id"], "--here", "--json")

    assert f"batch-jobs retry {job['id']} --here" in shown.out
    assert retried.json["status"] == "completed"
    assert retried.json["result"]["created"] == 30


def test_a_prefect_that_does_not_answer_is_one_line(cli):
    done = cli("run", "steps", PREFECT_API_URL="http://127.0.0.1:9/api")

    assert done.code == 1
    assert "Prefect at http://127.0.0.1:9/api (from PREFECT_API_URL) does not answer" in done.error
