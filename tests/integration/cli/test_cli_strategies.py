"""``strategies``, ``template`` and ``new strategy``."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.command_line import ROOT


def test_strategies_are_listed_and_broken_files_named(cli, strategies: Path):
    (strategies / "broken.py").write_text("import nothing_of_this_name\n")

    done = cli("strategies")

    assert done.code == 0
    assert "steps" in done.out
    assert "Take some steps." in done.out
    assert "broken.py" in done.err
    found = {entry["type"]: entry for entry in cli("strategies", "--json").json if "type" in entry}
    assert found["steps"]["context"]["properties"]["steps"]["type"] == "integer"


def test_a_template_is_printed_as_it_is_or_written_to_a_file(cli, tmp_path: Path):
    assert cli("template", "steps").out == "step\n1\n"

    cli("template", "steps", "-o", str(tmp_path / "sample.csv"))

    assert (tmp_path / "sample.csv").read_text() == "step\n1\n"


def test_a_template_overwrites_a_file_only_by_force(cli, tmp_path: Path):
    file = tmp_path / "mine.csv"
    file.write_text("mine")

    refused = cli("template", "steps", "-o", str(file))
    kept = file.read_text()
    forced = cli("template", "steps", "-o", str(file), "--force")

    assert (refused.code, kept) == (2, "mine")
    assert refused.error == f"{file} exists; --force overwrites it"
    assert (forced.code, file.read_text()) == (0, "step\n1\n")


@pytest.mark.parametrize("name", ["retire_old_skus", "retire-old-skus", "RetireOldSkus"])
def test_a_new_strategy_is_there_in_any_spelling(cli, strategies: Path, name):
    done = cli("new", "strategy", name)

    assert done.code == 0
    assert done.out.splitlines() == [
        str(strategies / "retire_old_skus.py"),
        str(strategies / "tests" / "test_retire_old_skus.py"),
    ]
    assert "class RetireOldSkus(" in (strategies / "retire_old_skus.py").read_text()
    assert "retire-old-skus" in cli("strategies").out


def test_a_new_strategy_overwrites_nothing(cli, strategies: Path):
    before = (strategies / "steps.py").read_text()

    done = cli("new", "strategy", "steps")

    assert done.code == 2
    assert "is there already" in done.error
    assert (strategies / "steps.py").read_text() == before


@pytest.mark.parametrize(
    ("kind", "base", "first_run"),
    [
        (
            "frame",
            "FrameImport",
            "batch-jobs template prices -o prices.csv && batch-jobs run prices -c file_key=@",
        ),
        ("update", "FrameUpdate", "batch-jobs run prices --dry-run, once the target has its table"),
        ("export", "FrameExport", "batch-jobs run prices, once the target has its table"),
        ("plain", "BatchJobStrategy", "batch-jobs run prices --dry-run"),
    ],
)
def test_a_new_strategy_is_of_the_kind_that_was_asked_for(cli, strategies: Path, kind: str, base: str, first_run: str):
    done = cli("new", "strategy", "prices", f"--{kind}")

    assert f"class Prices({base}):" in (strategies / "prices.py").read_text()
    assert done.err.startswith(f"run it: {first_run}")


def test_a_new_strategy_is_of_one_kind(cli, strategies: Path):
    done = cli("new", "strategy", "prices", "--frame", "--export")

    assert (done.code, done.error) == (2, "give one of --frame and --export")
    assert not (strategies / "prices.py").exists()


def test_the_sample_of_a_new_strategy_that_loads_a_file_can_be_loaded(cli_with_prefect, tmp_path: Path):
    cli_with_prefect("new", "strategy", "prices", "--frame")
    cli_with_prefect("template", "prices", "-o", str(tmp_path / "prices.csv"))

    ran = cli_with_prefect("run", "prices", "-c", f"file_key=@{tmp_path / 'prices.csv'}", "--json")

    assert (ran.code, ran.json["result"]["created"]) == (0, 2)


def test_the_test_of_a_new_strategy_passes(cli, strategies: Path):
    cli("new", "strategy", "retire-old-skus")

    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", str(strategies / "tests")],
        env=cli.environment,
        capture_output=True,
        text=True,
    )

    assert tested.returncode == 0, tested.stdout


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a Prefect project with packages of its own that are called as our folders are."""
    folder = tmp_path / "project"
    for name in ("flows", "deployments", "strategies", "tests"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").touch()
    monkeypatch.chdir(folder)
    return folder


def test_in_a_project_a_new_strategy_is_made_here_and_runs(cli_with_prefect, project: Path):
    cli_with_prefect.environment["BATCH_JOBS_STRATEGIES"] = ""

    made = cli_with_prefect("new", "strategy", "retire-old-skus")
    ran = cli_with_prefect("run", "retire-old-skus", "--json")
    tested = subprocess.run([sys.executable, "-m", "pytest", "-q"], capture_output=True, text=True)

    assert made.out.splitlines() == ["strategies/retire_old_skus.py", "tests/test_retire_old_skus.py"]
    assert "retire-old-skus" in cli_with_prefect("strategies").out
    assert (ran.code, ran.json["result"]["created"]) == (0, 2_500)
    assert tested.returncode == 0, tested.stdout


@pytest.mark.long
def test_a_new_strategy_and_its_test_pass_mypy_in_its_strict_mode(cli, project: Path):
    cli("new", "strategy", "retire-old-skus", BATCH_JOBS_STRATEGIES="")
    environment = {**os.environ, "MYPYPATH": str(ROOT / ".venv/src")}

    checked = subprocess.run(
        # what the package imports is not the author's: silent, as it is where the package is installed
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "strategies", "tests"],
        env=environment,
        capture_output=True,
        text=True,
    )

    assert checked.returncode == 0, checked.stdout
