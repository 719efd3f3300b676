"""``strategies``, ``template`` and ``new strategy``."""

import subprocess
import sys
from pathlib import Path

import pytest


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


def test_the_test_of_a_new_strategy_passes(cli, strategies: Path):
    cli("new", "strategy", "retire-old-skus")

    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", str(strategies / "tests")],
        env=cli.environment,
        capture_output=True,
        text=True,
    )

    assert tested.returncode == 0, tested.stdout


def test_outside_a_clone_a_folder_must_be_named(cli):
    done = cli("new", "strategy", "mine", BATCH_JOBS_STRATEGIES="")

    assert done.code == 2
    assert "set BATCH_JOBS_STRATEGIES" in done.error
