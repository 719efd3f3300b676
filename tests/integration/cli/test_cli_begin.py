"""The command by itself, and what a mistyped one or a broken setting leads to."""

import os
from pathlib import Path

import pytest

from batch_jobs.deployments.cli.commands import COMMANDS, import_command
from batch_jobs.flows.settings import Settings


def test_without_arguments_it_says_where_to_begin(cli):
    done = cli()

    assert done.code == 0
    assert "batch-jobs run TYPE" in done.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["run"], "Missing argument 'TYPE'"),
        (["list", "--status", "done"], "'created', 'pre_processed', 'confirmed', 'processing', 'paused'"),
        (["list", "--limit", "0"], "--limit"),
        (["show", "batch_none"], "there is no job batch_none"),
        (["watch", "batch_none"], "there is no job batch_none"),
        (["confirm", "batch_none"], "there is no job batch_none"),
        (["retry", "batch_none", "--here"], "there is no job batch_none"),
        (["create", "nothing"], "no strategy has the type 'nothing'; there are"),
        (["template", "nothing"], "no strategy has the type 'nothing'"),
        (["files", "get", "uploads/none.csv"], "there is no file uploads/none.csv"),
        (["files", "get", "../../etc/passwd"], "is not a file key"),
        (["files", "put", "none.csv"], "the file none.csv cannot be read: No such file"),
        (["new", "strategy", "../evil"], "is no name for a strategy"),
        (["new", "strategy", "class"], "is a word of Python"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_done_is_one_line_and_exit_2(cli, arguments, message):
    done = cli(*arguments)

    assert done.code == 2
    assert message in done.error
    assert done.out == ""


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("BATCH_JOBS_CHUNK_SIZE", "many", "BATCH_JOBS_CHUNK_SIZE: Input should be a valid integer"),
        ("BATCH_JOBS_DATABASE_URL", "postgresql://nobody:secret@127.0.0.1:1/none", "of BATCH_JOBS_DATABASE_URL ("),
        ("BATCH_JOBS_DATABASE_URL", "nonsense", "BATCH_JOBS_DATABASE_URL"),
        ("BATCH_JOBS_DATABASE_URL", "mysql://host/db", "BATCH_JOBS_DATABASE_URL"),
        ("BATCH_JOBS_FILES_URL", "nonsense://x", "BATCH_JOBS_FILES_URL"),
        ("BATCH_JOBS_HOME", "/proc/nowhere", "/proc/nowhere"),
    ],
)
def test_a_setting_that_cannot_work_is_one_line(cli, setting, value, message):
    done = cli("list", **{setting: value})

    assert done.code in (1, 2)
    assert message in done.error
    assert "secret" not in done.err


def test_a_setting_of_prefect_that_cannot_work_is_named(cli):
    done = cli("serve", PREFECT_RUNNER_PROCESS_LIMIT="x")
    assert done.code == 1
    message = "Prefect does not start: PREFECT_RUNNER_PROCESS_LIMIT: Input should be a valid integer"
    assert done.error.startswith(message)


def test_a_variable_that_is_no_setting_is_warned_of(cli, tmp_path: Path):
    (tmp_path / ".env").write_text("BATCH_JOBS_QUARK=1\nOTHER=1\n")
    done = cli("list", "--json", BATCH_JOBS_DATABSE_URL="sqlite:///elsewhere.db", BATCH_JOBS_DEBUG="0")

    assert (done.code, done.json) == (0, [])
    assert done.err.splitlines() == [
        "warning: BATCH_JOBS_DATABSE_URL is no setting and changes nothing; did you mean BATCH_JOBS_DATABASE_URL?",
        "warning: BATCH_JOBS_QUARK is no setting and changes nothing",
    ]


def test_an_error_nobody_foresaw_is_one_line_and_its_trace_can_be_had(cli, strategies: Path):
    (strategies / "odd.py").write_text(
        "from batch_jobs.strategies.sdk.base import BatchJobStrategy\n\n\nclass Odd(BatchJobStrategy):\n"
        "    identifier = batch_type = 'odd'\n    def process(self, job): ...\n"
        "    def build_template(self): raise LookupError('the moon')\n"
    )

    done = cli("template", "odd")
    debugged = cli("template", "odd", BATCH_JOBS_DEBUG="1")

    assert done.code == 1
    assert done.error == "LookupError: the moon; BATCH_JOBS_DEBUG=1 shows where"
    assert "Traceback" in debugged.err


def test_a_reader_that_has_seen_enough_is_not_complained_about(cli):
    listing = cli.start("strategies", "--json")
    listing.stdout.close()
    listing.stdout = None

    assert listing.stderr.read() == ""
    listing.wait(60)


def test_ctrl_c_while_everything_is_imported_is_one_line(cli, tmp_path: Path):
    (tmp_path / "typer").mkdir()
    heed = "signal.signal(signal.SIGINT, signal.default_int_handler)"  # tests started in the background ignore it
    interrupt = f"import os, signal\n{heed}\nos.kill(os.getpid(), signal.SIGINT)\n"
    (tmp_path / "typer" / "__init__.py").write_text(interrupt)
    done = cli.from_scratch("strategies", PYTHONPATH=f"{tmp_path}{os.pathsep}{cli.environment['PYTHONPATH']}")
    assert (done.code, done.error) == (1, "interrupted")


#: What takes longer to import than looking up jobs may take.
HEAVY = {"prefect", "pandas", "pyarrow", "numpy", "alembic", "cryptography", "fastapi", "fsspec", "limits", "jinja2"}


@pytest.mark.parametrize(
    ("arguments", "needed", "needless"),
    [
        (
            ["list"],
            {"sqlalchemy", "batch_jobs.flows.jobs.service"},
            {"sqlalchemy.dialects.postgresql"},
        ),
        (["list", "--json"], {"sqlalchemy"}, {"batch_jobs.strategies.table_import"}),
        (["--help"], {"typer"}, {"sqlalchemy", "pydantic_settings", "batch_jobs.flows", "batch_jobs.strategies"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_command_imports_only_what_it_needs(cli, arguments, needed, needless):
    cli("list")  # an empty database would be migrated, with Alembic
    cli.environment["PYTHONPROFILEIMPORTTIME"] = "1"

    done = cli.from_scratch(*arguments)
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.err.splitlines()}

    assert done.code == 0
    assert needed <= imported
    assert not imported & (HEAVY | needless)


def test_each_command_is_listed_with_the_first_sentence_of_its_help(cli):
    listed = cli("--help").out

    for name, (_, line) in COMMANDS.items():
        own = " ".join((import_command(name).help or "").split())
        assert f"{own}\n".startswith((f"{line}\n", f"{line} ")), name
        assert f"\n  {name} " in listed


def test_a_command_that_is_almost_right_is_corrected(cli):
    assert cli("lsit").error.startswith("No such command 'lsit'. Did you mean 'list'?")


def test_an_empty_setting_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("BATCH_JOBS_HOME", "")
    assert Settings().home == Path(".batch-jobs").absolute()
