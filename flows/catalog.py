"""One flow per strategy, by name (``from flows.catalog import table_import``); workers look for them here."""

from typing import Any

from prefect import Flow

from flows.batch_job import build_flow, flow_variable
from flows.workspace import current_workspace

#: Every strategy's flow, by batch type.
FLOWS: dict[str, Flow[..., Any]] = {
    batch_type: build_flow(strategy) for batch_type, strategy in sorted(current_workspace().strategies.by_type.items())
}

globals().update({flow_variable(batch_type): flow for batch_type, flow in FLOWS.items()})


def __getattr__(name: str) -> Flow[..., Any]:
    """Tell type checkers that the flows are here, and people which there are."""
    raise AttributeError(f"flows.catalog has no flow {name}; there are {', '.join(map(flow_variable, FLOWS))}")
