"""Arguments and options that several commands share, and what is read from them."""

from pathlib import Path
from typing import Annotated

import typer

from batch_jobs.deployments.errors import UsageRefused

JobId = Annotated[str, typer.Argument(metavar="ID", help="The job's id.", show_default=False)]
StrategyType = Annotated[
    str, typer.Argument(metavar="TYPE", help="What to run; see `batch-jobs strategies`.", show_default=False)
]
ContextPairs = Annotated[
    list[str] | None,
    typer.Option(
        "-c",
        metavar="KEY=VALUE",
        help="A value of the context; KEY=@PATH puts that file into the file store and passes its key.",
    ),
]
ContextJson = Annotated[
    str | None, typer.Option("--context", metavar="JSON|@FILE", help="The whole context.", show_default=False)
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, then wait for a yes.")]
Here = Annotated[bool, typer.Option("--here", help="Go on in this process instead of handing the job to Prefect.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show Prefect's own log lines too.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
OutputFile = Annotated[Path | None, typer.Option("-o", metavar="FILE", help="Where to write it; stdout without.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite FILE when it exists.")]


def output_path(file: Path, force: bool) -> Path:
    """Return the path to write ``-o FILE`` to, its ``~`` expanded.

    Raises:
        UsageRefused: the file exists and ``--force`` was not given.
    """
    path = file.expanduser()
    if path.is_file() and not force:
        raise UsageRefused(f"{file} exists; --force overwrites it")
    return path
