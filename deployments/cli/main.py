"""The command ``batch-jobs``: its commands put together, and the one place where it ends."""

import os
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from batch_jobs.deployments.cli import (
    actions,
    api,
    automations,
    db,
    errors,
    files,
    jobs,
    keys,
    new,
    output,
    run,
    serve,
    strategies,
    worker,
)
from batch_jobs.flows.settings import misspelt

#: What Typer makes of Ctrl-C.
INTERRUPTED = 130

app = typer.Typer(
    name="batch-jobs",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    invoke_without_command=True,
)
app.command("strategies")(strategies.list_strategies)
app.command("template")(strategies.template)
app.command("run")(run.run)
app.command("create")(run.create)
app.command("list")(jobs.list_jobs)
app.command("show")(jobs.show)
app.command("watch")(jobs.watch)
for action in (actions.confirm, actions.retry, actions.resume, actions.pause, actions.cancel):
    app.command(action.__name__)(action)
app.add_typer(files.app, name="files")
app.add_typer(new.app, name="new")
app.add_typer(db.app, name="db")
app.add_typer(automations.app, name="automations")
app.command("serve")(serve.serve)
app.command("api")(api.api)
app.add_typer(keys.app, name="keys")
app.command("worker")(worker.worker)


def _print_version(wanted: bool) -> None:
    if not wanted:
        return
    try:
        output.out.print(f"batch-jobs {version('prefect-batch-jobs')}")
    except PackageNotFoundError:  # called from a source tree that is not installed
        output.out.print("batch-jobs, not installed")
    raise typer.Exit


@app.callback()
def begin(
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Run batch jobs on Prefect, and look them up later."""
    for told in misspelt():
        output.hint(f"warning: {told}")
    if context.invoked_subcommand is None:
        output.out.print(output.BEGIN)


def main() -> None:
    """Run the command line and end the process with its exit code."""
    try:
        code = _run()
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)


def _run() -> int:
    try:
        code = int(app(prog_name="batch-jobs", standalone_mode=False) or 0)
    except BrokenPipeError:
        raise
    except Exception as error:
        return errors.report(error)
    if code == INTERRUPTED:
        output.error("interrupted; `batch-jobs list` shows how the jobs are")
        return errors.DID_NOT_SUCCEED
    return code
