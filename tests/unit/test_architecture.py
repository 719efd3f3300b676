"""The three rooms and their one direction, and what may lie at the top of the repository."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = {"strategies", "flows", "deployments"}
FOLDERS = {*ROOMS, "tests", "docs", "examples", "benchmarks", ".ci"}
FILES = {
    ".gitignore",
    "CHANGELOG.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "constraints.txt",
    "prefect.yaml",
    "pyproject.toml",
}


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    options = ["--config", str(folder / "pyproject.toml"), "--no-cache"]
    return subprocess.run([*command, *options], cwd=folder, capture_output=True, text=True)


def test_deployments_import_flows_and_flows_import_strategies_never_the_other_way() -> None:
    checked = lint_imports(ROOT)

    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(
    ("room", "imported"),
    [("strategies", "flows"), ("strategies", "deployments"), ("flows", "deployments"), ("strategies", "prefect")],
)
def test_an_import_in_the_wrong_direction_is_seen(tmp_path: Path, room: str, imported: str) -> None:
    for name in ROOMS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    (tmp_path / room / "straying.py").write_text(f"import {imported}\n")

    checked = lint_imports(tmp_path)

    assert checked.returncode == 1
    assert f"{room}.straying -> {imported}" in checked.stdout


def test_the_top_level_holds_only_what_the_design_names() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode:
        pytest.skip(f"not a git clone: {listed.stderr.strip()}")
    top = {Path(line).parts[0] for line in listed.stdout.splitlines()}

    assert top <= FOLDERS | FILES
