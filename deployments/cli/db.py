"""``db``: the job database's upkeep."""

import typer

from deployments.cli import output
from flows.database import HEAD, current_revision
from flows.database import upgrade as migrate
from flows.workspace import current_workspace
from strategies.engines import make_engine

app = typer.Typer(no_args_is_help=True, help="Look after the job database.")


@app.callback()
def database() -> None:
    """Look after the job database."""


@app.command()
def upgrade() -> None:
    """Bring the job database to this version."""
    engine = make_engine(current_workspace().settings.jobs_url)
    found = current_revision(engine)
    if found != HEAD:
        migrate(engine)
    where = engine.url.render_as_string(hide_password=True)
    output.out.print(f"{where} is at revision {HEAD}" + ("" if found != HEAD else " already"))
