"""``keys``: who may use the HTTP API."""

from typing import Annotated

import typer

from batch_jobs.deployments.cli import output
from batch_jobs.deployments.cli.options import AsJson
from batch_jobs.deployments.errors import UsageRefused
from batch_jobs.flows.access.keys import ApiKey, Role
from batch_jobs.flows.workspace import current_workspace

app = typer.Typer(no_args_is_help=True, help="Make, list and revoke the keys of the HTTP API.")

HEADERS = ("ID", "NAME", "ROLE", "TYPES", "TABLES", "BEGINS", "LAST USED", "STATE")


@app.command()
def create(
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Its holder, whose jobs are its own.")],
    role: Annotated[Role, typer.Option("--role", help="What it may do.")],
    types: Annotated[
        list[str] | None, typer.Option("--type", metavar="TYPE", help="Only jobs of this type; may be repeated.")
    ] = None,
    tables: Annotated[
        list[str] | None,
        typer.Option("--table", metavar="TABLE", help="Only these tables, such as 'shop.*'; may be repeated."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it; it cannot be shown again."""
    workspace = current_workspace()
    for batch_type in types or ():
        workspace.strategies.get(batch_type)  # a key for a type that is none would fit nothing
    try:
        key, token = workspace.api_keys.create(name, role, types, tables)
    except ValueError as error:
        raise UsageRefused(str(error)) from None
    if as_json:
        output.print_json({"key": token, **_as_json(key)})
        return
    output.out.print(token)
    output.hint(f"{key.id}, the {role} key of {name}; keep it, it is not shown again")


@app.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """List the keys, without themselves."""
    found = current_workspace().api_keys.all()
    if as_json:
        output.print_json([_as_json(key) for key in found])
    elif found:
        output.out.print(output.grid([_row(key) for key in found], HEADERS))
    else:
        output.out.print("no keys")


@app.command()
def revoke(
    id_or_name: Annotated[
        str, typer.Argument(metavar="ID|NAME", help="A key's id, or a name for all keys of it.", show_default=False)
    ],
    as_json: AsJson = False,
) -> None:
    """Make a key useless from now on."""
    revoked = current_workspace().api_keys.revoke(id_or_name)
    if as_json:
        output.print_json([_as_json(key) for key in revoked])
        return
    for key in revoked:
        output.out.print(f"revoked {key.id} ({key.name})")


def _as_json(key: ApiKey) -> dict[str, object]:
    return key.model_dump(mode="json")


def _row(key: ApiKey) -> tuple[str, ...]:
    state = "works" if key.revoked_at is None else f"revoked {output.time_text(key.revoked_at)}"
    limits = (", ".join(names or ["all"]) for names in (key.types, key.tables))
    used = output.time_text(key.last_used_at) if key.last_used_at else "never"
    return key.id, key.name, key.role, *limits, key.hint, used, state
