"""What `new strategy` advises."""

import sys
from pathlib import Path

import pytest

from batch_jobs.deployments.cli.new import how_to_test


@pytest.mark.parametrize(
    ("in_clone", "has_pytest", "first"),
    [
        (True, True, ""),
        (True, False, "make .venv/dev && "),
        (False, False, "{python} -m pip install pytest && "),
    ],
)
def test_the_test_of_a_new_strategy_is_run_with_this_python_and_pytest_installed_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_clone: bool, has_pytest: bool, first: str
):
    monkeypatch.chdir(tmp_path)
    python = sys.executable

    message = how_to_test(Path("tests/unit/test_mine.py"), in_clone, has_pytest)

    assert message == f"{first.format(python=python)}{python} -m pytest tests/unit/test_mine.py"


def test_a_python_of_this_folder_is_named_shortly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv/bin/python"))

    assert how_to_test(Path("test_mine.py"), True, True) == ".venv/bin/python -m pytest test_mine.py"
