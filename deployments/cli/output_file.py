"""``-o FILE``: a file to write to, which is not overwritten without a word."""

from pathlib import Path
from typing import Annotated

import typer

from deployments.errors import UsageRefused

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
