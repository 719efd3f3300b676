"""``db``: the job database's upkeep."""

from datetime import timedelta
from typing import Annotated

import typer
from sqlalchemy import Engine

from batch_jobs.deployments.cli import output
from batch_jobs.deployments.errors import UsageRefused
from batch_jobs.flows.database import HEAD, current_revision
from batch_jobs.flows.database import upgrade as migrate
from batch_jobs.flows.workspace import current_workspace
from batch_jobs.strategies.sdk.database import make_engine

app = typer.Typer(no_args_is_help=True, help="Look after the job database.")


@app.callback()
def database() -> None:
    """Look after the job database."""


@app.command()
def upgrade(
    commerce: Annotated[
        bool,
        typer.Option(
            "--commerce", help="Make the tables of a shop in the target, too; a shop that is there is left as it is."
        ),
    ] = False,
) -> None:
    """Bring the job database to this version."""
    engine = make_engine(current_workspace().settings.jobs_url)
    found = current_revision(engine)
    if found != HEAD:
        migrate(engine)
    where = engine.url.render_as_string(hide_password=True)
    output.out.print(f"{where} is at revision {HEAD}" + ("" if found != HEAD else " already"))
    if commerce:
        _make_shop(current_workspace().target)


def _make_shop(target: Engine) -> None:
    where = target.url.render_as_string(hide_password=True)
    from batch_jobs.strategies.shop.medusa.schema import create_shop  # loads pyarrow, which no other command needs

    made = create_shop(target)
    output.out.print(f"{where} has the tables of a shop now" if made else f"{where} has a shop; it was left as it is")


@app.command()
def prune(
    older_than: Annotated[
        float | None, typer.Option("--older-than", metavar="DAYS", min=0, help="Default: BATCH_JOBS_RETENTION_DAYS.")
    ] = None,
) -> None:
    """Remove jobs that ended long ago, with their files. A job that has not ended stays."""
    workspace = current_workspace()
    days = older_than if older_than is not None else workspace.settings.retention_days
    if days is None:
        raise UsageRefused("say how old: --older-than DAYS, or set BATCH_JOBS_RETENTION_DAYS")
    output.out.print(str(workspace.pruning.run(timedelta(days=days))))


@app.command()
def reconcile() -> None:
    """Find lost processes, runs that were moved in Prefect and jobs that wait, once; `serve` does it all the time."""
    workspace = current_workspace()
    workspace.store.tally.recount()
    output.out.print(str(workspace.reconciling.run_alone()))
