"""Options that several commands share, and who sits at this command line."""

import getpass
from pathlib import Path
from typing import Annotated

import typer

from batch_jobs.deployments.errors import UsageRefused

JobId = Annotated[str, typer.Argument(metavar="ID", help="The job's id.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Here = Annotated[bool, typer.Option("--here", help="Go on in this process instead of handing the job to Prefect.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show Prefect's own log lines too.")]
Type = Annotated[
    str, typer.Argument(metavar="TYPE", help="What to run; see `batch-jobs strategies`.", show_default=False)
]
Pairs = Annotated[
    list[str] | None,
    typer.Option(
        "-c",
        metavar="KEY=VALUE",
        help="A value of the context; KEY=@PATH puts that file into the file store and passes its key.",
    ),
]
Whole = Annotated[
    str | None, typer.Option("--context", metavar="JSON|@FILE", help="The whole context.", show_default=False)
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, then wait for a yes.")]


def login_name() -> str:
    """The login name, for ``created_by`` and the history."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container may run as a user without a name
        return "cli"


To = Annotated[Path | None, typer.Option("-o", metavar="FILE", help="Where to write it; stdout without.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite FILE when it exists.")]


def writable(to: Path, force: bool) -> Path:
    """The file's path, its ``~`` expanded.

    Raises:
        UsageRefused: the file exists and is not to be overwritten.
    """
    path = to.expanduser()
    if path.is_file() and not force:
        raise UsageRefused(f"{to} exists; --force overwrites it")
    return path
