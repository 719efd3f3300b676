"""Options that several commands share."""

from typing import Annotated

import typer

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
