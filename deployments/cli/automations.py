"""``automations``: lets Prefect act on what becomes of jobs."""

from typing import Annotated

import typer

from batch_jobs.deployments.cli import output
from batch_jobs.deployments.errors import NoPrefectNamed
from batch_jobs.deployments.prefect.connection import use_prefect
from batch_jobs.flows.prefect.address import find_prefect
from batch_jobs.flows.workspace import current_workspace

app = typer.Typer(no_args_is_help=True, help="Let Prefect act on what becomes of jobs.")


@app.callback()
def automations() -> None:
    """Let Prefect act on what becomes of jobs."""


@app.command("notify-on-failure")
def notify(
    url: Annotated[str, typer.Argument(metavar="URL", help="A webhook, such as Slack gives one.", show_default=False)],
) -> None:
    """Deploy an automation that calls a webhook for every job that fails."""
    known = find_prefect(current_workspace().settings.home)
    if known is None:
        raise NoPrefectNamed
    use_prefect(known)
    from batch_jobs.deployments.prefect.automations import notify_on_failure

    name = notify_on_failure(url)
    output.out.print(f"the automation {name} calls {url}; change or disable it under Automations in the Prefect UI")
