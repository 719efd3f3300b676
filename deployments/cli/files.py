"""``files``: the file store that jobs read from and write to."""

import shutil
import sys
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from batch_jobs.deployments.cli import output
from batch_jobs.deployments.cli.options import AsJson, Force, OutputFile, output_path
from batch_jobs.deployments.errors import UsageRefused
from batch_jobs.flows.workspace import current_workspace

app = typer.Typer(no_args_is_help=True, help="Put files into the file store, get them, list them.")


@app.command()
def put(
    path: Annotated[Path, typer.Argument(help="The file to put; `-` reads stdin.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Put a file into the file store and print its key."""
    files = current_workspace().files
    if str(path) == "-":
        key = files.put(sys.stdin.buffer, "stdin")
    else:
        with _opened(path) as source:
            key = files.put(source, path.name)
    output.print_json({"key": key, "size": files.size(key)}) if as_json else output.out.print(key)


@app.command()
def get(
    key: Annotated[str, typer.Argument(help="The file's key.", show_default=False)],
    to: OutputFile = None,
    force: Force = False,
) -> None:
    """Get a file out of the file store."""
    path = output_path(to, force) if to else None
    with current_workspace().files.open(key) as source:
        if path is None:
            shutil.copyfileobj(source, sys.stdout.buffer)
            sys.stdout.buffer.flush()
            return
        try:
            with path.open("wb") as target:
                shutil.copyfileobj(source, target)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise OSError(error.errno, error.strerror, str(path)) from error
    output.hint(f"written to {to}")


@app.command("list")
def list_files(
    prefix: Annotated[str, typer.Argument(help="Only files in this folder of the store.")] = "", as_json: AsJson = False
) -> None:
    """List the files of the store."""
    found = current_workspace().files.list(prefix)
    if as_json:
        output.print_json([{"key": file.key, "size": file.size} for file in found])
    elif found:
        output.out.print(output.grid([(file.key, f"{file.size:,}") for file in found], ("KEY", "BYTES"), right=(1,)))
    else:
        output.out.print("no files")


def _opened(path: Path) -> BinaryIO:
    try:
        return path.expanduser().open("rb")
    except OSError as error:
        raise UsageRefused(f"the file {path} cannot be read: {error.strerror}") from None
