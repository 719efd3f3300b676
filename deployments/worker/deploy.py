"""The deployments there are: one of every strategy's flow, and one of the flow that a schedule creates jobs with."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from batch_jobs.flows.prefect.client import DEPLOYMENT_NAME
from batch_jobs.flows.workspace import Workspace
from batch_jobs.strategies.sdk.registry import StrategyClass

if TYPE_CHECKING:
    from prefect.deployments.runner import RunnerDeployment

#: What tells our deployments and runs from others in the Prefect UI.
TAG = "batch-jobs"
SCHEDULED = "batch_jobs.flows.scheduled"


def job_deployments(workspace: Workspace, work_pool: str | None = None) -> Iterator["RunnerDeployment"]:
    """A deployment of every strategy, and of ``create-batch-job``; in a work pool, or for a runner without one."""
    for _, strategy in sorted(workspace.strategies.by_type.items()):
        yield _of_strategy(strategy, work_pool)
    yield _deployment(f"{SCHEDULED}.create_batch_job", work_pool)


def _of_strategy(strategy: StrategyClass, work_pool: str | None) -> "RunnerDeployment":
    from batch_jobs.flows.runs.flow import CATALOG, flow_variable

    entrypoint = f"{CATALOG}.{flow_variable(strategy.batch_type)}"
    return _deployment(entrypoint, work_pool, strategy.description() or None, strategy.concurrency_limit)


def _deployment(
    entrypoint: str, work_pool: str | None, description: str | None = None, concurrency_limit: int | None = None
) -> "RunnerDeployment":
    from prefect.deployments.runner import RunnerDeployment

    return RunnerDeployment.from_entrypoint(
        entrypoint,
        name=DEPLOYMENT_NAME,
        tags=[TAG],
        description=description,
        concurrency_limit=concurrency_limit,
        work_pool_name=work_pool,
    )
