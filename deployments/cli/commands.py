"""The commands there are. A command's module is imported when the command is called, not when it is listed."""

import gc
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

#: Name -> the module in this folder and what it is there, a function or a ``typer.Typer``; its line in `--help`.
COMMANDS = {
    "strategies": ("strategies:list_strategies", "List what can be run, and files that could not be loaded."),
    "template": ("strategies:template", "Print a sample input of a strategy that works as it is."),
    "run": ("run:run", "Run a job here and now, with live progress."),
    "create": ("run:create", "Record a job, hand it to Prefect and print its id."),
    "list": ("jobs:list_jobs", "List jobs, newest first."),
    "show": ("jobs:show", "Show all there is to know of a job."),
    "changes": ("changes:changes", "Show what a job changes, row by row, before and after it runs."),
    "history": ("changes:history", "Show which jobs changed a row of a table, and from what to what."),
    "watch": ("watch:watch", "Follow a job until it ends, is paused or waits for a yes."),
    "confirm": ("actions:confirm", "Say yes to what a dry run showed; the job goes on."),
    "correct": ("correct:correct", "Let the rows of a job that were refused go in, with their cells corrected."),
    "retry": ("actions:retry", "Try a failed job again, from its last checkpoint and under the same id."),
    "resume": ("actions:resume", "Let a paused job go on."),
    "pause": ("actions:pause", "Stop a job at its next chunk edge, to go on later."),
    "cancel": ("actions:cancel", "Stop a job for good, at its next chunk edge when it runs."),
    "undo": ("run:undo", "Take back what a job changed, after a look at what that does."),
    "serve": ("serve:serve", "Run jobs in the background on this machine, with the Prefect UI; Ctrl-C stops it."),
    "api": ("api:api", "Serve the HTTP API; `batch-jobs serve` does too."),
    "worker": (
        "worker:worker",
        "Deploy every strategy to the work pool batch-jobs and run its jobs here; Ctrl-C stops it.",
    ),
    "files": ("files:app", "Put files into the file store, get them, list them."),
    "new": ("new:app", "Write a strategy to begin with."),
    "db": ("db:app", "Look after the job database."),
    "automations": ("automations:app", "Let Prefect act on what becomes of jobs."),
    "keys": ("keys:app", "Make, list and revoke the keys of the HTTP API."),
}

BEGIN = """\
batch-jobs runs batch jobs on Prefect and remembers every one of them.

  batch-jobs strategies                  what can be run
  batch-jobs run TYPE -c KEY=VALUE       run a job here and now, with live progress
  batch-jobs run TYPE ... --dry-run      look first at what it would do
  batch-jobs list                        the jobs so far; `batch-jobs show ID` has all of one
  batch-jobs serve                       run jobs in the background, with the Prefect UI
  batch-jobs new strategy NAME           write a strategy of your own

`batch-jobs --help` has every command."""


class LazyGroup(TyperGroup):
    """A group that holds a name and a line of help for each command, and imports the one that is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Find the command that is called and import it."""
        name, _, rest = super().resolve_command(ctx, args)
        command = import_command(name) if name else None
        gc.freeze()  # what is imported stays, so that collecting does not look through it
        gc.enable()  # see ``main``
        return name, command, rest


def import_command(name: str) -> Any:
    """Return the command of this name, ready to be called by Typer."""
    module, attribute = COMMANDS[name][0].split(":")
    found = getattr(import_module(f"{__package__}.{module}"), attribute)
    group = typer.Typer(rich_markup_mode=None, callback=_nothing)
    if isinstance(found, typer.Typer):
        group.add_typer(found, name=name)
    else:
        group.command(name)(found)
    made = get_command(group)
    assert isinstance(made, TyperGroup)
    return made.commands[name]


def _nothing() -> None: ...


def _print_version(wanted: bool) -> None:
    if not wanted:
        return
    from batch_jobs import __version__

    typer.echo(f"batch-jobs {__version__}" if __version__ != "0" else "batch-jobs, not installed")
    raise typer.Exit


app = typer.Typer(
    name="batch-jobs",
    cls=LazyGroup,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    invoke_without_command=True,
)
for _name, (_, _help) in COMMANDS.items():
    app.command(_name, help=_help)(_nothing)


@app.callback()
def begin(
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Run batch jobs on Prefect, and look them up later."""
    from batch_jobs.deployments.cli import output
    from batch_jobs.flows.settings import misspelt

    for unknown in misspelt():
        output.hint(f"warning: {unknown}")
    if context.invoked_subcommand is None:
        output.out.print(BEGIN)
