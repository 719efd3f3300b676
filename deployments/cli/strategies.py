"""``strategies`` and ``template``: what can be run, and a sample of its input."""

from typing import Any

import typer
from pydantic import BaseModel
from rich.text import Text

from batch_jobs.deployments.cli import output
from batch_jobs.deployments.cli.options import AsJson, Force, OutputFile, StrategyType, output_path
from batch_jobs.deployments.errors import UsageRefused
from batch_jobs.flows.workspace import current_workspace
from batch_jobs.strategies.sdk.errors import exits_as_errors
from batch_jobs.strategies.sdk.registry import Registry, StrategyClass, origin_of


def list_strategies(as_json: AsJson = False) -> None:
    """List what can be run, and files that could not be loaded."""
    registry = current_workspace().strategies
    if as_json:
        output.print_json(_as_json(registry))
        return
    found = [registry.by_type[name] for name in sorted(registry.by_type)]
    if found:
        output.out.print(
            output.grid([_row(strategy) for strategy in found], ("TYPE", "WHAT IT DOES", "CONTEXT (* is required)"))
        )
    else:
        output.out.print("no strategies; `batch-jobs new strategy NAME` writes one")
    for broken in registry.broken:
        output.err.print(Text("not loaded: ", style="red").append(output.safe(str(broken)), style="default"))


def template(
    batch_type: StrategyType,
    to: OutputFile = None,
    force: Force = False,
) -> None:
    """Print a sample input of a strategy that works as it is."""
    with exits_as_errors():
        sample = current_workspace().strategies.get(batch_type).build_template()
    if not sample:
        raise UsageRefused(f"{batch_type} reads no file, so it has no template")
    if to is None:
        typer.echo(sample, nl=not sample.endswith("\n"))
        return
    output_path(to, force).write_text(sample, encoding="utf-8")
    output.hint(f"written to {to}")


def _row(strategy: StrategyClass) -> tuple[str, str, str]:
    return strategy.batch_type, strategy.description(), _fields(strategy.Context)


def _fields(context: type[BaseModel]) -> str:
    return ", ".join(f"{name}{'*' if field.is_required() else ''}" for name, field in context.model_fields.items())


def _as_json(registry: Registry) -> list[dict[str, Any]]:
    loaded = [
        {
            "type": strategy.batch_type,
            "identifier": strategy.identifier,
            "description": strategy.description(),
            "file": str(origin_of(strategy)),
            "context": strategy.Context.model_json_schema(),
        }
        for _, strategy in sorted(registry.by_type.items())
    ]
    return loaded + [{"file": broken.origin, "error": str(broken)} for broken in registry.broken]
