"""``new``: writes a strategy to begin with, and its test."""

import keyword
import os
import re
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import jinja2
import typer

from batch_jobs.deployments.cli import output
from batch_jobs.deployments.errors import UsageRefused
from batch_jobs.flows.settings import current_settings
from batch_jobs.strategies.sdk.registry import BUILT_IN


@dataclass(frozen=True)
class StrategyName:
    """A name as file, as batch type and as class: ``retire_skus``, ``retire-skus``, ``RetireSkus``."""

    snake: str

    @classmethod
    def parse(cls, given: str) -> "StrategyName":
        """Read a name in any of the three spellings.

        Raises:
            UsageRefused: it is not a name.
        """
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]*([_-][A-Za-z0-9]+)*", given):
            raise UsageRefused(
                f"{given!r} is no name for a strategy; use letters, digits and dashes, such as retire-old-skus"
            )
        spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", given)
        snake = spaced.replace("-", "_").lower()
        if keyword.iskeyword(snake):
            raise UsageRefused(f"{given!r} is a word of Python and no name for a strategy")
        return cls(snake)

    @property
    def kebab(self) -> str:
        """As batch type."""
        return self.snake.replace("_", "-")

    @property
    def camel(self) -> str:
        """As class."""
        return "".join(part.capitalize() for part in self.snake.split("_"))

    @property
    def words(self) -> str:
        """As the start of a sentence."""
        return self.snake.replace("_", " ").capitalize()


TEMPLATES = Path(__file__).parent / "templates"

app = typer.Typer(no_args_is_help=True, help="Write a strategy to begin with.")


@app.callback()
def new() -> None:
    """Write a strategy to begin with."""


@dataclass(frozen=True)
class Kind:
    """What a new strategy is: the name of its templates, and how to see it work first."""

    name: str
    first_run: str


PLAIN = Kind("plain", "batch-jobs run {type} --dry-run")
FRAME = Kind(
    "frame",
    "batch-jobs template {type} -o {type}.csv && batch-jobs run {type} -c file_key=@{type}.csv --dry-run",
)
UPDATE = Kind("update", "batch-jobs run {type} --dry-run, once the target has its table")
EXPORT = Kind("export", "batch-jobs run {type}, once the target has its table")


@app.command("strategy")
def new_strategy(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Such as retire-old-skus.", show_default=False)],
    frame: Annotated[bool, typer.Option("--frame", help="One that loads a file, changed in pandas.")] = False,
    update: Annotated[bool, typer.Option("--update", help="One that changes a table's rows in pandas.")] = False,
    export: Annotated[bool, typer.Option("--export", help="One that writes a query to a file by pandas.")] = False,
    plain: Annotated[bool, typer.Option("--plain", help="One with hooks of its own; the default.")] = False,
) -> None:
    """Write a working strategy and its test, to make your own of."""
    asked = [kind for kind, is_it in ((FRAME, frame), (UPDATE, update), (EXPORT, export), (PLAIN, plain)) if is_it]
    if len(asked) > 1:
        raise UsageRefused(f"give one of {' and '.join(f'--{kind.name}' for kind in asked)}")
    kind = asked[0] if asked else PLAIN
    spelled = StrategyName.parse(name)
    folder, tests = _folders()
    strategy, test = folder / f"{spelled.snake}.py", tests / f"test_{spelled.snake}.py"
    for file in (strategy, test):
        if file.exists():
            raise UsageRefused(f"{file} is there already; choose another name")
    in_clone = is_clone() and not current_settings().strategies
    _write(strategy, f"{kind.name}.py.jinja", spelled, in_clone)
    _write(test, f"test_{kind.name}.py.jinja", spelled, in_clone, Path(os.path.relpath(folder, test.parent)).as_posix())
    output.out.print(f"{strategy}\n{test}")
    output.hint(f"run it: {kind.first_run.format(type=spelled.kebab)}")
    output.hint(f"test it: {how_to_test(test, in_clone, has_pytest=find_spec('pytest') is not None)}")


def how_to_test(test: Path, in_clone: bool, has_pytest: bool) -> str:
    """Return the command that runs a test with this Python, installing pytest first where it is lacking."""
    python = _relative(Path(sys.executable))
    if has_pytest:
        return f"{python} -m pytest {test}"
    install = "make .venv/dev" if in_clone else f"{python} -m pip install pytest"
    return f"{install} && {python} -m pytest {test}"


def _relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _folders() -> tuple[Path, Path]:
    """Return where a strategy and its test go: the first folder of the settings, else `strategies` and `tests` here."""
    if current_settings().strategies:
        configured = current_settings().strategy_folders[0]
        return configured, configured / "tests"
    return Path("strategies"), Path("tests/unit" if is_clone() else "tests")


def is_clone() -> bool:
    """Whether we are in a clone of this project: its `strategies` are the built-in ones."""
    return Path("strategies").is_dir() and Path("strategies").samefile(BUILT_IN)


def _write(file: Path, template: str, name: StrategyName, in_clone: bool, strategies: str = "") -> None:
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined, autoescape=False
    )
    text = templates.get_template(template).render(name=name, in_clone=in_clone, strategies=strategies)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text.rstrip() + "\n", encoding="utf-8")
