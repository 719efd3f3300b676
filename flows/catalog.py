"""One flow per strategy (``from batch_jobs.flows.catalog import table_import``); workers look for them here."""

from typing import Any

from prefect import Flow

from batch_jobs.flows.runs.flow import build_flow, flow_variable
from batch_jobs.flows.workspace import current_workspace

#: Every strategy's flow, by batch type.
FLOWS: dict[str, Flow[..., Any]] = {
    batch_type: build_flow(strategy) for batch_type, strategy in sorted(current_workspace().strategies.by_type.items())
}

globals().update({flow_variable(batch_type): flow for batch_type, flow in FLOWS.items()})


def __getattr__(name: str) -> Flow[..., Any]:
    """Say which flows there are; type checkers also learn from this that there are some."""
    raise AttributeError(
        f"batch_jobs.flows.catalog has no flow {name}; there are {', '.join(map(flow_variable, FLOWS))}"
    )
