"""The three rooms and their one direction, and what may lie at the top of the repository."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = {"strategies", "flows", "deployments"}
FOLDERS = {*ROOMS, "tests", "docs", "examples", "benchmarks", ".ci", ".github"}
FILES = {
    ".editorconfig",
    ".gitignore",
    ".pre-commit-config.yaml",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "SECURITY.md",
    "constraints.txt",
    "prefect.yaml",
    "pyproject.toml",
}


def lint_imports(package: Path) -> subprocess.CompletedProcess[str]:
    """Check the rooms in this folder, which is laid out as the package `batch_jobs`."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    options = ["--config", str(ROOT / "pyproject.toml"), "--no-cache"]
    environment = {**os.environ, "PYTHONPATH": str(package.parent)}
    return subprocess.run([*command, *options], cwd=package.parent, env=environment, capture_output=True, text=True)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """An empty package `batch_jobs`."""
    package = tmp_path / "batch_jobs"
    package.mkdir()
    (package / "__init__.py").touch()
    return package


def test_deployments_import_flows_and_flows_import_strategies_never_the_other_way(package: Path) -> None:
    for room in ROOMS:
        (package / room).symlink_to(ROOT / room)

    checked = lint_imports(package)

    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(
    ("room", "imported"),
    [
        ("strategies", "batch_jobs.flows"),
        ("strategies", "batch_jobs.deployments"),
        ("flows", "batch_jobs.deployments"),
        ("strategies", "prefect"),
    ],
)
def test_an_import_in_the_wrong_direction_is_seen(package: Path, room: str, imported: str) -> None:
    for name in ROOMS:
        (package / name).mkdir()
        (package / name / "__init__.py").touch()
    (package / room / "straying.py").write_text(f"import {imported}\n")

    checked = lint_imports(package)

    assert checked.returncode == 1
    assert f"batch_jobs.{room}.straying -> {imported}" in checked.stdout


def test_the_top_level_holds_only_what_the_design_names() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode:
        pytest.skip(f"not a git clone: {listed.stderr.strip()}")
    top = {Path(line).parts[0] for line in listed.stdout.splitlines()}

    assert top <= FOLDERS | FILES


def test_every_package_is_in_the_wheel() -> None:
    """Folders map to `batch_jobs.*` by an explicit list, which setuptools cannot find out by itself."""
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    folders = {file.parent for room in ROOMS for file in (ROOT / room).rglob("__init__.py")}
    packages = {".".join(("batch_jobs", *folder.relative_to(ROOT).parts)) for folder in folders}

    assert listed == packages - {"batch_jobs.deployments.package"} | {"batch_jobs"}


def test_what_is_for_any_table_names_none_of_a_shop():
    from batch_jobs.strategies.shop.medusa import tables

    names = [f'"{table.name}"' for table in tables.metadata.tables.values() if "_" in table.name]
    files = [path for room in ("tables", "sdk") for path in (ROOT / "strategies" / room).rglob("*.py")]
    assert names
    assert files
    assert [(file.name, name) for file in files for name in names if name in file.read_text()] == []
