"""``new``: writes a strategy to begin with, and its test."""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import jinja2
import typer

from deployments.cli import output
from deployments.cli.naming import StrategyName
from deployments.errors import UsageRefused
from flows.settings import current_settings

app = typer.Typer(no_args_is_help=True, help="Write a strategy to begin with.")


@app.callback()
def new() -> None:
    """Write a strategy to begin with."""


@app.command("strategy")
def new_strategy(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Such as retire-old-skus.", show_default=False)],
) -> None:
    """Write a working strategy and its test, to make your own of."""
    spelled = StrategyName.parse(name)
    folder, tests = _folders()
    strategy, test = folder / f"{spelled.snake}.py", tests / f"test_{spelled.snake}.py"
    for file in (strategy, test):
        if file.exists():
            raise UsageRefused(f"{file} is there already; choose another name")
    in_clone = not current_settings().strategy_folders
    _write(strategy, "strategy.py.jinja", spelled, in_clone)
    _write(test, "test_strategy.py.jinja", spelled, in_clone)
    output.out.print(f"{strategy}\n{test}")
    output.hint(f"run it: batch-jobs run {spelled.kebab} --dry-run")
    output.hint(f"test it: {how_to_test(test, in_clone, has_pytest=find_spec('pytest') is not None)}")


def how_to_test(test: Path, in_clone: bool, has_pytest: bool) -> str:
    """The command that runs a test with this Python, and before it what installs pytest where it is lacking."""
    python = _shown(Path(sys.executable))
    if has_pytest:
        return f"{python} -m pytest {test}"
    install = "make .venv/dev" if in_clone else f"{python} -m pip install pytest"
    return f"{install} && {python} -m pytest {test}"


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _folders() -> tuple[Path, Path]:
    """Where a strategy and its test go: the first folder of the settings, else the clone we are in."""
    configured = current_settings().strategy_folders
    if configured:
        return configured[0], configured[0] / "tests"
    if Path("strategies/base.py").is_file():
        return Path("strategies"), Path("tests/unit")
    raise UsageRefused(
        "no folder for strategies: set BATCH_JOBS_STRATEGIES to one, or call this in a clone of the project"
    )


def _write(file: Path, template: str, name: StrategyName, in_clone: bool) -> None:
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("deployments.cli"), undefined=jinja2.StrictUndefined, autoescape=False
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        templates.get_template(template).render(name=name, in_clone=in_clone).rstrip() + "\n", encoding="utf-8"
    )
